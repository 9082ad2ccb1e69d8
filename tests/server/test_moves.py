"""Repos under a new name: everything comes along, the old name leads on, and nobody learns of what is hidden."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.git_client import Clone, address
from tests.server.talk import large, small

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings(
        "ignore:Use 'content:DeprecationWarning"
    ),  # what the stock client does to its own library
]
DATA = b"moved bytes" * 100


@pytest.fixture
def moved(owner: Owner, stock) -> Owner:
    """A repo whose old name is `repo`, and whose new one is `new-name`."""
    oid = owner.talk.put_large(owner.repo, DATA)
    owner.talk.commit(owner.repo, large("m.bin", oid, len(DATA)), small("a b", b"small")).raise_for_status()
    stock(owner.token).move_repo(owner.repo, f"{owner.name}/new-name")
    return owner


def test_the_old_name_leads_to_the_new_one(moved: Owner, stock, tmp_path: Path) -> None:
    api, new = stock(moved.token), f"{moved.name}/new-name"
    assert api.model_info(moved.repo).id == api.model_info(new).id == new
    assert {one.path for one in api.list_repo_tree(moved.repo)} == {".gitattributes", "a b", "m.bin"}
    for name in ("m.bin", "a b"):
        assert Path(api.hf_hub_download(moved.repo, name, cache_dir=tmp_path / "1")).is_file()
    assert Path(api.snapshot_download(moved.repo, cache_dir=tmp_path / "2"), "m.bin").read_bytes() == DATA
    commit = api.upload_file(path_or_fileobj=b"new", path_in_repo="new.txt", repo_id=moved.repo)
    api.upload_file(path_or_fileobj=DATA + b"2", path_in_repo="n.bin", repo_id=moved.repo)
    assert api.file_exists(new, "n.bin")
    assert commit.oid in {one.commit_id for one in api.list_repo_commits(new)}


def test_redirects_are_307_and_keep_the_question(moved: Owner, speak) -> None:
    old, new, nobody = moved.repo, f"{moved.name}/new-name", speak(None)
    oid = hashlib.sha256(DATA).hexdigest()
    for method, path in (
        ("GET", "/api/models/{}"),
        ("GET", "/api/models/{}/tree/main?recursive=true&limit=1"),
        ("HEAD", "/{}/resolve/main/a%20b"),
        ("GET", "/models/{}/resolve/refs%2Fpr%2F1/x"),
        ("POST", "/{}.git/info/lfs/objects/batch"),
        ("POST", "/api/models/{}/commit/main"),
    ):
        answer = nobody.client.request(method, path.format(old), follow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (307, path.format(new))
    links = moved.talk.client.post(
        f"/{old}.git/info/lfs/objects/batch",
        json={"operation": "download", "objects": [{"oid": oid, "size": len(DATA)}]},
        follow_redirects=True,
    ).json()
    assert nobody.get(links["objects"][0]["actions"]["download"]["href"]).content == DATA


def test_old_names_are_not_deleted_or_moved(moved: Owner, stock) -> None:
    api = stock(moved.token)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(moved.repo)
    with pytest.raises(RepositoryNotFoundError):
        api.move_repo(moved.repo, f"{moved.name}/third")
    assert api.repo_exists(f"{moved.name}/new-name")


def test_back_and_forth(moved: Owner, stock, speak) -> None:
    api, new = stock(moved.token), f"{moved.name}/new-name"
    api.move_repo(new, moved.repo)
    assert api.model_info(new).id == moved.repo
    assert speak(None).client.get(f"/api/models/{moved.repo}", follow_redirects=False).status_code == 200
    api.move_repo(moved.repo, f"{moved.name}/REPO")
    assert api.model_info(f"{moved.name}/REPO").id == f"{moved.name}/REPO"
    assert api.model_info(new).id == f"{moved.name}/REPO"


def test_a_new_repo_takes_the_old_name_away(moved: Owner, stock) -> None:
    api = stock(moved.token)
    api.create_repo(moved.repo)
    assert api.model_info(moved.repo).id == moved.repo
    assert not api.file_exists(moved.repo, "m.bin")
    api.delete_repo(moved.repo)
    assert not api.repo_exists(moved.repo), "the old name does not come back"
    assert api.file_exists(f"{moved.name}/new-name", "m.bin")


def test_who_may_not_see_the_new_place_finds_nothing_under_the_old_one(
    moved: Owner, hub: LiveHub, speak, stock
) -> None:
    stock(moved.token).update_repo_settings(f"{moved.name}/new-name", private=True)
    for talk in (speak(None), speak(hub.user())):
        for name in (moved.repo, f"{moved.name}/never"):
            answer = talk.get(f"/api/models/{name}")
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
            assert "Location" not in answer.headers
    assert stock(moved.token).model_info(moved.repo).private


def status_of(api, source: str, target: str, **more: object) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        api.move_repo(source, target, **more)
    return caught.value.response.status_code


def test_refusals(owner: Owner, make_owner, hub: LiveHub, stock) -> None:
    other = make_owner()
    mine, theirs = stock(owner.token), stock(other.token)
    assert status_of(theirs, owner.repo, f"{other.name}/stolen") == 403
    assert status_of(mine, owner.repo, f"{other.name}/gift") == 403, "nobody puts repos into the namespace of another"
    assert status_of(stock(hub.hub.create_token(owner.name, "read")), owner.repo, f"{owner.name}/x") == 403
    assert status_of(mine, owner.repo, owner.repo) == 409
    assert status_of(stock(hub.admin_token), owner.repo, other.repo) == 409
    assert status_of(mine, owner.repo, f"{owner.name}/x", repo_type="dataset") == 404
    for name in ("api/x", f"{owner.name}/..", f"{owner.name}/x.git"):
        assert status_of(stock(hub.admin_token), owner.repo, name) == 400, name
    stock(hub.admin_token).move_repo(owner.repo, f"{other.name}/given")
    assert theirs.model_info(f"{other.name}/given").id == f"{other.name}/given"
    assert status_of(mine, f"{other.name}/given", f"{owner.name}/back") == 403
    assert mine.model_info(owner.repo).id == f"{other.name}/given"


def test_git_finds_it_under_the_old_name(moved: Owner, hub: LiveHub, tmp_path: Path) -> None:
    old = address(hub.url, moved.repo, moved.token)
    for end in ("", ".git"):
        clone = Clone.of(
            old + end, tmp_path / f"clone{end}", "-c", "filter.lfs.smudge=", "-c", "filter.lfs.required=false"
        )
        assert (clone.folder / "a b").read_bytes() == b"small"
        (clone.folder / "pushed.txt").write_text(f"by git{end}")
        clone.git("add", "pushed.txt")
        clone.git("commit", "-q", "-m", f"pushed{end}")
        clone.git("push", "-q", "--no-verify", "origin", "main")
    assert moved.talk.read(f"{moved.name}/new-name", "pushed.txt").content == b"by git.git"
