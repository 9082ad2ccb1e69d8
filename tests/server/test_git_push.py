"""Pushes with the real git: what they change, what is refused and why, and that nothing is ever lost."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tenuto.core.gitobj import Pointer
from tenuto.core.ids import RepoId
from tenuto.server.repos.rows import find_repo
from tenuto.server.schema import git_objects
from tenuto.testing.live_hub import LiveHub, ProcessHub
from tests.server.conftest import Owner
from tests.server.git_client import IDENTITY, Clone, GitFailed, address
from tests.server.talk import Talk, small

Cloned = Callable[..., Clone]


@pytest.fixture
def clone(hub: LiveHub, owner: Owner, tmp_path: Path) -> Clone:
    return Clone.of(address(hub.url, owner.repo, owner.token), tmp_path / "clone")


def count_objects(hub: LiveHub, repo: str) -> int:
    with hub.hub.parts.database.read() as connection:
        found = find_repo(connection, RepoId.parse(repo))
        assert found
        query = select(func.count()).select_from(git_objects).where(git_objects.c.repo_id == found.key)
        return int(connection.execute(query).scalar_one())


@pytest.mark.parametrize("version", [0, 1, 2])
def test_what_is_pushed_is_what_the_api_shows(
    hub: LiveHub, owner: Owner, clone: Clone, tmp_path: Path, version: int
) -> None:
    files = {"a b.txt": b"space", "50%/#.txt": b"odd", "ü/é": b"accents", "empty": b"", "d/e/f/g": b"deep" * 999}
    oid = clone.commit("Add files\n\nwith a body", **files)
    clone.git("push", "-q", "origin", "main", version=version)
    assert owner.talk.head(owner.repo) == oid
    listed = owner.talk.listing(owner.repo)
    for path, content in files.items():
        assert listed[path]["oid"] == clone.head(f"HEAD:{path}")
        assert owner.talk.read(owner.repo, path).content == content
    newest = owner.talk.get(f"/api/models/{owner.repo}/commits/main").json()[0]
    assert (newest["id"], newest["title"], newest["authors"]) == (oid, "Add files", [{"user": "Git User"}])
    other = Clone.of(address(hub.url, owner.repo), tmp_path / "other", version=version)
    other.check()
    assert other.head() == oid


def test_commits_go_both_ways(hub: LiveHub, owner: Owner, clone: Clone) -> None:
    for number in range(3):
        clone.commit(f"git {number}", **{f"git{number}": b"g"})
        clone.git("push", "-q", "origin", "main")
        owner.talk.commit(owner.repo, small(f"api{number}", b"a")).raise_for_status()
        clone.git("pull", "-q", "--ff-only", "origin", "main")
    clone.check()
    assert clone.head() == owner.talk.head(owner.repo)
    assert int(clone.git("rev-list", "--count", "HEAD")) == 7
    assert set(owner.talk.listing(owner.repo)) == {
        ".gitattributes",
        *(f"{who}{n}" for who in ("git", "api") for n in range(3)),
    }


def test_the_executable_bit_is_kept(owner: Owner, clone: Clone) -> None:
    clone.write("run.sh", b"#!/bin/sh\n")
    (clone.folder / "run.sh").chmod(0o755)
    clone.commit()
    clone.git("push", "-q", "origin", "main")
    owner.talk.commit(owner.repo, small("other", b"x")).raise_for_status()
    clone.git("pull", "-q", "origin", "main")
    assert os.access(clone.folder / "run.sh", os.X_OK)
    assert clone.git("ls-files", "-s", "run.sh").startswith("100755")


def test_branches_and_tags(hub: LiveHub, owner: Owner, clone: Clone, tmp_path: Path) -> None:
    first = clone.commit(one=b"1")
    clone.git("switch", "-q", "-c", "feat/ü-#1%")
    second = clone.commit(two=b"2")
    clone.git("tag", "light")
    clone.git("tag", "-a", "-m", "a note", "v1/heavy")
    clone.git("push", "-q", "origin", "main", "feat/ü-#1%", "--tags")
    refs = owner.talk.get(f"/api/models/{owner.repo}/refs").json()
    assert {one["name"]: one["targetCommit"] for one in refs["branches"]} == {"main": first, "feat/ü-#1%": second}
    assert {one["name"] for one in refs["tags"]} == {"light", "v1/heavy"}
    assert owner.talk.head(owner.repo, "v1/heavy") == owner.talk.head(owner.repo, "light") == second
    other = Clone.of(address(hub.url, owner.repo), tmp_path / "other", "--branch", "v1/heavy")
    other.check()
    assert other.git("cat-file", "-t", "v1/heavy") == "tag"
    clone.git("push", "-q", "origin", ":feat/ü-#1%", ":light")
    refs = owner.talk.get(f"/api/models/{owner.repo}/refs").json()
    assert ([one["name"] for one in refs["branches"]], [one["name"] for one in refs["tags"]]) == (
        ["main"],
        ["v1/heavy"],
    )


def test_a_tag_alone_is_pushed_for_a_commit_that_the_hub_has(owner: Owner, clone: Clone) -> None:
    clone.git("tag", "-a", "-m", "m", "v9")
    clone.git("tag", "-a", "-m", "of a tag", "v10", "v9")
    clone.git("push", "-q", "origin", "v9")
    clone.git("push", "-q", "origin", "v10")
    assert owner.talk.head(owner.repo, "v10") == clone.head("main")


def test_force(owner: Owner, clone: Clone) -> None:
    clone.git("switch", "-q", "-c", "dev")
    old = clone.commit("old", f=b"old")
    clone.git("push", "-q", "origin", "dev", "dev:main")
    clone.git("reset", "-q", "--hard", "HEAD~1")
    new = clone.commit("new", f=b"new")
    with pytest.raises(GitFailed, match="non-fast-forward"):
        clone.git("push", "-q", "origin", "dev")
    clone.git("push", "-q", "--force", "origin", "dev")
    assert owner.talk.head(owner.repo, "dev") == new
    with pytest.raises(GitFailed, match="main only moves forward"):
        clone.git("push", "-q", "--force", "origin", "dev:main")
    assert owner.talk.head(owner.repo) == old
    clone.git("merge", "-q", "-s", "ours", "-m", "both", "origin/main")
    clone.git("push", "-q", "origin", "dev:main")
    assert owner.talk.head(owner.repo) == clone.head()


def test_a_lease_that_is_stale_moves_nothing(owner: Owner, clone: Clone) -> None:
    owner.talk.commit(owner.repo, small("theirs", b"t")).raise_for_status()
    theirs = owner.talk.head(owner.repo)
    clone.commit(mine=b"m")
    for option in ("--force-with-lease=main", "--force", "--quiet"):
        with pytest.raises(GitFailed):
            clone.git("push", option, "origin", "main")
    assert owner.talk.head(owner.repo) == theirs


def commit_item(clone: Clone, mode: str, path: str, oid: str) -> None:
    clone.git("update-index", "--add", "--cacheinfo", f"{mode},{oid},{path}")
    clone.git("commit", "-q", "-m", "by hand")


def test_what_may_not_enter_is_refused_with_a_reason(hub: LiveHub, owner: Owner, clone: Clone) -> None:
    head, before = owner.talk.head(owner.repo), count_objects(hub, owner.repo)
    content = clone.git("hash-object", "-w", "--stdin", text="x")
    pointer = clone.git("hash-object", "-w", "--stdin", text=Pointer("a" * 64, 5).encode().decode())
    cases = [
        ("120000", "link", content, "a symbolic link"),
        ("160000", "module", head, "a submodule"),
        ("100644", "dir/CON.txt", content, "device name on Windows"),
        ("100644", "sub/a:b", content, "path 'sub/a:b' is not allowed: character ':' cannot be written"),
        ("100644", ".cache/x", content, "belongs to clients"),
        ("100644", "sub/m.bin", pointer, "'sub/m.bin' points to the LFS object aaaa"),
        ("100644", "/".join(["d" * 200] * 6), content, "longer than 1024 bytes"),
    ]
    for mode, path, oid, reason in cases:
        clone.git("reset", "-q", "--hard", "origin/main")
        commit_item(clone, mode, path, oid)
        with pytest.raises(GitFailed, match=reason):
            clone.git("push", "-q", "origin", "HEAD:main")
    clone.git("reset", "-q", "--hard", "origin/main")
    clone.commit(**{"data/big.txt": os.urandom(1 << 20) + b"1"})
    with pytest.raises(GitFailed, match=r"'data/big.txt' has 1048577 bytes: .* belong to git-lfs"):
        clone.git("push", "-q", "origin", "HEAD:main")
    assert (owner.talk.head(owner.repo), count_objects(hub, owner.repo)) == (head, before)


@pytest.mark.parametrize(
    ("refspec", "reason"),
    [
        ("main:refs/pr/1", "only branches and tags"),
        ("main:refs/convert/parquet", "only branches and tags"),
        ("main:refs/notes/x", "only branches and tags"),
        (":main", "cannot be deleted"),
        ("v1:refs/heads/tagged", "a branch stands for a commit"),
        (f"main:refs/heads/{'a' * 40}", "cannot name a branch"),
        ("main:refs/heads/main/below", "git cannot keep both"),
        ("main^{tree}:refs/tags/tree", "a branch or tag stands for a commit"),
    ],
)
def test_refs_that_nobody_may_push(owner: Owner, clone: Clone, refspec: str, reason: str) -> None:
    clone.commit(new=b"new")
    clone.git("tag", "-a", "-m", "m", "v1")
    before = owner.talk.get(f"/api/models/{owner.repo}/refs?include_prs=1").json()
    with pytest.raises(GitFailed, match=reason):
        clone.git("push", "origin", refspec)
    assert owner.talk.get(f"/api/models/{owner.repo}/refs?include_prs=1").json() == before


def test_each_ref_stands_for_itself_unless_the_push_is_atomic(owner: Owner, clone: Clone) -> None:
    good = clone.commit(good=b"good")
    clone.git("branch", "good")
    content = clone.git("hash-object", "-w", "--stdin", text="x")
    commit_item(clone, "120000", "link", content)
    clone.git("branch", "bad")
    with pytest.raises(GitFailed, match="symbolic link"):
        clone.git("push", "--atomic", "origin", "good", "bad")
    assert len(owner.talk.get(f"/api/models/{owner.repo}/refs").json()["branches"]) == 1
    with pytest.raises(GitFailed, match="symbolic link"):
        clone.git("push", "origin", "good", "bad")
    refs = owner.talk.get(f"/api/models/{owner.repo}/refs").json()
    assert {one["name"]: one["targetCommit"] for one in refs["branches"]}["good"] == good
    assert len(refs["branches"]) == 2


def test_pushes_from_shallow_and_partial_clones(hub: LiveHub, owner: Owner, tmp_path: Path) -> None:
    for number in range(4):
        owner.talk.commit(owner.repo, small(f"d{number}/f", b"%d" % number)).raise_for_status()
    where = address(hub.url, owner.repo, owner.token)
    for option in ("--depth=1", "--filter=blob:none"):
        clone = Clone.of(where, tmp_path / option, option)
        clone.commit(**{f"from{option[2:7]}": b"x"})
        clone.git("push", "-q", "origin", "main")
        assert owner.talk.head(owner.repo) == clone.head()


def test_a_shallow_history_cannot_fill_another_repo(hub: LiveHub, make_owner, tmp_path: Path) -> None:
    owner, other = make_owner(), make_owner()
    owner.talk.commit(owner.repo, small("f", b"f")).raise_for_status()
    clone = Clone.of(address(hub.url, owner.repo), tmp_path / "clone", "--depth=1")
    with pytest.raises(GitFailed, match="neither the pack nor this repo has the commit"):
        clone.git("push", "-q", address(hub.url, other.repo, other.token), "HEAD:refs/heads/new")


def test_merges_have_all_their_parents(hub: LiveHub, owner: Owner, clone: Clone, tmp_path: Path) -> None:
    clone.commit(base=b"0")
    for name in ("one", "two", "three"):
        clone.git("switch", "-q", "-c", name, "main")
        clone.commit(**{name: b"x"})
    clone.git("switch", "-q", "main")
    clone.git("merge", "-q", "-m", "octopus", "one", "two", "three")
    clone.git("push", "-q", "origin", "main")
    other = Clone.of(address(hub.url, owner.repo), tmp_path / "other")
    other.check()
    assert other.git("rev-list", "HEAD") == clone.git("rev-list", "HEAD")
    clone.git("switch", "-q", "two")
    clone.commit(more=b"more")
    clone.git("push", "-q", "origin", "two:main2")
    other.git("fetch", "-q")
    other.check()


def test_a_long_history_there_and_back(hub: LiveHub, owner: Owner, tmp_path: Path) -> None:
    stream = []
    for number in range(300):
        body = f"version {number}\n" * 20
        stream.append(
            f"commit refs/heads/main\nmark :{number + 1}\ncommitter G <g@e.org> {1_700_000_000 + number} +0100\n"
            f"data 2\nc\n{f'from :{number}' if number else 'deleteall'}\n"
            f"M 644 inline d/{number % 40}/f{number % 7}\ndata {len(body)}\n{body}\n"
        )
    folder = tmp_path / "made"
    folder.mkdir()
    made = Clone(folder)
    made.git("init", "-q")
    made.git("fast-import", "--quiet", text="".join(stream))
    where = address(hub.url, owner.repo, owner.token)
    made.git("push", "-q", where, "main:refs/heads/long")
    other = Clone.of(where, tmp_path / "other", "--branch", "long")
    other.check()
    assert other.git("rev-list", "HEAD") == made.git("rev-list", "main")
    made.git("gc", "-q", "--aggressive")  # long chains of differences
    made.git("push", "-q", where, "main:refs/heads/again")
    owner.talk.create(f"{owner.name}/packed").raise_for_status()
    made.git("push", "-q", address(hub.url, f"{owner.name}/packed", owner.token), "main:refs/heads/long")
    Clone.of(address(hub.url, f"{owner.name}/packed"), tmp_path / "third", "--branch", "long").check()


def test_one_of_a_push_and_a_commit_wins_and_nothing_is_lost(hub: LiveHub, owner: Owner, tmp_path: Path) -> None:
    where = address(hub.url, owner.repo, owner.token)
    clones = [Clone.of(where, tmp_path / f"clone{number}") for number in range(3)]

    def push(number: int) -> None:
        clones[number].commit(**{f"git{number}": b"x"})
        while True:
            try:
                clones[number].git("push", "-q", "origin", "main")
            except GitFailed:
                clones[number].git("pull", "-q", "--rebase", "origin", "main")
            else:
                return

    def commit(number: int) -> None:
        talk = Talk(hub.url, owner.token)
        while talk.commit(owner.repo, small(f"api{number}", b"y"), parent=talk.head(owner.repo)).status_code == 412:
            pass
        talk.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda work: work[0](work[1]), [(act, n) for n in range(3) for act in (push, commit)]))
    assert set(owner.talk.listing(owner.repo)) == {
        ".gitattributes",
        *(f"{who}{n}" for who in ("git", "api") for n in range(3)),
    }
    last = Clone.of(where, tmp_path / "last")
    last.check()
    assert int(last.git("rev-list", "--count", "HEAD")) == 7


def push_during(hub: LiveHub, clone: Clone, change: Callable[[], object]) -> str:
    """Push `main`, and let `change` happen when all was looked at and nothing is stored yet; why the push failed."""
    real = hub.hub.parts.database.write
    is_changed = threading.Event()

    def write():
        if not is_changed.is_set():
            is_changed.set()
            change()
        return real()

    hub.hub.parts.database.write = write  # type: ignore[method-assign]
    try:
        with pytest.raises(GitFailed) as failure:
            clone.git("push", "--no-verify", "origin", "main")
    finally:
        del hub.hub.parts.database.write  # type: ignore[method-assign]
    assert is_changed.is_set()
    return str(failure.value)


def test_a_push_whose_ref_moved_leaves_nothing(hub: LiveHub, owner: Owner, clone: Clone) -> None:
    clone.commit(mine=b"mine")
    before = count_objects(hub, owner.repo)
    said = push_during(hub, clone, lambda: owner.talk.commit(owner.repo, small("theirs", b"t")).raise_for_status())
    assert "fetch first" in said
    assert set(owner.talk.listing(owner.repo)) == {".gitattributes", "theirs"}
    assert count_objects(hub, owner.repo) == before + 3


def test_a_push_whose_repo_is_deleted(hub: LiveHub, owner: Owner, clone: Clone) -> None:
    clone.commit(mine=b"mine")
    assert "Repository not found" in push_during(hub, clone, lambda: owner.talk.delete(owner.repo).raise_for_status())


def test_a_push_whose_large_object_is_purged(hub: LiveHub, owner: Owner, clone: Clone) -> None:
    data = b"large" * 999
    oid = owner.talk.put_large(owner.repo, data)
    clone.commit(**{"m.bin": Pointer(oid, len(data)).encode()})
    place = f"/api/models/{owner.repo}/lfs-files/batch"
    before = count_objects(hub, owner.repo)
    purge = {"deletions": {"sha": [oid], "rewriteHistory": True}}
    assert "were deleted meanwhile" in push_during(hub, clone, lambda: owner.talk.post(place, purge).raise_for_status())
    assert count_objects(hub, owner.repo) == before


def test_a_hub_that_is_killed_takes_the_push_again(tmp_path: Path) -> None:
    with ProcessHub(str(tmp_path / "hub")) as hub:
        talk = Talk(hub.url, hub.admin_token)
        talk.create("admin/repo").raise_for_status()
        where = address(hub.url, "admin/repo", hub.admin_token)
        clone = Clone.of(where, tmp_path / "clone")
        for number in range(3000):
            clone.write(f"d{number % 50}/{number}", os.urandom(4000))
        clone.commit("much")
        for after_s in (0.15, 0.6, 1.1):
            command = ["git", "push", "-q", "origin", "main"]
            pushing = subprocess.Popen(
                command, cwd=clone.folder, env={**os.environ, **IDENTITY}, stderr=subprocess.DEVNULL
            )
            time.sleep(after_s)
            hub.kill()
            pushing.wait(60)
            hub.start()
        clone.git("push", "-q", "origin", "main")
        other = Clone.of(where, tmp_path / "other")
        other.check()
        assert other.head() == clone.head()
        assert os.listdir(os.path.join(hub.data_dir, "spool")) == []
        talk.close()
