"""Bytes: whole, in ranges, under every header that clients read."""

import hashlib

import pytest
from sqlalchemy import insert, select

from tenuto.core.errors import UsageError
from tenuto.server.content.files import parse_range
from tenuto.server.schema import lfs_objects, repos
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import large, small

DATA = bytes(range(256)) * 20  # 5,120 bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-", (10, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=0-999999999999999999", (0, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        (" bytes=5-6 ", (5, 7)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=" + "0-1," * 10_000 + "0-1", None),
        ("items=0-5", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-\u0662", (1, 3)),
        ("bytes=9999999999999999999-", None),
    ],
)
def test_ranges(text: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(text, 100) == expected


@pytest.mark.parametrize(
    ("text", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=0-", 0), ("bytes=-0", 100), ("bytes=-5", 0)]
)
def test_ranges_that_hold_nothing_are_refused(text: str, size: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_range(text, size)
    assert caught.value.code == "BadRange"


@pytest.fixture
def files(owner: Owner) -> Owner:
    oid = owner.talk.put_large(owner.repo, DATA)
    owner.talk.commit(
        owner.repo, small("small.txt", DATA), large("large.bin", oid, len(DATA)), small("empty", b"")
    ).raise_for_status()
    return owner


@pytest.mark.parametrize("name", ["small.txt", "large.bin"])
@pytest.mark.parametrize(
    ("range_", "start", "end"),
    [("bytes=0-99", 0, 100), ("bytes=5000-", 5000, 5120), ("bytes=-7", 5113, 5120), ("bytes=5119-9999", 5119, 5120)],
)
def test_parts_of_a_file(files: Owner, name: str, range_: str, start: int, end: int) -> None:
    answer = files.talk.read(files.repo, name, headers={"Range": range_})
    assert answer.status_code == 206
    assert answer.content == DATA[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/5120"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("name", ["small.txt", "large.bin"])
def test_a_range_behind_the_end_is_416(files: Owner, name: str) -> None:
    answer = files.talk.read(files.repo, name, headers={"Range": "bytes=5120-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */5120")
    assert answer.headers["X-Error-Code"] == "BadRange"


@pytest.mark.parametrize("name", ["small.txt", "large.bin", "empty"])
def test_head_says_what_get_would(files: Owner, name: str) -> None:
    url = f"/{files.repo}/resolve/main/{name}"
    head, get = files.talk.client.head(url), files.talk.get(url)
    assert head.content == b""
    ignored = {"date", "x-request-id"}
    assert {key: value for key, value in head.headers.items() if key not in ignored} == {
        key: value for key, value in get.headers.items() if key not in ignored
    }
    assert int(head.headers["Content-Length"]) == len(get.content)


def test_head_of_a_huge_file_needs_none_of_its_bytes(hub: LiveHub, owner: Owner) -> None:
    oid, size = "5" * 64, 50 << 30
    with hub.hub.parts.database.write() as connection:
        key = connection.execute(select(repos.c.id).where(repos.c.namespace == owner.name)).scalar_one()
        row = {"repo_id": key, "sha256": oid, "size": size, "created_ms": 0}
        connection.execute(insert(lfs_objects).values(row))
    owner.talk.commit(owner.repo, large("huge.bin", oid, size)).raise_for_status()
    answer = owner.talk.client.head(f"/{owner.repo}/resolve/main/huge.bin")
    assert (answer.status_code, answer.headers["Content-Length"], answer.headers["X-Linked-Size"]) == (
        200,
        str(size),
        str(size),
    )
    assert answer.headers["ETag"] == f'"{oid}"'
    part = owner.talk.client.head(f"/{owner.repo}/resolve/main/huge.bin", headers={"Range": f"bytes={size - 1}-"})
    assert part.headers["Content-Range"] == f"bytes {size - 1}-{size - 1}/{size}"
    assert owner.talk.read(owner.repo, "huge.bin").headers["X-Error-Code"] == "CorruptObject", "nor are there any"


def test_the_headers_of_a_file(files: Owner) -> None:
    answer = files.talk.read(files.repo, "small.txt")
    git_id = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
    expected = {
        "X-Repo-Commit": files.talk.head(files.repo),
        "ETag": f'"{git_id}"',
        "Accept-Ranges": "bytes",
        "Content-Length": "5120",
        "Content-Disposition": "inline; filename*=UTF-8''small.txt; filename=\"small.txt\";",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    assert {key: answer.headers[key] for key in expected} == expected
    assert "X-Linked-Size" not in answer.headers
    sha256 = hashlib.sha256(DATA).hexdigest()
    linked = files.talk.read(files.repo, "large.bin").headers
    assert (linked["ETag"], linked["X-Linked-Etag"], linked["X-Linked-Size"]) == (f'"{sha256}"', f'"{sha256}"', "5120")


def test_uploaded_pages_and_scripts_do_not_run_here(owner: Owner) -> None:
    names = ["x.html", "x.svg", "x.js", "x.xhtml", "x.htm", "x"]
    owner.talk.commit(owner.repo, *[small(name, b"<script>alert(1)</script>") for name in names]).raise_for_status()
    for name in names:
        headers = owner.talk.read(owner.repo, name).headers
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]


def test_a_name_cannot_break_out_of_its_header(owner: Owner) -> None:
    name = "a'b;c=d é.txt"
    owner.talk.commit(owner.repo, small(name, b"x")).raise_for_status()
    value = owner.talk.read(owner.repo, name).headers["Content-Disposition"]
    assert value == "inline; filename*=UTF-8''a%27b%3Bc%3Dd%20%C3%A9.txt; filename=\"a'b;c=d _.txt\";"


def test_conditions(files: Owner) -> None:
    talk, repo = files.talk, files.repo
    etag = talk.read(repo, "large.bin").headers["ETag"]
    unchanged = talk.read(repo, "large.bin", headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert talk.read(repo, "large.bin", headers={"If-None-Match": '"other"'}).status_code == 200
    part = {"Range": "bytes=0-3"}
    assert talk.read(repo, "large.bin", headers={**part, "If-Range": etag}).status_code == 206
    assert talk.read(repo, "large.bin", headers={**part, "If-Range": '"other"'}).content == DATA


@pytest.mark.parametrize(
    "path", ["missing", "large.bin/x", "", "..", "a/../small.txt", "small.txt/", "/small.txt", "x\0y"]
)
def test_what_is_not_there_is_said_with_the_commit(files: Owner, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = files.talk.client.request(
            method, f"/{files.repo}/resolve/main/{path.replace('..', '%2E%2E').replace(chr(0), '%00')}"
        )
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")
        assert answer.headers["X-Repo-Commit"] == files.talk.head(files.repo)


def test_a_folder_is_no_file(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("d/x", b"")).raise_for_status()
    assert owner.talk.read(owner.repo, "d").headers["X-Error-Code"] == "EntryNotFound"


def test_revisions(files: Owner) -> None:
    talk, repo = files.talk, files.repo
    head = talk.head(repo)
    talk.post(f"/api/models/{repo}/branch/feat%2Fone", {"startingPoint": head[:8]}).raise_for_status()
    talk.post(f"/api/models/{repo}/tag/{head}", {"tag": "v1/rc"}).raise_for_status()
    for revision in ("main", "feat/one", "v1/rc", head, head[:5], "refs/heads/main", "refs/tags/v1/rc", "HEAD"):
        answer = talk.read(repo, "small.txt", revision)
        assert answer.headers["X-Repo-Commit"] == head, revision
    assert talk.get(f"/{repo}/resolve/refs/heads/main/small.txt").status_code == 200
    for revision in ("nope", "0" * 40, head[:4], "refs/heads/nope", "refs/pr/1", "MAIN", "a b", head.upper()):
        answer = talk.read(repo, "small.txt", revision)
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound"), revision
