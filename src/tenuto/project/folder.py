"""Writing below the project and nowhere else: every folder is opened step by step, and no symbolic link is followed."""

import contextlib
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Self

from tenuto.core.errors import UsageError
from tenuto.core.paths import check_path
from tenuto.store.disk import Layout, copy_bytes, disk_errors

_OPEN_FOLDERS = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ToPlace(NamedTuple):
    """A file to lay out: the stored file, its name in the folder, and its size in bytes if that is known."""

    source: str
    name: str
    size: int | None


class Folder:
    """The working folder of a project, for verbs that change files in it. Close it when done."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._descriptors: OrderedDict[str, int] = OrderedDict()
        with disk_errors(root):
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Release all folders."""
        for descriptor in (*self._descriptors.values(), self._root):
            os.close(descriptor)
        self._descriptors.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def place(self, layout: Layout, source: str, path: str) -> os.stat_result:
        """Make `path` hold the bytes of the stored file `source`, replacing what is there; returns what the file looks like now.

        Raises UsageError (BadPath) if a folder on the way is a symbolic link or a file, StorageError.
        """
        parent, name = os.path.split(check_path(path))
        [status] = self.place_all(layout, parent, [ToPlace(source, name, None)])
        return status

    def place_all(self, layout: Layout, parent: str, files: Sequence[ToPlace]) -> list[os.stat_result]:
        """The same for files of one folder, whose names were checked."""
        statuses = []
        place = os.path.join(self.root, parent)
        with disk_errors(place):
            folder = self._open(parent)
            for source, name, size in files:
                layout.place(source, folder, name, size)
                statuses.append(os.stat(name, dir_fd=folder))
        return statuses

    def move_away(self, path: str, trash: str) -> None:
        """Move a file into the folder `trash`, under its own path, and drop folders that are empty now; a file that is gone is left alone."""
        parent, name = os.path.split(check_path(path))
        target = os.path.join(trash, path)
        with disk_errors(os.path.join(self.root, path)):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                _move(self._open(parent), name, target)
            except FileNotFoundError:
                return
        self._prune(parent)

    def rename(self, path: str, new_path: str) -> None:
        """Give a file another name in the same folder; raises UsageError (BadPath) if that name is taken."""
        parent, name = os.path.split(check_path(path))
        new_name = os.path.basename(check_path(new_path))
        with disk_errors(os.path.join(self.root, new_path)):
            folder = self._open(parent)
            try:
                os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError as error:
                raise UsageError(f"{new_path} exists already", code="BadPath", hint="move it away first") from error
            os.unlink(name, dir_fd=folder)

    def _prune(self, parent: str) -> None:
        while "/" in parent:
            self._forget(parent)
            parent, name = os.path.split(parent)
            try:
                os.rmdir(name, dir_fd=self._open(parent))
            except OSError:
                return

    def _forget(self, path: str) -> None:
        for known in [known for known in self._descriptors if known == path or known.startswith(f"{path}/")]:
            os.close(self._descriptors.pop(known))

    def _open(self, path: str) -> int:
        if not path:
            return self._root
        if path in self._descriptors:
            self._descriptors.move_to_end(path)
            return self._descriptors[path]
        parent, name = os.path.split(path)
        descriptor = self._enter(self._open(parent), name, path)
        self._descriptors[path] = descriptor
        if len(self._descriptors) > _OPEN_FOLDERS:
            _, oldest = self._descriptors.popitem(last=False)
            os.close(oldest)
        return descriptor

    @staticmethod
    def _enter(parent: int, name: str, path: str) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise _not_real(path) from error
            raise


def check_no_link(root: str, path: str) -> None:
    """No folder of `path`, nor what lies under it, is a symbolic link; raises UsageError (BadPath): nothing is written through one."""
    parts = check_path(path).split("/")
    for count in range(1, len(parts) + 1):
        part = "/".join(parts[:count])
        if os.path.islink(os.path.join(root, part)):
            raise _not_real(part)


def _not_real(path: str) -> UsageError:
    return UsageError(
        f"{path} is not a real folder, and nothing is written through it",
        code="BadPath",
        hint="move the link or file away, then run the command again",
    )


def _move(folder: int, name: str, target: str) -> None:
    """Move a file out of an open folder; where a disk ends between the two, the copy is whole before the original goes."""
    try:
        os.rename(name, target, src_dir_fd=folder)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.symlink(os.readlink(name, dir_fd=folder), target)
    else:
        _copy(folder, name, target)
    os.unlink(name, dir_fd=folder)


def _copy(folder: int, name: str, target: str) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            copy_bytes(reader, writer)
            os.fsync(writer)
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)
