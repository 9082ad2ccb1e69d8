"""Stores the objects of a push that passed, and moves its refs by compare-and-swap, all of that in the last transaction."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.core.errors import ConflictError
from tenuto.core.gitobj import Commit
from tenuto.server.access import Action, Repo
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.content.commits import held_sizes
from tenuto.server.gates.terms import note_change
from tenuto.server.git.objects import (
    CommitFacts,
    GitReader,
    ObjectRow,
    Ref,
    add_commits,
    add_objects,
    add_ref,
    object_row,
)
from tenuto.server.git_wire.check import Passed
from tenuto.server.git_wire.pack import Pack
from tenuto.server.git_wire.protocol import ZERO_ID, Update
from tenuto.server.git_wire.rows import GitRows
from tenuto.server.hub import MIB, Parts
from tenuto.server.permit import check_still
from tenuto.server.quota import guard, is_limited

_BATCH_BYTES = 16 * MIB
_BATCH_ROWS = 10_000
_ROW_BYTES = 200


class Move(NamedTuple):
    """A ref to move, and the commit that its new target stands for."""

    update: Update
    commit: str


class _Item(NamedTuple):
    """An object to store; commits bring their facts."""

    row: ObjectRow
    size: int
    commit: tuple[CommitFacts, Sequence[str]] | None = None


class _NothingMovesError(Exception):
    """Undoes the last transaction."""


def land(
    parts: Parts,
    repo: Repo,
    origin: Origin,
    passed: Passed,
    pack: Pack | None,
    moves: list[Move],
    *,
    is_atomic: bool,
) -> dict[str, str]:
    """Store all that passed and move the refs; by ref, why it did not move.

    A push of some MiB, or to a repo under a quota, is one transaction, which leaves nothing if no ref moves. Else, objects are stored
    before that: rows that no ref leads to, with all that they name.

    Raises NotFoundError (RepoNotFound), ConflictError (Conflict) if what the push builds on has gone, StorageError (QuotaExceeded).
    """
    batches = _store_ahead(parts, repo, _batches(_items(repo.key, passed, pack) if pack else iter(())))
    faults: dict[str, str] = {}
    try:
        with parts.database.write() as connection, guard(connection, repo.key, parts.now_ms()):
            check_still(parts, connection, origin.actor, repo, Action.WRITE)
            _check_ground(connection, repo, passed)
            for batch in batches:
                _store(parts, connection, repo, batch)
            _move_all(parts, connection, repo, moves, faults)
            if len(faults) == len(moves) or (is_atomic and faults):
                raise _NothingMovesError
            note_change(parts, connection, repo.key)
            for move in moves:
                if move.update.ref not in faults and move.update.old != move.update.new:
                    _record(connection, origin, repo, move.update, parts.now_ms())
    except _NothingMovesError:
        for move in moves:
            faults.setdefault(move.update.ref, "another ref of this atomic push was refused")
    return faults


def _store_ahead(parts: Parts, repo: Repo, batches: Iterator[list[_Item]]) -> Iterator[list[_Item]]:
    """What is left for the last transaction: the last batch, or all of them under a quota."""
    with parts.database.read() as connection:
        if is_limited(connection, repo.key):
            return batches
    batch = next(batches, [])
    for following in batches:
        with parts.database.write() as connection:
            _store(parts, connection, repo, batch)
        batch = following
    return iter([batch])


def _record(connection: Connection, origin: Origin, repo: Repo, update: Update, now_ms: int) -> None:
    facts = {"old": update.old, "new": update.new}
    deed = Deed.COMMIT
    if ZERO_ID in facts.values():
        deed = Deed.REF_DELETE if update.is_delete else Deed.REF_CREATE
        facts = {name: oid for name, oid in facts.items() if oid != ZERO_ID}
    record(connection, origin, deed, now_ms, repo=repo, subject=update.ref, facts=facts)


def _check_ground(connection: Connection, repo: Repo, passed: Passed) -> None:
    here = GitRows(connection, repo.key).kinds(passed.anchors)
    held = held_sizes(connection, repo.key, passed.pointers)
    if len(here) < len(passed.anchors) or len(held) < len(passed.pointers):
        raise ConflictError("objects that this push builds on were deleted meanwhile: fetch, then push again")


def _items(repo_key: int, passed: Passed, pack: Pack) -> Iterator[_Item]:
    for kind, oids in (
        ("blob", passed.blobs),
        ("tree", passed.trees),
        ("commit", passed.commits),
        ("tag", passed.tags),
    ):
        for oid in oids:
            body = pack.body(oid)
            commit = passed.commits.get(oid) if kind == "commit" else None
            facts = (_facts(oid, commit), commit.parents) if commit else None
            yield _Item(object_row(repo_key, kind, oid, body), len(body), facts)


def _facts(oid: str, commit: Commit) -> CommitFacts:
    author = commit.author.partition("<")[0].strip() or commit.author
    parent = commit.parents[0] if commit.parents else None
    return CommitFacts(oid, parent, commit.tree, commit.time_s * 1000, author, commit.message)


def _batches(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.size + _ROW_BYTES
        if size > _BATCH_BYTES or len(batch) >= _BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _store(parts: Parts, connection: Connection, repo: Repo, batch: list[_Item]) -> None:
    add_objects(parts.database, connection, [item.row for item in batch])
    add_commits(parts.database, connection, repo.key, [item.commit for item in batch if item.commit])


def _move_all(parts: Parts, connection: Connection, repo: Repo, moves: list[Move], faults: dict[str, str]) -> None:
    """Move what can be moved; deletions go first, to make room for other names."""
    refs = {ref.name: ref for ref in GitReader(connection, repo.key, parts.cache).refs()}
    for move in sorted(moves, key=lambda move: not move.update.is_delete):
        fault = _move(connection, repo, move, refs)
        if fault:
            faults[move.update.ref] = fault


def _move(connection: Connection, repo: Repo, move: Move, refs: dict[str, Ref]) -> str:
    """Move one ref; the reason if that cannot be."""
    name, old, new = move.update
    here = refs[name].target if name in refs else ZERO_ID
    if here != old:
        return f"it stands at {here} by now: fetch first" if name in refs else "it is gone by now: fetch first"
    rows, ref = GitRows(connection, repo.key), Ref(name, new, move.commit)
    if move.update.is_delete:
        is_moved = name not in refs or rows.drop_ref(name, old)
        refs.pop(name, None)
    elif name in refs:
        is_moved = rows.replace_ref(ref, old)
        refs[name] = ref
    else:
        clash = next((other for other in refs if other.startswith(name + "/") or name.startswith(other + "/")), None)
        if clash:
            return f"{clash} exists, and git cannot keep both"
        add_ref(connection, repo.key, ref)
        refs[name], is_moved = ref, True
    return "" if is_moved else "it moved during the push: fetch first"
