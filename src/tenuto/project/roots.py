"""Which projects use a store, and what their locks need of it."""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from tenuto.core.errors import IntegrityError, StorageError, UsageError
from tenuto.core.listing import Listing
from tenuto.core.lockfile import LOCK_NAME, parse_lock
from tenuto.project.git import ask_git
from tenuto.store.disk import disk_errors, replace_file
from tenuto.store.local import LocalStore

_FOLDER = "projects"


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

    Raises UsageError (BadLock) for a lock that cannot be read: what it needs is not known then.
    """
    folder = os.path.join(store.root, _FOLDER)
    with disk_errors(folder):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = []
    for name in names:
        with disk_errors(folder), open(os.path.join(folder, name), "rb") as file:
            path = os.fsdecode(file.read().rstrip(b"\n"))
        if os.path.isdir(path):
            found.append(Root(path, frozenset(_locked(path)), frozenset(_synced(path))))
    return sorted(found)


def needed_objects(store: LocalStore, roots: list[Root]) -> set[str]:
    """The sha256 of every object that a known project needs: listings, and the files in those that are locked."""
    needed = {digest for root in roots for digest in root.synced}
    for digest in {digest for root in roots for digest in root.locked}:
        needed.add(digest)
        with contextlib.suppress(IntegrityError):
            if store.has(digest):
                needed |= {entry.sha256 for entry in Listing.parse(store.read(digest)).values()}
    return needed


def _locked(root: str) -> Iterator[str]:
    for text in {*_own_lock(root), *_locks_in_git(root)}:
        try:
            lock = parse_lock(text)
            yield from (locked.digest for locked in lock.artifacts.values())
            yield from (tag.digest for tag in lock.tags.values())
        except UsageError as error:
            raise UsageError(
                f"{root}: {error}", code="BadLock", hint=f"{error.hint}, or remove the project; nothing was removed"
            ) from error


def _own_lock(root: str) -> Iterator[str]:
    file = os.path.join(root, LOCK_NAME)
    if os.path.exists(file):
        with disk_errors(file), open(file, encoding="utf-8", errors="replace") as opened:
            yield opened.read()


def _locks_in_git(root: str) -> Iterator[str]:
    """The locks at every branch and tag: another branch may need what this one does not. Raises StorageError where git does not say."""
    where = ask_git(root, "rev-parse", "--show-prefix")
    refs = ask_git(root, "for-each-ref", "--format=%(objectname)", "refs/heads", "refs/tags", "refs/remotes")
    if not where or not refs or where.returncode or refs.returncode:
        if _is_in_git(root):
            raise StorageError(
                f"git does not say what the branches of {root} need, so nothing is removed",
                hint=f"look what `git -C {root} status` says, or remove the project",
            )
        return
    prefix = where.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
    for commit in set(refs.stdout.decode("ascii").split()):
        found = ask_git(root, "cat-file", "blob", f"{commit}:{prefix}{LOCK_NAME}")
        text = found.stdout.decode("utf-8", "replace") if found and not found.returncode else ""
        if text:
            with contextlib.suppress(UsageError):  # of old commits nobody can be asked to mend the lock
                parse_lock(text)
                yield text


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
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True)) as database,
    ):
        yield from (digest for (digest,) in database.execute("SELECT digest FROM bases"))
