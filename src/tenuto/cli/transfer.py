"""`tenuto push | pull | sync`."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.project.plan import Step
    from tenuto.project.pull import Pulled, PullReport
    from tenuto.project.push import Pushed, PushReport

SHOWN = 20
EXITS = (1, 3, 4, 5, 6, 7, 8, 9)


def _conflict_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in (
        ("--keep-both", "Where both sides changed a file: keep both, ours under a second name."),
        ("--theirs", "Where both sides changed a file: take the hub's; ours goes to .tenuto/trash."),
        ("--ours", "Where both sides changed a file: keep ours."),
    ):
        function = click.option(name, is_flag=True, help=text)(function)
    return function


@command("push", example="tenuto push\ntenuto push checkpoints --message 'Third iteration'", exits=EXITS)
@click.argument("names", nargs=-1)
@click.option("--message", "-m", help="The title of the commit on the hub.")
@click.option("--delete", is_flag=True, help="Files that are gone here shall go on the hub too.")
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
def push(names: tuple[str, ...], message: str | None, delete: bool, dry_run: bool) -> None:
    """Send what changed here to the hub, as one commit, and pin it in the lock."""
    from tenuto.project.push import Options
    from tenuto.project.push import push as carry_out

    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, names, Options(delete, message, dry_run))
    run.printer.report(report, lambda: _push_lines(report))


@command("pull", example="tenuto pull\ntenuto pull checkpoints --theirs", exits=EXITS)
@click.argument("names", nargs=-1)
@_conflict_options
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
def pull(names: tuple[str, ...], ours: bool, theirs: bool, keep_both: bool, dry_run: bool) -> None:
    """Fetch what the lock pins, verified. Your own changes stay; missing files come back."""
    from tenuto.project.pull import Options, check_choice
    from tenuto.project.pull import pull as carry_out

    choice = check_choice(ours=ours, theirs=theirs, keep_both=keep_both)
    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, names, Options(choice, dry_run=dry_run))
    run.printer.report(report, lambda: _pull_lines(report))


@command("sync", example="tenuto sync\ntenuto sync --keep-both", exits=EXITS)
@click.argument("names", nargs=-1)
@_conflict_options
@click.option("--message", "-m", help="The title of the commit on the hub.")
@click.option("--delete", is_flag=True, help="Files that are gone here shall go on the hub too.")
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
def sync(
    names: tuple[str, ...], ours: bool, theirs: bool, keep_both: bool, message: str | None, delete: bool, dry_run: bool
) -> None:
    """Bring folder and hub together: their changes come here, yours go there."""
    from tenuto.project.pull import check_choice
    from tenuto.project.push import Options
    from tenuto.project.sync import sync as carry_out

    choice = check_choice(ours=ours, theirs=theirs, keep_both=keep_both)
    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, names, choice, Options(delete, message, dry_run))

    def lines() -> Iterator[str]:
        yield from _pull_lines(report.pulled)
        yield from _push_lines(report.pushed)

    run.printer.report(report, lines)


def _push_lines(report: "PushReport") -> Iterator[str]:
    if not report.artifacts:
        yield "Nothing is tracked yet. Next: tenuto track PATH --to hf://namespace/name"
    for artifact in report.artifacts:
        yield _push_line(artifact, dry_run=report.dry_run)
        if report.dry_run:
            yield from _step_lines(artifact.steps)
        if artifact.missing:
            missing = count_text(artifact.missing, "file")
            yield f"  {missing} missing here, kept on the hub (`tenuto pull` brings them back, `--delete` removes them there)"


def _push_line(artifact: "Pushed", *, dry_run: bool) -> str:
    where = f"{artifact.repo} at {artifact.commit[:12]}" if artifact.commit else artifact.repo
    if not artifact.steps:
        return f"{artifact.name}: nothing to push, {where}"
    size = size_text(sum(step.size for step in artifact.steps))
    verb = "would push" if dry_run else "pushed"
    return f"{artifact.name}: {verb} {count_text(len(artifact.steps), 'file')} ({size}) to {where}"


def _pull_lines(report: "PullReport") -> Iterator[str]:
    if not report.artifacts and not report.unpushed:
        yield "Nothing is tracked yet. Next: tenuto track PATH --to hf://namespace/name"
    for artifact in report.artifacts:
        yield _pull_line(artifact, dry_run=report.dry_run)
        if report.dry_run:
            yield from _step_lines(artifact.steps)
        if artifact.kept:
            yield f"  {count_text(len(artifact.kept), 'file')} of your own changed and left alone (`tenuto push` sends them)"
    for name in report.unpushed:
        yield f"{name}: not on a hub yet (`tenuto push` sends it)"


def _pull_line(artifact: "Pulled", *, dry_run: bool) -> str:
    if not artifact.steps:
        return f"{artifact.name}: up to date at {artifact.commit[:12]}"
    size = size_text(sum(step.size for step in artifact.steps))
    verb = "would take" if dry_run else "took"
    line = f"{artifact.name}: {verb} {count_text(len(artifact.steps), 'file')} ({size}) from {artifact.commit[:12]}"
    return line if dry_run else f"{line}, {size_text(artifact.downloaded_bytes)} downloaded"


def _step_lines(steps: Sequence["Step"]) -> Iterator[str]:
    for step in steps[:SHOWN]:
        yield f"  {step.action.value:<18}  {size_text(step.size):>8}  {step.path}"
    if len(steps) > SHOWN:
        yield f"  and {len(steps) - SHOWN:,} more; --json lists all"
