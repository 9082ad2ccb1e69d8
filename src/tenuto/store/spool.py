"""Bytes on their way into a local store: one file each, locked by its writer. Normative description: docs/formats/store.md."""

import contextlib
import fcntl
import hashlib
import itertools
import os
import re
import threading
import time
from typing import cast

from tenuto.core.gitobj import object_hasher
from tenuto.store.base import Incoming, Sealed, check_key, check_seal
from tenuto.store.disk import BLOCK_BYTES, EARLY_BYTES, disk_errors, start_writing

_OWN = re.compile(r"[a-z]+-[0-9A-Za-z-]+")


class SpoolFile(Incoming):
    """An object on its way in, hashed as it comes. Under a key it goes on from what an interrupted receive left."""

    def __init__(self, spool: str, key: str | None, git_size: int | None) -> None:
        self.size = self._told = 0
        self._git_size = git_size
        self._spool = spool
        self._sealed = False
        self._hashers = self._new_hashers()
        self._path, self._descriptor, self._keyed = open_spool_file(spool, key)
        try:
            while block := os.read(self._descriptor, BLOCK_BYTES):
                self._count(block)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _new_hashers(self) -> list["hashlib._Hash"]:
        git = [] if self._git_size is None else [object_hasher("blob", self._git_size)]
        return [hashlib.sha256(), *git]

    def _count(self, data: bytes | memoryview) -> None:
        for hasher in self._hashers:
            hasher.update(data)
        self.size += len(data)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        with disk_errors(self._path):
            while view:
                count = os.write(self._descriptor, view)
                self._count(view[:count])  # what is hashed is what is in the file, also if the next write fails
                view = view[count:]
        if self.size - self._told >= EARLY_BYTES:
            with disk_errors(self._path):
                start_writing(self._descriptor, self._told, self.size - self._told)
            self._told = self.size

    def restart(self) -> None:
        with disk_errors(self._path):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = self._told = 0
        self._hashers = self._new_hashers()

    def seal(self, *, sha256: str | None = None, git_id: str | None = None, source: str = "") -> Sealed:
        found, *git = [hasher.hexdigest() for hasher in self._hashers]
        try:
            check_seal("sha256", sha256, found, source)
            check_seal("git id", git_id, git[0] if git else "(not computed)", source)
        except BaseException:
            self.restart()
            raise
        with disk_errors(self._path):
            if self._keyed:
                self._path = rename_sealed(self._path)
            os.fchmod(self._descriptor, 0o444)  # not before: nobody could go on with what is read-only under its key
        self._sealed = True
        self.close()
        return Sealed(found, self.size, self._path)

    def close(self) -> None:
        if self._descriptor < 0:
            return
        try:
            if not self._sealed and not (self._keyed and self.size):
                with disk_errors(self._path), contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1


class WholeFiles:
    """Writes objects that are in memory whole, one after the other.

    They have no lock: a file is whole a moment after it began, and `sweep` leaves young ones alone.
    """

    def __init__(self, spool: str) -> None:
        self._spool = spool
        self._start, self._numbers = os.urandom(8).hex(), itertools.count()
        self._making = threading.Lock()

    def write(self, data: bytes | memoryview) -> str:
        """The path of a new read-only file with these bytes. Raises OSError; then there is none."""
        path = os.path.join(self._spool, f"new-{self._start}-{os.getpid():x}-{next(self._numbers):x}")
        with (
            self._making
        ):  # the system makes one name at a time in a folder, and burns a processor for each thread that waits
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444)
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, 0o444)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
        return path


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it, however often the system takes a part only."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sealed_file(sealed: Sealed) -> str:
    """The path of a sealed spool file."""
    return cast("str", sealed.token)


def sweep(spool: str, older_than_s: float) -> int:
    """Remove spool files that no living process writes and that are older than that; returns the bytes freed. Other files, and those
    of other users, are left alone.

    A sealed file is not locked while it waits to be published: `older_than_s` must be longer than any wait.
    """
    freed = 0
    names = os.listdir(spool) if os.path.isdir(spool) else []
    for name in filter(_OWN.fullmatch, names):
        path = os.path.join(spool, name)
        with contextlib.suppress(FileNotFoundError, BlockingIOError, IsADirectoryError, PermissionError):
            freed += _remove_unlocked(path, older_than_s)
    return freed


def _remove_unlocked(path: str, older_than_s: float) -> int:
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(file.fileno())
        if time.time() - status.st_mtime < older_than_s or not _is_still(path, status):
            return 0
        os.unlink(path)
    return status.st_size if status.st_nlink == 1 else 0


def open_spool_file(spool: str, key: str | None, kind: str = "part") -> tuple[str, int, bool]:
    """Path and descriptor of a locked spool file, and whether it is the one of its kind that is found by `key`."""
    if key is None:
        return *_create(spool), False
    path = os.path.join(spool, f"{kind}-{check_key(key)}")
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except PermissionError:  # it is another user's: take in the object beside it
            return *_create(spool), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another one writes it, or this disk has no locks
            os.close(descriptor)
            return *_create(spool), False
        if _is_still(path, os.fstat(descriptor)):
            return path, descriptor, True
        os.close(descriptor)  # sealed or dropped between open and lock


def _create(spool: str) -> tuple[str, int]:
    path = os.path.join(spool, f"new-{os.urandom(8).hex()}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with contextlib.suppress(OSError):  # without locks it looks abandoned to `sweep` once it is old
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, descriptor


def _is_still(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def rename_sealed(path: str) -> str:
    """Take a complete file out of reach of those who look for its key, before its lock is given up."""
    sealed = os.path.join(os.path.dirname(path), f"sealed-{os.urandom(8).hex()}")
    os.rename(path, sealed)
    return sealed
