"""What whoever administers a gated repo sees of the requests: lists as stock clients read them, and a report to keep (docs/gates.md)."""

import csv
import io
from collections.abc import Iterable, Mapping

import msgspec

from tenuto.core.errors import UsageError
from tenuto.core.spreadsheet import harmless_cell
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Standing
from tenuto.server.gates.book import Book, Request
from tenuto.server.gates.states import shown_as
from tenuto.server.http.exchange import Answer, Call, json_answer, next_page
from tenuto.server.hub import Parts

_PAGE = 100
_MAX_PAGE = 1000
_STATES: list[Standing] = [one for one in Standing if one is not Standing.NONE]
LISTS: dict[str, list[Standing]] = {
    **{state.value: [Standing(state)] for state in (Standing.REVOKED, Standing.EXPIRED, Standing.OUTDATED)},
    **{
        state.value: [one for one in _STATES if shown_as(one) is state]
        for state in (Standing.PENDING, Standing.ACCEPTED, Standing.REJECTED)
    },
    "all": _STATES,
}
"""Which states each list holds: the three of stock clients, each of the others, and all."""


def list_requests(parts: Parts, call: Call) -> Answer:
    """A page of the requests in a list, oldest first: one of the three of stock clients, or those in one state, or all."""
    name = call.params["status"]
    if name not in LISTS:
        raise UsageError(f"{name[:40]!r} is not one of {', '.join(sorted(LISTS))}")
    limit, after = call.number("limit", _PAGE, _MAX_PAGE), call.number("cursor", 0, 2**62)
    with parts.database.read() as connection:
        book = Book(connection, call.repo.key, parts.now_ms())
        found = list(book.page(LISTS[name], after, limit + 1))
    headers = next_page(call, found[limit - 1].id) if len(found) > limit else None
    return json_answer([_entry(one, book.is_outdated(one)) for one in found[:limit]], headers=headers)


def _entry(one: Request, is_outdated: bool) -> dict[str, object]:
    answer: dict[str, object] = {
        "requestId": str(one.id),
        "user": {"user": one.name, "fullname": one.full_name or one.name, "type": one.kind},
        "status": shown_as(one.standing).value,
        "state": one.standing.value,
        "timestamp": timestamp_text(one.created_ms),
        "fields": msgspec.json.decode(one.fields),
    }
    more = {
        "reviewedAt": timestamp_text(one.reviewed_ms) if one.reviewed_ms else None,
        "grantedBy": {"user": one.reviewer} if one.reviewer else None,
        "expiresAt": timestamp_text(one.expires_ms) if one.expires_ms else None,
        "rejectionReason": one.reason,
        "mustAgreeAnew": is_outdated or None,
    }
    return answer | {key: value for key, value in more.items() if value is not None}


def report(parts: Parts, call: Call) -> Answer:
    """The requests of a repo, or those in `state`, as a file to keep, JSON or CSV: who asked, when, and what became of it; oldest first."""
    form, state = call.text("format") or "json", call.text("state") or "all"
    if state not in LISTS:
        raise UsageError(f"{state[:40]!r} is not one of {', '.join(sorted(LISTS))}")
    if form not in {"json", "csv"}:
        raise UsageError("format is json or csv")
    with parts.database.read() as connection:
        found = list(Book(connection, call.repo.key, parts.now_ms()).page(LISTS[state]))
    name = f"{call.repo.id.full_name.replace('/', '-')}-access-report.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    rows = [_line(one) for one in found]
    if form == "json":
        return json_answer(rows, headers=headers)
    return Answer(200, {**headers, "Content-Type": "text/csv; charset=utf-8"}, _as_csv(rows).encode())


def _line(one: Request) -> dict[str, object]:
    return {
        "user": one.name,
        "fullname": one.full_name or one.name,
        "status": one.standing.value,
        "time": timestamp_text(one.created_ms),
        "reviewed": timestamp_text(one.reviewed_ms) if one.reviewed_ms else None,
        "reviewer": one.reviewer,
        "expires": timestamp_text(one.expires_ms) if one.expires_ms else None,
        "reason": one.reason,
        "fields": msgspec.json.decode(one.fields),
    }


def _as_csv(rows: list[dict[str, object]]) -> str:
    """One column for each field that anybody filled in, behind those that all have."""
    file = io.StringIO()
    answers = [row.pop("fields") for row in rows]
    fields = list(dict.fromkeys(name for one in answers if isinstance(one, dict) for name in one))
    head = ("user", "fullname", "status", "time", "reviewed", "reviewer", "expires", "reason")
    writer = csv.writer(file)
    writer.writerow(_cell(name) for name in (*head, *fields))
    for row, filled in zip(rows, answers, strict=True):
        assert isinstance(filled, dict)
        writer.writerow([*_cells(row, head), *_cells(filled, fields)])
    return file.getvalue()


def _cells(row: Mapping[str, object], names: Iterable[str]) -> list[str]:
    return [_cell(row.get(name)) for name in names]


def _cell(value: object) -> str:
    """A value as a spreadsheet shows it; one that it would take for a formula gets an apostrophe."""
    return harmless_cell("" if value is None else str(value))
