"""`tenuto checksums | smoke`."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tenuto.cli.choosing import naming
from tenuto.cli.frame import Invocation, command, invocation
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.survey.smoke import SmokeReport

SHOWN = 20


@command(
    "checksums",
    example="tenuto checksums | sha256sum -c\n"
    "tenuto checksums --models --largest 12 --output models/checksums.sha256\n"
    "tenuto checksums --folder ~/.cache/huggingface/hub",
    exits=(1, 7, 9),
)
@naming
@click.option("--folder", type=click.Path(), help="Not of a project: of any folder of models and datasets.")
@click.option("--models", "kinds", flag_value="models", multiple=True, help="Only models, adapters and checkpoints.")
@click.option("--datasets", "kinds", flag_value="datasets", multiple=True, help="Only datasets.")
@click.option("--largest", type=click.IntRange(min=1), metavar="N", help="Only the N largest files of each kind.")
@click.option("--full", is_flag=True, help="Read every file, also those that did not change since they were last read.")
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write them to a file.")
def checksums(
    names: tuple[str, ...],
    folder: str | None,
    kinds: Sequence[str],
    largest: int | None,
    full: bool,
    output: str | None,
) -> int:
    """Print the sha256 of every file, as `sha256sum -c` reads it in the folder of the project.

    Exits with 1 if a file is not there or cannot be read.
    """
    from tenuto.core.errors import UsageError
    from tenuto.survey.checksums import checksums as carry_out
    from tenuto.survey.holdings import folder_holdings, present_holdings
    from tenuto.survey.inventory import KINDS

    run, kinds = invocation(), kinds or KINDS
    if folder is not None:
        if names:
            raise UsageError("names are of a project, --folder is of none", code="BadCommand", hint="give one of both")
        root = os.path.abspath(os.path.join(run.root, folder))
        done = carry_out(root, folder_holdings(root, kinds), limit=largest, full=full, watch=run.printer.watch)
    else:
        with run.workspace() as workspace:
            holdings = present_holdings(workspace, names, kinds)
            done = carry_out(workspace.root, holdings, limit=largest, full=full, watch=workspace.watch)
    report = done.report
    for path, reason in report.failed.items():
        run.printer.note(f"left out: {path}: {reason}")
    if output:
        run.write(output, b"".join(os.fsencode(line) + b"\n" for line in done.lines))
        read = f"{size_text(report.read_bytes)} read"
        run.printer.note(f"Wrote {output}: {count_text(report.files, 'file')}, {size_text(report.bytes)} ({read})")
    if run.printer.json:
        run.printer.report(report, lambda: ())
    elif done.lines and not output:
        run.printer.answer(report, "\n".join(done.lines))
    return 1 if report.failed else 0


@command(
    "smoke",
    example="tenuto smoke\ntenuto smoke --output smoke.json --junit smoke.xml\ntenuto smoke ~/models --largest-models 3",
    exits=(0, 2, 3, 4, 7, 9),
    meanings={
        2: "nothing to check; or bad command line, manifest, lock or record",
        3: "a file with a recorded hash is missing or differs; or not logged in",
        4: "a file that nobody recorded is missing; or access denied",
    },
)
@click.argument("folder", required=False, type=click.Path())
@click.option(
    "--record", metavar="FILE", type=click.Path(), help="Checksums to check; models/checksums.sha256 if there."
)
@click.option("--largest-models", type=click.IntRange(min=0), default=12, show_default=True, metavar="N")
@click.option("--largest-datasets", type=click.IntRange(min=0), default=8, show_default=True, metavar="N")
@click.option("--quick", is_flag=True, help="Do not read files that look as when they were last read.")
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False), help="Where the report goes.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write a report for CI, too.")
def smoke(
    folder: str | None,
    record: str | None,
    largest_models: int,
    largest_datasets: int,
    quick: bool,
    output: str | None,
    junit: str | None,
) -> int:
    """Check that the files that matter are here: those of a record of checksums, or else the largest models and datasets.

    What the lock pins counts as recorded. Without FOLDER, of this project; with FOLDER, of any folder. The report goes to
    tests/env_tests/smoke_report_TIME.json there, or to --output; nothing else is written.
    """
    import msgspec

    from tenuto.survey.smoke import report_path, smoke_junit

    run = invocation()
    counts = {"models": largest_models, "datasets": largest_datasets}
    root, report = _smoke(run, folder, record, counts, quick=quick)
    path = output or report_path(root)
    run.write(path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if junit:
        run.write(junit, smoke_junit(report))
    run.printer.report(report, lambda: _smoke_lines(report))
    run.printer.note(f"The report is in {output or os.path.relpath(path, root)}")
    return report.exit_status


def _smoke(
    run: Invocation, folder: str | None, record: str | None, counts: dict[str, int], *, quick: bool
) -> tuple[str, "SmokeReport"]:
    """The folder that was looked at, and what was found."""
    from tenuto.survey.holdings import folder_holdings, locked_holdings
    from tenuto.survey.smoke import RECORD
    from tenuto.survey.smoke import smoke as carry_out

    named = os.path.join(run.root, record) if record else None
    if folder is not None:
        root = os.path.abspath(os.path.join(run.root, folder))
        named = named or _if_there(os.path.join(root, RECORD))
        holdings = folder_holdings(root) if named is None else []
        return root, carry_out(root, holdings, record=named, counts=counts, watch=run.printer.watch)
    with run.workspace() as workspace:
        named = named or _if_there(os.path.join(workspace.root, RECORD))
        holdings = locked_holdings(workspace) if named is None else []
        report = carry_out(workspace.root, holdings, record=named, counts=counts, quick=quick, watch=workspace.watch)
        return workspace.root, report


def _if_there(path: str) -> str | None:
    return path if os.path.exists(path) else None


def _smoke_lines(report: "SmokeReport") -> Iterator[str]:
    wrong = [result for result in report.results if result.match is False or result.sha256 is None]
    for result in wrong[:SHOWN]:
        if result.sha256:
            yield f"differs: {result.path}"
            yield f"  expected sha256 {result.expected}"
            yield f"  found    sha256 {result.sha256}"
        else:
            yield f"{'cannot be read' if result.exists else 'missing'}: {result.path}"
    if len(wrong) > SHOWN:
        yield f"and {len(wrong) - SHOWN:,} more; the report lists all"
    summary = report.summary
    recorded = "with a recorded hash" if summary.has_recorded_checksums else "no hash is recorded"
    if not report.results:
        yield "There is nothing to check"
    else:
        yield f"{count_text(summary.total_files, 'file')} checked ({recorded}): {summary.matched:,} match, {summary.missing:,} missing"
