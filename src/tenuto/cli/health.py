"""`tenuto verify | repair`."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tenuto.cli.choosing import naming
from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, parse_duration_s, parse_share, size_text

if TYPE_CHECKING:
    from tenuto.project.verify import Depth, Fault, Finding, VerifyReport

SHOWN = 20


@command(
    "verify",
    example="tenuto verify\ntenuto verify checkpoints --json\ntenuto verify --sample 5%\n"
    "tenuto verify --since 7d --junit verify.xml",
    exits=(1, 5, 6, 9),
)
@naming
@click.option("--quick", is_flag=True, help="Read nothing: are the files there, with the size and time they had?")
@click.option("--sample", metavar="SHARE", help="Read a share of the bytes, such as 5%; other files each time.")
@click.option("--since", metavar="SPAN", help="Do not read what was verified within this time, such as 7d or 12h.")
@click.option("--deep", is_flag=True, help="Look inside what was read, too: is it whole, and safe to load?")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write a report for CI, too.")
def verify(
    names: tuple[str, ...], quick: bool, sample: str | None, since: str | None, deep: bool, junit: str | None
) -> int:
    """Read every locked file, whole, and compare it with its hash.

    With --quick, --sample or --since only some files are read or none; the others must be there, with the right size.
    With --deep, each file that has the right hash is also inspected, as by `tenuto inspect`.
    """
    from tenuto.project.verify import verify as carry_out

    run, depth = invocation(), _depth(quick, sample, since)._replace(deep=deep)
    with run.workspace() as workspace:
        report = carry_out(workspace, names, depth)
    if junit:
        from tenuto.survey.junit import verify_junit

        run.write(junit, verify_junit(report))
    run.printer.report(report, lambda: _verify_lines(report))
    return 5 if report.broken else 1 if report.findings else 0


def _depth(quick: bool, sample: str | None, since: str | None) -> "Depth":
    from tenuto.core.errors import UsageError
    from tenuto.project.verify import FULL, Depth

    if quick + (sample is not None) + (since is not None) > 1:
        raise UsageError(
            "--quick, --sample and --since are three answers to one question", code="BadCommand", hint="give one"
        )
    if sample is not None:
        return Depth(share=parse_share(sample))
    if since is not None:
        return Depth(since_s=time.time() - parse_duration_s(since))
    return Depth(quick=True) if quick else FULL


def _verify_lines(report: "VerifyReport") -> Iterator[str]:
    yield from _finding_lines([finding for finding in report.findings if finding.fault != "unproven"])
    unproven = [finding for finding in report.findings if finding.fault == "unproven"]
    for finding in unproven[:SHOWN]:
        yield f"not read since it changed: {finding.path}"
    if len(unproven) > SHOWN:
        yield f"and {len(unproven) - SHOWN:,} more; --json lists all"
    if not report.findings:
        yield f"All as locked ({_amount(report)})"
        return
    faults = {finding.fault for finding in report.findings}
    state = "as locked, but unsound inside" if faults == {"unsound"} else "not as locked"
    yield f"{count_text(len(report.findings), 'file')} {state} ({_amount(report)})"
    yield _next_step(faults)


def _next_step(faults: "set[Fault]") -> str:
    if faults == {"unproven"}:
        return "Next: tenuto verify"
    if faults <= {"unsound", "unproven"}:
        return "Next: `tenuto inspect FILE` says more; the bytes are those that are locked, so only another version can help"
    return "Next: tenuto repair, or tenuto push where the change is yours"


def _amount(report: "VerifyReport") -> str:
    """How much was read."""
    whole = f"{count_text(report.locked_files, 'file')}, {size_text(report.locked_bytes)}"
    if report.mode == "quick":
        return f"{whole}; by size and time, nothing read"
    read = f"{count_text(report.files, 'file')}, {size_text(report.bytes)} read"
    return read if report.mode == "full" else f"{read}, {report.share:.1%} of {whole}"


@command("repair", example="tenuto repair\ntenuto repair checkpoints --dry-run", exits=(5, 6, 8, 9))
@naming
@click.option("--dry-run", is_flag=True, help="Say what is wrong, change nothing.")
def repair(names: tuple[str, ...], dry_run: bool) -> int:
    """Bring back locked files that are damaged or missing; what they held goes to .tenuto/quarantine."""
    from tenuto.project.repair import repair as carry_out

    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, names, dry_run=dry_run)

    def lines() -> Iterator[str]:
        verb = "would repair" if dry_run else "repaired"
        for finding in report.repaired:
            yield f"{verb}: {finding.path} ({finding.fault})"
        for finding in report.remaining:
            yield f"cannot repair: {finding.path} ({finding.fault}): {finding.detail}"
        if not report.repaired and not report.remaining:
            yield f"Nothing to repair ({count_text(report.files, 'file')}, {size_text(report.bytes)} read)"
        if report.quarantine:
            yield f"What was there before is in {report.quarantine}"

    run.printer.report(report, lines)
    return 5 if report.remaining or (dry_run and report.repaired) else 0


def _finding_lines(findings: Sequence["Finding"]) -> Iterator[str]:
    for finding in findings:
        yield f"{finding.fault}: {finding.path}"
        if finding.found and finding.fault != "unsound":
            yield f"  expected sha256 {finding.expected}"
            yield f"  found    sha256 {finding.found}"
        elif finding.fault != "missing":
            yield f"  {finding.detail}"
