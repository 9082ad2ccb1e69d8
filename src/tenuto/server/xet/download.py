"""What a Xet client reads: plans for files, the bytes of xorbs, and which chunks a repo has already (xet-protocol sections 9 to 11)."""

from collections.abc import Callable
from typing import BinaryIO, TypeAlias, cast

from tenuto.core.errors import AccessDeniedError, NotFoundError, UsageError
from tenuto.server.content.files import deliver, parse_range
from tenuto.server.git.unneeded import spare_told
from tenuto.server.holdings.chunks import find_file, find_hint, held_xorbs
from tenuto.server.http.exchange import Answer, Call, FileBody, error_answer, json_answer
from tenuto.server.hub import Parts
from tenuto.server.signing import LINK_LIFE_S, Claims
from tenuto.server.xet.telling import tell_of
from tenuto.store.xet.assemble import Plan, Span, plan
from tenuto.store.xet.hashes import check_hash
from tenuto.store.xet.table import FileTable

_NOTHING = Plan(0, [], {})
_Link: TypeAlias = Callable[[str, Span], str]
_Form: TypeAlias = Callable[[Plan, _Link], dict[str, object]]


def reconstruction(parts: Parts, call: Call) -> Answer:
    """The plan for a file or a part of it; first form: a link for each range of chunks."""
    return _reconstruct(parts, call, _first_form)


def reconstruction_v2(parts: Parts, call: Call) -> Answer:
    """The plan for a file or a part of it; second form: links that name their ranges."""
    return _reconstruct(parts, call, _second_form)


def _reconstruct(parts: Parts, call: Call, form: _Form) -> Answer:
    name = check_hash(call.params["hash"])
    with parts.database.read() as connection:
        table = find_file(connection, call.repo.key, name)
    if table is None:
        raise NotFoundError("this repo holds no such file", code="ObjectNotFound")
    try:
        found = _plan(parts, call, table)
    except UsageError as error:
        return error_answer(error, {"Content-Range": f"bytes */{table.size}"})
    terms = [
        {"hash": part.xorb, "unpacked_length": part.length, "range": {"start": part.start, "end": part.end}}
        for part in found.parts
    ]
    answer = {"offset_into_first_range": found.skip, "terms": terms, **form(found, _linker(parts, call))}
    return json_answer(answer, headers={"Cache-Control": "no-store"})


def _plan(parts: Parts, call: Call, table: FileTable) -> Plan:
    wanted = call.headers.get("range")
    if not table.size and wanted in {None, "bytes=0-"}:
        return _NOTHING
    start, end = parse_range(wanted, table.size) or (0, table.size)
    return plan(table, start, end, parts.xorbs.table) if end else _NOTHING


def _linker(parts: Parts, call: Call) -> _Link:
    """Makes links to spans of xorbs: each for one repo and for the token of the caller, with the rights that this token will have.

    A xorb may hold chunks of files that the repo does not have, and that others sent with them: a link gives its span and no more.
    """
    expires_s = parts.now_ms() // 1000 + LINK_LIFE_S

    def link(xorb: str, span: Span) -> str:
        claims = Claims(
            "xet-data",
            call.repo.key,
            xorb,
            span.end_byte,
            call.actor.token_id,
            expires_s,
            part=span.first_byte,
        )
        return f"{call.base_url}/xet/data/{xorb}?link={parts.signer.sign(claims)}"

    return link


def _first_form(found: Plan, link: _Link) -> dict[str, object]:
    fetches = {
        xorb: [{"range": _chunk_range(one), "url": link(xorb, one), "url_range": _byte_range(one)} for one in spans]
        for xorb, spans in found.spans.items()
    }
    return {"fetch_info": fetches}


def _second_form(found: Plan, link: _Link) -> dict[str, object]:
    # One range a link: clients fetch each range alone, and a link with several would have to be answered in parts.
    xorbs = {
        xorb: [
            {"url": link(xorb, one), "ranges": [{"chunks": _chunk_range(one), "bytes": _byte_range(one)}]}
            for one in spans
        ]
        for xorb, spans in found.spans.items()
    }
    return {"xorbs": xorbs}


def _chunk_range(span: Span) -> dict[str, int]:
    return {"start": span.start, "end": span.end}


def _byte_range(span: Span) -> dict[str, int]:
    return {"start": span.first_byte, "end": span.end_byte - 1}


def data(parts: Parts, call: Call) -> Answer:
    """The stored bytes of a span of a xorb, or a part of it, by a signed link; every chunk is checked on its way."""
    xorb, first, end = call.claims.oid, call.claims.part, call.claims.size
    with parts.database.read() as connection:
        held = held_xorbs(connection, call.claims.repo_key, [xorb])
    if not held:
        raise NotFoundError("this repo holds no such xorb", code="ObjectNotFound")
    size = parts.xorbs.table(xorb).stored[-1]
    wanted = parse_range(call.headers.get("range"), size) or (0, size)
    if not first <= wanted[0] < wanted[1] <= end <= size:
        raise AccessDeniedError(f"this link is for bytes {first} to {end - 1}", hint="ask for these, or a part of them")
    body = FileBody(lambda: cast("BinaryIO", parts.xorbs.stored(xorb)), 0, size)
    return deliver(call, body, xorb, {})


def chunks(parts: Parts, call: Call) -> Answer:
    """A shard that tells of a chunk and of what is likely to follow it, if this repo holds the chunk."""
    chunk = check_hash(call.params["hash"])
    with parts.database.read() as connection:
        hint = find_hint(connection, call.repo.key, chunk)
    if hint is None:
        raise NotFoundError("this repo holds no such chunk, or none that is told of", code="ObjectNotFound")
    spare_told(parts.database, call.repo.key, hint.table.xorbs)
    body = tell_of(parts, call.repo.key, hint)
    return Answer(200, {"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}, body)
