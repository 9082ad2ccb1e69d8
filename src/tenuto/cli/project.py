"""`tenuto init | track | status`."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import click

from tenuto.cli.choosing import naming
from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text
from tenuto.core.manifest import KINDS

if TYPE_CHECKING:
    from tenuto.project.status import ArtifactStatus

SHOWN = 20
NOTHING = "Nothing is tracked yet. Next: tenuto track PATH --to hf://namespace/name, or tenuto add hf://namespace/name"


@command("init", example="tenuto init\ntenuto init --hub http://127.0.0.1:8010", exits=(1, 7))
@click.option("--hub", help="The hub that this project's repos live on.")
def init(hub: str | None) -> None:
    """Start a project: write an empty tenuto.toml here."""
    from tenuto.project.workspace import create

    run = invocation()
    path = create(run.root, hub)
    text = [f"Made {path}", "Next: tenuto track PATH --to hf://namespace/name for what is yours,"]
    run.printer.report(
        {"manifest": path}, lambda: [*text, "      tenuto add hf://namespace/name for what others publish"]
    )


@command(
    "track",
    example="tenuto track checkpoints --to hf://datasets/ninanor/beats-checkpoints\n"
    "tenuto track loras/jazz --to hf://datasets/me/adapters/loras/jazz --kind adapter",
    exits=(1, 7, 8, 9),
)
@click.argument("path", type=click.Path())
@click.option("--to", help="Where it is kept: hf://[datasets/]namespace/name[@branch][/folder].")
@click.option("--name", help="A name for it, if not its path.")
@click.option("--kind", type=click.Choice(KINDS), help="What it is.")
def track(path: str, to: str | None, name: str | None, kind: str | None) -> None:
    """Put a folder or file of your own under the project's care.

    Its bytes stay where they are; the manifest, the lock and .gitignore take note. Track it again to record what it holds now.
    """
    import os

    from tenuto.project.track import Request
    from tenuto.project.track import track as carry_out

    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        tracked = carry_out(workspace, Request(os.path.join(run.root, path), to, name, kind))

    def lines() -> Iterator[str]:
        verb = f"Tracked {tracked.path}" if tracked.changed else f"{tracked.path} is as it was tracked"
        yield f"{verb}: {count_text(tracked.files, 'file')}, {size_text(tracked.bytes)}, digest {tracked.digest[:12]}"
        if tracked.changed:
            yield f"Next: commit tenuto.toml, tenuto.lock and {tracked.ignored_in}, then `tenuto push` to {tracked.repo}"

    run.printer.report(tracked, lines)


@command("status", example="tenuto status\ntenuto status --check --json", exits=(1, 7, 9))
@naming
@click.option("--check", is_flag=True, help="Exit with 1 if anything differs from the lock.")
def status(names: tuple[str, ...], check: bool) -> int:
    """Say what differs from the lock. Asks no hub and reads only files that changed."""
    from tenuto.project.status import status as look

    run = invocation()
    with run.workspace() as workspace:
        report = look(workspace, names)

    def lines() -> Iterator[str]:
        if not report.artifacts:
            yield NOTHING
        for artifact in report.artifacts:
            yield from _artifact_lines(artifact)

    run.printer.report(report, lines)
    return 1 if check and not report.clean else 0


def _artifact_lines(artifact: "ArtifactStatus") -> Iterator[str]:
    yield f"{artifact.name}: {artifact.state} ({count_text(artifact.files, 'file')}, {size_text(artifact.bytes)})"
    if artifact.changes is None and artifact.state != "missing":
        yield "  which files differ is not known here: the store lacks the locked listing"
    shown = [] if artifact.state == "missing" else artifact.changes or []
    for file in shown[:SHOWN]:
        yield f"  {file.change:<8}  {file.path}"
    if len(shown) > SHOWN:
        yield f"  and {len(shown) - SHOWN:,} more; --json lists all"
    if step := _next_step(artifact):
        yield f"  Next: {step}"


def _step_of_source(artifact: "ArtifactStatus", kinds: AbstractSet[str]) -> str | None:
    if artifact.state == "not locked":
        return "tenuto sync"
    if artifact.state == "missing" or kinds == {"missing"} or artifact.changes is None:
        return "tenuto pull"
    return "tenuto repair brings the locked files back" if kinds & {"modified", "missing"} else None


def _next_step(artifact: "ArtifactStatus") -> str | None:
    kinds = {file.change for file in artifact.changes or []}
    if not artifact.is_own:
        return _step_of_source(artifact, kinds)
    if artifact.state == "not locked":
        return f"tenuto track {artifact.path}, or tenuto pull"
    if artifact.state == "not pushed" or (artifact.state == "changed" and kinds and "missing" not in kinds):
        return "tenuto push"
    if artifact.commit is None and artifact.state != "clean":
        return f"tenuto track {artifact.path} records what is here now; what was never pushed does not come back"
    if artifact.state == "missing" or kinds == {"missing"} or artifact.changes is None:
        return "tenuto pull"
    return "tenuto push sends your changes, tenuto pull brings missing files back" if kinds else None
