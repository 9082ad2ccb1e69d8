"""A store in a folder. Normative description of the layout: docs/formats/store.md.

<root>/objects/ab/cdef…   one read-only file an object, named by its sha256
<root>/spool/             bytes on their way in; each file is locked by its writer
"""

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tenuto.core.errors import NotFoundError
from tenuto.core.gitobj import object_id
from tenuto.core.ids import check_sha256
from tenuto.store.base import Sealed, Store, StoredObject, check_seal
from tenuto.store.blocks import BlockFile
from tenuto.store.disk import disk_errors, sync_filesystem
from tenuto.store.spool import SpoolFile, WholeFiles, sealed_file, sweep

LAYOUT = "store-v1"

_FOLDER = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{62}")
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK}


class LocalStore(Store):
    """Objects as files below `root`, which is made at first use."""

    def __init__(self, root: str) -> None:
        self.root = os.path.join(os.path.abspath(os.path.expanduser(root)), LAYOUT)
        self.objects = os.path.join(self.root, "objects")
        self.spool = os.path.join(self.root, "spool")
        self._writer = WholeFiles(self.spool)

    def file(self, sha256: str) -> str:
        """The path under which the object lies, or would lie."""
        check_sha256(sha256)
        return f"{self.objects}/{sha256[:2]}/{sha256[2:]}"

    def has(self, sha256: str) -> bool:
        file = self.file(sha256)
        with disk_errors(file):
            try:
                os.stat(file)
            except FileNotFoundError:
                return False
            return True

    def size(self, sha256: str) -> int:
        file = self.file(sha256)
        with disk_errors(file):
            try:
                return os.stat(file).st_size
            except FileNotFoundError as error:
                raise _missing(sha256) from error

    def statuses(self, names: Iterable[str]) -> dict[str, os.stat_result]:
        """How the files of these objects look, as far as they are here."""
        found = {}
        with disk_errors(self.objects):
            for name in names:
                try:
                    found[name] = os.stat(self.file(name))
                except FileNotFoundError:
                    continue
        return found

    def open(self, sha256: str) -> BinaryIO:
        file = self.file(sha256)
        with disk_errors(file):
            try:
                return open(file, "rb")
            except FileNotFoundError as error:
                raise _missing(sha256) from error

    def fill(self, sha256: str, view: memoryview) -> int:
        file = self.file(sha256)
        with disk_errors(file):
            try:
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise _missing(sha256) from error
            try:
                return os.readv(descriptor, [view, bytearray(1)])  # a file object would cost more than a small file
            finally:
                os.close(descriptor)

    def receive(self, *, key: str | None = None, git_size: int | None = None) -> SpoolFile:
        with disk_errors(self.spool):
            try:
                return SpoolFile(self.spool, key, git_size)
            except FileNotFoundError:
                os.makedirs(self.spool, exist_ok=True)
                return SpoolFile(self.spool, key, git_size)

    def take_in(self, data: bytes, *, sha256: str | None = None, git_id: str | None = None) -> Sealed:
        found = hashlib.sha256(data).hexdigest()
        check_seal("sha256", sha256, found, "")
        if git_id is not None:
            check_seal("git id", git_id, object_id("blob", data), "")
        with disk_errors(self.spool):
            try:
                return Sealed(found, len(data), self._writer.write(data))
            except FileNotFoundError:
                os.makedirs(self.spool, exist_ok=True)
                return Sealed(found, len(data), self._writer.write(data))

    def receive_blocks(self, key: str, size: int, block_bytes: int) -> BlockFile:
        with disk_errors(self.spool):
            os.makedirs(self.spool, exist_ok=True)
            return BlockFile(self.spool, key, size, block_bytes)

    def publish(self, sealed: Iterable[Sealed]) -> None:
        batch = list(sealed)
        if not batch:
            return
        with disk_errors(self.objects):
            sync_filesystem(self.spool, [sealed_file(one) for one in batch])
            changed: set[str] = set()
            for one in batch:
                self._publish(one, changed)
            sync_filesystem(self.root, sorted(changed))

    def _publish(self, sealed: Sealed, changed: set[str]) -> None:
        """Give a durable spool file its name; notes the folders that may have a new entry."""
        source, target = sealed_file(sealed), self.file(sealed.sha256)
        folder = target[:-63]
        try:
            _name(source, target, sealed.size)
        except FileNotFoundError:
            changed |= _make_folders(folder, self.root)
            _name(source, target, sealed.size)
        changed.add(folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)

    def discard(self, sealed: Sealed) -> None:
        with disk_errors(self.spool), contextlib.suppress(FileNotFoundError):
            os.unlink(sealed_file(sealed))

    def delete(self, sha256: str) -> bool:
        file = self.file(sha256)
        with disk_errors(file):
            try:
                os.unlink(file)
            except FileNotFoundError:
                return False
            return True

    def __iter__(self) -> Iterator[StoredObject]:
        with disk_errors(self.objects):
            for folder in _names(self.objects, _FOLDER):
                for name in _names(os.path.join(self.objects, folder), _FILE):
                    with contextlib.suppress(FileNotFoundError):
                        yield StoredObject(folder + name, os.stat(f"{self.objects}/{folder}/{name}").st_size)

    def sweep(self, older_than_s: float) -> int:
        """Remove spool files that no living process writes and that are older than that; returns the bytes freed.

        A sealed object that waits to be published is not locked: `older_than_s` must be longer than any such wait.
        """
        with disk_errors(self.spool):
            return sweep(self.spool, older_than_s)


def _name(source: str, target: str, size: int) -> None:
    """`target` has these bytes. If it has them already it stays, for working files may share that very inode, and counts as used now.

    Raises FileNotFoundError if its folder is not there, or somebody collects it at this moment.
    """
    try:
        _link(source, target)
    except FileExistsError:
        status = os.stat(target)
        if status.st_size != size:
            os.rename(source, target)
            return
        with contextlib.suppress(PermissionError):  # the store of somebody else
            os.utime(target, ns=(time.time_ns(), status.st_mtime_ns))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(source, target)


def _make_folders(folder: str, root: str) -> set[str]:
    """Make `folder` below `root`; returns every folder that may have got an entry by that."""
    os.makedirs(folder, exist_ok=True)
    parent, parents = os.path.dirname(folder), set()
    while len(parent) >= len(root):
        parents.add(parent)
        parent = os.path.dirname(parent)
    return {*parents, parent}


def _names(folder: str, pattern: re.Pattern[str]) -> list[str]:
    try:
        return [name for name in sorted(os.listdir(folder)) if pattern.fullmatch(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _missing(sha256: str) -> NotFoundError:
    return NotFoundError(f"object {sha256} is not in the store", code="ObjectNotFound")
