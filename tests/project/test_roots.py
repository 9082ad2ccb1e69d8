"""What the locks of a project need of a store, at all that its git names: where git does not say it, nothing is removed."""

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, TenutoError, UsageError
from tenuto.core.listing import Entry, Listing
from tenuto.core.lockfile import Lock, Locked
from tenuto.project.cache import CacheCleared, clear
from tenuto.project.history import lock_at
from tenuto.project.roots import register
from tenuto.store.local import LocalStore

YEAR_S = 365 * 86_400


class Keep:
    """A store that nobody used for a year, and a project with two branches that lock an artifact each, and a tag that locks another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "project"
        self.store = LocalStore(str(folder / "cache"))
        self.names = {name: self.put(name) for name in ("main", "kept", "tagged", "needless")}
        self.root.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write("README.md", "first")
        self.commit()
        self.git("branch", "before")  # it has no lock
        for name in ("tagged", "kept", "main"):
            self.write("tenuto.lock", lock(self.names[name][0]))
            self.commit()
            if name == "kept":
                self.git("branch", name)
            if name == "tagged":
                self.git("tag", "-a", name, "-m", name)
        self.register(self.root)

    def put(self, name: str) -> tuple[str, str]:
        """The digest of a listing of one file, and the sha256 of that; both are in the store and old."""
        content = self.store.put(name.encode() * 1000)
        digest = self.store.put(Listing([Entry("file.bin", content, len(name) * 1000)]).text)
        for one in (content, digest):
            os.utime(self.store.file(one), (time.time() - YEAR_S,) * 2)
        return digest, content

    def register(self, root: Path) -> None:
        """One more project that uses the store."""
        register(self.store, str(root))

    def forget(self, root: Path) -> None:
        """It is not there any more."""
        root.rename(root.parent / f"gone-{root.name}")

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "a commit")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """What git prints."""
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
        done = subprocess.run(["git", *who, *arguments], cwd=cwd or self.root, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def object(self, revision: str) -> Path:
        """The loose file of an object, made so that it can be damaged."""
        name = self.git("rev-parse", revision)
        file = self.root / ".git" / "objects" / name[:2] / name[2:]
        file.chmod(0o644)
        return file

    def gc(self) -> CacheCleared:
        return clear(self.store, keep_days=30, trash_days=7)

    def check_spared(self, *names: str) -> None:
        """A collection spares these, and takes what else there is."""
        self.gc()
        held = {one.sha256 for one in self.store}
        assert held == {sha256 for name in names for sha256 in self.names[name]}

    def check_refused(self, kind: type[TenutoError] = StorageError) -> TenutoError:
        """A collection takes nothing, says why, and what to do."""
        before = set(self.store)
        with pytest.raises(kind) as caught:
            self.gc()
        assert set(self.store) == before
        assert caught.value.hint
        return caught.value


def lock(digest: str) -> str:
    locked = Locked(name="data", path="data", kind="dataset", source="hf://a/b", digest=digest, files=1, bytes=1)
    return Lock({"data": locked}).text


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path)


def test_every_branch_and_tag_is_spared_and_those_without_a_lock_need_nothing(keep: Keep) -> None:
    keep.check_spared("main", "kept", "tagged")


def test_what_the_environment_says_of_another_repository_counts_for_no_project(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keep.folder / "other"
    keep.git("init", "-q", str(other), cwd=keep.folder)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / ".git" / "objects"))
    monkeypatch.setenv("GIT_NAMESPACE", "other")
    keep.check_spared("main", "kept", "tagged")


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 255
    file.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "empty": lambda file: os.truncate(file, 0),
    "gone": Path.unlink,
    "flipped": flip,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("revision", ["kept:tenuto.lock", "kept^{tree}", "kept", "tagged", "tagged^{commit}"])
def test_a_damaged_object_of_git_stops_a_collection(keep: Keep, revision: str, damage: str) -> None:
    DAMAGES[damage](keep.object(revision))
    assert str(keep.root) in keep.check_refused().message


def test_a_revision_whose_lock_is_lost_is_not_one_without_a_lock(keep: Keep) -> None:
    with pytest.raises(NotFoundError):
        lock_at(str(keep.root), "before")
    truncate(keep.object("kept:tenuto.lock"))
    with pytest.raises(StorageError) as caught:
        lock_at(str(keep.root), "kept")
    assert caught.value.hint


def test_a_damaged_branch_stops_a_collection(keep: Keep) -> None:
    """What a power failure makes of a ref that was just written."""
    ref = keep.root / ".git" / "refs" / "heads" / "kept"
    ref.write_bytes(b"\0" * 41)
    keep.check_refused()
    ref.write_text("1" * 40 + "\n")  # nothing has this name
    keep.check_refused()


def test_what_is_no_commit_needs_nothing(keep: Keep) -> None:
    keep.git("tag", "a-file", keep.git("rev-parse", "main:README.md"))
    keep.git("tag", "-a", "a-file-by-name", "a-file", "-m", "a file")
    keep.git("tag", "a-folder", keep.git("rev-parse", "kept^{tree}"))
    keep.git("branch", "-D", "kept")
    keep.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    keep.check_spared("main", "kept", "tagged")


def test_a_folder_of_that_name_is_no_lock(keep: Keep) -> None:
    keep.git("checkout", "-q", "before")
    (keep.root / "tenuto.lock").mkdir()
    keep.write("tenuto.lock/file", "x")
    keep.commit()
    keep.git("checkout", "-q", "main")
    keep.check_spared("main", "kept", "tagged")


def test_a_repository_without_a_commit(keep: Keep) -> None:
    keep.forget(keep.root)
    keep.root.mkdir()
    keep.git("init", "-q")
    keep.write("tenuto.lock", lock(keep.names["kept"][0]))
    keep.check_spared("kept")


def test_a_project_below_the_top_of_its_repository(keep: Keep) -> None:
    project = keep.root / "deep" / "er"
    project.mkdir(parents=True)
    (project / "tenuto.lock").write_text(lock(keep.names["needless"][0]))
    keep.git("checkout", "-qb", "deep")
    keep.commit()
    keep.git("checkout", "-q", "main")
    keep.git("rm", "-rq", "--ignore-unmatch", "deep")
    project.mkdir(parents=True)
    keep.register(project)
    keep.check_spared("main", "kept", "tagged", "needless")


class TestWhatNoBranchNames:
    def test_every_stash_is_spared(self, keep: Keep) -> None:
        """One of what was changed, and one of what git did not know yet, below another."""
        keep.names |= {name: keep.put(name) for name in ("changed", "staged", "new")}
        found = {name: lock(keep.names[name][0]) for name in ("changed", "staged", "new")}
        keep.git("checkout", "-q", "before")
        keep.write("tenuto.lock", found["new"])
        keep.git("stash", "-qu")
        keep.git("checkout", "-q", "main")
        keep.write("tenuto.lock", found["staged"])
        keep.git("add", "tenuto.lock")
        keep.write("tenuto.lock", found["changed"])
        keep.git("stash", "-q")
        keep.write("README.md", "changed too")
        keep.git("stash", "-q")
        lost = keep.object("stash@{1}")
        lost.rename(lost.with_suffix(".away"))
        keep.check_refused()
        lost.with_suffix(".away").rename(lost)
        keep.check_spared("main", "kept", "tagged", *found)

    @pytest.fixture
    def worktree(self, keep: Keep) -> Path:
        """A working folder, no project of its own, that stands at a commit that nothing else names."""
        worktree = keep.folder / "worktree"
        keep.git("worktree", "add", "-q", "--detach", str(worktree))
        (worktree / "tenuto.lock").write_text(lock(keep.names["needless"][0]))
        keep.git("commit", "-qam", "of nobody", cwd=worktree)
        return worktree

    @pytest.mark.usefixtures("worktree")
    def test_where_a_working_folder_stands_is_spared(self, keep: Keep) -> None:
        keep.check_spared("main", "kept", "tagged", "needless")

    def test_where_the_project_itself_stands_is_spared(self, keep: Keep, worktree: Path) -> None:
        keep.git("checkout", "-q", keep.git("rev-parse", "HEAD", cwd=worktree))
        keep.git("worktree", "remove", str(worktree))
        (keep.root / "tenuto.lock").unlink()
        keep.check_spared("main", "kept", "tagged", "needless")

    def test_one_without_a_commit_needs_nothing(self, keep: Keep, worktree: Path) -> None:
        keep.git("checkout", "-q", "--orphan", "new", cwd=worktree)
        keep.check_spared("main", "kept", "tagged")

    @pytest.mark.parametrize("head", ["", "garbage\n", "1" * 40 + "\n"])
    @pytest.mark.usefixtures("worktree")
    def test_one_that_stands_nobody_knows_where_stops_a_collection(self, keep: Keep, head: str) -> None:
        (keep.root / ".git" / "worktrees" / "worktree" / "HEAD").write_text(head)
        keep.check_refused()


class TestKindsOfClones:
    @pytest.fixture
    def clone(self, keep: Keep) -> Callable[..., Path]:
        """Makes a clone that is the only project then."""

        def make(*options: str) -> Path:
            target = keep.folder / "clone"
            keep.git("clone", "-q", *options, keep.root.as_uri(), str(target), cwd=keep.folder)
            keep.register(target)
            for file in (Path(keep.store.root) / "projects").iterdir():
                if file.read_text().strip() == str(keep.root):
                    file.unlink()
            return target

        return make

    def test_a_shallow_one(self, keep: Keep, clone: Callable[..., Path]) -> None:
        clone("--depth", "1", "--no-single-branch")
        keep.check_spared("main", "kept", "tagged")

    def test_a_shallow_one_of_one_branch(self, keep: Keep, clone: Callable[..., Path]) -> None:
        clone("--depth", "1", "--branch", "kept", "--no-tags")
        keep.check_spared("kept")

    def test_a_bare_one_with_a_working_folder_elsewhere(self, keep: Keep, clone: Callable[..., Path]) -> None:
        bare = clone("--bare")
        project = keep.folder / "worktree"
        keep.git("worktree", "add", "-q", str(project), "before", cwd=bare)
        keep.register(project)
        keep.check_spared("main", "kept", "tagged")
        (bare / "packed-refs").write_text("no refs\n")
        keep.check_refused()

    @pytest.mark.parametrize("what", ["blob:none", "tree:0"])
    def test_a_partial_one_is_not_completed(self, keep: Keep, clone: Callable[..., Path], what: str) -> None:
        keep.git("config", "uploadpack.allowFilter", "true")
        keep.git("config", "uploadpack.allowAnySHA1InWant", "true")
        project = clone(f"--filter={what}")
        packs = sorted((project / ".git/objects").rglob("*.pack"))
        error = keep.check_refused()
        assert sorted((project / ".git/objects").rglob("*.pack")) == packs, "nothing was fetched"
        assert f"git -C {project}" in (error.hint or "")
        for revision in ("origin/kept", "tagged"):
            keep.git("show", f"{revision}:tenuto.lock", cwd=project)
            keep.git("show", "origin/before:README.md", cwd=project)
        keep.check_spared("main", "kept", "tagged")

    def test_a_worktree_whose_repository_is_gone(self, keep: Keep) -> None:
        project = keep.folder / "worktree"
        keep.git("worktree", "add", "-q", str(project), "kept")
        keep.register(project)
        keep.check_spared("main", "kept", "tagged")
        keep.forget(keep.root)
        keep.check_refused()

    def test_one_that_borrows_objects_from_a_repository_that_is_gone(self, keep: Keep) -> None:
        keep.git("clone", "-q", "--shared", str(keep.root), str(keep.folder / "clone"))
        keep.register(keep.folder / "clone")
        keep.forget(keep.root)
        keep.check_refused()


class TestTheProjectItself:
    def test_a_damaged_listing_stops_a_collection(self, keep: Keep) -> None:
        file = Path(keep.store.file(keep.names["kept"][0]))
        file.chmod(0o644)
        flip(file)
        assert str(keep.root) in keep.check_refused(IntegrityError).message
        keep.store.delete(file.parent.name + file.name)
        keep.gc()

    def test_a_folder_that_cannot_be_looked_at_stops_a_collection(self, keep: Keep) -> None:
        moved = keep.root.rename(keep.folder / "moved")
        keep.root.symlink_to(keep.root)  # a loop: neither there nor gone
        keep.check_refused()
        keep.root.unlink()
        moved.rename(keep.root)
        keep.check_spared("main", "kept", "tagged")

    def test_a_lock_that_is_a_folder_stops_a_collection(self, keep: Keep) -> None:
        (keep.root / "tenuto.lock").unlink()
        (keep.root / "tenuto.lock").mkdir()
        with pytest.raises(StorageError):
            keep.gc()

    def test_what_was_synced_last_is_spared(self, keep: Keep) -> None:
        (keep.root / ".tenuto").mkdir()
        with contextlib.closing(sqlite3.connect(keep.root / ".tenuto" / "state.db")) as database, database:
            database.execute("CREATE TABLE bases (artifact TEXT, digest TEXT)")
            database.execute("INSERT INTO bases VALUES ('data', ?)", (keep.names["needless"][0],))
        keep.gc()
        assert keep.store.has(keep.names["needless"][0])

    def test_a_state_that_cannot_be_opened_stops_a_collection(self, keep: Keep) -> None:
        (keep.root / ".tenuto" / "state.db").mkdir(parents=True)
        keep.check_refused()

    @pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be looked at"])
    def test_a_state_that_knows_nothing_is_no_hindrance(self, keep: Keep, content: bytes) -> None:
        (keep.root / ".tenuto").mkdir()
        (keep.root / ".tenuto" / "state.db").write_bytes(content)
        keep.check_spared("main", "kept", "tagged")


def test_a_branch_that_a_newer_program_locked_stops_a_collection(keep: Keep) -> None:
    keep.git("checkout", "-q", "kept")
    keep.write("tenuto.lock", (keep.root / "tenuto.lock").read_text().replace("version = 1", "version = 2"))
    keep.commit()
    keep.git("checkout", "-q", "main")
    refused = keep.check_refused(UsageError)
    assert (refused.code, str(keep.root) in refused.message) == ("NewerLock", True)
