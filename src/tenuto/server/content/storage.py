"""The large objects of a repo: list them, delete them for good, let another repo have them (hub-protocol section 7.7)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from tenuto.core.errors import UsageError
from tenuto.core.ids import RepoId, RepoKind, check_name, check_sha256
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Action, check
from tenuto.server.audit import Deed, Fact, record
from tenuto.server.content.rewriting import Rewriter
from tenuto.server.db import chunks
from tenuto.server.gates.terms import note_change
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, GitReader
from tenuto.server.git.unneeded import spare
from tenuto.server.holdings import uncut
from tenuto.server.holdings.chunks import (
    NewFile,
    Scope,
    add_files,
    drop_files,
    file_hashes,
    find_file,
    generation,
    hold_xorb,
    needed_sources,
    sources_of,
)
from tenuto.server.http.exchange import Answer, Call, json_answer, next_page
from tenuto.server.hub import Parts
from tenuto.server.permit import check_again
from tenuto.server.quota import guard
from tenuto.server.repos.rows import find_repo
from tenuto.server.schema import git_commits, git_objects, lfs_objects, purged_objects
from tenuto.server.standing import stand_before

MOST_OBJECTS = 1000


class Place(NamedTuple):
    """A path under which an object was found, and the branch or tag at whose head it is; empty if it is in the past only."""

    path: str
    ref: str


def list_objects(parts: Parts, call: Call) -> Answer:
    """A page of the large objects that a repo holds, each with a name that it has, or had."""
    limit, after = call.number("limit", MOST_OBJECTS, MOST_OBJECTS), call.text("cursor") or ""
    here = (lfs_objects.c.repo_id == call.repo.key) & (lfs_objects.c.sha256 > after)
    query = select(lfs_objects.c.sha256, lfs_objects.c.size, lfs_objects.c.created_ms).where(here)
    with parts.database.read() as connection:
        rows = connection.execute(query.order_by(lfs_objects.c.sha256).limit(limit + 1)).all()
        git = GitReader(connection, call.repo.key, parts.cache)
        places = find_places(git, [row.sha256 for row in rows[:limit]])
    answer = [
        {
            "fileOid": row.sha256,
            "oid": row.sha256,
            "filename": places[row.sha256].path if row.sha256 in places else "",
            "pushedAt": timestamp_text(row.created_ms),
            "size": row.size,
            **({"ref": places[row.sha256].ref} if row.sha256 in places and places[row.sha256].ref else {"ref": None}),
        }
        for row in rows[:limit]
    ]
    return json_answer(answer, headers=next_page(call, rows[limit - 1].sha256) if len(rows) > limit else None)


def find_places(git: GitReader, sha256s: Sequence[str]) -> dict[str, Place]:
    """Where objects are found: at the heads of refs, else in the past. Those that were never committed are left out."""
    blobs = _pointers(git.connection, git.repo_key, sha256s)
    found: dict[str, Place] = {}
    seen: set[str] = set()
    past = select(git_commits.c.tree_oid).where(git_commits.c.repo_id == git.repo_key)
    refs = sorted(git.refs(), key=lambda ref: ref.name != HEADS + DEFAULT_BRANCH)
    roots = [(git.resolve(ref.name).tree, ref.name) for ref in refs]
    older = git.connection.execute(past.order_by(git_commits.c.time_ms.desc())).scalars()
    for root, ref in [*roots, *((tree, "") for tree in older)]:
        if len(found) == len(set(blobs.values())):
            break
        _look_below(git, root, "", ref, blobs, found, seen)
    return found


def _look_below(
    git: GitReader, tree: str, prefix: str, ref: str, blobs: dict[str, str], found: dict[str, Place], seen: set[str]
) -> None:
    if tree in seen:
        return
    seen.add(tree)
    for item in git.tree(tree).values():
        if item.is_tree:
            _look_below(git, item.oid, f"{prefix}{item.name}/", ref, blobs, found, seen)
        elif item.oid in blobs:
            found.setdefault(blobs[item.oid], Place(prefix + item.name, ref))


def _pointers(connection: Connection, repo_key: int, sha256s: Iterable[str]) -> dict[str, str]:
    """The blobs that point to these objects: sha256 by git id."""
    found: dict[str, str] = {}
    for some in chunks(list(sha256s)):
        here = (git_objects.c.repo_id == repo_key) & git_objects.c.lfs_sha256.in_(some)
        query = select(git_objects.c.oid, git_objects.c.lfs_sha256).where(here)
        found.update(tuple(row) for row in connection.execute(query))
    return found


class Deletions(msgspec.Struct, frozen=True, rename="camel"):
    """Objects to delete, and whether the history shall forget them as well."""

    sha: list[str]
    rewrite_history: bool = True


class PurgeRequest(msgspec.Struct, frozen=True):
    """The body of a deletion."""

    deletions: Deletions


def purge(parts: Parts, call: Call) -> Answer:
    """Delete large objects for good, and say how many bytes that freed.

    What another repo holds too stays there, and frees nothing. Without a rewritten history their pointers stay, and lead nowhere.
    """
    wanted = call.json(PurgeRequest).deletions
    if len(wanted.sha) > MOST_OBJECTS:
        raise UsageError(f"delete {MOST_OBJECTS} objects at most", code="TooLarge")
    names, now_ms = sorted({check_sha256(one) for one in wanted.sha}), parts.now_ms()
    rewritten: dict[str, str] = {}
    with parts.database.write() as connection, guard(connection, call.repo.key, now_ms):
        check_again(parts, connection, call, Action.ADMINISTER)
        held = _held(connection, call.repo.key, names)
        if wanted.rewrite_history:
            git = GitReader(connection, call.repo.key, parts.cache)
            rewritten = Rewriter(parts.database, git, _pointers(connection, call.repo.key, names)).run()
        xorbs = drop_files(parts.database, connection, call.repo.key, held) if held else []
        freeable = sorted({*held, *sources_of(connection, xorbs)})
        _note(parts, connection, call.repo.key, held, now_ms)
        note_change(parts, connection, call.repo.key)
        gone: dict[str, Fact] = {"objects": len(held), "names": held, "commits": len(rewritten)}
        record(connection, call.origin, Deed.PURGE, now_ms, repo=call.repo, facts=gone)
    parts.cache.forget(call.repo.key)
    freed = _free_for_good(parts, freeable) + (parts.xorbs.free(xorbs) if xorbs else 0)
    return json_answer({"deleted": len(held), "freedBytes": max(freed, 0), "rewrittenCommits": len(rewritten)})


def _held(connection: Connection, repo_key: int, names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for some in chunks(names):
        here = (lfs_objects.c.repo_id == repo_key) & lfs_objects.c.sha256.in_(some)
        found += connection.execute(select(lfs_objects.c.sha256).where(here)).scalars()
    return found


def _note(parts: Parts, connection: Connection, repo_key: int, names: Sequence[str], now_ms: int) -> None:
    """Remember that these objects are missing on purpose."""
    if names:
        rows = [{"repo_id": repo_key, "sha256": name, "purged_ms": now_ms} for name in names]
        connection.execute(parts.database.insert_new(purged_objects), rows)


def _free_for_good(parts: Parts, names: Sequence[str]) -> int:
    """The same as `free_objects`, but what others need of them is kept apart, so that the rest goes."""
    with parts.database.read() as connection:
        held = {sha256 for some in chunks(names) for sha256 in _held_anywhere(connection, some)}
    taken = parts.xorbs.detach([name for name in names if name not in held])
    return free_objects(parts, names) - taken


def _held_anywhere(connection: Connection, names: Sequence[str]) -> set[str]:
    query = select(lfs_objects.c.sha256).where(lfs_objects.c.sha256.in_(names))
    return set(connection.execute(query).scalars())


def free_objects(parts: Parts, names: Sequence[str]) -> int:
    """Remove the bytes of those whole objects that no repo holds any more, not even by a slice; how many bytes that were.

    The transaction keeps others from beginning to hold one of them meanwhile: `Publisher` looks, inside its own, that the bytes are there.
    """
    freed = 0
    with parts.database.write() as connection:
        for some in chunks(names):
            needed = {*_held_anywhere(connection, some), *needed_sources(connection, some)}
            for name in some:
                if name not in needed and parts.store.has(name):
                    freed += parts.store.size(name)
                    parts.store.delete(name)
    return freed


class TargetRepo(msgspec.Struct, frozen=True):
    """The repo that shall hold the objects too."""

    name: str
    type: RepoKind = RepoKind.MODEL

    @property
    def id(self) -> RepoId:
        """Its id; raises UsageError (BadAddress)."""
        namespace, _, name = self.name.partition("/")
        return RepoId(self.type, check_name(namespace, "namespace"), check_name(name, "repo name"))


class WantedFile(msgspec.Struct, frozen=True):
    """An object to let the target have."""

    sha256: str
    filename: str = ""


class DuplicateRequest(msgspec.Struct, frozen=True):
    """The body of a copy between repos."""

    target: TargetRepo
    files: list[WantedFile]


def duplicate(parts: Parts, call: Call) -> Answer:
    """Let another repo hold objects that this one holds, without moving a byte. The caller must be able to read here and write there."""
    request = call.json(DuplicateRequest)
    if len(request.files) > MOST_OBJECTS:
        raise UsageError(f"copy {MOST_OBJECTS} objects at most", code="TooLarge")
    names = [check_sha256(one.sha256) for one in request.files]
    with parts.database.write() as connection:
        target = find_repo(connection, request.target.id)
        if target:
            target, _ = stand_before(connection, call.actor, target, parts.now_ms())
        check(call.actor, Action.WRITE, target)
        assert target is not None
        held = set(_held(connection, call.repo.key, names))
        with guard(connection, target.key, parts.now_ms()):
            _hold_too(parts, connection, call.repo.key, target.key, sorted(held))
        shared: dict[str, Fact] = {"objects": len(held), "names": sorted(held)}
        now_ms, to = parts.now_ms(), str(target.id)
        record(connection, call.origin, Deed.OBJECTS_SHARE, now_ms, repo=call.repo, subject=to, facts=shared)
    failed = [{"sha256": name, "error": "this repo holds no such object"} for name in names if name not in held]
    return json_answer({"failed": failed})


def _hold_too(parts: Parts, connection: Connection, source: int, target: int, names: Sequence[str]) -> None:
    now_ms = parts.now_ms()
    columns = (lfs_objects.c.sha256, lfs_objects.c.size)
    for some in chunks(names):
        here = (lfs_objects.c.repo_id == source) & lfs_objects.c.sha256.in_(some)
        rows = [
            {"repo_id": target, "sha256": row.sha256, "size": row.size, "created_ms": now_ms}
            for row in connection.execute(select(*columns).where(here))
        ]
        connection.execute(parts.database.insert_new(lfs_objects), rows)
    spare(connection, target, names)
    uncut.add(parts.database, connection, target, uncut.listed(connection, source, names), now_ms)
    files = []
    for sha256, name in file_hashes(connection, source, names).items():
        table = find_file(connection, source, name)
        assert table is not None
        for xorb in table.xorbs:
            hold_xorb(parts.database, connection, target, xorb, now_ms)
        spare(connection, target, table.xorbs)
        files.append(NewFile(name, sha256, table, {}))
    add_files(parts.database, connection, Scope(target, generation(connection, target)), files, now_ms)
