"""Everything that a repo holds, each content once, and what of it each blob needs."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from tenuto.server.db import chunks
from tenuto.server.schema import git_objects, lfs_objects, repo_xorbs, xet_files, xorbs
from tenuto.store.base import Store
from tenuto.store.xet.table import FileTable


class Content(NamedTuple):
    """Something that lies somewhere once: a git object, a whole object, or a xorb, by its name."""

    kind: str
    name: str


class Cost(NamedTuple):
    """What a content takes on the disk of the hub, and how much of it counts against a quota."""

    disk_bytes: int
    counted_bytes: int


class Contents(NamedTuple):
    """The contents of one repo. What another repo holds as well is `shared`: deleting it here frees nothing."""

    costs: Mapping[Content, Cost]
    blobs: Mapping[str, frozenset[Content]]
    """What a blob needs, itself included, by its git id."""
    sizes: Mapping[str, int]
    """The size of the file that a blob stands for, by its git id."""
    pointers: Mapping[str, str]
    """The large object that a blob points to, by its git id."""
    objects: Mapping[str, frozenset[Content]]
    """What a large object needs, by its sha256."""
    shared: frozenset[Content]

    def disk_bytes(self, some: Iterable[Content]) -> int:
        """What these take together; each may be named once."""
        return sum(self.costs[one].disk_bytes for one in some)

    def counted_bytes(self, some: Iterable[Content]) -> int:
        """The same as a quota sees it."""
        return sum(self.costs[one].counted_bytes for one in some)

    def freed_bytes(self, some: Iterable[Content]) -> int:
        """What is gone from the disk when the repo no longer holds these."""
        return sum(self.costs[one].disk_bytes for one in some if one not in self.shared)


def read_contents(connection: Connection, repo_key: int, store: Store) -> Contents:
    """All that the rows of a repo tell; `store` is asked whether an object that lies in chunks lies there whole, too."""
    costs: dict[Content, Cost] = {}
    objects = _read_objects(connection, repo_key, store, costs)
    blobs, sizes, pointers = _read_git(connection, repo_key, objects, costs)
    return Contents(costs, blobs, sizes, pointers, objects, _shared(connection, repo_key, costs))


def _read_objects(
    connection: Connection, repo_key: int, store: Store, costs: dict[Content, Cost]
) -> dict[str, frozenset[Content]]:
    held = select(lfs_objects.c.sha256, lfs_objects.c.size).where(lfs_objects.c.repo_id == repo_key)
    files = select(xet_files.c.sha256, xet_files.c.terms).where(xet_files.c.repo_id == repo_key)
    places = _read_xorbs(connection, repo_key, costs)
    cut: dict[str, set[Content]] = {}
    for sha256, packed in connection.execute(files):
        needed = cut.setdefault(sha256, set())
        for name in FileTable.unpack(packed).xorbs:
            needed.update(places.get(name, ()))
    objects = {sha256: frozenset(needed) for sha256, needed in cut.items()}
    for sha256, size in connection.execute(held):
        whole = Content("object", sha256)
        if sha256 not in cut:
            costs[whole] = Cost(size, size)
            objects[sha256] = frozenset([whole])
        elif store.has(sha256):
            costs.setdefault(whole, Cost(size, 0))
            objects[sha256] |= {whole}
    return objects


def _read_xorbs(connection: Connection, repo_key: int, costs: dict[Content, Cost]) -> dict[str, tuple[Content, ...]]:
    """What each xorb needs: itself, and the whole object that it is a slice of."""
    columns = (xorbs.c.hash, xorbs.c.stored_bytes, xorbs.c.raw_bytes, xorbs.c.source_sha256, xorbs.c.source_size)
    found: dict[str, tuple[Content, ...]] = {}
    for name, stored, raw, sha256, size in connection.execute(
        select(*columns).join(repo_xorbs).where(repo_xorbs.c.repo_id == repo_key)
    ):
        own = Content("xorb", name)
        costs[own] = Cost(0, raw) if sha256 else Cost(stored, stored)
        found[name] = (own,)
        if sha256:
            source = Content("object", sha256)
            costs.setdefault(source, Cost(size, 0))
            found[name] = (own, source)
    return found


def _read_git(
    connection: Connection, repo_key: int, objects: Mapping[str, frozenset[Content]], costs: dict[Content, Cost]
) -> tuple[dict[str, frozenset[Content]], dict[str, int], dict[str, str]]:
    columns = (git_objects.c.oid, git_objects.c.kind, git_objects.c.size)
    rows = connection.execute(
        select(*columns, git_objects.c.lfs_sha256, git_objects.c.lfs_size).where(git_objects.c.repo_id == repo_key)
    )
    blobs: dict[str, frozenset[Content]] = {}
    sizes: dict[str, int] = {}
    pointers: dict[str, str] = {}
    for oid, kind, size, sha256, lfs_size in rows:
        own = Content("git", oid)
        is_file = kind == "blob" and sha256 is None
        costs[own] = Cost(size, size if is_file else 0)
        if kind == "blob":
            blobs[oid] = objects.get(sha256, frozenset()) | {own}
            sizes[oid] = size if is_file else lfs_size
        if sha256 is not None:
            pointers[oid] = sha256
    return blobs, sizes, pointers


def _shared(connection: Connection, repo_key: int, costs: Mapping[Content, Cost]) -> frozenset[Content]:
    found: set[Content] = set()
    for some in chunks([one.name for one in costs if one.kind == "object"]):
        rows = select(lfs_objects.c.sha256).where(lfs_objects.c.sha256.in_(some), lfs_objects.c.repo_id != repo_key)
        slices = (
            select(xorbs.c.source_sha256)
            .join(repo_xorbs)
            .where(xorbs.c.source_sha256.in_(some), repo_xorbs.c.repo_id != repo_key)
        )
        for query in (rows, slices):
            found.update(Content("object", sha256) for sha256 in connection.execute(query).scalars())
    for some in chunks([one.name for one in costs if one.kind == "xorb"]):
        rows = select(repo_xorbs.c.hash).where(repo_xorbs.c.hash.in_(some), repo_xorbs.c.repo_id != repo_key)
        found.update(Content("xorb", name) for name in connection.execute(rows).scalars())
    return frozenset(found)
