"""A store in a folder. Normative description of the layout: docs/formats/store.md.

<root>/objects/ab/cdef…   one read-only file an object, named by its sha256
<root>/spool/             bytes on their way in; each file is locked by its writer
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tenuto.core.errors import NotFoundError
from tenuto.core.gitobj import object_hasher
from tenuto.core.ids import check_sha256
from tenuto.store.base import Incoming, Sealed, Store, StoredObject, check_seal
from tenuto.store.disk import BLOCK_BYTES, disk_errors, sync_filesystem

LAYOUT = "store-v1"


class LocalStore(Store):
    """Objects as files below `root`, which is made at first use."""

    def __init__(self, root: str) -> None:
        self.root = os.path.join(os.path.abspath(os.path.expanduser(root)), LAYOUT)
        self.objects = os.path.join(self.root, "objects")
        self.spool = os.path.join(self.root, "spool")
        self._folders: set[str] = set()

    def file(self, sha256: str) -> str:
        """The path under which the object lies, or would lie."""
        check_sha256(sha256)
        return f"{self.objects}/{sha256[:2]}/{sha256[2:]}"

    def has(self, sha256: str) -> bool:
        return os.path.exists(self.file(sha256))

    def size(self, sha256: str) -> int:
        try:
            return os.stat(self.file(sha256)).st_size
        except FileNotFoundError as error:
            raise _missing(sha256) from error

    def open(self, sha256: str) -> BinaryIO:
        try:
            return open(self.file(sha256), "rb")
        except FileNotFoundError as error:
            raise _missing(sha256) from error

    def receive(self, *, key: str | None = None, git_size: int | None = None) -> "SpoolFile":
        with disk_errors(self.spool):
            os.makedirs(self.spool, mode=0o755, exist_ok=True)
            return SpoolFile(self.spool, key, git_size)

    def publish(self, sealed: Iterable[Sealed]) -> None:
        batch = list(sealed)
        if not batch:
            return
        with disk_errors(self.objects):
            sync_filesystem(self.spool, [str(one.token) for one in batch])
            for one in batch:
                self._publish(one)

    def _publish(self, sealed: Sealed) -> None:
        target = self.file(sealed.sha256)
        folder = os.path.dirname(target)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        try:
            os.link(str(sealed.token), target)
        except FileExistsError:
            pass  # the same bytes are here already, and files laid out from them may share that very inode
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK}:
                raise
            os.rename(str(sealed.token), target)
            return
        os.unlink(str(sealed.token))

    def discard(self, sealed: Sealed) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(sealed.token))

    def delete(self, sha256: str) -> bool:
        try:
            os.unlink(self.file(sha256))
        except FileNotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[StoredObject]:
        if not os.path.isdir(self.objects):
            return
        for folder in sorted(os.listdir(self.objects)):
            with os.scandir(os.path.join(self.objects, folder)) as files:
                for file in files:
                    yield StoredObject(folder + file.name, file.stat().st_size)

    def sweep(self, older_than_s: float) -> int:
        """Remove spool files that no living process writes and that are older than that; returns the bytes freed."""
        freed = 0
        names = os.listdir(self.spool) if os.path.isdir(self.spool) else []
        for name in names:
            path = os.path.join(self.spool, name)
            file = _lock_file(path)
            if file is None:
                continue
            with open(file, "rb") as held:
                status = os.fstat(held.fileno())
                if time.time() - status.st_mtime >= older_than_s:
                    freed += status.st_size
                    os.unlink(path)
        return freed


class SpoolFile(Incoming):
    """Bytes on their way into a LocalStore, hashed as they come."""

    def __init__(self, spool: str, key: str | None, git_size: int | None) -> None:
        self.size = 0
        self._key, self._git_size = key, git_size
        self._sealed = False
        self._path, self._descriptor = _take_over(spool, key) if key else _create(spool, "new")
        self._sha256 = hashlib.sha256()
        self._git = object_hasher("blob", git_size) if git_size is not None else None
        self._rehash()

    def _rehash(self) -> None:
        while block := os.read(self._descriptor, BLOCK_BYTES):
            self._hash(block)
            self.size += len(block)

    def _hash(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)

    def write(self, data: bytes | memoryview) -> None:
        with disk_errors(self._path):
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._hash(data)
        self.size += len(data)

    def restart(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._git = object_hasher("blob", self._git_size) if self._git_size is not None else None

    def seal(self, *, sha256: str | None = None, git_id: str | None = None, source: str = "") -> Sealed:
        found = self._sha256.hexdigest()
        try:
            check_seal("sha256", sha256, found, source)
            if self._git is not None:
                check_seal("git id", git_id, self._git.hexdigest(), source)
        except Exception:
            self._key = None
            raise
        with disk_errors(self._path):
            os.fchmod(self._descriptor, 0o444)
            if self._key is not None:
                self._path = _rename_sealed(self._path)
        self._sealed = True
        return Sealed(found, self.size, self._path)

    def close(self) -> None:
        if self._descriptor < 0:
            return
        if not self._sealed and (self._key is None or self.size == 0):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        os.close(self._descriptor)
        self._descriptor = -1


def _create(spool: str, stem: str) -> tuple[str, int]:
    path = os.path.join(spool, f"{stem}.{secrets.token_hex(8)}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with contextlib.suppress(OSError):  # without locks the file is simply never taken over
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, descriptor


def _take_over(spool: str, key: str) -> tuple[str, int]:
    """The left-over spool file of `key` with the most bytes that nobody writes, or a new one."""
    left = [entry.path for entry in os.scandir(spool) if entry.name.startswith(f"{key}.")]
    for path in sorted(left, key=_size_or_zero, reverse=True):
        descriptor = _lock_file(path)
        if descriptor is not None:
            return path, descriptor
    return _create(spool, key)


def _rename_sealed(path: str) -> str:
    """Take a complete file out of reach of those who look for its key, before its lock is given up."""
    sealed = os.path.join(os.path.dirname(path), f"sealed.{secrets.token_hex(8)}")
    os.rename(path, sealed)
    return sealed


def _size_or_zero(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _lock_file(path: str) -> int | None:
    """Open and lock a spool file, unless another process has it, or it is sealed (read-only) or gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _missing(sha256: str) -> NotFoundError:
    return NotFoundError(f"object {sha256} is not in the store", code="ObjectNotFound")
