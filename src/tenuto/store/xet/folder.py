"""Xorbs in a folder, beside the objects of a local store: `<root>/xorbs/ab/cdef…`, one read-only file each, named by its hash."""

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.store.base import Store
from tenuto.store.disk import disk_errors, sync_filesystem
from tenuto.store.xet.hashes import check_hash
from tenuto.store.xet.table import Slice, XorbTable
from tenuto.store.xet.xorb import XorbReader

_FOLDER = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{62}")


class IncomingXorb:
    """A xorb on its way in, checked as it comes. Leaving it drops what lies in the spool; a published one has its own name."""

    def __init__(self, spool: str) -> None:
        self._reader = XorbReader()
        self.path = os.path.join(spool, f"xorb-{secrets.token_hex(8)}")
        with disk_errors(self.path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o644)
            with contextlib.suppress(OSError):  # without locks it looks abandoned once it is old
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, data: bytes | memoryview) -> None:
        """Take in more bytes. Raises UsageError (BadRequest, TooLarge), StorageError (DiskFull, LocalFile)."""
        self._reader.feed(data)
        view = memoryview(data)
        with disk_errors(self.path):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def seal(self, name: str) -> XorbTable:
        """The xorb is complete, has the hash `name`, and is on the disk; a footer is cut off.

        Raises UsageError (BadRequest), IntegrityError (HashMismatch), StorageError (DiskFull, LocalFile).
        """
        table = self._reader.finish(name)
        with disk_errors(self.path):
            os.ftruncate(self._descriptor, self._reader.stored_bytes)
            os.fchmod(self._descriptor, 0o444)
            os.fsync(self._descriptor)
        return table

    def close(self) -> None:
        """Release what is held."""
        if self._descriptor < 0:
            return
        try:
            with disk_errors(self.path), contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class XorbFolder:
    """All xorbs of a hub. Safe for use from many threads and processes at once; names are texts of hashes.

    `store` has the objects that xorbs are slices of; whoever reads none of these xorbs may leave it out.
    """

    def __init__(self, root: str, store: Store | None = None) -> None:
        self._root, self._store = root, store
        self._xorbs = os.path.join(root, "xorbs")
        self._spool = os.path.join(root, "spool")

    def file(self, name: str) -> str:
        """The path under which a xorb lies, or would lie. Raises UsageError (BadRequest)."""
        check_hash(name)
        return f"{self._xorbs}/{name[:2]}/{name[2:]}"

    def receive(self) -> IncomingXorb:
        """Begin to take in a xorb. Raises StorageError."""
        with disk_errors(self._spool):
            os.makedirs(self._spool, exist_ok=True)
        return IncomingXorb(self._spool)

    def publish(self, name: str, sealed: IncomingXorb) -> None:
        """Give a sealed xorb its name, durably. One that was here under it is replaced: the caller has made sure that it may be.

        Raises StorageError.
        """
        target = self.file(name)
        folder = os.path.dirname(target)
        with disk_errors(target):
            changed = [folder]
            if not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
                changed += [self._xorbs, self._root]
            os.rename(sealed.path, target)
            sync_filesystem(folder, changed)

    def has(self, name: str) -> bool:
        """Whether the xorb is here; no bytes are read."""
        file = self.file(name)
        with disk_errors(file):
            return os.path.exists(file)

    def size(self, name: str) -> int:
        """The stored bytes of the xorb, 0 if it is not here; none is read."""
        file = self.file(name)
        with disk_errors(file):
            try:
                return os.stat(file).st_size
            except FileNotFoundError:
                return 0

    def open(self, name: str, source: Slice | None = None) -> BinaryIO:
        """Its stored bytes or, if it has a source, that; raises IntegrityError (CorruptObject) if it is missing, StorageError."""
        if source is not None:
            return self._open_source(name, source)
        file = self.file(name)
        with disk_errors(file):
            try:
                return open(file, "rb", buffering=0)
            except FileNotFoundError as error:
                raise IntegrityError(f"the hub lacks the xorb {name}", code="CorruptObject") from error

    def _open_source(self, name: str, source: Slice) -> BinaryIO:
        assert self._store is not None
        try:
            return self._store.open(source.sha256)
        except NotFoundError as error:
            lack = f"the hub lacks the object {source.sha256}, of which the xorb {name} is a part"
            raise IntegrityError(lack, code="CorruptObject") from error

    def has_source(self, source: Slice) -> bool:
        """Whether the object is here, with all its bytes; none is read."""
        assert self._store is not None
        try:
            return self._store.size(source.sha256) == source.size
        except NotFoundError:
            return False

    def delete(self, name: str) -> int:
        """Remove a xorb; the bytes freed, 0 if it was not here."""
        file = self.file(name)
        with disk_errors(file):
            try:
                size = os.stat(file).st_size
                os.unlink(file)
            except FileNotFoundError:
                return 0
            return size

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Name and stored bytes of every xorb, in the order of their names; changes meanwhile may or may not show."""
        with disk_errors(self._xorbs):
            for folder in _names(self._xorbs, _FOLDER):
                for name in _names(os.path.join(self._xorbs, folder), _FILE):
                    with contextlib.suppress(FileNotFoundError):
                        yield folder + name, os.stat(f"{self._xorbs}/{folder}/{name}").st_size


def _names(folder: str, pattern: re.Pattern[str]) -> list[str]:
    try:
        return [name for name in sorted(os.listdir(folder)) if pattern.fullmatch(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
