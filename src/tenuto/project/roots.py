"""Which projects use a store, and what their locks need of it."""

import contextlib
import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

from tenuto.core.errors import IntegrityError, StorageError, UsageError
from tenuto.core.listing import Listing
from tenuto.core.lockfile import LOCK_NAME, parse_lock
from tenuto.project.git import ask_git
from tenuto.store.disk import disk_errors, replace_file
from tenuto.store.local import LocalStore

_FOLDER = "projects"
_NO_STATE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
"""A state index that knows nothing yet, or nothing any more, and is made anew."""
_STASH = "refs/stash"
_REFS = ("refs/heads", "refs/tags", "refs/remotes", _STASH)
_KINDS = {"commit", "tree", "blob"}
_BROKEN_REF = b"ignoring broken ref"
"""What git says of a ref that it cannot read, and passes over."""


class Root(NamedTuple):
    """A project that has used the store: its folder, the digests of the listings that its locks name, and of those that it last synced."""

    path: str
    locked: frozenset[str]
    synced: frozenset[str]


def register(store: LocalStore, root: str) -> None:
    """Remember that the project in `root` uses the store."""
    file = os.path.join(store.root, _FOLDER, hashlib.sha256(os.fsencode(root)).hexdigest()[:32])
    if not os.path.exists(file):
        with disk_errors(file):
            os.makedirs(os.path.dirname(file), exist_ok=True)
        replace_file(file, os.fsencode(root) + b"\n")


def known_roots(store: LocalStore) -> list[Root]:
    """Every project that has used the store and is still there, by path.

    Raises UsageError (BadLock, NewerLock) for a lock that cannot be read: what it needs is not known then.
    """
    folder = os.path.join(store.root, _FOLDER)
    with disk_errors(folder):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = []
    for name in names:
        with disk_errors(folder), open(os.path.join(folder, name), "rb") as file:
            path = os.fsdecode(file.read().rstrip(b"\n"))
        if _is_there(path):
            found.append(Root(path, frozenset(_locked(path)), frozenset(_synced(path))))
    return sorted(found)


def _is_there(path: str) -> bool:
    """Whether the folder is there; raises StorageError where that cannot be known, as on a disk that does not answer."""
    with disk_errors(path):
        try:
            return stat.S_ISDIR(os.stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def needed_objects(store: LocalStore, roots: list[Root]) -> set[str]:
    """The sha256 of every object that a known project needs: listings, and the files in those that are locked.

    Raises IntegrityError (CorruptObject) for a locked listing that is damaged: what it names is not known then.
    """
    needed = {digest for root in roots for digest in root.synced}
    for digest, path in {digest: root.path for root in roots for digest in root.locked}.items():
        needed.add(digest)
        if store.has(digest):
            text = _read(store, digest, path)
            with contextlib.suppress(
                IntegrityError
            ):  # a sound object, and no listing: the lock is wrong, and names nothing
                needed |= {entry.sha256 for entry in Listing.parse(text).values()}
    return needed


def _read(store: LocalStore, digest: str, path: str) -> bytes:
    try:
        return store.read(digest)
    except IntegrityError as error:
        raise IntegrityError(
            f"{path}: {error.message}",
            code=error.code,
            hint="run `tenuto pull` there, at the branch that locks it; nothing was removed",
        ) from error


def _locked(root: str) -> Iterator[str]:
    for text in {*_own_lock(root), *_locks_in_git(root)}:
        try:
            lock = parse_lock(text)
            yield from (locked.digest for locked in lock.artifacts.values())
            yield from (tag.digest for tag in lock.tags.values())
        except UsageError as error:
            raise UsageError(
                f"{root}: {error}", code=error.code, hint=f"{error.hint}, or remove the project; nothing was removed"
            ) from error


def _own_lock(root: str) -> Iterator[str]:
    file = os.path.join(root, LOCK_NAME)
    with disk_errors(file), contextlib.suppress(FileNotFoundError), open(file, "rb") as opened:
        yield opened.read().decode("utf-8", "replace")


def _locks_in_git(root: str) -> Iterator[str]:
    """The locks at every branch, tag and stash, and where working folders stand: another branch may need what this one does not.

    Raises StorageError where git does not say.
    """
    listed = ask_git(root, "for-each-ref", "--format=%(objectname)", *_REFS, is_any=True)
    if listed is None or listed.returncode:
        if _is_in_git(root):
            raise _unsaid(root, "status")
        return
    if _BROKEN_REF in listed.stderr:
        raise _unsaid(root, "for-each-ref")
    names = {*listed.stdout.split(), *_heads(root), *_stashed(root)}
    blobs = {blob for commit in _commits(root, names) for blob in _lock_blob(root, commit)}
    for blob in sorted(blobs):
        text = _said(root, "cat-file", "blob", blob).decode("utf-8", "replace")
        if _may_need(text):
            yield text


def _heads(root: str) -> Iterator[bytes]:
    """The commits at which the working folders of the repository stand, on a branch or on none."""
    for folder in _said(root, "worktree", "list", "--porcelain").split(b"\n\n"):
        facts = dict(line.partition(b" ")[::2] for line in folder.splitlines())
        name = facts.get(b"HEAD", b"")
        if name.strip(b"0"):
            yield name
        elif name and b"branch" not in facts:  # not one without commits: what it names cannot be read
            raise _unsaid(root, "worktree", "list")


def _stashed(root: str) -> Iterator[bytes]:
    """The commits of every stash: what was changed, what was staged, and what git did not know."""
    for number in count():
        found = ask_git(root, "rev-parse", "--verify", "--quiet", f"{_STASH}@{{{number}}}", is_any=True)
        if found is None or found.returncode:
            return
        yield from _said(root, "rev-list", "--no-walk", "--parents", found.stdout.decode("ascii").strip()).split()


def _may_need(text: str) -> bool:
    """Whether a lock in git is one; of old commits nobody can be asked to mend it, but a newer program may know what this one does not."""
    try:
        parse_lock(text)
    except UsageError as error:
        return error.code == "NewerLock"
    return True


def _commits(root: str, names: Iterable[bytes]) -> set[str]:
    """What these refs come down to, but for tags of something that is no commit."""
    asked = b"".join(name + b"^{}\n" for name in sorted(set(names)))
    peeled = _said(root, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked) if asked else b""
    found = dict(line.split(" ", 1) for line in peeled.decode("ascii", "replace").splitlines())
    if not _KINDS.issuperset(found.values()):
        raise _unsaid(root, "fsck")
    return {name for name, kind in found.items() if kind != "blob"}


def _lock_blob(root: str, commit: str) -> Iterator[str]:
    """The id of the lock at a commit, if it has one: that it has none is something that git says, and no failure to say anything."""
    for line in _said(root, "ls-tree", commit, "--", LOCK_NAME).decode("utf-8", "replace").splitlines():
        _mode, kind, name = line.partition("\t")[0].split(" ")
        if kind == "blob":
            yield name


def _said(root: str, *arguments: str, stdin: bytes = b"") -> bytes:
    done = ask_git(root, *arguments, stdin=stdin, is_any=True)
    if done is None or done.returncode:
        raise _unsaid(root, *arguments)
    return done.stdout


def _unsaid(root: str, *arguments: str) -> StorageError:
    return StorageError(
        f"git does not say what the branches of {root} need, so nothing is removed",
        hint=f"look what `git -C {root} {' '.join(arguments)}` says, or remove the project",
    )


def _is_in_git(root: str) -> bool:
    folder = os.path.realpath(root)
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == os.path.dirname(folder):
            return False
        folder = os.path.dirname(folder)
    return True


def _synced(root: str) -> Iterator[str]:
    from urllib.parse import quote

    file = os.path.join(root, ".tenuto", "state.db")
    if not os.path.exists(file):
        return
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True)) as database:
            yield from (digest for (digest,) in database.execute("SELECT digest FROM bases").fetchall())
    except sqlite3.Error as error:
        if error.sqlite_errorcode not in _NO_STATE:
            raise StorageError(
                f"what was last synced in {root} cannot be read: {error}; nothing was removed",
                hint=f"try again later, or look at {file}",
            ) from error
