"""What the refs of a repo lead to, and what they do not: the graph of its git objects, read from its rows."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, select

from tenuto.core.errors import IntegrityError
from tenuto.core.gitobj import EMPTY_TREE, parse_commit
from tenuto.server.db import chunks
from tenuto.server.git_wire.delta import TREE_ITEM
from tenuto.server.schema import discussions, git_objects, git_refs

_HERE = git_objects.c.repo_id == bindparam("repo")
_STRUCTURE = select(
    git_objects.c.oid, git_objects.c.kind, case((git_objects.c.kind != "blob", git_objects.c.body)).label("body")
).where(_HERE, git_objects.c.oid.in_(bindparam("oids", expanding=True)))
_ALL = select(git_objects.c.oid).where(_HERE)
_SIZES = select(git_objects.c.oid, git_objects.c.size).where(
    _HERE, git_objects.c.oid.in_(bindparam("oids", expanding=True))
)


class Named(NamedTuple):
    """The ids that an object names: of what has to be read to go on, and of blobs."""

    further: list[str]
    blobs: list[str]


def named_by(kind: str, body: bytes) -> Named:
    """What a commit, tree or tag names; raises IntegrityError (CorruptObject) if it cannot be read."""
    if kind == "commit":
        commit = parse_commit(body)
        return Named([one for one in (commit.tree, *commit.parents) if one != EMPTY_TREE], [])
    if kind == "tag":
        word, _, oid = body.partition(b"\n")[0].partition(b" ")
        if word != b"object" or len(oid) != 40:
            raise IntegrityError("a git tag cannot be read", code="CorruptObject")
        return Named([oid.decode("ascii", "replace")], [])
    if kind != "tree":
        return Named([], [])
    items = TREE_ITEM.findall(body)
    if sum(len(mode) + len(name) + 22 for mode, name, _ in items) != len(body):
        raise IntegrityError("a git tree cannot be read", code="CorruptObject")
    folders = [oid.hex() for mode, _, oid in items if mode in {b"40000", b"040000"}]
    files = [oid.hex() for mode, _, oid in items if mode not in {b"40000", b"040000"}]
    return Named([one for one in folders if one != EMPTY_TREE], files)


def roots(connection: Connection, repo_key: int) -> set[str]:
    """The ids that must stay with all that they lead to: what refs stand for, and merges that pull requests speak of."""
    refs = select(git_refs.c.target_oid, git_refs.c.commit_oid).where(git_refs.c.repo_id == repo_key)
    merges = select(discussions.c.merge_oid, git_objects.c.oid).where(
        discussions.c.repo_id == repo_key,
        git_objects.c.repo_id == repo_key,
        git_objects.c.oid == discussions.c.merge_oid,
    )
    return {oid for query in (refs, merges) for row in connection.execute(query) for oid in row}


def reach(connection: Connection, repo_key: int, starts: Iterable[str], seen: set[str]) -> None:
    """Add to `seen` all of `starts` and what they lead to; what is in `seen` already is not gone into again.

    Raises IntegrityError (CorruptObject) if anything on the way but a blob is missing or cannot be read.
    """
    level = set(starts) - seen
    while level:
        seen |= level
        below: set[str] = set()
        for some in chunks(list(level)):
            found = 0
            for oid, kind, body in connection.execute(_STRUCTURE, {"repo": repo_key, "oids": some}):
                found += 1
                further, blobs = _named(oid, kind, body)
                seen.update(blobs)
                below.update(further)
            if found < len(some):
                raise IntegrityError("a commit, tree or tag that is needed is missing", code="CorruptObject")
        level = below - seen


def _named(oid: str, kind: str, body: bytes) -> Named:
    try:
        return named_by(kind, body)
    except IntegrityError as error:
        raise IntegrityError(f"{oid}: {error.message}", code="CorruptObject") from error


def all_oids(connection: Connection, repo_key: int) -> set[str]:
    """The ids of all objects of a repo."""
    return set(connection.execute(_ALL, {"repo": repo_key}).scalars())


def sizes_of(connection: Connection, repo_key: int, oids: Iterable[str]) -> dict[str, int]:
    """The bytes of objects, by id; of those that are there."""
    found: dict[str, int] = {}
    for some in chunks(list(oids)):
        found.update(tuple(row) for row in connection.execute(_SIZES, {"repo": repo_key, "oids": some}))
    return found


class Litter:
    """The objects of a repo that its refs did not lead to at one moment, and what they name. Kept for later moments."""

    def __init__(self, connection: Connection, repo_key: int) -> None:
        self.repo_key = repo_key
        self.reached: set[str] = set()
        reach(connection, repo_key, roots(connection, repo_key), self.reached)
        everything = all_oids(connection, repo_key)
        self.oids = everything - self.reached
        edges = _edges(connection, repo_key, self.oids)
        self._edges: Mapping[str, list[str]] = {
            oid: [one for one in names if one in self.oids] for oid, names in edges.items()
        }
        order = _named_first(self.oids, self._edges)
        self.order = order[::-1]
        """All of them, each before what it names: whatever is left after a removal from the front is whole."""
        self.broken: set[str] = set()
        """Those that name something that is gone, be it over others: nobody can use them."""
        for oid in order:
            if any(one not in everything or one in self.broken for one in edges.get(oid, ())):
                self.broken.add(oid)

    def follow(self, connection: Connection) -> None:
        """See what was added meanwhile, and whether it, or a ref, came back to some of the litter."""
        everything = all_oids(connection, self.repo_key)
        fresh = everything - self.reached - self.oids
        reach(connection, self.repo_key, roots(connection, self.repo_key) | fresh, self.reached)
        self.oids = (self.oids & everything) - self.reached

    def with_all_named(self, oids: Iterable[str]) -> set[str]:
        """Some of the litter, with all litter that it leads to."""
        found = set(oids)
        waiting = list(found)
        while waiting:
            for one in self._edges.get(waiting.pop(), ()):
                if one not in found:
                    found.add(one)
                    waiting.append(one)
        return found


def _edges(connection: Connection, repo_key: int, oids: Iterable[str]) -> dict[str, list[str]]:
    """What each of these objects names; nothing for blobs."""
    edges: dict[str, list[str]] = {}
    for some in chunks(list(oids)):
        for oid, kind, body in connection.execute(_STRUCTURE, {"repo": repo_key, "oids": some}):
            if kind != "blob":
                further, blobs = _named(oid, kind, body)
                edges[oid] = [*further, *blobs]
    return edges


def _named_first(oids: Iterable[str], edges: Mapping[str, list[str]]) -> list[str]:
    order: dict[str, None] = {}
    for start in sorted(oids):
        waiting = [] if start in order else [(start, False)]
        entered: set[str] = set()
        while waiting:
            oid, is_done = waiting.pop()
            if is_done:
                order[oid] = None
            elif oid not in order and oid not in entered:
                entered.add(oid)
                waiting.append((oid, True))
                waiting += [(one, False) for one in edges.get(oid, ())]
    return list(order)
