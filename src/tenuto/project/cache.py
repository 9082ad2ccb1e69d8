"""`cache size | gc | limit`: what the store of this user holds, who needs it, and what can go."""

import os
import time
from collections.abc import Callable

import msgspec

from tenuto.project.packaged import clear_places
from tenuto.project.roots import known_roots, needed_objects
from tenuto.store.collect import FRESH_S, Collector, Removed, beyond_limit, folder_bytes, held
from tenuto.store.local import LocalStore

DAY_S = 86_400.0
SPOOL_S = 7 * DAY_S


class ProjectUse(msgspec.Struct, frozen=True):
    """A project, and the bytes of the store that its locks need."""

    path: str
    bytes: int


class CacheSize(msgspec.Struct, frozen=True):
    """What a store holds, in objects and bytes; `needed` is for the locks of known projects, `shared` is laid out somewhere as hard links."""

    folder: str
    objects: int
    bytes: int
    needed_bytes: int
    shared_bytes: int
    spool_bytes: int
    trash_bytes: int
    limit_bytes: int | None
    projects: list[ProjectUse]


class CacheCleared(msgspec.Struct, frozen=True):
    """What a collection removed, or would remove; `spared_bytes` is what a project needs, `places_bytes` were laid out for Python packages."""

    removed: Removed
    spool_bytes: int
    spared_bytes: int
    trash_bytes: int
    dry_run: bool
    places_bytes: int = 0


def size(store: LocalStore, limit_bytes: int | None = None) -> CacheSize:
    """Look at every object of the store, and at every project that uses it. Raises StorageError, UsageError (BadLock)."""
    objects, roots = list(held(store)), known_roots(store)
    needed = needed_objects(store, roots)
    sizes = {one.sha256: one.size for one in objects}
    uses = [ProjectUse(root.path, sum(sizes.get(name, 0) for name in needed_objects(store, [root]))) for root in roots]
    return CacheSize(
        store.root,
        len(objects),
        sum(sizes.values()),
        sum(one.size for one in objects if one.sha256 in needed),
        sum(one.size for one in objects if one.is_shared),
        folder_bytes(store.spool),
        Collector(store, 0).trash_bytes,
        limit_bytes,
        uses,
    )


def clear(
    store: LocalStore,
    *,
    keep_days: float,
    trash_days: float,
    limit_bytes: int | None = None,
    dry_run: bool = False,
    clock: Callable[[], float] = time.time,
) -> CacheCleared:
    """Move what no known project needs and nobody used for `keep_days` to the trash, and more if the store is above its limit.

    What has been in the trash for `trash_days` is deleted for good, and so are places of Python packages that nobody used for `keep_days`:
    they are copies and links. What a lock, a branch, a tag or a last sync of a known project
    needs is spared. Raises StorageError, UsageError (BadLock), IntegrityError where that is not known; nothing is removed then.
    """
    now_s = clock()
    needed = needed_objects(store, known_roots(store))
    unused_since_s = now_s - max(keep_days * DAY_S, FRESH_S)
    places_bytes = clear_places(os.path.dirname(store.root), unused_since_s, dry_run=dry_run)
    objects = list(held(store))
    spare = [one for one in objects if one.sha256 not in needed]
    going = {one.sha256: one for one in spare if now_s - one.used_s >= keep_days * DAY_S}
    if limit_bytes is not None:
        staying = [one for one in objects if one.sha256 not in going]
        going |= {one.sha256: one for one in beyond_limit(staying, needed, limit_bytes)}
    collector = Collector(store, now_s, dry_run=dry_run)
    collector.remove(going.values())
    collector.empty_trash(trash_days * DAY_S)
    swept = 0 if dry_run or not os.path.isdir(store.spool) else store.sweep(SPOOL_S)
    spared = sum(one.size for one in objects if one.sha256 in needed)
    return CacheCleared(collector.removed, swept, spared, collector.trash_bytes, dry_run, places_bytes)
