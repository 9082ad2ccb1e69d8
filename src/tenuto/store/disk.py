"""Files on a local disk: hash them, make them durable, lay them out without doubling the disk."""

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from tenuto.core.errors import StorageError

BLOCK_BYTES = 1 << 20
_FICLONE = 0x40049409
COPIED_BYTES = 16 << 10
_SYNC_EACH_LIMIT = 4
_SYNC_FILE_RANGE_WRITE = 2
_LOSSES = {errno.EIO, errno.ENOSPC, errno.EDQUOT}
EARLY_BYTES = 8 << 20
"""The disk is told to begin with so much at a time: it has little left to do when all is written."""
_SPARE = re.compile(r"\.tenuto-[0-9a-f]{16}")


@contextlib.contextmanager
def disk_errors(place: str) -> Iterator[None]:
    """Turn what the operating system says into StorageError: DiskFull where room is missing, else LocalFile."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else place
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageError(
                f"no room left to write {where}", code="DiskFull", hint="free some space, then run the command again"
            ) from error
        raise StorageError(
            f"{where}: {error.strerror or error}", code="LocalFile", hint="check the folder and its rights"
        ) from error


def hash_file(path: str, progress: Callable[[int], None] | None = None) -> tuple[str, int]:
    """sha256 and number of the bytes read; the file is read once, in blocks of 1 MiB, with the GIL free.

    `progress` is told the bytes of each block. Raises OSError, also for what is no regular file: reading that may never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", path)
        expected = status.st_size
        block = os.read(descriptor, min(expected + 1, BLOCK_BYTES))
        hasher, size = hashlib.sha256(block), len(block)
        if progress:
            progress(size)
        if not block or (size == expected and size < BLOCK_BYTES):
            return hasher.hexdigest(), size
        size += _hash_rest(descriptor, hasher, progress)
    finally:
        os.close(descriptor)
    return hasher.hexdigest(), size


def _hash_rest(descriptor: int, hasher: "hashlib._Hash", progress: Callable[[int], None] | None) -> int:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    size = 0
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
        size += count
        if progress:
            progress(count)
    return size


def sync_filesystem(folder: str, files: Sequence[str]) -> None:
    """Return when `files`, which lie in `folder`, are on the disk: one `syncfs` for many, `fsync` for few or where there is no `syncfs`."""
    syncfs = _syncfs()
    if len(files) > _SYNC_EACH_LIMIT and syncfs:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if syncfs(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def start_writing(descriptor: int, start: int, length: int) -> None:
    """These bytes of a file are on their way to the disk, where the system can be told so: a later sync has less to wait for.

    Raises OSError if the disk failed; that the system cannot be told so is no failure.
    """
    if sync_file_range := _system_call("sync_file_range"):
        import ctypes

        place, size = ctypes.c_longlong(start), ctypes.c_longlong(length)
        if sync_file_range(descriptor, place, size, _SYNC_FILE_RANGE_WRITE) and (code := ctypes.get_errno()) in _LOSSES:
            raise OSError(code, os.strerror(code))


def _syncfs() -> Callable[..., int] | None:
    return _system_call("syncfs")


@functools.cache
def _system_call(name: str) -> Callable[..., int] | None:
    import ctypes  # what only reads has nothing to sync

    try:
        return cast("Callable[..., int]", getattr(ctypes.CDLL(None, use_errno=True), name))
    except (AttributeError, OSError):
        return None


class Layout:
    """Lays out stored objects as working files: reflinked, else hard-linked read-only, else symbolic links, else copies.

    `mode` is one of `auto`, `reflink`, `hardlink`, `symlink`, `copy`. What a file system refused once is not tried again. In `auto` mode,
    files of up to 16 KiB are copied: a link would save next to nothing there, and they are what people edit in place.
    """

    def __init__(self, mode: str = "auto") -> None:
        self._modes = tuple(_METHODS) if mode == "auto" else (mode,)
        self._copies_up_to_bytes = COPIED_BYTES if mode == "auto" else -1

    def place(self, source: str, folder: int, name: str, size: int | None = None) -> str:
        """Make `name` in the open directory `folder` hold the bytes of the file `source`, in one step; returns the mode used.

        `size` is that of the file in bytes, if it is known. What was under `name` is replaced: the caller has made sure that it may be.
        Raises StorageError (LocalFile) or OSError.
        """
        if (os.stat(source).st_size if size is None else size) <= self._copies_up_to_bytes:
            self._place("copy", source, folder, name)
            return "copy"
        if self._modes[0] == "hardlink":  # the usual case by the thousand, and a new name: one call is all it takes
            with contextlib.suppress(OSError):
                os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)
                return "hardlink"
        while True:
            mode = self._modes[0]
            try:
                self._place(mode, source, folder, name)
                return mode
            except OSError as error:
                if error.errno not in _REFUSALS:
                    raise
                if self._modes == (mode,):
                    raise StorageError(
                        f"files cannot be laid out here by {mode}: {error.strerror}",
                        code="LocalFile",
                        hint="set TENUTO_LINK=auto",
                    ) from error
                self._modes = tuple(other for other in self._modes if other != mode)

    @staticmethod
    def _place(mode: str, source: str, folder: int, name: str) -> None:
        method = _METHODS[mode]
        if (
            mode in _LINKS
        ):  # a link is whole from the beginning; what is filled would be seen, and left by a crash, half full
            with contextlib.suppress(FileExistsError):
                method(source, folder, name)
                return
        spare = f".tenuto-place-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
        try:
            try:
                method(source, folder, spare)
            except FileExistsError:  # a process that was killed here left it: one at a time changes a project
                os.unlink(spare, dir_fd=folder)
                method(source, folder, spare)
            os.replace(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spare, dir_fd=folder)


def _reflink(source: str, folder: int, name: str) -> None:
    _fill(source, folder, name, lambda reader, writer: fcntl.ioctl(writer, _FICLONE, reader))


def _copy(source: str, folder: int, name: str) -> None:
    _fill(source, folder, name, copy_bytes)


def _fill(source: str, folder: int, name: str, fill: Callable[[int, int], object]) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writer = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
        )
        try:
            fill(reader, writer)
        except BaseException:
            os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def copy_bytes(reader: int, writer: int) -> None:
    """Copy everything from one open file to another, inside the kernel where it can."""
    copy_inside = getattr(os, "copy_file_range", None)  # macOS has none
    try:
        while copy_inside and copy_inside(reader, writer, 1 << 30):
            pass
        if copy_inside:
            return
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
    while block := os.read(reader, BLOCK_BYTES):
        view = memoryview(block)
        while view:
            view = view[os.write(writer, view) :]


def _hardlink(source: str, folder: int, name: str) -> None:
    os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)


def _symlink(source: str, folder: int, name: str) -> None:
    os.symlink(source, name, dir_fd=folder)


_METHODS: dict[str, Callable[[str, int, str], None]] = {
    "reflink": _reflink,
    "hardlink": _hardlink,
    "symlink": _symlink,
    "copy": _copy,
}
_LINKS = {"hardlink", "symlink"}
_REFUSALS = {
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EPERM,
    errno.EMLINK,
    errno.EACCES,
}


def replace_file(path: str, content: bytes, mode: int = 0o644) -> None:
    """Make `path` hold `content`, in one step and durably: a reader sees the old bytes or the new ones. Raises StorageError.

    What a killed process left of the same work in that folder is removed.
    """
    folder = os.path.dirname(path) or "."
    with disk_errors(path):
        _remove_abandoned(folder)
        spare, descriptor = _open_spare(folder, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
                os.replace(spare, path)
            sync_filesystem(folder, [folder])
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spare)


def _open_spare(folder: str, mode: int) -> tuple[str, int]:
    """A new file beside the one to replace; it is locked, so that nobody takes it for abandoned."""
    while True:
        spare = os.path.join(folder, f".tenuto-{os.urandom(8).hex()}")
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with contextlib.suppress(OSError):  # without locks nobody removes it
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.exists(spare):
            return spare, descriptor
        os.close(descriptor)  # removed between open and lock


def _remove_abandoned(folder: str) -> None:
    for name in os.listdir(folder):
        if _SPARE.fullmatch(name):
            with contextlib.suppress(OSError):
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(file: str) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(file)
    finally:
        os.close(descriptor)
