"""Everything that a repo holds, each content once, and what of it each blob needs."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, NewType

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, exists, or_, select

from tenuto.server.schema import lfs_objects, repo_xorbs, xet_files, xorbs
from tenuto.server.space.history import GitObject
from tenuto.store.base import Store
from tenuto.store.xet.table import FileTable

Content = NewType("Content", str)
"""Something that lies somewhere once: a git object by its id, `object:` or `xorb:` and a name."""

_REPO: BindParameter[int] = bindparam("repo")
_OTHER_OBJECTS, _OTHER_HOLDS, _OTHER_XORBS = lfs_objects.alias("other"), repo_xorbs.alias("held"), xorbs.alias("slice")


def _object_elsewhere(sha256: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether another repo holds an object, or a slice of it."""
    whole = exists().where(_OTHER_OBJECTS.c.sha256 == sha256, _OTHER_OBJECTS.c.repo_id != _REPO)
    slices = exists().where(
        _OTHER_XORBS.c.source_sha256 == sha256,
        _OTHER_HOLDS.c.hash == _OTHER_XORBS.c.hash,
        _OTHER_HOLDS.c.repo_id != _REPO,
    )
    return or_(whole, slices)


_OBJECTS = (
    select(lfs_objects.c.sha256, lfs_objects.c.size, xet_files.c.terms, _object_elsewhere(lfs_objects.c.sha256))
    .outerjoin(xet_files, (xet_files.c.repo_id == lfs_objects.c.repo_id) & (xet_files.c.sha256 == lfs_objects.c.sha256))
    .where(lfs_objects.c.repo_id == _REPO)
)
_XORBS = (
    select(
        xorbs.c.hash,
        xorbs.c.stored_bytes,
        xorbs.c.raw_bytes,
        xorbs.c.source_sha256,
        xorbs.c.source_size,
        exists().where(_OTHER_HOLDS.c.hash == xorbs.c.hash, _OTHER_HOLDS.c.repo_id != _REPO),
        _object_elsewhere(xorbs.c.source_sha256),
    )
    .join(repo_xorbs)
    .where(repo_xorbs.c.repo_id == _REPO)
)


class Contents(NamedTuple):
    """The contents of one repo. What another repo holds as well is `shared`: deleting it here frees nothing. Sizes in bytes."""

    disk: Mapping[str, int]
    """What each content takes on the disk of the hub."""
    counted: Mapping[str, int]
    """How much of that counts against a quota, where anything does."""
    pointers: Mapping[str, str]
    """The large object that a blob points to, by its git id."""
    objects: Mapping[str, frozenset[Content]]
    """What a large object needs, by its sha256."""
    shared: frozenset[Content]

    def needed_by(self, oids: Iterable[str]) -> set[Content]:
        """What these git objects need, themselves included."""
        found: set[Content] = set()
        for oid in oids:
            found.add(Content(oid))
            if oid in self.pointers:
                found |= self.objects.get(self.pointers[oid], frozenset())
        return found

    def disk_bytes(self, some: Iterable[Content]) -> int:
        """What these take together; each may be named once."""
        return sum(self.disk.get(one, 0) for one in some)

    def counted_bytes(self, some: Iterable[Content]) -> int:
        """The same as a quota sees it."""
        return sum(self.counted.get(one, 0) for one in some)

    def freed_bytes(self, some: Iterable[Content]) -> int:
        """What is gone from the disk when the repo no longer holds these."""
        return sum(self.disk.get(one, 0) for one in some if one not in self.shared)


def read_contents(
    connection: Connection, repo_key: int, store: Store, git_objects: Mapping[str, GitObject]
) -> Contents:
    """All that the rows of a repo tell; `store` is asked whether an object that lies in chunks lies there whole, too."""
    disk = {oid: one.size for oid, one in git_objects.items()}
    counted = {oid: one.size for oid, one in git_objects.items() if one.kind == "blob" and one.sha256 is None}
    pointers = {oid: one.sha256 for oid, one in git_objects.items() if one.sha256 is not None}
    reader = _Reader(connection, repo_key, store, disk, counted)
    objects = reader.objects()
    return Contents(disk, counted, pointers, objects, frozenset(reader.shared))


class _Reader:
    """Reads the large objects of a repo, and notes what they take."""

    def __init__(
        self, connection: Connection, repo_key: int, store: Store, disk: dict[str, int], counted: dict[str, int]
    ) -> None:
        self._connection, self._here, self._store = connection, {"repo": repo_key}, store
        self._disk, self._counted = disk, counted
        self.shared: set[Content] = set()

    def objects(self) -> dict[str, frozenset[Content]]:
        """What each large object needs, by its sha256."""
        places = self._xorbs()
        found: dict[str, set[Content]] = {}
        for sha256, size, terms, is_elsewhere in self._connection.execute(_OBJECTS, self._here):
            needed, whole = found.setdefault(sha256, set()), self._object(sha256)
            if is_elsewhere:
                self.shared.add(whole)
            if terms is None:
                self._disk[whole] = self._counted[whole] = size
                needed.add(whole)
                continue
            if whole not in needed and self._store.has(sha256):
                self._disk.setdefault(whole, size)
                needed.add(whole)
            needed.update(*(places.get(name, ()) for name in FileTable.unpack(terms).xorbs))
        return {sha256: frozenset(needed) for sha256, needed in found.items()}

    @staticmethod
    def _object(sha256: str) -> Content:
        return Content(f"object:{sha256}")

    def _xorbs(self) -> dict[str, tuple[Content, ...]]:
        """What each xorb needs: itself, and the whole object that it is a slice of."""
        found: dict[str, tuple[Content, ...]] = {}
        rows = self._connection.execute(_XORBS, self._here)
        for name, stored, raw, sha256, size, is_elsewhere, is_source_elsewhere in rows:
            own = Content(f"xorb:{name}")
            self._disk[own], self._counted[own] = (0, raw) if sha256 else (stored, stored)
            found[name] = (own,)
            if is_elsewhere:
                self.shared.add(own)
            if sha256:
                source = self._object(sha256)
                self._disk.setdefault(source, size)
                found[name] = (own, source)
                if is_source_elsewhere:
                    self.shared.add(source)
        return found
