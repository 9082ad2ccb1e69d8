"""What lies in a local store, when it was last used, and how what nobody needs goes: into a trash first, later for good."""

import contextlib
import os
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

import msgspec

from tenuto.store.disk import disk_errors
from tenuto.store.local import LocalStore

FRESH_S = 3600.0
"""What was used so lately stays, whatever the limits: somebody may be about to lay it out."""


class Held(NamedTuple):
    """An object: size in bytes, when it was last used in seconds since 1970 UTC, and whether working files share its bytes."""

    sha256: str
    size: int
    used_s: float
    is_shared: bool


class Removed(msgspec.Struct):
    """Objects and bytes that go, or would go, to the trash; and what is, or would be, deleted from it for good."""

    objects: int = 0
    bytes: int = 0
    shared_bytes: int = 0
    deleted_bytes: int = 0


class Collector:
    """Clears a store. `now_s` is the time in seconds since 1970 UTC; nothing changes in a `dry_run`."""

    def __init__(self, store: LocalStore, now_s: float, *, dry_run: bool = False) -> None:
        self._store, self._now_s, self._dry_run = store, now_s, dry_run
        self._trash = os.path.join(store.root, "trash")
        self.removed = Removed()

    def remove(self, objects: Iterable[Held]) -> None:
        """Move objects to the trash, but those that were used within the last hour."""
        for held in objects:
            if self._now_s - held.used_s >= FRESH_S and (self._dry_run or self._move(held.sha256)):
                self.removed.objects += 1
                self.removed.bytes += held.size
                self.removed.shared_bytes += held.size if held.is_shared else 0

    def _move(self, sha256: str) -> bool:
        """Whether it is in the trash now, and not because somebody else took it there."""
        file = self._store.file(sha256)
        folder = os.path.join(self._trash, str(int(self._now_s)), sha256[:2])
        trashed = os.path.join(folder, sha256[2:])
        with disk_errors(file), contextlib.suppress(FileNotFoundError):
            if self._is_fresh(file):  # somebody came while we looked at the others
                return False
            os.makedirs(folder, exist_ok=True)
            os.rename(file, trashed)
            if self._is_fresh(trashed):  # and found it here, a moment ago
                os.rename(trashed, file)
                return False
            return True
        return False

    def _is_fresh(self, file: str) -> bool:
        return self._now_s - _used_s(file) < FRESH_S

    def empty_trash(self, older_than_s: float) -> None:
        """Delete for good what came into the trash longer ago than that."""
        import shutil  # loads compressors, and whoever only uses objects loads this module

        with disk_errors(self._trash):
            for name in os.listdir(self._trash) if os.path.isdir(self._trash) else []:
                if name.isdigit() and self._now_s - int(name) >= older_than_s:
                    folder = os.path.join(self._trash, name)
                    self.removed.deleted_bytes += folder_bytes(folder)
                    if not self._dry_run:
                        shutil.rmtree(folder, onerror=_unless_gone)

    @property
    def trash_bytes(self) -> int:
        """Bytes that lie in the trash."""
        return folder_bytes(self._trash)


def held(store: LocalStore) -> Iterator[Held]:
    """Every object of the store. Raises StorageError."""
    for one in store:
        file = store.file(one.sha256)
        with disk_errors(file), contextlib.suppress(FileNotFoundError):
            yield Held(one.sha256, one.size, _used_s(file), os.stat(file).st_nlink > 1)


def mark_used(file: str, status: os.stat_result, now_s: float) -> os.stat_result:
    """Remember that an object, which looks like this, was used now; returns how it looks then.

    That is exact to a quarter of `FRESH_S`: most objects are used by the thousand, or came a moment ago. Those of a store that belongs to
    somebody else are left as they are.
    """
    if now_s - max(status.st_atime, status.st_mtime) >= FRESH_S / 4:
        with contextlib.suppress(OSError):
            os.utime(file, ns=(int(now_s * 1e9), status.st_mtime_ns))
            return os.stat(file)
    return status


def beyond_limit(objects: Iterable[Held], needed: Container[str], limit_bytes: int) -> list[Held]:
    """The objects that must go for the rest to be within the limit: the longest unused first, and none that is needed."""
    ordered = sorted(objects, key=lambda one: one.used_s)
    excess = sum(one.size for one in ordered) - limit_bytes
    going = []
    for one in ordered:
        if excess <= 0:
            break
        if one.sha256 not in needed:
            going.append(one)
            excess -= one.size
    return going


def _unless_gone(_function: object, _path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    """Another collection may be at the same trash."""
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def _used_s(file: str) -> float:
    status = os.stat(file)
    return max(status.st_atime, status.st_mtime)


def folder_bytes(folder: str) -> int:
    """Bytes of all files below a folder; 0 if there is none."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total
