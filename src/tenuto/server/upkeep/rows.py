"""Which rows of one repo a collection may remove, and which must wait (decision 12)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from tenuto.server.db import Database, chunks
from tenuto.server.git import unneeded
from tenuto.server.holdings.chunks import next_generation
from tenuto.server.schema import git_commits, git_objects, lfs_objects, repo_xorbs, xet_files
from tenuto.server.upkeep.graph import Litter, sizes_of
from tenuto.store.xet.table import FileTable

CLIENTS_REMEMBER_S = 23 * 24 * 3600
"""For so long a client may refer to a xorb without asking: 21 days of memory, and a session that lasts (xet-protocol section 13.3)."""
BATCH_ROWS = 20_000


class Large(NamedTuple):
    """The large objects and xorbs that a repo holds, and how they depend on each other."""

    sizes: Mapping[str, int]
    pointed: Mapping[str, set[str]]
    """The blobs that point to a large object, by its sha256."""
    files: Mapping[str, set[str]]
    """The xorbs that a large object needs, by its sha256."""
    xorbs: set[str]

    def xorbs_of(self, sha256s: Iterable[str]) -> set[str]:
        """The xorbs that any of these needs."""
        return {xorb for sha256 in sha256s for xorb in self.files.get(sha256, ())}


def read_large(connection: Connection, repo_key: int) -> Large:
    """What a repo holds beside its git objects."""
    held = select(lfs_objects.c.sha256, lfs_objects.c.size).where(lfs_objects.c.repo_id == repo_key)
    pointers = select(git_objects.c.lfs_sha256, git_objects.c.oid).where(
        git_objects.c.repo_id == repo_key, git_objects.c.lfs_sha256.is_not(None)
    )
    tables = select(xet_files.c.sha256, xet_files.c.terms).where(xet_files.c.repo_id == repo_key)
    xorbs = select(repo_xorbs.c.hash).where(repo_xorbs.c.repo_id == repo_key)
    pointed: dict[str, set[str]] = {}
    for sha256, oid in connection.execute(pointers):
        pointed.setdefault(sha256, set()).add(oid)
    files: dict[str, set[str]] = {}
    for sha256, terms in connection.execute(tables):
        files.setdefault(sha256, set()).update(FileTable.unpack(terms).xorbs)
    sizes = dict(tuple(row) for row in connection.execute(held))
    return Large(sizes, pointed, files, set(connection.execute(xorbs).scalars()))


class Verdict(NamedTuple):
    """What goes, what has to wait. `git` is in an order in which each object comes before what it names."""

    git: list[str]
    objects: set[str]
    xorbs: set[str]
    waiting_git: set[str]
    waiting_objects: set[str]
    waiting_xorbs: set[str]
    known: Mapping[str, int]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do and nothing to write down."""
        return not (self.doomed or self.waiting or self.known)

    @property
    def doomed(self) -> set[str]:
        """The names of all that goes."""
        return {*self.git, *self.objects, *self.xorbs}

    @property
    def waiting(self) -> set[str]:
        """The names of all that has to wait."""
        return self.waiting_git | self.waiting_objects | self.waiting_xorbs


def judge(connection: Connection, litter: Litter, before_ms: int) -> Verdict:
    """What may go now: listed since `before_ms` or longer, and named by nothing that stays. What is broken goes at once."""
    known = unneeded.listed(connection, litter.repo_key)
    ripe = {name for name, since_ms in known.items() if since_ms <= before_ms}
    kept = litter.with_all_named(litter.oids - ripe - litter.broken)
    git = [oid for oid in litter.order if oid in litter.oids and oid not in kept]
    gone, large = set(git), read_large(connection, litter.repo_key)
    # A blob that waits keeps what it points to: whatever is there is whole.
    idle = {one for one in large.sizes if not large.pointed.get(one, set()) - litter.oids}
    objects = {one for one in idle & ripe if not large.pointed.get(one, set()) - gone}
    used = large.xorbs_of({*large.sizes, *large.files} - idle)
    remaining = large.xorbs_of({*large.sizes, *large.files} - objects)
    xorbs = (large.xorbs - remaining) & ripe
    return Verdict(git, objects, xorbs, litter.oids - gone, idle - objects, (large.xorbs - used) - xorbs, known)


def apply(
    database: Database, connection: Connection, litter: Litter, verdict: Verdict, now_ms: int, *, forgets: bool
) -> bool:
    """Remove the first rows of what goes, or the last of them and write the list anew; whether that was all.

    Clients that `forgets` wrongs are sent to another address: they may still refer to the xorbs that go.
    """
    repo_key = litter.repo_key
    if len(verdict.git) > BATCH_ROWS:
        _drop_git(connection, repo_key, verdict.git[:BATCH_ROWS])
        return False
    _drop_git(connection, repo_key, verdict.git)
    for table in (xet_files, lfs_objects):
        for some in chunks(sorted(verdict.objects)):
            connection.execute(delete(table).where(table.c.repo_id == repo_key, table.c.sha256.in_(some)))
    for some in chunks(sorted(verdict.xorbs)):
        connection.execute(delete(repo_xorbs).where(repo_xorbs.c.repo_id == repo_key, repo_xorbs.c.hash.in_(some)))
    if verdict.xorbs and forgets:
        next_generation(database, connection, repo_key)
    unneeded.remove(connection, repo_key, verdict.known.keys() - verdict.waiting)
    unneeded.add(database, connection, repo_key, verdict.waiting - verdict.known.keys(), now_ms)
    return True


def _drop_git(connection: Connection, repo_key: int, oids: list[str]) -> None:
    for table in (git_commits, git_objects):
        for some in chunks(oids):
            connection.execute(delete(table).where(table.c.repo_id == repo_key, table.c.oid.in_(some)))


def git_bytes(connection: Connection, repo_key: int, oids: Iterable[str]) -> int:
    """The bytes of these objects together."""
    return sum(sizes_of(connection, repo_key, oids).values())
