"""What the git protocol asks the rows of one repo: kinds, bodies, and the graph of commits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from tenuto.core.errors import IntegrityError
from tenuto.server.db import chunks
from tenuto.server.git.objects import Ref
from tenuto.server.git.unneeded import spare_all_if_listed
from tenuto.server.schema import git_commits, git_objects, git_parents, git_refs

BATCH_BYTES = 8 << 20
_HERE = git_objects.c.repo_id == bindparam("repo")
_AMONG = git_objects.c.oid.in_(bindparam("oids", expanding=True))
_SIZES = select(git_objects.c.oid, git_objects.c.kind, git_objects.c.size).where(_HERE, _AMONG)
_BODIES = select(git_objects.c.oid, git_objects.c.kind, git_objects.c.body).where(_HERE, _AMONG)
_COMMONS = select(git_commits.c.oid).where(
    git_commits.c.repo_id == bindparam("repo"), git_commits.c.oid.in_(bindparam("oids", expanding=True))
)


class Kind(NamedTuple):
    """What sort of object an id names, and the size of its body in bytes."""

    kind: str
    size: int


class Node(NamedTuple):
    """A commit in the graph. Parents that lie outside of the part that was asked for are named all the same."""

    parents: tuple[str, ...]
    time_ms: int


Graph = dict[str, Node]


class GitRows:
    """The objects of one repo, and of no other, seen through one connection."""

    def __init__(self, connection: Connection, repo_key: int) -> None:
        self._connection, self._repo = connection, repo_key

    def kinds(self, oids: Iterable[str]) -> dict[str, Kind]:
        """Kind and size of those objects that are here."""
        found = {}
        for some in chunks(list(dict.fromkeys(oids))):
            for oid, kind, size in self._connection.execute(_SIZES, {"repo": self._repo, "oids": some}):
                found[oid] = Kind(kind, size)
        return found

    def bodies(self, oids: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        """Id, kind and body of each object, in the order asked for; few of them are in memory at a time.

        Raises IntegrityError (CorruptObject) if one is missing.
        """
        for some in chunks(oids):
            kinds = self.kinds(some)
            lacking = next((oid for oid in some if oid not in kinds), None)
            if lacking:
                raise IntegrityError(f"the hub lacks the object {lacking}", code="CorruptObject")
            for batch in _batches(some, kinds):
                rows = self._connection.execute(_BODIES, {"repo": self._repo, "oids": batch})
                found = {oid: (kind, body) for oid, kind, body in rows}
                yield from ((oid, *found[oid]) for oid in batch)

    def outside(self, oids: Iterable[str], most_bytes: int) -> Mapping[str, tuple[str, bytes]]:
        """Kind and body of those objects that are here and not larger than `most_bytes`: what a thin pack may build on."""
        kinds = self.kinds(oids)
        return {
            oid: (kind, body)
            for oid, kind, body in self.bodies([oid for oid, one in kinds.items() if one.size <= most_bytes])
        }

    def commons(self, oids: Iterable[str]) -> list[str]:
        """Those of the named commits that are here, in the order asked for."""
        found: set[str] = set()
        asked = list(dict.fromkeys(oids))
        for some in chunks(asked):
            found.update(self._connection.execute(_COMMONS, {"repo": self._repo, "oids": some}).scalars())
        return [oid for oid in asked if oid in found]

    def graph(self, starts: Iterable[str], stops: Iterable[str] = ()) -> Graph:
        """`starts` and all their ancestors; of `stops` (500 at most) the ancestors are left out."""
        graph: Graph = {}
        for some in chunks(list(dict.fromkeys(starts))):
            graph.update(self._ancestors(some, list(stops)))
        return graph

    def _ancestors(self, starts: Sequence[str], stops: Sequence[str]) -> Graph:
        commits = git_commits.alias("start")
        here = (commits.c.repo_id == self._repo) & commits.c.oid.in_(starts)
        line = select(commits.c.oid).where(here).cte("line", recursive=True)
        further = select(git_parents.c.parent_oid).where(
            git_parents.c.repo_id == self._repo, git_parents.c.oid == line.c.oid
        )
        if stops:
            further = further.where(git_parents.c.oid.not_in(stops))
        line = line.union(further)
        # `IN` lets the planner begin with the line; a join tempted it to scan the line anew for each commit.
        query = (
            select(git_commits.c.oid, git_commits.c.time_ms, git_parents.c.parent_oid)
            .outerjoin(
                git_parents,
                (git_parents.c.repo_id == git_commits.c.repo_id) & (git_parents.c.oid == git_commits.c.oid),
            )
            .where(git_commits.c.repo_id == self._repo, git_commits.c.oid.in_(select(line.c.oid)))
            .order_by(git_commits.c.oid, git_parents.c.position)
        )
        found: Graph = {}
        for oid, time_ms, parent in self._connection.execute(query):
            before = found[oid].parents if oid in found else ()
            found[oid] = Node((*before, parent) if parent else before, time_ms)
        return found

    def replace_ref(self, ref: Ref, old_target: str) -> bool:
        """Let a ref stand for something else, if it still stands for the object `old_target`; whether it did."""
        here = (git_refs.c.repo_id == self._repo) & (git_refs.c.name == ref.name)
        changed = update(git_refs).where(here & (git_refs.c.target_oid == old_target))
        spare_all_if_listed(self._connection, self._repo, ref.commit)
        return self._connection.execute(changed.values(target_oid=ref.target, commit_oid=ref.commit)).rowcount == 1

    def drop_ref(self, name: str, old_target: str) -> bool:
        """Drop a ref, if it still stands for the object `old_target`; whether it did. Its commits stay."""
        here = (git_refs.c.repo_id == self._repo) & (git_refs.c.name == name) & (git_refs.c.target_oid == old_target)
        return self._connection.execute(delete(git_refs).where(here)).rowcount == 1


def _batches(oids: Sequence[str], kinds: Mapping[str, Kind]) -> Iterator[list[str]]:
    """`oids` in pieces whose bodies fit in memory together."""
    batch: list[str] = []
    total = 0
    for oid in oids:
        if batch and total + kinds[oid].size > BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(oid)
        total += kinds[oid].size
    if batch:
        yield batch
