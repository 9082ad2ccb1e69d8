"""Getting through the gate of a repo: ask, cancel, list, report, accept, reject, grant (hub-protocol section 9.1)."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from tenuto.core.errors import AccessDeniedError, NotFoundError, UsageError
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Gate, Standing
from tenuto.server.accounts import name_of, user_id_of
from tenuto.server.audit import Deed, record
from tenuto.server.exchange import Answer, Call, json_answer, next_page
from tenuto.server.hub import Parts
from tenuto.server.schema import access_requests, users
from tenuto.server.standing import find_stand

FIELDS_BYTES = 1 << 14
_PAGE = 100
_MAX_PAGE = 1000
_DEEDS = {
    Standing.PENDING: Deed.ACCESS_REOPEN,
    Standing.ACCEPTED: Deed.ACCESS_ACCEPT,
    Standing.REJECTED: Deed.ACCESS_REJECT,
}


def ask(parts: Parts, call: Call) -> Answer:
    """Ask to be let in. Where the gate is `auto` that is enough; asking again changes nothing."""
    gate, user_id = _gate(call), call.actor.user_id
    fields = msgspec.json.encode(_fields(call)).decode()
    if len(fields) > FIELDS_BYTES:
        raise UsageError(f"what you fill in may have {FIELDS_BYTES} bytes", code="TooLarge")
    now_ms = parts.now_ms()
    with parts.database.write() as connection:
        standing = find_stand(connection, call.repo.key, user_id, parts.now_ms()).standing
        if standing is Standing.REJECTED:
            raise AccessDeniedError("your request was rejected", hint="write to the authors of the repo")
        if standing is Standing.NONE:
            row = {"repo_id": call.repo.key, "user_id": user_id, "fields": fields, "created_ms": now_ms}
            connection.execute(insert(access_requests).values({**row, "status": Standing.PENDING.value}))
            _record(connection, call, Deed.ACCESS_REQUEST, call.actor.name, now_ms)
            standing = Standing.PENDING
        if standing is Standing.PENDING and gate is Gate.AUTO:
            _settle(connection, call, user_id, Standing.ACCEPTED, now_ms)
            _record(connection, call, Deed.ACCESS_ACCEPT, call.actor.name, now_ms)
    return Answer(303, {"Location": f"{call.base_url}/{call.repo.id.web_path}"})


def _fields(call: Call) -> dict[str, str | bool | int | float | None]:
    if call.is_json:
        return call.json(dict[str, str | bool | int | float | None])
    return dict(call.form())


def _gate(call: Call) -> Gate:
    if call.repo.gate is Gate.OPEN:
        raise UsageError(f"{call.repo.id.full_name} is not gated", hint="its files are there for everybody who sees it")
    return call.repo.gate


def withdraw(parts: Parts, call: Call) -> Answer:
    """Take one's own request back while it is pending."""
    own = (access_requests.c.repo_id == call.repo.key) & (access_requests.c.user_id == call.actor.user_id)
    pending = own & (access_requests.c.status == Standing.PENDING.value)
    with parts.database.write() as connection:
        if not connection.execute(delete(access_requests).where(pending)).rowcount:
            raise _no_request(call.actor.name)
        _record(connection, call, Deed.ACCESS_WITHDRAW, call.actor.name, parts.now_ms())
    return json_answer({"ok": True})


def list_requests(parts: Parts, call: Call) -> Answer:
    """A page of the requests in one state, oldest first."""
    status = call.params["status"]
    if status not in {Standing.PENDING, Standing.ACCEPTED, Standing.REJECTED}:
        raise UsageError(f"{status[:40]!r} is not one of pending, accepted, rejected")
    limit, after = call.number("limit", _PAGE, _MAX_PAGE), call.number("cursor", 0, 2**62)
    columns = (access_requests.c.id, users.c.name, access_requests.c.created_ms, access_requests.c.fields)
    query = select(*columns, access_requests.c.reviewed_ms).join(users, users.c.id == access_requests.c.user_id)
    here = (access_requests.c.repo_id == call.repo.key) & (access_requests.c.status == status)
    query = query.where(here, access_requests.c.id > after).order_by(access_requests.c.id).limit(limit + 1)
    with parts.database.read() as connection:
        rows = connection.execute(query).all()
    answer = [
        {
            "requestId": str(row.id),
            "user": {"user": row.name, "fullname": row.name},
            "status": status,
            "timestamp": timestamp_text(row.created_ms),
            "fields": msgspec.json.decode(row.fields),
            **({"reviewedAt": timestamp_text(row.reviewed_ms)} if row.reviewed_ms else {}),
        }
        for row in rows[:limit]
    ]
    return json_answer(answer, headers=next_page(call, rows[limit - 1].id) if len(rows) > limit else None)


def report(parts: Parts, call: Call) -> Answer:
    """All requests of a repo as a file to keep: who asked, when, and what became of it; oldest first."""
    columns = (users.c.name, access_requests.c.status, access_requests.c.created_ms, access_requests.c.fields)
    query = select(*columns).join(users, users.c.id == access_requests.c.user_id)
    query = query.where(access_requests.c.repo_id == call.repo.key).order_by(access_requests.c.id)
    with parts.database.read() as connection:
        rows = connection.execute(query).all()
    answer = [
        {
            "user": row.name,
            "fullname": row.name,
            "status": row.status,
            "time": timestamp_text(row.created_ms),
            "fields": msgspec.json.decode(row.fields),
        }
        for row in rows
    ]
    file_name = f"{call.repo.id.full_name.replace('/', '-')}-access-report.json"
    return json_answer(answer, headers={"Content-Disposition": f'attachment; filename="{file_name}"'})


class Handling(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of the request of a user, or of the request with an id."""

    status: Literal["pending", "accepted", "rejected"]
    user: str | None = None
    request_id: str | None = None
    rejection_reason: str | None = None


def handle(parts: Parts, call: Call) -> Answer:
    """Accept or reject a request, or make it pending again."""
    _gate(call)
    wanted = call.json(Handling)
    if (wanted.user is None) is (wanted.request_id is None):
        raise UsageError("name exactly one of user and requestId")
    reason = (wanted.rejection_reason or "")[:1000] if wanted.status == "rejected" else None
    status = Standing(wanted.status)
    with parts.database.write() as connection:
        user_id = _requester(connection, call, wanted)
        if find_stand(connection, call.repo.key, user_id, parts.now_ms()).standing in {Standing.NONE, status}:
            raise _no_request(wanted.user or str(wanted.request_id), f" that is not {status} already")
        _settle(connection, call, user_id, status, parts.now_ms(), reason)
        _record(connection, call, _DEEDS[status], name_of(connection, user_id), parts.now_ms())
    return json_answer({})


def _requester(connection: Connection, call: Call, wanted: Handling) -> int:
    if wanted.user is not None:
        return user_id_of(connection, wanted.user)
    number = wanted.request_id or ""
    if not (number.isascii() and number.isdecimal() and len(number) < 18):
        raise _no_request(number[:40])
    numbered = (access_requests.c.repo_id == call.repo.key) & (access_requests.c.id == int(number))
    found = connection.execute(select(access_requests.c.user_id).where(numbered)).scalar()
    if found is None:
        raise _no_request(number)
    return int(found)


def _settle(
    connection: Connection, call: Call, user_id: int, status: Standing, now_ms: int, reason: str | None = None
) -> None:
    values = {
        "status": status.value,
        "reviewed_ms": None if status is Standing.PENDING else now_ms,
        "reviewer_id": call.actor.user_id,
        "reason": reason,
    }
    of_user = (access_requests.c.repo_id == call.repo.key) & (access_requests.c.user_id == user_id)
    connection.execute(update(access_requests).where(of_user).values(values))


def _no_request(who: str, more: str = "") -> NotFoundError:
    return NotFoundError(f"there is no access request of {who}{more}", code="UserNotFound")


class GrantRequest(msgspec.Struct, frozen=True):
    """Whom to let in."""

    user: str


def grant(parts: Parts, call: Call) -> Answer:
    """Let a user in, whether it asked or not."""
    _gate(call)
    name = call.json(GrantRequest).user
    now_ms = parts.now_ms()
    with parts.database.write() as connection:
        user_id = user_id_of(connection, name)
        standing = find_stand(connection, call.repo.key, user_id, parts.now_ms()).standing
        if standing is Standing.ACCEPTED:
            raise UsageError(f"{name} has access already")
        if standing is Standing.NONE:
            row = {"repo_id": call.repo.key, "user_id": user_id, "fields": "{}", "created_ms": now_ms}
            connection.execute(insert(access_requests).values({**row, "status": Standing.PENDING.value}))
        _settle(connection, call, user_id, Standing.ACCEPTED, now_ms)
        _record(connection, call, Deed.ACCESS_GRANT, name_of(connection, user_id), now_ms)
    return json_answer({})


def _record(connection: Connection, call: Call, deed: Deed, name: str, now_ms: int) -> None:
    record(connection, call.origin, deed, now_ms, repo=call.repo, subject=name)
