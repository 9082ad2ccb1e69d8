"""File locks of git-lfs: list, make, verify, release. A lock tells others that somebody works on a file; it stops nobody by force.

Source: the locking API of git-lfs (docs/api/locking.md there).
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Select, delete, insert, select

from tenuto.core.errors import AccessDeniedError, NotFoundError, UsageError
from tenuto.core.paths import check_path
from tenuto.core.wire import LFS_MEDIA_TYPE, timestamp_text
from tenuto.server.access import Action, Actor, may
from tenuto.server.audit import Deed, record
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import writing
from tenuto.server.schema import file_locks, users

PAGE_LOCKS = 100
_MOST_LOCKS = 1000
_MAX_ID = 1 << 31


class Lock(NamedTuple):
    """A lock: who works on what, and since when."""

    id: int
    path: str
    owner: str
    created_ms: int

    def as_json(self) -> dict[str, object]:
        """As git-lfs reads it."""
        return {
            "id": str(self.id),
            "path": self.path,
            "locked_at": timestamp_text(self.created_ms),
            "owner": {"name": self.owner},
        }


class LockRequest(msgspec.Struct, frozen=True):
    """The file to lock. Locks hold on all branches, so a ref is not looked at."""

    path: str


class VerifyRequest(msgspec.Struct, frozen=True):
    """Which page of the locks to show."""

    cursor: str = ""
    limit: int = PAGE_LOCKS


class UnlockRequest(msgspec.Struct, frozen=True):
    """Whether a lock of somebody else is to go."""

    force: bool = False


def _answer(value: object, status: int = 200) -> Answer:
    return json_answer(value, status, {"Content-Type": LFS_MEDIA_TYPE})


def _query(repo_key: int) -> "Select[tuple[int, str, str, int]]":
    columns = (file_locks.c.id, file_locks.c.path, users.c.name, file_locks.c.created_ms)
    joined = select(*columns).join(users, users.c.id == file_locks.c.user_id)
    return joined.where(file_locks.c.repo_id == repo_key).order_by(file_locks.c.id)


def _page(
    connection: Connection, query: "Select[tuple[int, str, str, int]]", cursor: str, limit: int
) -> tuple[list[Lock], str]:
    """The locks from `cursor` on, and the cursor of the next page, empty at the end."""
    limit = min(limit, _MOST_LOCKS) if limit > 0 else PAGE_LOCKS
    if cursor:
        query = query.where(file_locks.c.id >= _lock_id(cursor))
    found = [Lock._make(row) for row in connection.execute(query.limit(limit + 1))]
    return found[:limit], str(found[limit].id) if len(found) > limit else ""


def _lock_id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < _MAX_ID):
        raise UsageError(f"{text[:80]!r} is not the id of a lock")
    return int(text)


def _listed(locks: Sequence[Lock]) -> list[dict[str, object]]:
    return [lock.as_json() for lock in locks]


def list_locks(parts: Parts, call: Call) -> Answer:
    """A page of the locks of a repo; of one path or one id, if that is asked for."""
    query = _query(call.repo.key)
    path, wanted = call.text("path"), call.text("id")
    if path:
        query = query.where(file_locks.c.path == path)
    if wanted:
        query = query.where(file_locks.c.id == _lock_id(wanted))
    limit = call.number("limit", PAGE_LOCKS, _MOST_LOCKS)
    with parts.database.read() as connection:
        locks, cursor = _page(connection, query, call.text("cursor") or "", limit)
    return _answer({"locks": _listed(locks), **({"next_cursor": cursor} if cursor else {})})


def verify_locks(parts: Parts, call: Call) -> Answer:
    """A page of the locks, those of the caller apart from those of others: what git-lfs asks before it pushes."""
    request = call.json(VerifyRequest)
    with parts.database.read() as connection:
        locks, cursor = _page(connection, _query(call.repo.key), request.cursor, request.limit)
    ours = [lock for lock in locks if lock.owner == call.actor.name]
    theirs = [lock for lock in locks if lock.owner != call.actor.name]
    return _answer({"ours": _listed(ours), "theirs": _listed(theirs), **({"next_cursor": cursor} if cursor else {})})


def create_lock(parts: Parts, call: Call) -> Answer:
    """Lock a file; a file that is locked is answered with that lock and 409."""
    path = check_path(call.json(LockRequest).path)
    with writing(parts, call, Action.WRITE) as connection:
        query = _query(call.repo.key).where(file_locks.c.path == path)
        found = connection.execute(query).first()
        if found:
            lock = Lock._make(found)
            return _answer({"lock": lock.as_json(), "message": f"{path} is locked by {lock.owner}"}, 409)
        now_ms = parts.now_ms()
        row = {"repo_id": call.repo.key, "path": path, "user_id": call.actor.user_id, "created_ms": now_ms}
        made = connection.execute(insert(file_locks).values(row).returning(file_locks.c.id)).scalar_one()
    return _answer({"lock": Lock(made, path, call.actor.name, now_ms).as_json()}, 201)


def unlock(parts: Parts, call: Call) -> Answer:
    """Release a lock: one's own, or with `force` and the right to administer the repo that of somebody else."""
    request, lock_id = call.json(UnlockRequest), _lock_id(call.params["lock"])
    with writing(parts, call, Action.WRITE) as connection:
        found = connection.execute(_query(call.repo.key).where(file_locks.c.id == lock_id)).first()
        if found is None:
            raise NotFoundError(f"there is no lock {lock_id} here", code="ObjectNotFound")
        lock = Lock._make(found)
        _check_release(call, call.actor, lock, is_forced=request.force)
        connection.execute(delete(file_locks).where(file_locks.c.id == lock_id))
        if lock.owner != call.actor.name:
            facts = {"target": lock.path}
            record(
                connection,
                call.origin,
                Deed.LOCK_BREAK,
                parts.now_ms(),
                repo=call.repo,
                subject=lock.owner,
                facts=facts,
            )
    return _answer({"lock": lock.as_json()})


def _check_release(call: Call, actor: Actor, lock: Lock, *, is_forced: bool) -> None:
    if lock.owner == actor.name:
        return
    if not is_forced:
        raise AccessDeniedError(
            f"{lock.path} is locked by {lock.owner}", hint="ask them to release it, or use `git lfs unlock --force`"
        )
    if not may(actor, Action.ADMINISTER, call.repo):
        raise AccessDeniedError(
            "only who administers the repo may break a lock", hint=f"ask {lock.owner} to release it"
        )
