"""The files of an artifact as they lie in the working folder: unchanged ones are believed, others are read and hashed."""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tenuto.core.errors import UsageError
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.core.paths import check_path, twins
from tenuto.project.statcache import Row, Seen
from tenuto.project.workspace import Workspace
from tenuto.store.disk import disk_errors
from tenuto.store.hashing import ToHash, hash_files

IGNORED_NAMES = frozenset({".git", ".cache", ".tenuto", ".DS_Store", "Thumbs.db", "desktop.ini"})
IGNORED_PREFIX = ".tenuto-"
HUB_FILE = ".gitattributes"
RACY_NS = 50_000_000
_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class Scan(NamedTuple):
    """What lies in the working folder: the listing, links that lead nowhere, and how much had to be read to know it."""

    listing: Listing
    broken: tuple[str, ...]
    hashed_files: int
    hashed_bytes: int


_Item = tuple[str, os.stat_result]
"""A file: its path below the project, and how it looks."""


class _Compared(NamedTuple):
    """What is not as the state index has it: files that are new or look otherwise, paths that are gone, and links that lead nowhere."""

    changed: list[_Item]
    gone: AbstractSet[str]
    broken: list[str]


def is_left_out(artifact: Artifact, path: str) -> bool:
    """Whether a path within the artifact is the housekeeping of a hub, a system or a tool: part of no artifact, here and on the hub alike."""
    if path == HUB_FILE and not artifact.address.path:
        return True
    return any(map(_is_housekeeping, path.split("/")))


def _is_housekeeping(name: str) -> bool:
    return name in IGNORED_NAMES or name.startswith(IGNORED_PREFIX)


def scan(workspace: Workspace, artifact: Artifact, *, at: str | None = None) -> Scan:
    """Look at every file of the artifact, or at those at or below the path `at` of the project; what is absent has an empty listing.

    A file whose size, time and inode are as in the state index is not read again. What was read is recorded.
    Raises UsageError (BadPath) for names that no hub or other system could hold, StorageError for what cannot be read.
    """
    at = artifact.path if at is None else at
    rows = workspace.state.rows(at)
    started_ns = time.time_ns()
    with disk_errors(os.path.join(workspace.root, at)):
        changed, gone, broken = _compare(rows, _walk(workspace, artifact, at))
    other = gone | {path for path, _ in changed}
    unchanged = [row for row in rows if row[0] not in other]
    _check_names(changed, unchanged)
    hashed = _hash_all(workspace, changed)
    workspace.state.remember([seen for seen in hashed if seen.mtime_ns < started_ns - RACY_NS], gone)
    skip = len(prefix) + 1 if (prefix := workspace.folder_of(artifact)) else 0
    entries = [Entry(path[skip:], sha256, size) for path, size, _, _, sha256 in unchanged]
    entries += [Entry(seen.path[skip:], seen.sha256, seen.size) for seen in hashed]
    return Scan(Listing(entries), tuple(broken), len(hashed), sum(seen.size for seen in hashed))


def _compare(rows: Sequence[Row], found: Iterable[tuple[str, os.stat_result | None]]) -> _Compared:
    """Tell files that look as they did when they were hashed from all others."""
    known = {row[0]: row for row in rows}
    changed, broken = [], []
    for path, status in found:
        if status is None:
            broken.append(path)
            continue
        row = known.pop(path, None)
        if row and row[2] == status.st_mtime_ns and row[1] == status.st_size and row[3] == status.st_ino:
            continue
        changed.append((path, status))
    return _Compared(changed, known.keys(), broken)


def _walk(workspace: Workspace, artifact: Artifact, at: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Every file at or below `at`, and how it looks; None for a link that leads nowhere."""
    top = os.path.join(workspace.root, at)
    whole_folder = at == artifact.path and not artifact.file
    if os.path.isdir(top) and not artifact.file:
        return _walk_folder(top, at, keeps_attributes=not whole_folder or bool(artifact.address.path))
    return iter([(at, _look_at(top, at))] if not whole_folder and os.path.lexists(top) else [])


def _walk_folder(top: str, path: str, *, keeps_attributes: bool) -> Iterator[tuple[str, os.stat_result | None]]:
    folders = [(top, path)]
    while folders:
        folder, prefix = folders.pop()
        with _opened(folder) as entries:
            for entry in entries:
                name = entry.name
                if name in IGNORED_NAMES or name.startswith(IGNORED_PREFIX):
                    continue
                if name == HUB_FILE and prefix == path and not keeps_attributes:
                    continue
                if entry.is_file(follow_symlinks=False):
                    yield f"{prefix}/{name}", entry.stat(follow_symlinks=False)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append((f"{folder}/{name}", f"{prefix}/{name}"))
                elif entry.is_symlink():
                    yield f"{prefix}/{name}", _look_at(f"{folder}/{name}", f"{prefix}/{name}")


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What a folder holds. It is open meanwhile, so that the system looks at each file by its name alone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    except OSError as error:
        if isinstance(error.filename, str):
            error.filename = os.path.join(folder, error.filename)
        raise
    finally:
        os.close(descriptor)


def _look_at(file: str, path: str) -> os.stat_result | None:
    """How a file or a link to one looks; whatever else stands there is refused, since reading it may never end."""
    try:
        status = os.stat(file)
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        return None
    if stat.S_ISREG(status.st_mode):
        return status
    what = "a symbolic link to " if os.path.islink(file) else ""
    if stat.S_ISDIR(status.st_mode):
        hint = "track the real folder instead" if what else "track it again, as a folder"
        raise UsageError(f"{path} is {what}a folder, not a file", code="BadPath", hint=hint)
    raise UsageError(f"{path} is {what}something that is no file", code="BadPath", hint="move it away")


def _check_names(changed: Sequence[_Item], unchanged: Sequence[Row]) -> None:
    for path, _ in changed:
        check_path(path)
    paths = [row[0] for row in unchanged] + [path for path, _ in changed] if changed else []
    clash = next(iter(twins(paths)), None)
    if clash:
        raise UsageError(
            f"{clash[0]} and {clash[1]} are one name on some systems", code="BadPath", hint="rename one of them"
        )


def _hash_all(workspace: Workspace, items: Sequence[_Item]) -> list[Seen]:
    if not items:
        return []
    files = [ToHash(path, f"{workspace.root}/{path}", status.st_size) for path, status in items]
    with workspace.watch("hashing", sum(file.size for file in files)) as progress:
        outcomes = hash_files(files, progress)
    seen = []
    for (path, sha256, size, fault), (_, status) in zip(outcomes, items, strict=True):
        if fault:
            raise fault
        seen.append(Seen(path, size, status.st_mtime_ns, status.st_ino, sha256))
    return seen
