"""Rename and transfer of repos; the old name leads on to the new one (hub-protocol section 5.2)."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from tenuto.core.errors import ConflictError, UsageError
from tenuto.core.ids import RepoId, RepoKind, check_name
from tenuto.server.access import Action, Repo, check
from tenuto.server.accounts import check_namespace
from tenuto.server.audit import Deed, record
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import check_unchanged
from tenuto.server.quota import check_held
from tenuto.server.repos.rows import find_repo
from tenuto.server.schema import repo_aliases, repos


class MoveRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The repo to move, and its name afterwards."""

    from_repo: str
    to_repo: str
    type: RepoKind = RepoKind.MODEL


def repo_to_move(parts: Parts, connection: Connection, call: Call) -> Repo | None:
    """The repo that the body names, if it exists. Old names do not count."""
    request = call.json(MoveRequest)
    return find_repo(connection, _repo_id(request.type, request.from_repo))


def _repo_id(kind: RepoKind, name: str) -> RepoId:
    namespace, mark, short = name.partition("/")
    if not mark:
        raise UsageError(f"{name[:100]!r} lacks its namespace", code="BadAddress", hint="write namespace/name")
    return RepoId(kind, check_name(namespace, "namespace"), check_name(short, "repo name"))


def move(parts: Parts, call: Call) -> Answer:
    """Give a repo another name, in a namespace where the caller may make repos. Raises ConflictError (Exists)."""
    request = call.json(MoveRequest)
    new = _repo_id(request.type, request.to_repo)
    move_repo(parts, call, new)
    return json_answer({"url": f"{call.base_url}/{new.web_path}", "name": new.full_name})


def move_repo(parts: Parts, call: Call, new: RepoId) -> None:
    """The same, for a caller that brings the new name as a value."""
    old = call.repo
    check_namespace(new.namespace)
    check(call.actor, Action.CREATE, Repo(0, new))
    with parts.database.write() as connection:
        check_unchanged(connection, call.actor, parts.now_ms())
        _rename(connection, old, new)
        if old.id.namespace != new.namespace:
            check_held(connection, old.key)
        record(connection, call.origin, Deed.REPO_MOVE, parts.now_ms(), repo=old, subject=str(new))


def _rename(connection: Connection, old: Repo, new: RepoId) -> None:
    kind, old_key, new_key = new.kind.value, old.id.full_name.lower(), new.full_name.lower()
    taken = select(repos.c.id).where(repos.c.kind == kind, repos.c.name_key == new_key, repos.c.id != old.key)
    if old.id == new or connection.execute(taken).first():
        raise ConflictError(f"there is a {new.kind} {new.full_name} already", code="Exists")
    names = {"namespace": new.namespace, "name": new.name, "name_key": new_key}
    # Whoever moved or deleted it meanwhile was first: the repo must still have the name that the caller knows.
    here = (repos.c.id == old.key) & (repos.c.name_key == old_key)
    if not connection.execute(update(repos).where(here).values(names)).rowcount:
        raise ConflictError(f"{old.id.full_name} was moved meanwhile")
    keys = repo_aliases.c.name_key.in_([old_key, new_key])
    connection.execute(delete(repo_aliases).where(repo_aliases.c.kind == kind, keys))
    if old_key != new_key:
        row = {"kind": kind, "name_key": old_key, "repo_id": old.key, "name": old.id.full_name}
        connection.execute(insert(repo_aliases).values(row))
