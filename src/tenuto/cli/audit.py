"""`tenuto hub audit verify | export`."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.cli.hub import check_installed, data_option
from tenuto.cli.upkeep import existing_hub

if TYPE_CHECKING:
    from tenuto.server.audit.reading import Verdict

_HERE = "tenuto.cli.audit"
_DAY_S = 24 * 3600

audit = LazyGroup(
    "audit",
    lazy={
        "verify": (_HERE, "Say whether the audit log is what was written."),
        "export": (_HERE, "Print the audit log."),
    },
    help="Who did what on the hub.",
)


@command("verify", example="tenuto hub audit verify --data hub-data", exits=(5, 7, 9))
@data_option
@click.option("--anchor", metavar="HASH", help="A hash that an earlier run printed: its row must still be there.")
def verify(data: str | None, anchor: str | None) -> int:
    """Read the audit log from its first row to its last: has any been changed, removed or moved? Print the hash of the last one.

    Keep that hash somewhere else: given as --anchor later, it shows whether the log was cut off or written anew since.
    """
    check_installed()
    from tenuto.core.errors import UsageError
    from tenuto.server.audit import reading

    if anchor is not None and not re.fullmatch("[0-9a-f]{64}", anchor):
        raise UsageError(f"{anchor[:80]!r} is not the hash of a row", code="BadCommand", hint="64 hex digits")
    run = invocation()
    with existing_hub(data) as (hub, _), hub.parts.database.read() as connection:
        verdict = reading.verify(connection, anchor)
    run.printer.report(verdict, lambda: _verdict_lines(verdict, anchor))
    return 0 if verdict.clean else 5


def _verdict_lines(verdict: "Verdict", anchor: str | None) -> Iterator[str]:
    if not verdict.clean:
        yield f"damaged: row {verdict.damaged_row}: {verdict.detail}"
        yield f"Whole up to row {verdict.rows}"
        return
    anchored = ", the anchor among them" if anchor else ""
    yield f"Whole: {verdict.rows:,} rows{anchored}"
    yield f"Anchor: {verdict.head}"


@command(
    "export",
    example="tenuto hub audit export --since 30d > audit.jsonl\ntenuto hub audit export --format csv --actor alice",
    exits=(7, 9),
)
@data_option
@click.option("--format", "shape", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--since", metavar="TIME", help="Only what is newer: 7d, 12h, or a day such as 2026-11-21.")
@click.option(
    "--repo", metavar="ADDRESS", help="Only what was done to this repo, also under the names that it had before."
)
@click.option("--actor", metavar="NAME", help="Only what this account did.")
def export(data: str | None, shape: str, since: str | None, repo: str | None, actor: str | None) -> None:
    """Print the audit log, oldest row first, one line a row. It holds no token, no password and nothing that anybody filled in."""
    check_installed()
    from msgspec import Raw

    from tenuto.core.ids import RepoId
    from tenuto.server.audit import reading

    run = invocation()
    since_ms = 0 if since is None else _moment_ms(since, time.time_ns() // 1_000_000)
    wanted = reading.Wanted(since_ms=since_ms, repo=str(RepoId.parse(repo)) if repo else None, actor=actor)
    with existing_hub(data) as (hub, _), hub.parts.database.read() as connection:
        found = reading.entries(connection, wanted)
        is_csv = shape == "csv" and not run.flags.get("json")
        if (repo or actor) and next(reading.entries(connection, wanted), None) is None:
            run.printer.note("No row is of that repo and account: is the name right?")
        for line in reading.as_csv(found) if is_csv else reading.as_lines(found):
            run.printer.answer(Raw(line.encode()), line)


def _moment_ms(text: str, now_ms: int) -> int:
    from tenuto.core.errors import UsageError
    from tenuto.core.human import parse_duration_s

    if re.fullmatch(r"\d+(\.\d+)?[smhdw]", text, re.ASCII):
        return now_ms - int(parse_duration_s(text) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is no time", code="BadCommand", hint="write 7d, 12h or 2026-11-21") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
