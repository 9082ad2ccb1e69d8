"""`tenuto repo usage`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.core.space import Overview

_DAYS = 10
_HEAD = f"{'held':>9} {'frees':>9} {'quota':>9}"


@command(
    "usage",
    example="tenuto repo usage hf://datasets/acme/birds\ntenuto repo usage acme/voice --most 100 --json",
    exits=(3, 4, 6, 9),
)
@click.argument("address")
@click.option("--most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many of each to list.")
def usage(address: str, most: int) -> None:
    """Say what uses the space of a repo, by file, version and branch, over all its history; and what it held on the days when it changed.

    held: what is there because of it. frees: what the hub has more room by if it alone is deleted; what others need stays. quota: how much
    less counts then.
    """
    from tenuto.core.ids import RepoId
    from tenuto.hub.space import read_overview

    run = invocation()
    wanted = RepoId.parse(address)
    remote = run.remote()
    with remote.session:
        found = read_overview(remote, wanted, most)
    run.printer.report(found, lambda: _lines(found))


def _lines(found: "Overview") -> Iterator[str]:
    totals = found.totals
    yield f"{found.repo} holds {size_text(found.held)}; deleting all of it frees {size_text(found.freed)}"
    kinds = (("small files", totals.files), ("large files", totals.objects), ("chunks of large files", totals.chunks))
    yield f"Counted: {size_text(totals.counted)} ({', '.join(f'{name} {size_text(size)}' for name, size in kinds)})"
    yield f"Not counted: history {size_text(totals.history)}"
    if found.pending:
        yield f"Needed by no branch, tag or pull request: {size_text(found.pending)}"
    for quota in found.quotas:
        whose = f"all repos of {quota.name}" if quota.is_account else quota.name
        yield f"Quota of {whose}: {size_text(quota.used)} of {size_text(quota.allowed)}"
    yield from _file_lines(found)
    yield from _version_lines(found)
    yield from _ref_lines(found)
    yield from _day_lines(found)


def _row(held: int, freed: int, returned: int) -> str:
    return " ".join(f"{size_text(size):>9}" for size in (held, freed, returned))


def _file_lines(found: "Overview") -> Iterator[str]:
    yield from ("", f"{_HEAD}  file")
    for one in found.files:
        gone = "" if one.size is not None else ", not in main"
        told = f"  ({count_text(one.versions, 'version')}{gone})" if gone or one.versions > 1 else ""
        yield f"{_row(one.held, one.freed, one.returned)}  {one.path}{told}"
    yield from _more(found.file_count - len(found.files), "file")


def _version_lines(found: "Overview") -> Iterator[str]:
    yield from ("", f"{'added':>9} {'frees':>9} {'quota':>9}  version")
    for one in found.versions:
        yield f"{_row(one.added, one.freed, one.returned)}  {one.commit[:12]} {one.time[:10]} {one.title}"
    yield from _more(found.version_count - len(found.versions), "version")


def _ref_lines(found: "Overview") -> Iterator[str]:
    yield from ("", f"{'size':>9} {'frees':>9} {'quota':>9}  branch, tag or pull request")
    for one in found.refs:
        yield f"{_row(one.size, one.freed, one.returned)}  {one.ref}"
    yield from _more(found.ref_count - len(found.refs), "ref")


def _day_lines(found: "Overview") -> Iterator[str]:
    yield from ("", f"{'counted':>9} {'change':>9}  day")
    before = 0
    lines = []
    for one in found.days:
        change = one.totals.counted - before
        sign = "-" if change < 0 else "+" if change else ""
        lines.append(f"{size_text(one.totals.counted):>9} {sign + size_text(abs(change)):>9}  {one.day}")
        before = one.totals.counted
    yield from lines[-_DAYS:]


def _more(count: int, noun: str) -> Iterator[str]:
    if count > 0:
        yield f"(and {count_text(count, noun)} more; --most lists more)"
