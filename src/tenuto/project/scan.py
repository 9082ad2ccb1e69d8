"""The files of an artifact as they lie in the working folder: unchanged ones are believed, others are read and hashed."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.core.paths import check_path, twins
from tenuto.project.statcache import Seen
from tenuto.project.workspace import Workspace
from tenuto.store.disk import disk_errors, hash_file

IGNORED_NAMES = frozenset({".git", ".cache", ".tenuto", ".DS_Store", "Thumbs.db", "desktop.ini"})
IGNORED_PREFIX = ".tenuto-"
HUB_FILE = ".gitattributes"
RACY_NS = 50_000_000
_BATCH_FILES = 64
_BATCH_BYTES = 32 << 20


class Scan(NamedTuple):
    """What lies in the working folder: the listing, and how much had to be read to know it."""

    listing: Listing
    hashed_files: int
    hashed_bytes: int


class _Item(NamedTuple):
    path: str
    status: os.stat_result


def scan(workspace: Workspace, artifact: Artifact, *, reread: bool = False) -> Scan:
    """Look at every file of the artifact; an absent artifact has an empty listing.

    A file whose size, time and inode are as in the state index is not read again, unless `reread`. What was read is recorded.
    Raises UsageError (BadPath) for names that no hub or other system could hold, NotFoundError for a broken link, StorageError.
    """
    known = workspace.state.files(artifact.path)
    started_ns = time.time_ns()
    found = list(_walk(workspace, artifact))
    unchanged, changed = [], []
    for item in found:
        seen = known.get(item.path)
        if seen and not reread and seen.matches(item.status):
            unchanged.append(seen)
        else:
            changed.append(item)
    _check_names(changed, found)
    hashed = _hash_all(workspace, changed)
    settled = [seen for seen in hashed if seen.mtime_ns < started_ns - RACY_NS]
    workspace.state.remember(settled, known.keys() - {item.path for item in found})
    skip = len(prefix) + 1 if (prefix := workspace.folder_of(artifact)) else 0
    listing = Listing(Entry(seen.path[skip:], seen.sha256, seen.size) for seen in (*unchanged, *hashed))
    return Scan(listing, len(hashed), sum(seen.size for seen in hashed))


def _walk(workspace: Workspace, artifact: Artifact) -> Iterator[_Item]:
    top = os.path.join(workspace.root, artifact.path)
    with disk_errors(top):
        if artifact.file:
            if os.path.lexists(top):
                yield _Item(artifact.path, _status(top, artifact.path))
            return
        if os.path.isdir(top):
            yield from _walk_folder(top, artifact.path, keeps_attributes=bool(artifact.address.path))


def _walk_folder(top: str, path: str, *, keeps_attributes: bool) -> Iterator[_Item]:
    folders = [(top, path)]
    while folders:
        folder, prefix = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if (
                    name in IGNORED_NAMES
                    or name.startswith(IGNORED_PREFIX)
                    or (name == HUB_FILE and prefix == path and not keeps_attributes)
                ):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{prefix}/{name}"))
                elif entry.is_symlink():
                    yield _Item(f"{prefix}/{name}", _status(entry.path, f"{prefix}/{name}"))
                elif entry.is_file(follow_symlinks=False):
                    yield _Item(f"{prefix}/{name}", entry.stat(follow_symlinks=False))


def _status(file: str, path: str) -> os.stat_result:
    try:
        status = os.stat(file)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{path} is a symbolic link to nothing",
            hint="remove the link, or run `tenuto repair` to fetch the file again",
        ) from error
    if os.path.isdir(file):
        raise UsageError(f"{path} is a symbolic link to a folder", code="BadPath", hint="track the real folder instead")
    return status


def _check_names(changed: Iterable[_Item], found: Iterable[_Item]) -> None:
    anything = False
    for item in changed:
        check_path(item.path)
        anything = True
    clash = next(iter(twins(item.path for item in found)), None) if anything else None
    if clash:
        raise UsageError(
            f"{clash[0]} and {clash[1]} are one name on some systems", code="BadPath", hint="rename one of them"
        )


def _hash_all(workspace: Workspace, items: Sequence[_Item]) -> list[Seen]:
    if not items:
        return []
    total = sum(item.status.st_size for item in items)
    with workspace.watch("hashing", total) as progress, ThreadPoolExecutor(_threads(items), "hash") as pool:
        tasks = [pool.submit(_hash_batch, workspace.root, batch, progress) for batch in _batches(items)]
        return [seen for task in tasks for seen in task.result()]


def _threads(items: Sequence[_Item]) -> int:
    return max(1, min(len(items), os.cpu_count() or 1, 8))


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Batches of like work: a task for each file costs more than small files take to hash."""
    batch: list[_Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.status.st_size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _hash_batch(root: str, batch: Sequence[_Item], progress: Callable[[int], None]) -> list[Seen]:
    seen = []
    for path, status in batch:
        file = os.path.join(root, path)
        with disk_errors(file):
            sha256, size = hash_file(file)
        progress(size)
        seen.append(Seen(path, size, status.st_mtime_ns, status.st_ino, sha256))
    return seen
