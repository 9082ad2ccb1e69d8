"""git-lfs as people use it: push and pull of large files, verify before a push, and locks."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tenuto.server.quota import set_quota
from tenuto.server.space.targets import find_target
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.git_client import Clone, GitFailed, address
from tests.server.talk import large


@pytest.fixture(scope="module")
def git_lfs() -> None:
    """git-lfs is here; `make setup` installs it as root. Without apt there is no way to, and the tests are left out."""
    if shutil.which("git-lfs"):
        return
    if shutil.which("apt-get"):
        pytest.fail("git-lfs is not installed: run `apt-get install git-lfs` as root, or `make setup` as root")
    pytest.skip("git-lfs is not installed, and this machine has no apt-get to install it with")


@pytest.fixture
def model(hub: LiveHub, owner: Owner, tmp_path: Path, git_lfs: None) -> Clone:
    return lfs_clone(address(hub.url, owner.repo, owner.token), tmp_path / "model")


def lfs_clone(where: str, folder: Path) -> Clone:
    """A clone that fetches large files at once, as after `git lfs install`."""
    filters = [f"filter.lfs.{key}" for key in ("clean", "smudge", "process")]
    commands = ["git-lfs clean -- %f", "git-lfs smudge -- %f", "git-lfs filter-process"]
    options = [f"--config={key}={command}" for key, command in zip(filters, commands, strict=True)]
    clone = Clone.of(where, folder, *options, "--config=filter.lfs.required=true")
    clone.git("lfs", "install", "--local")
    return clone


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_large_files_go_there_and_back(hub: LiveHub, make_owner, tmp_path: Path, git_lfs: None, kind: str) -> None:
    owner = make_owner(private=True)
    name, prefix = f"{owner.name}/{kind}", "datasets/" if kind == "dataset" else ""
    owner.talk.create(name, kind=kind, private=True).raise_for_status()
    where = address(hub.url, f"{prefix}{name}", owner.token)
    clone = lfs_clone(where, tmp_path / "clone")
    data = os.urandom(3 << 20)
    clone.commit(**{"deep/ü model #1.safetensors": data, "note.txt": b"small", "empty.bin": b""})
    clone.git("push", "-q", "origin", "main")
    url = f"/{prefix}{name}/resolve/main/deep/%C3%BC%20model%20%231.safetensors"
    answer = owner.talk.get(url)
    assert answer.content == data
    assert answer.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    other = lfs_clone(where, tmp_path / "other")
    assert (other.folder / "deep" / "ü model #1.safetensors").read_bytes() == data
    assert other.git("lfs", "fsck") == "Git LFS fsck OK"
    other.check()


def test_what_the_api_uploads_git_lfs_pulls(hub: LiveHub, owner: Owner, model: Clone) -> None:
    data = os.urandom(2 << 20)
    oid = owner.talk.put_large(owner.repo, data)
    owner.talk.commit(owner.repo, large("m.bin", oid, len(data))).raise_for_status()
    model.git("pull", "-q", "origin", "main")
    assert (model.folder / "m.bin").read_bytes() == data


def test_a_pointer_without_its_object_is_refused_until_it_is_sent(hub: LiveHub, owner: Owner, model: Clone) -> None:
    head = owner.talk.head(owner.repo)
    model.commit(**{"m.bin": b"weights" * 1000})
    with pytest.raises(GitFailed, match=r"'m.bin' points to the LFS object .*git lfs push --all"):
        model.git("push", "-q", "--no-verify", "origin", "main")
    assert owner.talk.head(owner.repo) == head
    model.git("lfs", "push", "--all", "origin")
    model.git("push", "-q", "--no-verify", "origin", "main")
    assert owner.talk.head(owner.repo) == model.head()


def test_an_object_that_only_another_repo_holds_does_not_count(
    hub: LiveHub, make_owner, tmp_path: Path, git_lfs: None
) -> None:
    hidden, thief = make_owner(private=True), make_owner()
    secret = os.urandom(5000)
    oid = hidden.talk.put_large(hidden.repo, secret)
    clone = Clone.of(address(hub.url, thief.repo, thief.token), tmp_path / "clone")
    clone.commit(
        **{"stolen.bin": f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5000\n".encode()}
    )
    with pytest.raises(GitFailed, match="this repo does not hold"):
        clone.git("push", "-q", "--no-verify", "origin", "main")


def test_locks_with_git_lfs(hub: LiveHub, owner: Owner, model: Clone, tmp_path: Path) -> None:
    model.commit(**{"m.bin": b"1"})
    model.git("push", "-q", "origin", "main")
    model.git("lfs", "lock", "m.bin")
    assert "m.bin" in model.git("lfs", "locks")
    with pytest.raises(GitFailed, match="is locked by"):
        model.git("lfs", "lock", "m.bin")
    boss = lfs_clone(address(hub.url, owner.repo, hub.admin_token), tmp_path / "boss")
    boss.commit(**{"m.bin": b"2"})
    with pytest.raises(GitFailed, match=f"m.bin - {owner.name}"):
        boss.git(
            "-c", f"lfs.{address(hub.url, owner.repo)}.git/info/lfs.locksverify=true", "push", "-q", "origin", "main"
        )
    with pytest.raises(GitFailed):
        boss.git("lfs", "unlock", "m.bin")
    boss.git("lfs", "unlock", "--force", "m.bin")
    boss.git("push", "-q", "origin", "main")
    assert model.git("lfs", "locks") == ""


def place(repo: str) -> str:
    return f"/{repo}.git/info/lfs/locks"


def test_locks_come_in_pages(hub: LiveHub, owner: Owner, speak) -> None:
    boss = speak(hub.admin_token)
    for number in range(7):
        talk = boss if number % 3 == 0 else owner.talk
        made = talk.post(place(owner.repo), {"path": f"d/{number}.bin", "ref": {"name": "refs/heads/main"}})
        assert made.status_code == 201
        assert made.headers["Content-Type"] == "application/vnd.git-lfs+json"
        assert set(made.json()["lock"]) == {"id", "path", "locked_at", "owner"}
    found, cursor = [], ""
    while True:
        page = owner.talk.get(f"{place(owner.repo)}?limit=3&cursor={cursor}").json()
        found += page["locks"]
        cursor = page.get("next_cursor", "")
        assert len(page["locks"]) == (3 if cursor else 1)
        if not cursor:
            break
    assert [one["path"] for one in found] == [f"d/{number}.bin" for number in range(7)]
    one = owner.talk.get(f"{place(owner.repo)}?path=d/4.bin").json()["locks"]
    assert [lock["id"] for lock in one] == [found[4]["id"]]
    assert owner.talk.get(f"{place(owner.repo)}?id={found[2]['id']}").json()["locks"] == [found[2]]
    ours, theirs, cursor = [], [], ""
    while True:
        page = owner.talk.post(f"{place(owner.repo)}/verify", {"cursor": cursor, "limit": 2}).json()
        ours, theirs = ours + page["ours"], theirs + page["theirs"]
        cursor = page.get("next_cursor", "")
        if not cursor:
            break
    assert ([lock["path"][2] for lock in ours], [lock["path"][2] for lock in theirs]) == (list("1245"), list("036"))


def test_who_may_lock_and_release(hub: LiveHub, make_owner, speak) -> None:
    owner, stranger = make_owner(), make_owner()
    reader, nobody, boss = speak(hub.hub.create_token(owner.name, "read")), speak(None), speak(hub.admin_token)
    where = place(owner.repo)
    lock = boss.post(where, {"path": "m.bin"}).json()["lock"]
    assert lock["owner"] == {"name": "admin"}
    again = owner.talk.post(where, {"path": "m.bin"})
    assert (again.status_code, again.json()["lock"]) == (409, lock)
    assert (nobody.post(where, {"path": "x"}).status_code, nobody.post(f"{where}/verify").status_code) == (401, 401)
    for talk in (reader, stranger.talk):
        assert talk.post(where, {"path": "x"}).status_code == 403
        assert talk.post(f"{where}/verify").status_code == 403
        assert talk.post(f"{where}/{lock['id']}/unlock", {"force": True}).status_code == 403
        assert talk.get(where).json()["locks"] == [lock]
    refused = owner.talk.post(f"{where}/{lock['id']}/unlock", {})
    assert (refused.status_code, "locked by admin" in refused.json()["message"]) == (403, True)
    elsewhere = place(stranger.repo)
    assert stranger.talk.post(f"{elsewhere}/{lock['id']}/unlock", {"force": True}).status_code == 404
    assert owner.talk.post(f"{where}/{lock['id']}/unlock", {"force": True}).json()["lock"] == lock
    assert owner.talk.post(f"{where}/{lock['id']}/unlock", {"force": True}).status_code == 404
    for path in ("../x", "a:b", ""):
        assert owner.talk.post(where, {"path": path}).status_code == 400
    assert owner.talk.get(f"{where}?id=x1").status_code == 400
    hidden = make_owner(private=True)
    assert stranger.talk.get(place(hidden.repo)).status_code == 404


def test_locks_go_with_their_repo(hub: LiveHub, owner: Owner) -> None:
    owner.talk.post(place(owner.repo), {"path": "x"})
    owner.talk.delete(owner.repo).raise_for_status()
    owner.talk.create(owner.repo).raise_for_status()
    assert owner.talk.get(place(owner.repo)).json() == {"locks": []}


def test_a_push_beyond_the_quota_is_told_before_a_byte_is_sent(hub: LiveHub, owner: Owner, model: Clone) -> None:
    with hub.hub.changing() as change:
        repo = find_target(change.connection, owner.repo).repo
        assert repo is not None
        set_quota(change.connection, 1 << 20, repo_key=repo.key)
    model.commit(**{"m.safetensors": os.urandom(2 << 20)})
    uploads = hub.log().count("/lfs/upload/")
    with pytest.raises(GitFailed, match=r"Quota exceeded: .* may hold 1\.0 MB and holds .*; 2\.1 MB more do not fit"):
        model.git("push", "origin", "main")
    assert hub.log().count("/lfs/upload/") == uploads
