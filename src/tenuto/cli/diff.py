"""`tenuto diff`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tenuto.cli.completion import artifact_names, version_names
from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.project.diff import ArtifactDiff, FileDiff, Version

SHOWN = 50


@command(
    "diff",
    example="tenuto diff\ntenuto diff checkpoints HEAD~1\ntenuto diff checkpoints best\ntenuto diff checkpoints v1.0 hub:main --json",
    exits=(1, 6, 7, 9),
)
@click.argument("name", required=False, shell_complete=artifact_names)
@click.argument("old", required=False, shell_complete=version_names)
@click.argument("new", required=False, shell_complete=version_names)
def diff(name: str | None, old: str | None, new: str | None) -> int:
    """Say what differs between two versions of an artifact; exits with 1 if anything does.

    OLD is what is locked, NEW is what is here, unless said otherwise: as a label (`tenuto tag`); as 8 digits or more of a digest; as a revision
    of the project's git, whose lock counts; or as a branch, tag or commit of the hub. Write git:main or hub:main where several have one.
    Without NAME, all artifacts are compared.
    """
    from tenuto.project.diff import diff as carry_out

    run = invocation()
    with run.workspace() as workspace:
        report = carry_out(workspace, name, old, new)

    def lines() -> Iterator[str]:
        for artifact in report.artifacts:
            yield from _artifact_lines(artifact)

    run.printer.report(report, lines)
    return 0 if report.same else 1


def _artifact_lines(artifact: "ArtifactDiff") -> Iterator[str]:
    sides = f"{_version_text(artifact.old)} and {_version_text(artifact.new)}"
    if not artifact.files:
        yield f"{artifact.name}: no difference between {sides}"
        return
    yield f"{artifact.name}: {count_text(len(artifact.files), 'difference')} between {sides}"
    for file in artifact.files[:SHOWN]:
        yield f"  {file.change:<8}  {file.path}  ({_sizes_text(file)})"
    if len(artifact.files) > SHOWN:
        yield f"  and {len(artifact.files) - SHOWN:,} more; --json lists all"
    yield f"  {artifact.added:,} added, {artifact.removed:,} removed, {artifact.modified:,} modified"


def _version_text(version: "Version") -> str:
    match version.what:
        case "folder":
            return "what is here"
        case "lock":
            return "the lock"
        case "digest":
            return f"the digest {(version.digest or '')[:12]}"
        case "label":
            return f"the label {version.revision}"
        case _:
            return f"{version.revision} {'in git' if version.what == 'git' else 'on the hub'}"


def _sizes_text(file: "FileDiff") -> str:
    sizes = [size_text(size) for size in (file.old_size, file.new_size) if size is not None]
    return " -> ".join(dict.fromkeys(sizes))
