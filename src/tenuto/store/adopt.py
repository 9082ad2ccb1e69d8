"""Files that are on the disk already become objects of a local store, without a copy: reflinked, or hard-linked and read-only."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tenuto.core.errors import IntegrityError, StorageError
from tenuto.store.base import Sealed
from tenuto.store.disk import BLOCK_BYTES, disk_errors, hash_file
from tenuto.store.listener import Listener, Progress
from tenuto.store.local import LocalStore

_FICLONE = 0x40049409
_NO_REFLINK = {errno.ENOTTY, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS}


class Adopted(NamedTuple):
    """A file whose bytes the store has now: its path, sha256 and size in bytes, and how: `reflink`, `hardlink`, or `known` before."""

    path: str
    sha256: str
    size: int
    how: str


def find_files(folder: str) -> Iterator[str]:
    """Every regular file at or below a folder, each inode once, links to files followed; raises StorageError (LocalFile)."""
    seen: set[tuple[int, int]] = set()
    with disk_errors(folder):
        for top, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = os.path.realpath(os.path.join(top, name))
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(path)
                    inode = (status.st_dev, status.st_ino)
                    if stat.S_ISREG(status.st_mode) and inode not in seen:
                        seen.add(inode)
                        yield path


def adopt_file(store: LocalStore, path: str, progress: Progress) -> Adopted:
    """Hash a file and make it an object of the store; where it cannot be reflinked, file and object share their bytes and are read-only.

    Raises StorageError: LocalFile for a file on another file system, since that would have to be copied, or one that changes meanwhile.
    """
    with disk_errors(path):
        before = os.stat(path)
        sha256, size = hash_file(path, progress)
    if store.has(sha256):
        return Adopted(path, sha256, size, "known")
    spare = os.path.join(store.spool, f"sealed-{os.urandom(16).hex()}")
    with disk_errors(path):
        os.makedirs(store.spool, exist_ok=True)
        try:
            how = _link(path, spare)
            after = os.stat(path)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise StorageError(
                    f"{path} changed while it was read", hint="wait until its writer is done, then try again"
                )
            os.chmod(spare, 0o444)
            store.publish([Sealed(sha256, size, spare)])
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spare)
    return Adopted(path, sha256, size, how)


def take_over(store: LocalStore, lower: LocalStore, sha256: str) -> bool:
    """Bring an object of another store here, by a copy that is checked on its way; whether it was there undamaged. Raises StorageError."""
    if store.has(sha256) or not lower.has(sha256):
        return store.has(sha256)
    with (
        contextlib.suppress(IntegrityError),
        disk_errors(lower.root),
        lower.open(sha256) as source,
        store.receive() as incoming,
    ):
        while block := source.read(BLOCK_BYTES):
            incoming.write(block)
        store.publish([incoming.seal(sha256=sha256, source=lower.root)])
        return True
    return False


def _link(path: str, spare: str) -> str:
    try:
        _reflink(path, spare)
        return "reflink"
    except OSError as error:
        if error.errno not in _NO_REFLINK:
            raise
    try:
        os.link(path, spare)
        return "hardlink"
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise StorageError(
            f"{path} is on another file system than the store, and would have to be copied",
            hint="set TENUTO_CACHE to a folder on that file system, or let `tenuto pull` fetch it",
        ) from error


def _reflink(path: str, spare: str) -> None:
    reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        writer = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            fcntl.ioctl(writer, _FICLONE, reader)
        except BaseException:
            os.unlink(spare)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def adopt(store: LocalStore, paths: Sequence[str], progress: Progress) -> tuple[list[Adopted], list[StorageError]]:
    """Adopt files, one after the other; those that cannot be had are errors, and the others are adopted."""
    adopted: list[Adopted] = []
    errors: list[StorageError] = []
    with Listener(progress) as listener:
        for path in paths:
            try:
                adopted.append(adopt_file(store, path, listener))
            except StorageError as error:
                errors.append(error)
    return adopted, errors
