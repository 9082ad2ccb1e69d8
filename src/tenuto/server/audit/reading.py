"""Reads the audit log, and verifies that it is what was written."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, select

from tenuto.core.spreadsheet import harmless_cell
from tenuto.core.wire import timestamp_text
from tenuto.server.audit.deeds import Deed
from tenuto.server.audit.trail import COLUMNS, NO_HASH, chain, values
from tenuto.server.schema import audit_log

_BATCH_ROWS = 1000


class Entry(msgspec.Struct, frozen=True):
    """One row, as people and programs read it. `actor_id`, `token_id` and `repo_id` are 0 where there is none."""

    number: int
    time: str
    actor: str
    actor_id: int
    token_id: int
    deed: str
    repo: str
    repo_id: int
    subject: str
    facts: dict[str, Any]
    address: str
    request_id: str
    hash: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to read; what is left out does not matter. `before` and `limit` are for pages, newest first."""

    since_ms: int = 0
    repo: str | None = None
    repo_key: int | None = None
    actor: str | None = None
    before: int | None = None
    limit: int | None = None


def entries(connection: Connection, wanted: Wanted | None = None) -> Iterator[Entry]:
    """The rows that are wanted: all in their order, or with a limit the last ones, newest first.

    `repo` is the address of one or more repos, now or at some time: all that was done to them, under whatever name. Names are in any case.
    """
    wanted = wanted or Wanted()
    query = select(audit_log).where(audit_log.c.time_ms >= wanted.since_ms)
    if wanted.repo is not None:
        moved = (audit_log.c.deed == Deed.REPO_MOVE.value) & (func.lower(audit_log.c.subject) == wanted.repo.lower())
        named = select(audit_log.c.repo_id).where((func.lower(audit_log.c.repo) == wanted.repo.lower()) | moved)
        query = query.where(audit_log.c.repo_id.in_(named))
    if wanted.repo_key is not None:
        query = query.where(audit_log.c.repo_id == wanted.repo_key)
    if wanted.actor is not None:
        query = query.where(func.lower(audit_log.c.actor) == wanted.actor.lower())
    if wanted.before is not None:
        query = query.where(audit_log.c.number < wanted.before)
    number = audit_log.c.number
    ordered = query.order_by(number) if wanted.limit is None else query.order_by(number.desc()).limit(wanted.limit)
    for row in _stream(connection, ordered):
        yield _entry(row)


def _stream(connection: Connection, query: "Select[*tuple[Any, ...]]") -> Iterator["Row[*tuple[Any, ...]]"]:
    return iter(connection.execute(query, execution_options={"yield_per": _BATCH_ROWS}))


def _entry(row: "Row[*tuple[Any, ...]]") -> Entry:
    known = {name: getattr(row, name) for name in Entry.__struct_fields__ if name not in {"time", "facts"}}
    return Entry(time=timestamp_text(row.time_ms), facts=msgspec.json.decode(row.facts), **known)


class Verdict(msgspec.Struct, frozen=True):
    """Whether the log is whole. `head` is the hash of its last row: kept elsewhere, it shows later that no row before it was changed or lost."""

    clean: bool
    rows: int
    head: str
    damaged_row: int | None = None
    detail: str = ""


def verify(connection: Connection, anchor: str | None = None) -> Verdict:
    """Every row is the one that was written, in its place; and with `anchor`, the row with that hash is still among them."""
    before, number = NO_HASH, 0
    is_anchored = anchor is None or anchor == NO_HASH
    for row in _stream(connection, select(*COLUMNS, audit_log.c.hash).order_by(audit_log.c.number)):
        if row.number != number + 1:
            return _damage(number, before, number + 1, f"row {number + 1} is gone: the next one is {row.number}")
        if chain(values(row), before) != row.hash:
            detail = f"row {row.number} is not the one that was written, or does not follow the one before it"
            return _damage(number, before, row.number, detail)
        before, number = row.hash, row.number
        is_anchored = is_anchored or row.hash == anchor
    if not is_anchored:
        detail = "no row has the hash of the anchor: the log was cut off before it, or written anew"
        return _damage(number, before, number + 1, detail)
    return Verdict(True, number, before)


def _damage(rows: int, head: str, damaged: int, detail: str) -> Verdict:
    return Verdict(False, rows, head, damaged, detail)


def as_lines(found: Iterable[Entry]) -> Iterator[str]:
    """One JSON object a row."""
    return (msgspec.json.encode(entry).decode() for entry in found)


def as_csv(found: Iterable[Entry]) -> Iterator[str]:
    """Lines of CSV with a head. A text that a spreadsheet would take for a formula gets an apostrophe."""
    names = Entry.__struct_fields__
    yield ",".join(names)
    for entry in found:
        out = io.StringIO()
        shown = msgspec.structs.asdict(entry) | {"facts": msgspec.json.encode(entry.facts).decode()}
        csv.writer(out, lineterminator="").writerow([harmless_cell(shown[name]) for name in names])
        yield out.getvalue()
