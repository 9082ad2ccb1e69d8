"""`tenuto verify | repair`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.project.verify import Finding


@command("verify", example="tenuto verify\ntenuto verify checkpoints --json", exits=(5, 6, 9))
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> int:
    """Read every locked file, whole, and compare it with its hash."""
    from tenuto.project.verify import verify as carry_out

    run = invocation()
    with run.workspace() as workspace:
        report = carry_out(workspace, names)

    def lines() -> Iterator[str]:
        yield from _finding_lines(report.findings)
        read = f"{count_text(report.files, 'file')}, {size_text(report.bytes)} read"
        if report.findings:
            yield f"{count_text(len(report.findings), 'file')} not as locked ({read})"
            yield "Next: tenuto repair, or tenuto push where the change is yours"
        else:
            yield f"All as locked ({read})"

    run.printer.report(report, lines)
    return 5 if report.findings else 0


@command("repair", example="tenuto repair\ntenuto repair checkpoints --dry-run", exits=(5, 6, 8, 9))
@click.argument("names", nargs=-1)
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
        if finding.found:
            yield f"  expected sha256 {finding.expected}"
            yield f"  found    sha256 {finding.found}"
        elif finding.fault == "unreadable":
            yield f"  {finding.detail}"
