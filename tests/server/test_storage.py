"""Large objects of a repo: listed with a name, deleted for good with what it frees, let into other repos without moving a byte."""

import os
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi, constants
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import gone, large, small

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings(
        "ignore:Use 'content:DeprecationWarning"
    ),  # what the stock client does to its own library
]


def blob(seed: int, size: int = 40_000, owner: str = "") -> bytes:
    return f"{seed} {owner}".encode().ljust(size, b".")


@pytest.fixture
def filled(owner: Owner) -> Owner:
    """Three large objects: one at the head, one in the past, one that was never committed; and small files around them."""
    talk, repo = owner.talk, owner.repo
    now, past, never = (talk.put_large(repo, blob(seed, owner=owner.name)) for seed in (1, 2, 3))
    assert never
    talk.commit(repo, small("a.txt", b"a"), small("d/b.txt", b"b")).raise_for_status()
    talk.commit(repo, large("d/deep/past.bin", past), small("d/c.txt", b"c")).raise_for_status()
    talk.commit(repo, large("now.bin", now)).raise_for_status()
    talk.commit(repo, gone("d/deep/past.bin"), small("z.txt", b"z")).raise_for_status()
    return owner


def stored(hub: LiveHub) -> int:
    return sum(one.size for one in hub.hub.parts.store)


def test_the_list_names_what_it_can(filled: Owner, stock, hub: LiveHub) -> None:
    api = stock(filled.token)
    api.create_branch(filled.repo, branch="a-branch")
    found = {one.filename: one for one in api.list_lfs_files(filled.repo)}
    assert set(found) == {"now.bin", "d/deep/past.bin", ""}
    assert (found["now.bin"].ref, found["d/deep/past.bin"].ref) == ("refs/heads/main", None)
    assert {one.size for one in found.values()} == {40_000}
    assert all(one.oid == one.file_oid for one in found.values())
    url, names = f"/api/models/{filled.repo}/lfs-files?limit=2", []
    while url:
        answer = filled.talk.get(url)
        names += [one["fileOid"] for one in answer.json()]
        url = answer.links.get("next", {}).get("url")
    assert sorted(names) == sorted(one.oid for one in found.values())
    with pytest.raises(HfHubHTTPError) as caught:
        list(stock(hub.user()).list_lfs_files(filled.repo))
    assert caught.value.response.status_code == 403


def test_deleted_for_good_with_a_new_history(filled: Owner, stock, hub: LiveHub, tmp_path: Path) -> None:
    api, repo = stock(filled.token), filled.repo
    api.create_tag(repo, tag="v1", tag_message="annotated")
    api.create_branch(repo, branch="side")
    api.create_pull_request(repo, "open")
    first = api.list_repo_commits(repo)[-2].commit_id
    before = {one.title: one.commit_id for one in api.list_repo_commits(repo)}
    old = {one.commit_id for one in api.list_repo_commits(repo)}
    doomed = [one for one in api.list_lfs_files(repo) if one.filename.endswith("past.bin")]
    size = stored(hub)
    api.permanently_delete_lfs_files(repo, doomed)
    assert stored(hub) == size - 40_000
    after = api.list_repo_commits(repo)
    assert len(after) == len(old)
    kept = {one.commit_id for one in after} & old
    assert first in kept, "what came before the file keeps its id"
    assert len(kept) == 2
    assert before["initial commit"] in kept
    for oid in old - kept:
        with pytest.raises(RevisionNotFoundError):
            api.model_info(repo, revision=oid)
    for ref in ("main", "v1", "side", "refs/pr/1"):
        assert sorted(api.list_repo_files(repo, revision=ref)) == sorted(
            [".gitattributes", "a.txt", "d/b.txt", "d/c.txt", "now.bin", "z.txt"]
        )
    for commit in after:
        assert "d/deep/past.bin" not in api.list_repo_files(repo, revision=commit.commit_id)
    assert Path(api.hf_hub_download(repo, "now.bin", cache_dir=tmp_path)).read_bytes() == blob(1, owner=filled.name)
    assert {one.filename for one in api.list_lfs_files(repo)} == {"now.bin", ""}
    api.upload_file(path_or_fileobj=b"goes on", path_in_repo="on.txt", repo_id=repo)
    clone = tmp_path / "clone"
    quiet = {**os.environ, "GIT_LFS_SKIP_SMUDGE": "1", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}
    subprocess.run(["git", "clone", "-q", f"{hub.url}/{repo}", str(clone)], check=True, env=quiet)
    checked = subprocess.run(["git", "-C", str(clone), "fsck", "--strict"], check=True, capture_output=True, text=True)
    assert "missing" not in checked.stdout + checked.stderr


def test_deleted_for_good_with_the_old_history(filled: Owner, stock, hub: LiveHub, tmp_path: Path) -> None:
    api, repo = stock(filled.token), filled.repo
    head, size = api.model_info(repo).sha, stored(hub)
    doomed = [one for one in api.list_lfs_files(repo) if one.filename == "now.bin"]
    api.permanently_delete_lfs_files(repo, doomed, rewrite_history=False)
    assert stored(hub) == size - 40_000
    assert api.model_info(repo).sha == head
    assert "now.bin" in api.list_repo_files(repo)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(repo, "now.bin", cache_dir=tmp_path)
    answer = filled.talk.commit(repo, large("again.bin", doomed[0].oid))
    assert answer.status_code == 400, "whoever wants it back must send the bytes"
    api.upload_file(path_or_fileobj=blob(1, owner=filled.name), path_in_repo="now.bin", repo_id=repo)
    assert Path(api.hf_hub_download(repo, "now.bin", cache_dir=tmp_path)).read_bytes() == blob(1, owner=filled.name)


def delete(owner: Owner, *names: str, rewrite: bool = True) -> dict:
    body = {"deletions": {"sha": list(names), "rewriteHistory": rewrite}}
    answer = owner.talk.post(f"/api/models/{owner.repo}/lfs-files/batch", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_answer_says_what_was_freed(owner: Owner, make_owner) -> None:
    other = make_owner()
    shared, own = owner.talk.put_large(owner.repo, blob(7)), owner.talk.put_large(owner.repo, blob(8, 1234))
    other.talk.put_large(other.repo, blob(7))
    other.talk.commit(other.repo, large("x.bin", shared)).raise_for_status()
    owner.talk.commit(owner.repo, large("s.bin", shared), large("d/o.bin", own)).raise_for_status()
    assert delete(owner, own, "f" * 64) == {"deleted": 1, "freedBytes": 1234, "rewrittenCommits": 1}
    assert delete(owner, shared) == {"deleted": 1, "freedBytes": 0, "rewrittenCommits": 1}
    assert set(owner.talk.listing(owner.repo)) == {".gitattributes"}
    assert other.talk.read(other.repo, "x.bin").content == blob(7), "another repo has it still"
    assert delete(other, shared) == {"deleted": 1, "freedBytes": 40_000, "rewrittenCommits": 1}
    assert delete(other, shared) == {"deleted": 0, "freedBytes": 0, "rewrittenCommits": 0}


def test_a_merge_is_rewritten_with_both_its_sides(owner: Owner, stock) -> None:
    api, talk, repo = stock(owner.token), owner.talk, owner.repo
    oid = talk.put_large(repo, blob(9))
    api.create_pull_request(repo, "side")
    talk.commit(repo, large("side.bin", oid), small("s", b"s"), rev="refs/pr/1").raise_for_status()
    talk.commit(repo, small("m", b"m")).raise_for_status()
    api.merge_pull_request(repo, 1)
    assert delete(owner, oid)["rewrittenCommits"] == 2
    assert set(talk.listing(repo)) == {".gitattributes", "s", "m"}
    merged = api.get_discussion_details(repo, 1)
    assert merged.merge_commit_oid == talk.head(repo)
    assert "side.bin" not in merged.diff
    assert "b/s" in merged.diff


def test_deletions_that_are_refused(filled: Owner, hub: LiveHub, speak) -> None:
    url = f"/api/models/{filled.repo}/lfs-files/batch"
    body = {"deletions": {"sha": ["a" * 64], "rewriteHistory": True}}
    for token, status in ((hub.user(), 403), (None, 401), (hub.hub.create_token(filled.name, "read"), 403)):
        assert speak(token).post(url, body).status_code == status
    for names in (["x"], ["A" * 64], ["../" * 21 + "x"]):
        assert filled.talk.post(url, {"deletions": {"sha": names}}).status_code == 400
    assert filled.talk.post(url, {"deletions": {"sha": ["a" * 64] * 1001}}).status_code == 413


def copy(owner: Owner, source: str, target: str, *names: str):
    body = {"target": {"type": "model", "name": target}, "files": [{"sha256": one, "filename": "x"} for one in names]}
    return owner.talk.post(f"/api/models/{source}/lfs-files/duplicate", body)


def test_another_repo_holds_it_too_and_that_needs_both_rights(owner: Owner, make_owner, hub: LiveHub) -> None:
    other, hidden = make_owner(), make_owner(private=True)
    mine, secret = other.talk.put_large(other.repo, blob(11)), hidden.talk.put_large(hidden.repo, blob(12))
    size = stored(hub)
    assert copy(owner, other.repo, owner.repo, mine).json() == {"failed": []}
    owner.talk.commit(owner.repo, large("copied.bin", mine)).raise_for_status()
    assert owner.talk.read(owner.repo, "copied.bin").content == blob(11)
    assert stored(hub) == size
    assert copy(owner, hidden.repo, owner.repo, secret).status_code == 404, "unreadable here"
    assert copy(owner, owner.repo, other.repo, mine).status_code == 403, "unwritable there"
    assert copy(owner, owner.repo, hidden.repo, mine).status_code == 404
    failed = copy(owner, other.repo, owner.repo, secret).json()["failed"]
    assert [one["sha256"] for one in failed] == [secret], "a hash alone opens nothing"
    assert owner.talk.commit(owner.repo, large("x", secret)).status_code == 400
    assert delete(other, mine)["freedBytes"] == 0
    assert owner.talk.read(owner.repo, "copied.bin").content == blob(11)


@pytest.fixture
def chunked(owner: Owner, stock, monkeypatch: pytest.MonkeyPatch) -> tuple[HfApi, bytes]:
    """A client that uploads by Xet, and a file that it has uploaded."""
    api, data = stock(owner.token), os.urandom(300_000)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    api.create_commit(owner.repo, [CommitOperationAdd("x.safetensors", data)], commit_message="chunks")
    return api, data


def test_a_file_of_chunks_is_copied_by_the_stock_client(
    chunked: tuple[HfApi, bytes],
    owner: Owner,
    make_owner,
    hub: LiveHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, data = chunked
    target = api.create_repo(f"{owner.name}/copy").repo_id
    operation = CommitOperationCopy("x.safetensors", "y.safetensors", src_repo_id=owner.repo, src_repo_type="model")
    api.create_commit(target, [operation], commit_message="copied")
    assert owner.talk.read(target, "y.safetensors").content == data
    (info,) = api.get_paths_info(target, ["y.safetensors"])
    assert len(info.xet_hash) == 64
    api.delete_repo(owner.repo)
    assert owner.talk.read(target, "y.safetensors").content == data


def test_chunks_are_freed_too(chunked: tuple[HfApi, bytes], owner: Owner) -> None:
    api, data = chunked
    (found,) = api.list_lfs_files(owner.repo)
    assert found.filename == "x.safetensors"
    freed = delete(owner, found.oid)["freedBytes"]
    assert len(data) <= freed < len(data) + 10_000
    assert set(owner.talk.listing(owner.repo)) == {".gitattributes"}
    api.create_commit(owner.repo, [CommitOperationAdd("x.safetensors", data)], commit_message="again")
    assert owner.talk.read(owner.repo, "x.safetensors").content == data
