"""Adds to the audit log, inside the transaction of the deed: neither exists without the other."""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, Row, insert, select

from tenuto.server.access import ANYBODY, Actor, Repo
from tenuto.server.audit.deeds import FACTS, Deed
from tenuto.server.schema import audit_log

Fact: TypeAlias = str | int | bool | Sequence[str] | None
NO_HASH = "0" * 64
"""What stands before the first row."""
COLUMNS = tuple(column for column in audit_log.columns if column.name != "hash")
_LAST = select(audit_log.c.number, audit_log.c.hash).order_by(audit_log.c.number.desc()).limit(1)
_SECRET = re.compile(r"hf_[A-Za-z0-9]{16,}")
_LONGEST = 300


class Origin(NamedTuple):
    """Who does something, from which address, by which request."""

    actor: Actor = ANYBODY
    address: str = ""
    request_id: str = ""


def command_line() -> Origin:
    """Whoever runs a command on the machine of the hub: no account, but a user of that machine."""
    return Origin(Actor(name=f"command line, uid {os.getuid()}"), "", secrets.token_hex(8))


def record(
    connection: Connection,
    origin: Origin,
    deed: Deed,
    now_ms: int,
    *,
    repo: Repo | None = None,
    subject: str = "",
    facts: Mapping[str, Fact] | None = None,
) -> str:
    """The row stands at the end of the log once the transaction does; its hash.

    `subject` is what was dealt with: a ref, an account. `facts` are named in `FACTS`. What looks like a token is left out of both.
    """
    unknown = set(facts or ()) - FACTS
    assert not unknown, f"{sorted(unknown)} is nothing that the audit log may hold"
    last = connection.execute(_LAST).first()
    row: dict[str, object] = {
        "number": last.number + 1 if last else 1,
        "time_ms": now_ms,
        "request_id": _clean(origin.request_id),
        "address": _clean(origin.address),
        "actor_id": origin.actor.user_id,
        "actor": _clean(origin.actor.name),
        "token_id": origin.actor.token_id,
        "deed": deed.value,
        "repo_id": repo.key if repo else 0,
        "repo": str(repo.id) if repo else "",
        "subject": _clean(subject),
        "facts": _canonical({name: _clean(value) for name, value in (facts or {}).items() if value is not None}),
    }
    digest = chain(row, last.hash if last else NO_HASH)
    connection.execute(insert(audit_log), {**row, "hash": digest})
    return digest


def chain(row: Mapping[str, object], before: str) -> str:
    """The hash of a row that follows one with the hash `before`: sha256 over canonical JSON of all of it."""
    return hashlib.sha256(_canonical({**row, "before": before}).encode()).hexdigest()


def values(row: "Row[*tuple[Any, ...]]") -> dict[str, object]:
    """What the hash of a stored row is over."""
    return {column.name: getattr(row, column.name) for column in COLUMNS}


def _canonical(value: Mapping[str, object]) -> str:
    """Keys in order, no space, UTF-8."""
    return msgspec.json.encode(value, order="sorted").decode()


def _clean(value: Any) -> Any:
    """Texts are short and hold no token, also where somebody gave a branch the name of one."""
    if isinstance(value, str):
        return _SECRET.sub("hf_…", value.encode(errors="replace").decode()[:_LONGEST])
    return [_clean(one) for one in value] if isinstance(value, Sequence) else value
