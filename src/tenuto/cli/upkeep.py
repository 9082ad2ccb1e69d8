"""`tenuto hub check | gc | backup | restore | usage`."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import command, invocation
from tenuto.cli.hub import check_installed, data_option, hub_folder, open_hub
from tenuto.core.human import count_text, parse_share, size_text

if TYPE_CHECKING:
    from tenuto.server.service import Hub
    from tenuto.server.upkeep.backup import BackupReport, RestoreReport
    from tenuto.server.upkeep.copy import Lack
    from tenuto.server.upkeep.gc import Collected, RepoLitter
    from tenuto.server.upkeep.report import CheckReport, Depth, Finding
    from tenuto.server.upkeep.usage import Cost, Usage

SHOWN = 20


@contextmanager
def existing_hub(data: str | None) -> "Iterator[tuple[Hub, str]]":
    """The hub in a folder, with that folder. Raises NotFoundError if there is none."""
    with open_hub(data) as hub:
        yield hub, hub_folder(data)


@command("check", example="tenuto hub check --data hub-data\ntenuto hub check --sample 5% --json", exits=(5, 7, 9))
@data_option
@click.option("--quick", is_flag=True, help="Look at rows and sizes; read no bytes of files.")
@click.option(
    "--sample", metavar="SHARE", help="Read the bytes of a share of the files, such as 5%; another one each time."
)
@click.option(
    "--set-aside",
    "aside",
    is_flag=True,
    help="Move damaged files of the store to the trash: the next upload mends them.",
)
def check(data: str | None, quick: bool, sample: str | None, aside: bool) -> int:
    """Look for damage, from every ref to the last chunk: what it is, and which files it is in. The hub may serve."""
    check_installed()
    from tenuto.server.upkeep.aside import set_aside
    from tenuto.server.upkeep.check import check_hub
    from tenuto.server.upkeep.copy import read_needs

    run, depth = invocation(), _depth(quick, sample)
    with existing_hub(data) as (hub, folder):
        total = int(read_needs(os.path.join(folder, "hub.sqlite3")).total_bytes * depth.share)
        with run.printer.watch("check", total) as progress:
            report = check_hub(hub.parts, folder, depth, progress)
        moved = set_aside(hub.parts, folder, report.findings) if aside else 0
    run.printer.report(report, lambda: _check_lines(report, moved))
    return 0 if report.clean else 5


def _depth(quick: bool, sample: str | None) -> "Depth":
    from tenuto.core.errors import UsageError
    from tenuto.server.upkeep.check import FULL, QUICK
    from tenuto.server.upkeep.report import Depth

    if quick and sample:
        raise UsageError("--quick reads no bytes, --sample some of them", code="BadCommand", hint="give one of both")
    if sample is None:
        return QUICK if quick else FULL
    return Depth(parse_share(sample), time.time_ns() % (1 << 31))


def _check_lines(report: "CheckReport", moved: int) -> Iterator[str]:
    for finding in report.findings:
        yield from _finding_lines(finding)
    counts = report.counts
    looked = ", ".join(
        (
            count_text(counts.repos, "repo"),
            count_text(counts.commits, "commit"),
            count_text(counts.blobs, "file"),
            count_text(counts.large_objects, "large object"),
            f"{count_text(counts.xorbs, 'xorb')}; {size_text(counts.bytes_read)} read",
        )
    )
    if report.clean:
        yield f"No damage found ({looked})"
    else:
        yield f"{count_text(len(report.findings), 'finding')} ({looked})"
        if moved:
            yield f"Set aside: {count_text(moved, 'file')}"
        yield from _next_lines(report.findings, moved)


def _next_lines(findings: "Sequence[Finding]", moved: int) -> Iterator[str]:
    """What helps against the damage, each kind of it."""
    files = [one for one in findings if one.kind not in {"audit log", "database"}]
    if files:
        lies_here = not moved and any(one.fault == "damaged" for one in files)
        first = "`tenuto hub check --set-aside`, then " if lies_here else ""
        yield f"Next: {first}upload it again, or `tenuto hub restore` a backup to another folder"
    if any(one.kind == "database" for one in findings):
        yield "Next: `tenuto hub restore` a backup to another folder: the database cannot be mended"
    if any(one.kind == "audit log" for one in findings):
        yield "Next: nothing mends a log: compare it with that of a backup (`tenuto hub audit export`), and ask who can write the database"


def _finding_lines(finding: "Finding") -> Iterator[str]:
    yield f"{finding.fault}: {finding.kind} {finding.name}: {finding.detail}"
    for place in finding.places[:SHOWN]:
        yield f"  in {place}"
    if len(finding.places) > SHOWN:
        yield f"  and {len(finding.places) - SHOWN:,} more places; --json lists them"
    if not finding.places and finding.repos:
        yield f"  of {', '.join(finding.repos[:SHOWN])}"


@command("gc", example="tenuto hub gc --dry-run\ntenuto hub gc --keep-days 60", exits=(7, 8, 9))
@data_option
@click.option("--dry-run", is_flag=True, help="Say what would go, change nothing.")
@click.option(
    "--keep-days",
    type=click.FloatRange(min=1, max=36_500),
    default=30,
    show_default=True,
    help="How long what no ref needs stays as it is; below 23, uploads under way may have to begin anew.",
)
@click.option(
    "--trash-days",
    type=click.FloatRange(min=0, max=36_500),
    default=7,
    show_default=True,
    help="How long removed files stay in the trash.",
)
def gc(data: str | None, dry_run: bool, keep_days: float, trash_days: float) -> None:
    """Remove what no ref of any repo needs any more: first listed, after a wait moved to the trash, then deleted. The hub may serve."""
    check_installed()
    from tenuto.server.upkeep.gc import Collector

    run, day_s = invocation(), 24 * 3600
    with existing_hub(data) as (hub, folder):
        collector = Collector(hub.parts, folder, keep_s=keep_days * day_s, trash_s=trash_days * day_s)
        report = collector.plan() if dry_run else collector.run()
    run.printer.report(report, lambda: _gc_lines(report))


def _gc_lines(report: "Collected") -> Iterator[str]:
    would = "would be " if report.dry_run else ""
    moved_text, deleted_text = ("Would be moved", "Would be deleted") if report.dry_run else ("Moved", "Deleted")
    for one in report.repos:
        yield from _litter_lines(one, would, report.keep_s)
    for line in report.skipped:
        yield f"left alone: {line}; see `tenuto hub check`"
    objects, names = report.trashed_objects, report.trashed_xorbs
    moved = f"{count_text(objects.count, 'object')} and {count_text(names.count, 'xorb')}"
    yield f"{moved_text} to the trash: {moved}, {size_text(report.trashed_bytes)}"
    emptied = f"{count_text(report.emptied.count, 'file')}, {size_text(report.emptied.bytes)}"
    yield f"{deleted_text} from the trash: {emptied}"
    if report.trash.count:
        yield f"In the trash for some days more: {size_text(report.trash.bytes)}"


def _litter_lines(one: "RepoLitter", would: str, keep_s: float) -> Iterator[str]:
    if one.removed_git or one.removed_objects or one.removed_xorbs:
        parts = (
            f"{count_text(one.removed_git, 'git object')} ({size_text(one.removed_git_bytes)})",
            count_text(one.removed_objects, "large object"),
            count_text(one.removed_xorbs, "xorb"),
        )
        yield f"{one.repo}: {would}removed: {', '.join(parts)}"
    if one.waiting_git or one.waiting_objects or one.waiting_xorbs:
        parts = (
            count_text(one.waiting_git, "git object"),
            f"{count_text(one.waiting_objects, 'large object')} ({size_text(one.waiting_object_bytes)})",
            count_text(one.waiting_xorbs, "xorb"),
        )
        yield f"{one.repo}: not needed for less than {keep_s / 86_400:g} days: {', '.join(parts)}"


@command("backup", example="tenuto hub backup /mnt/backup --data hub-data", exits=(5, 7, 8, 9))
@click.argument("target", metavar="DEST", type=click.Path(file_okay=False))
@data_option
def backup(target: str, data: str | None) -> int:
    """Write a snapshot of the hub, as of one moment, to a folder. A later run copies only what is new. The hub may serve."""
    check_installed()
    from tenuto.server.upkeep.backup import back_up
    from tenuto.server.upkeep.copy import read_needs

    run = invocation()
    with existing_hub(data) as (hub, folder):
        total = read_needs(os.path.join(folder, "hub.sqlite3")).total_bytes
        with run.printer.watch("backup", total) as progress:
            report = back_up(hub.parts.database, folder, target, hub.parts.now_ms(), progress)
    run.printer.report(report, lambda: _backup_lines(report))
    return 5 if report.facts.lacking else 0


def _backup_lines(report: "BackupReport") -> Iterator[str]:
    facts, copied = report.facts, report.copied
    yield from _lack_lines(facts.lacking, "not in the backup")
    held = (
        f"{count_text(facts.objects, 'object')} and {count_text(facts.xorbs, 'xorb')}, {size_text(facts.store_bytes)}"
    )
    yield f"Snapshot {report.snapshot}: database of {size_text(facts.database_bytes)}, {held}"
    yield f"Copied {count_text(copied.files, 'file')}, {size_text(copied.bytes)}; {copied.there:,} were there already"
    if facts.lacking:
        yield "Next: `tenuto hub check` says which files are concerned"


def _lack_lines(lacking: "Sequence[Lack]", label: str) -> Iterator[str]:
    for one in lacking[:SHOWN]:
        yield f"{label}: {one.kind} {one.name}: {one.detail}"
    if len(lacking) > SHOWN:
        yield f"and {len(lacking) - SHOWN:,} more; --json lists them"


@command("restore", example="tenuto hub restore /mnt/backup --data new-hub-data", exits=(1, 5, 7, 8, 9))
@click.argument("source", metavar="SRC", type=click.Path(file_okay=False))
@data_option
@click.option("--snapshot", help="Which snapshot; the last one if not given.")
@click.option("--partial", is_flag=True, help="Put the hub in place though some of its bytes are missing or damaged.")
def restore(source: str, data: str | None, snapshot: str | None, partial: bool) -> int:
    """Make a hub from a snapshot, every byte checked on its way. It never writes over a hub. May be run again if interrupted."""
    check_installed()
    from tenuto.server.upkeep.backup import restore as carry_out

    run, folder = invocation(), hub_folder(data)
    with run.printer.watch("restore", _total_bytes(source, snapshot)) as progress:
        now_ms = time.time_ns() // 1_000_000
        report = carry_out(source, folder, now_ms, snapshot=snapshot, partial=partial, progress=progress)
    run.printer.report(report, lambda: _restore_lines(report, folder))
    return 5 if report.lacking else 0


def _total_bytes(source: str, snapshot: str | None) -> int:
    from tenuto.core.errors import NotFoundError
    from tenuto.server.upkeep.backup import list_snapshots, read_facts

    name = snapshot or list_snapshots(source)[-1]
    if name not in list_snapshots(source):
        raise NotFoundError(
            f"there is no snapshot {name[:100]} in {source}", hint="leave --snapshot out for the last one"
        )
    return read_facts(os.path.join(source, "snapshots", name)).store_bytes


def _restore_lines(report: "RestoreReport", folder: str) -> Iterator[str]:
    yield from _lack_lines(report.lacking, "not in the backup, or damaged there")
    if not report.restored:
        yield f"Nothing is in place in {folder} yet: something is lacking"
        yield "Next: the same with --partial, or another --snapshot"
        return
    copied = report.copied
    yield f"The hub of snapshot {report.snapshot} is in {folder}: {count_text(copied.files, 'file')}, {size_text(copied.bytes)} copied"
    yield "Tokens that were revoked since then are valid again; links that were given out are not"
    yield f"Next: tenuto hub check --data {folder}, then tenuto hub serve --data {folder}"


@command("usage", example="tenuto hub usage --data hub-data\ntenuto hub usage --json", exits=(7, 9))
@data_option
def usage(data: str | None) -> None:
    """Say what each user and repo costs on the disk, and what deleting it would free. What is stored once is counted once.

    files, shown: those at the head of main, and their bytes. held: all versions. stored: on the disk, once what is shared is counted once.
    to free: what nothing else needs.
    """
    check_installed()
    from tenuto.server.upkeep.usage import measure

    run = invocation()
    with existing_hub(data) as (hub, folder):
        report = measure(hub.parts, folder)
    run.printer.report(report, lambda: _usage_lines(report))


def _usage_lines(report: "Usage") -> Iterator[str]:
    yield f"{'files':>9} {'shown':>9} {'held':>9} {'stored':>9} {'to free':>9}"
    for user in report.users[:SHOWN]:
        yield f"{_cost_text(user.cost)}  {user.user} ({count_text(user.repos, 'repo')})"
    for repo in report.repos[:SHOWN]:
        yield f"{_cost_text(repo.cost)}  {repo.repo}"
    if len(report.repos) > SHOWN or len(report.users) > SHOWN:
        yield f"(the first {SHOWN}; --json lists all)"
    yield f"{_cost_text(report.total)}  all"
    if report.loose_bytes or report.trash_bytes:
        yield f"Held by nobody: {size_text(report.loose_bytes)}; in the trash: {size_text(report.trash_bytes)}"


def _cost_text(cost: "Cost") -> str:
    sizes = (cost.file_bytes, cost.held_bytes, cost.stored_bytes, cost.freed_bytes)
    return " ".join([f"{cost.files:>9,}", *(f"{size_text(size):>9}" for size in sizes)])
