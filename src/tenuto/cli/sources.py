"""`tenuto add | remove | lock | outdated | upgrade | plan | import-list`: what others publish."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tenuto.cli.choosing import choosing, ended, only_of, variant_lines
from tenuto.cli.completion import artifact_names, group_names
from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text
from tenuto.core.manifest import KINDS

if TYPE_CHECKING:
    from tenuto.project.add import Added, Removed
    from tenuto.project.importlist import Imported
    from tenuto.project.lock import LockReport, Resolved
    from tenuto.project.outdated import Outdated, OutdatedReport
    from tenuto.project.preflight import Plan, Planned

EXITS = (1, 3, 4, 5, 6, 7, 8, 9)


@command(
    "add",
    example="tenuto add hf://facebook/musicgen-small --include '*.safetensors' --include '*.json'\n"
    "tenuto add https://host/voice.onnx --sha256 HASH",
    exits=EXITS,
)
@click.argument("source")
@click.option("--name", help="A name for it; the last part of the address if not given.")
@click.option("--path", help="Where it goes; a folder by its kind and name if not given.")
@click.option("--kind", type=click.Choice(KINDS), help="What it is.")
@click.option("--group", multiple=True, shell_complete=group_names, help="A group that it is in; may be given again.")
@click.option("--include", multiple=True, help="Take only files that match this pattern; may be given again.")
@click.option("--exclude", multiple=True, help="Leave out files that match this pattern; may be given again.")
@click.option("--variant", help="Of weights in several variants take this one, such as Q4_K_M or fp16.")
@click.option(
    "--all-formats", is_flag=True, help="Take weights in other formats too where they are there as safetensors."
)
@click.option("--mirror", multiple=True, help="Another source of the same bytes; may be given again.")
@click.option("--hub", help="The hub that it is on, if not the project's.")
@click.option("--sha256", help="The hash of a file from the web.")
@click.option("--no-sync", is_flag=True, help="Write manifest and lock, fetch nothing.")
def add(
    source: str,
    name: str | None,
    path: str | None,
    kind: str | None,
    group: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    variant: str | None,
    all_formats: bool,
    mirror: tuple[str, ...],
    hub: str | None,
    sha256: str | None,
    no_sync: bool,
) -> int:
    """Take what others publish into the project: pinned by the lock, verified, never pushed. Adding again changes how it is taken."""
    from tenuto.project.add import Request
    from tenuto.project.add import add as carry_out
    from tenuto.project.pull import pull

    run = invocation()
    wanted = Request(source, name, path, kind, group, include, exclude, variant, all_formats, mirror, hub, sha256)
    with run.workspace() as workspace, workspace.exclusive():
        added = carry_out(workspace, wanted)
        pulled = None if no_sync else pull(workspace, [added.name])
    report = {"added": added, "pulled": pulled}
    run.printer.report(report, lambda: _added_lines(added, fetched=not no_sync))
    return ended(run, pulled.failures if pulled else [])


def _added_lines(added: "Added", *, fetched: bool) -> Iterator[str]:
    one = added.resolved
    where = f" at {one.commit[:12]}" if one.commit else ""
    stated = f", licence {one.license}" if one.license else ", which states no licence"
    yield f"Added {added.name}: {one.source}{where}{stated}"
    yield f"  {added.path}: {count_text(one.files, 'file')}, {size_text(one.bytes)}{'' if fetched else ', not fetched yet'}"
    yield from variant_lines(added.name, added.variants)
    yield f"Next: commit tenuto.toml, tenuto.lock and {added.ignored_in}"


@command("remove", example="tenuto remove musicgen-small\ntenuto remove musicgen-small --files", exits=(7, 8, 9))
@click.argument("names", nargs=-1, required=True, shell_complete=artifact_names)
@click.option("--files", is_flag=True, help="Move its files to .tenuto/trash too.")
def remove(names: tuple[str, ...], files: bool) -> None:
    """Take artifacts out of the project. Their files stay, unless --files; nothing on a hub changes."""
    from tenuto.project.add import remove as carry_out

    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        removed = carry_out(workspace, names, files=files)
    run.printer.report({"artifacts": removed}, lambda: _removed_lines(removed))


def _removed_lines(removed: "Sequence[Removed]") -> Iterator[str]:
    for one in removed:
        kept = f"its files are in {one.trash}" if one.trash else f"{one.path} stays as it is"
        yield f"Removed {one.name}; {kept}"
    yield "Next: commit tenuto.toml and tenuto.lock"


@command("lock", example="tenuto lock\ntenuto lock --check\ntenuto lock --upgrade", exits=EXITS)
@choosing
@click.option("--upgrade", is_flag=True, help="Take what the sources have now in place of what is locked.")
@click.option("--check", is_flag=True, help="Exit with 1 if the lock would change; write nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would change, write nothing.")
def lock(
    names: tuple[str, ...],
    group: tuple[str, ...],
    models: bool,
    datasets: bool,
    upgrade: bool,
    check: bool,
    dry_run: bool,
) -> int:
    """Pin what others publish: every source to a commit and a digest. Fetches no large file."""
    from tenuto.project.lock import Options
    from tenuto.project.lock import lock as carry_out

    run, only = invocation(), only_of(group, models=models, datasets=datasets)
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, names, Options(upgrade, dry_run or check, only))
    run.printer.report(report, lambda: _lock_lines(report))
    return ended(run, report.failures) or (1 if check and report.changed else 0)


def _lock_lines(report: "LockReport") -> Iterator[str]:
    changed = [one for one in report.artifacts if one.changed]
    for one in changed:
        yield _resolved_line(one, would=report.dry_run)
    if not changed and not report.failures:
        what = "The lock drops artifacts that are gone" if report.changed else "The lock is as the manifest wants it"
        yield f"{what} ({count_text(len(report.artifacts), 'source')})"
    if report.changed and not report.dry_run:
        yield "Next: commit tenuto.lock"


def _resolved_line(one: "Resolved", *, would: bool) -> str:
    verb = "would lock" if would else "locked"
    step = f"{one.before[:12]} -> {one.commit[:12]}" if one.before and one.commit else (one.commit or one.digest)[:12]
    size = f"{count_text(one.files, 'file')}, {size_text(one.bytes)}"
    return f"{one.name}: {verb} {one.source} at {step} ({size}{', ' + one.license if one.license else ''})"


@command("outdated", example="tenuto outdated\ntenuto outdated --check --json", exits=EXITS)
@choosing
@click.option("--check", is_flag=True, help="Exit with 1 if a source has moved on.")
def outdated(names: tuple[str, ...], group: tuple[str, ...], models: bool, datasets: bool, check: bool) -> int:
    """Say which sources have something newer than the lock. Changes nothing."""
    from tenuto.project.outdated import outdated as look

    run, only = invocation(), only_of(group, models=models, datasets=datasets)
    with run.workspace() as workspace:
        report = look(workspace, names, only)
    run.printer.report(report, lambda: _outdated_lines(report))
    return ended(run, report.failures) or (1 if check and report.artifacts else 0)


def _outdated_lines(report: "OutdatedReport") -> Iterator[str]:
    for one in report.artifacts:
        yield f"{one.name}: {one.locked[:12]} -> {one.latest[:12]} ({_change_text(one)})"
        if one.license:
            before, after = (name or "none stated" for name in one.license)
            yield f"  the licence changed: {before} -> {after}"
    if report.artifacts:
        yield "Next: tenuto upgrade, or tenuto upgrade NAME"
    else:
        yield f"Nothing newer ({count_text(report.looked_at - len(report.failures), 'source')})"


def _change_text(one: "Outdated") -> str:
    counts = ((one.added, "added"), (one.modified, "modified"), (one.removed, "removed"))
    return ", ".join(f"{count} {verb}" for count, verb in counts if count) or "no file differs"


@command("upgrade", example="tenuto upgrade\ntenuto upgrade musicgen-small", exits=EXITS)
@choosing
@click.option("--dry-run", is_flag=True, help="Say what would be taken, change nothing.")
def upgrade(names: tuple[str, ...], group: tuple[str, ...], models: bool, datasets: bool, dry_run: bool) -> int:
    """Take what the sources have now: lock it, fetch it. Own changes stay."""
    from tenuto.project.lock import Options
    from tenuto.project.lock import lock as carry_out
    from tenuto.project.pull import pull

    run, only = invocation(), only_of(group, models=models, datasets=datasets)
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, names, Options(upgrade=True, dry_run=dry_run, only=only))
        resolved = [one.name for one in report.artifacts]
        pulled = pull(workspace, resolved) if resolved and not dry_run else None
    run.printer.report({"locked": report, "pulled": pulled}, lambda: _lock_lines(report))
    return ended(run, [*report.failures, *(pulled.failures if pulled else [])])


@command("plan", example="tenuto plan\ntenuto plan --models --json", exits=EXITS)
@choosing
def plan(names: tuple[str, ...], group: tuple[str, ...], models: bool, datasets: bool) -> int:
    """Say what a sync would fetch, and whether it can: is it there, gated, how large, what it claims, does it fit. Changes nothing."""
    from tenuto.project.preflight import preflight

    run, only = invocation(), only_of(group, models=models, datasets=datasets)
    with run.workspace() as workspace:
        report = preflight(workspace, names, only)
    run.printer.report(report, lambda: plan_lines(report))
    return ended(run, report.failures) or (0 if report.disk.fits else 7)


def plan_lines(plan: "Plan") -> Iterator[str]:
    """The plan as people read it, a line or two an artifact."""
    for one in plan.artifacts:
        if one.state != "failed":
            yield from _planned_lines(one)
    disk = plan.disk
    yield (
        f"To fetch: {size_text(disk.fetch_bytes)}; free: {size_text(disk.free_bytes)} in {disk.folder}, "
        f"of which {size_text(disk.reserve_bytes)} are to stay"
    )
    if not disk.fits:
        yield "That does not fit: make room, or set TENUTO_CACHE to a larger disk"
    if plan.failures:
        yield f"{count_text(len(plan.failures), 'artifact')} cannot be had"


def _planned_lines(one: "Planned") -> Iterator[str]:
    size = f"{count_text(one.files, 'file')}, {size_text(one.bytes)}"
    parts = [
        f"to fetch {size_text(one.fetch_bytes)}" if one.state == "to fetch" and one.files else one.state,
        "locked" if one.locked else "not locked",
        *(["gated, granted"] if one.gated else []),
        *([one.license] if one.license else []),
    ]
    yield f"{one.name}: {one.source}: {size} ({', '.join(parts)})"
    for fault in one.lacks:
        yield f"  careful: {fault}"
    yield from (f"  {line}" for line in variant_lines("it", one.variants))


@command(
    "import-list",
    example="tenuto import-list repos.txt\ntenuto import-list download_models.sh --models",
    exits=(7, 8, 9),
)
@click.argument("file", type=click.Path())
@click.option("--models", is_flag=True, help="Models only.")
@click.option("--datasets", is_flag=True, help="Datasets only.")
def import_list(file: str, models: bool, datasets: bool) -> None:
    """Take a list of repo ids into the manifest: a text file with one a line, or the arrays of a download script.

    Where there is no project yet, one is begun here.
    """
    import os

    from tenuto.core.errors import NotFoundError
    from tenuto.project.importlist import begun
    from tenuto.project.importlist import import_list as carry_out
    from tenuto.store.disk import disk_errors

    run = invocation()
    path = os.path.join(run.root, file)
    if not os.path.isfile(path):
        raise NotFoundError(f"{file} is not a file", hint="name a list of repo ids")
    with disk_errors(path), open(path, encoding="utf-8", errors="replace") as opened:
        text = opened.read()
    with begun(run.root) as made, run.workspace() as workspace, workspace.exclusive():
        imported = carry_out(workspace, text, only_of((), models=models, datasets=datasets))
    run.printer.report({"artifacts": imported}, lambda: _imported_lines(imported, made))


def _imported_lines(imported: "Sequence[Imported]", made: str | None) -> Iterator[str]:
    if made:
        yield f"Made {made}"
    for one in imported:
        known = " (known already)" if one.state == "known" else ""
        yield f"{one.name}: {one.source} -> {one.path}{known}"
    yield "Next: tenuto plan, then tenuto sync"
