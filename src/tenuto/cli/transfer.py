"""`tenuto push | pull | sync`."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from tenuto.cli.choosing import choosing, ended, filtering, naming, naming_versions, only_of
from tenuto.cli.frame import command, invocation
from tenuto.cli.project import NOTHING
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.cli.frame import Invocation
    from tenuto.project.plan import Step
    from tenuto.project.pull import Pulled, PullReport
    from tenuto.project.push import Pushed, PushReport
    from tenuto.project.sync import SyncReport
    from tenuto.project.workspace import Only, Workspace

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
@naming
@click.option("--message", "-m", help="The title of the commit on the hub.")
@click.option("--delete", is_flag=True, help="Files that are gone here shall go on the hub too.")
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
def push(names: tuple[str, ...], message: str | None, delete: bool, dry_run: bool) -> None:
    """Send what changed here to the hub, as one commit, and pin it in the lock."""
    from tenuto.project.push import Options
    from tenuto.project.push import push as carry_out

    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        before = workspace.lock.text
        report = carry_out(workspace, names, Options(delete, message, dry_run))
        after = workspace.lock.text
    run.printer.report(report, lambda: [*_push_lines(report), *_lock_lines(before, after)])


@command("pull", example="tenuto pull\ntenuto pull checkpoints --theirs\ntenuto pull checkpoints@best", exits=EXITS)
@naming_versions
@filtering
@_conflict_options
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
def pull(
    names: tuple[str, ...],
    group: tuple[str, ...],
    models: bool,
    datasets: bool,
    ours: bool,
    theirs: bool,
    keep_both: bool,
    dry_run: bool,
) -> int:
    """Fetch what the lock pins, verified. Your own changes stay; missing files come back.

    NAME@VERSION goes to another version, and the lock pins that: a label, 8 digits or more of a digest, or a git revision.
    """
    from tenuto.project.pull import Options, check_choice
    from tenuto.project.versions import pull as carry_out

    choice = check_choice(ours=ours, theirs=theirs, keep_both=keep_both)
    run, only = invocation(), only_of(group, models=models, datasets=datasets)
    with run.workspace() as workspace, workspace.exclusive():
        before = workspace.lock.text
        report = carry_out(workspace, names, Options(choice, dry_run=dry_run, only=only))
        after = workspace.lock.text
    run.printer.report(report, lambda: [*_pull_lines(report), *_lock_lines(before, after)])
    return ended(run, report.failures)


@command("sync", example="tenuto sync\ntenuto sync --keep-both\ntenuto sync --frozen --models", exits=EXITS)
@choosing
@_conflict_options
@click.option("--message", "-m", help="The title of the commit on the hub.")
@click.option("--delete", is_flag=True, help="Files that are gone here shall go on the hub too.")
@click.option("--locked", is_flag=True, help="Fail if the lock is not as the manifest wants it; send nothing.")
@click.option("--frozen", is_flag=True, help="Take what the lock has, whatever the manifest says; send nothing.")
@click.option("--check", is_flag=True, help="Exit with 1 if something would change; change nothing.")
@click.option("--dry-run", is_flag=True, help="Stop after the plan.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before a first download.")
def sync(
    names: tuple[str, ...],
    group: tuple[str, ...],
    models: bool,
    datasets: bool,
    ours: bool,
    theirs: bool,
    keep_both: bool,
    message: str | None,
    delete: bool,
    locked: bool,
    frozen: bool,
    check: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Bring folder and hub together: their changes come here, yours go there; what others publish comes as locked."""
    from tenuto.project.pull import check_choice, check_trust
    from tenuto.project.push import Options
    from tenuto.project.sync import sync as carry_out

    choice, trust = (
        check_choice(ours=ours, theirs=theirs, keep_both=keep_both),
        check_trust(locked=locked, frozen=frozen),
    )
    run, only = invocation(), only_of(group, models=models, datasets=datasets)
    with run.workspace() as workspace, workspace.exclusive():
        before = workspace.lock.text
        if not (yes or dry_run or check or frozen):
            _confirm_first(run, workspace, names, only)
        options = Options(delete, message, dry_run or check, only=only)
        report = carry_out(workspace, names, choice, options, trust)
        after = workspace.lock.text
    run.printer.report(report, lambda: [*_sync_lines(report), *_lock_lines(before, after)])
    return ended(run, report.pulled.failures) or (1 if check and not report.in_step else 0)


def _confirm_first(run: "Invocation", workspace: "Workspace", names: "Sequence[str]", only: "Only") -> None:
    """In a terminal, show the plan of a first download and ask; raises click.Abort if the answer is no."""
    from tenuto.project.preflight import preflight

    others = [name for name, artifact in workspace.chosen(names, only).items() if not artifact.is_own]
    if not run.printer.is_watched or not others or any(workspace.base(name) for name in others):
        return
    planned = preflight(workspace, others)
    if planned.disk.fetch_bytes:
        from tenuto.cli.sources import plan_lines  # most syncs ask nothing

        for line in plan_lines(planned):
            run.printer.note(line)
        for failure in planned.failures:
            run.printer.error(failure.error)
        click.confirm("Fetch this?", default=True, abort=True, err=True)


def _push_lines(report: "PushReport") -> Iterator[str]:
    if not report.artifacts:
        yield NOTHING
    for artifact in report.artifacts:
        yield from _pushed(artifact, dry_run=report.dry_run)


def _pushed(artifact: "Pushed", *, dry_run: bool) -> Iterator[str]:
    where = f"{artifact.repo} at {artifact.commit[:12]}" if artifact.commit else artifact.repo
    sizes = [step.size for step in artifact.steps if step.action == "upload"]
    deleted = len(artifact.steps) - len(sizes)
    parts = []
    if sizes:
        verb = "would push" if dry_run else "pushed"
        parts.append(f"{verb} {count_text(len(sizes), 'file')} ({size_text(sum(sizes))}) to {where}")
    if deleted:
        verb = "would delete" if dry_run else "deleted"
        parts.append(f"{verb} {count_text(deleted, 'file')} {'there' if sizes else f'on {where}'}")
    yield f"{artifact.name}: {', '.join(parts) or f'nothing to push to {where}'}"
    if dry_run:
        yield from _step_lines(artifact.steps)
    if artifact.missing:
        missing = count_text(artifact.missing, "file")
        yield f"  {missing} missing here, left on the hub; tenuto pull brings such files back, --delete deletes them there"


def _pull_lines(report: "PullReport") -> Iterator[str]:
    if not report.artifacts and not report.unpushed and not report.failures:
        yield NOTHING
    for artifact in report.artifacts:
        yield from _pulled(artifact, dry_run=report.dry_run)
        yield from _kept_lines(artifact)
    for name in report.unpushed:
        yield f"{name}: not on a hub yet; tenuto push sends it"


def _kept_lines(artifact: "Pulled") -> Iterator[str]:
    if artifact.kept:
        kept = count_text(len(artifact.kept), "file")
        then = "tenuto push sends what you changed" if artifact.is_own else "tenuto repair brings the locked files back"
        yield f"  {kept} of your own changed and left alone; {then}"


def _pulled(artifact: "Pulled", *, dry_run: bool) -> Iterator[str]:
    if not artifact.steps:
        yield f"{artifact.name}: up to date at {(artifact.commit or artifact.digest)[:12]}"
    else:
        yield f"{artifact.name}: {', '.join(_pulled_parts(artifact, dry_run=dry_run))}"
    if dry_run:
        yield from _step_lines(artifact.steps)
    if dry_run and any(step.action == "conflict" for step in artifact.steps):
        yield "  conflicts want a choice: --ours, --theirs or --keep-both"
    for path, second_name in artifact.renamed.items():
        yield f"  yours of {path} is now {second_name}"
    if artifact.trash:
        yield f"  what made way is in {artifact.trash}"
    if artifact.newer:
        yield f"  {artifact.newer[:12]} is newer; tenuto upgrade {artifact.name} takes it"


def _pulled_parts(artifact: "Pulled", *, dry_run: bool) -> Iterator[str]:
    taken = [step for step in artifact.steps if step.action in {"download", "restore"}]
    removed = sum(step.action == "remove here" for step in artifact.steps)
    conflicts = sum(step.action == "conflict" for step in artifact.steps)
    commit = (artifact.commit or artifact.digest)[:12]
    if taken:
        size = size_text(sum(step.size for step in taken))
        yield f"{'would take' if dry_run else 'took'} {count_text(len(taken), 'file')} ({size}) from {commit}"
    if removed:
        verb = "would remove" if dry_run else "removed"
        yield f"{verb} {count_text(removed, 'file')} here{'' if taken else f', as at {commit}'}"
    if conflicts:
        yield f"{count_text(conflicts, 'conflict')} with {commit}"
    if taken and not dry_run:
        yield f"{size_text(artifact.downloaded_bytes)} downloaded"


def _sync_lines(report: "SyncReport") -> Iterator[str]:
    """One line for an artifact where nothing was to be done, else what either half did."""
    pulled = {artifact.name: artifact for artifact in report.pulled.artifacts}
    dry_run = report.pulled.dry_run
    if not report.pushed.artifacts and not report.pulled.artifacts and not report.pulled.failures:
        yield NOTHING
    pushed_names = {artifact.name for artifact in report.pushed.artifacts}
    for name, artifact in pulled.items():
        if name not in pushed_names:
            yield from _pulled(artifact, dry_run=dry_run)
            yield from _kept_lines(artifact)
    for pushed in report.pushed.artifacts:
        taken = pulled.get(pushed.name)
        if taken and taken.steps:
            yield from _pulled(taken, dry_run=dry_run)
        if pushed.steps:
            yield from _pushed(pushed, dry_run=dry_run)
        if not pushed.steps and not (taken and taken.steps):
            commit = taken.commit if taken else pushed.commit
            yield f"{pushed.name}: in step with {pushed.repo} at {(commit or '')[:12]}"


def _step_lines(steps: Sequence["Step"]) -> Iterator[str]:
    for step in steps[:SHOWN]:
        yield f"  {step.action.value:<17}  {size_text(step.size):>8}  {step.path}"
    if len(steps) > SHOWN:
        yield f"  and {len(steps) - SHOWN:,} more; --json lists all"


def _lock_lines(before: str, after: str) -> Iterator[str]:
    if after != before:
        yield "Next: commit tenuto.lock"
