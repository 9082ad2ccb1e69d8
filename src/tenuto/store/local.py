"""A store in a folder. Normative description of the layout: docs/formats/store.md.

<root>/objects/ab/cdef…   one read-only file an object, named by its sha256
<root>/spool/             bytes on their way in; each file is locked by its writer
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import check_sha256
from tenuto.store.base import Sealed, Store, StoredObject
from tenuto.store.blocks import BlockFile
from tenuto.store.disk import disk_errors, sync_filesystem
from tenuto.store.spool import SpoolFile, sealed_file, sweep

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

    def receive(self, *, key: str | None = None, git_size: int | None = None) -> SpoolFile:
        with disk_errors(self.spool):
            try:
                return SpoolFile(self.spool, key, git_size)
            except FileNotFoundError:
                os.makedirs(self.spool, exist_ok=True)
                return SpoolFile(self.spool, key, git_size)

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
                changed |= self._publish(one)
            sync_filesystem(self.root, sorted(changed))

    def _publish(self, sealed: Sealed) -> set[str]:
        """Give a durable spool file its name; returns the folders that may have a new entry."""
        source, target = sealed_file(sealed), self.file(sealed.sha256)
        folder = os.path.dirname(target)
        changed = {folder}
        try:
            _link(source, target)
        except FileExistsError:  # the same bytes are here already, and working files may share that very inode
            if os.stat(target).st_size != sealed.size:
                os.rename(source, target)
        except FileNotFoundError:
            changed |= _make_folders(folder, self.root)
            with contextlib.suppress(FileExistsError):
                _link(source, target)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)
        return changed

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
