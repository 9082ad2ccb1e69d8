"""What is written and uploaded in a browser becomes commits, and nothing of anybody else is lost."""

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, some_file, stored
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


def send(owner: Owner, path: str, fields: dict[str, str], expected: int = 303):
    answer = owner.talk.client.post(f"/{owner.repo}{path}", data=fields, headers=HTML, follow_redirects=False)
    assert answer.status_code == expected, answer.text[:500]
    return answer


def upload(owner: Owner, files: list[tuple[str, bytes]], fields: dict[str, str] | None = None, expected: int = 303):
    parts = [("files", (name, content)) for name, content in files]
    answer = owner.talk.client.post(
        f"/{owner.repo}/upload/main", files=parts, data=fields or {}, headers=HTML, follow_redirects=False
    )
    assert answer.status_code == expected, answer.text[:500]
    return answer


def test_a_card_is_written_seen_and_saved(owner: Owner) -> None:
    form = owner.talk.get(f"/{owner.repo}/edit/main/README.md", headers=HTML)
    assert form.status_code == 200
    text = "---\nlicense: mit\n---\n# Owls\r\n\r\n**They** hoot.<script>alert(1)</script>"
    seen = send(owner, "/edit/main/README.md", {"text": text, "deed": "preview"}, 200)
    assert "<strong>They</strong>" in seen.text
    assert "<script>alert" not in seen.text
    assert "&lt;script&gt;" in seen.text  # as it was written, in the form
    saved = send(owner, "/edit/main/README.md", {"text": text, "summary": "About owls", "deed": "save"})
    assert saved.headers["Location"] == f"/{owner.repo}"
    page = owner.talk.get(f"/{owner.repo}", headers=HTML).text
    assert "They" in page
    assert "mit" in page
    assert owner.talk.get(f"/{owner.repo}/raw/main/README.md").text == text.replace("\r\n", "\n")
    assert "About owls" in owner.talk.get(f"/{owner.repo}/commits/main", headers=HTML).text


def test_who_was_slower_loses_nothing_and_is_told(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("a.txt", b"one")).raise_for_status()
    head = owner.talk.get(f"/api/models/{owner.repo}").json()["sha"]
    owner.talk.commit(owner.repo, small("a.txt", b"two")).raise_for_status()
    answer = send(owner, "/edit/main/a.txt", {"text": "three & more", "parent": head, "deed": "save"}, 409)
    assert "Somebody changed this branch" in answer.text
    assert "three &amp; more" in answer.text
    assert owner.talk.get(f"/{owner.repo}/raw/main/a.txt").text == "two"


def test_what_is_no_short_text_is_not_written_here(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("big.txt", b"x" * 100_000), small("bytes.txt", b"\xff\xfe")).raise_for_status()
    assert owner.talk.get(f"/{owner.repo}/edit/main/big.txt", headers=HTML).status_code == 413
    assert owner.talk.get(f"/{owner.repo}/edit/main/bytes.txt", headers=HTML).status_code == 400
    send(owner, "/edit/main/big.txt", {"text": "y" * 60_000, "deed": "save"}, 413)


def test_files_are_uploaded_into_a_folder_and_large_ones_by_nature_as_objects(owner: Owner) -> None:
    weights = bytes(range(256)) * 10
    upload(owner, [("notes.txt", b"hello"), ("w.safetensors", weights)], {"folder": "a/b"})
    listed = {one["path"]: one for one in owner.talk.get(f"/api/models/{owner.repo}/tree/main/a/b").json()}
    assert "lfs" not in listed["a/b/notes.txt"]
    assert listed["a/b/w.safetensors"]["lfs"]["size"] == len(weights)
    assert owner.talk.client.get(f"/{owner.repo}/resolve/main/a/b/w.safetensors").content == weights


def test_what_the_repo_has_in_chunks_is_not_stored_once_more(hub: LiveHub, owner: Owner) -> None:
    file = some_file()
    Cas(owner).put_file(file)
    committed(owner, file, "first.bin")
    before = stored(hub)
    upload(owner, [("second.bin", file.content)])
    assert stored(hub) == before
    assert owner.talk.client.get(f"/{owner.repo}/resolve/main/second.bin").content == file.content


@pytest.mark.parametrize("folder", ["../x", "a//b", ".git", "CON"])
def test_a_folder_that_is_none_is_refused(owner: Owner, folder: str) -> None:
    upload(owner, [("x.txt", b"")], {"folder": folder}, 400)


def test_names_from_other_systems_lose_their_folders(owner: Owner) -> None:
    upload(owner, [("C:\\Users\\me\\x.txt", b"1"), ("../../y.txt", b"2")])
    names = {one["path"] for one in owner.talk.get(f"/api/models/{owner.repo}/tree/main").json()}
    assert {"x.txt", "y.txt"} <= names


def test_a_form_without_files_says_so(owner: Owner) -> None:
    send(owner, "/upload/main", {"folder": "x"}, 400)
    upload(owner, [], {"folder": "x"}, 400)


def test_an_upload_says_what_it_replaced(owner: Owner) -> None:
    first = upload(owner, [("a.txt", b"1"), ("b.txt", b"2")])
    page = owner.talk.get(first.headers["Location"], headers=HTML).text
    assert "Uploaded 2 files." in page
    assert "Replaced" not in page
    second = upload(owner, [("b.txt", b"3"), ("c.txt", b"4")])
    page = owner.talk.get(second.headers["Location"], headers=HTML).text
    assert "Replaced what was there: b.txt. The history keeps it." in page
    assert "Uploaded" not in owner.talk.get(f"/{owner.repo}/tree/main", headers=HTML).text
