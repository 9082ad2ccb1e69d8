"""`tenuto tag`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tenuto.cli.completion import artifact_names, label_names, version_names
from tenuto.cli.frame import command, invocation

if TYPE_CHECKING:
    from tenuto.project.tags import TagReport


@command(
    "tag",
    example="tenuto tag checkpoints best\ntenuto tag checkpoints best HEAD~3\ntenuto tag checkpoints best --delete\n"
    "tenuto tag --list",
    exits=(7, 8, 9),
)
@click.argument("name", required=False, shell_complete=artifact_names)
@click.argument("label", required=False, shell_complete=label_names)
@click.argument("version", required=False, shell_complete=version_names)
@click.option("--list", "listing", is_flag=True, help="List the labels, of NAME or of all artifacts.")
@click.option("--delete", is_flag=True, help="Remove the label; the version stays.")
def tag(name: str | None, label: str | None, version: str | None, listing: bool, delete: bool) -> None:
    """Give a version of an artifact a label, or move the label there.

    VERSION is what the lock pins, unless said otherwise: as another label, as 8 digits or more of a digest, or as a git revision. The labels
    are in tenuto.lock; `tenuto pull NAME@LABEL` brings such a version back.
    """
    from tenuto.project.tags import tag as carry_out
    from tenuto.project.tags import tags, untag

    run = invocation()
    if (listing and label) or (delete and (listing or label is None or version)):
        raise click.UsageError("Give NAME and LABEL, or --list.")
    with run.workspace() as workspace:
        if label is None or name is None:
            report = tags(workspace, [name] if name else [])
        else:
            with workspace.exclusive():
                report = untag(workspace, name, label) if delete else carry_out(workspace, name, label, version)

    def lines() -> Iterator[str]:
        if not report.tags:
            yield "No labels yet. Next: tenuto tag NAME LABEL"
        yield from (_set_lines(report, delete=delete) if label else _listed_lines(report))

    run.printer.report(report, lines)


def _set_lines(report: "TagReport", *, delete: bool) -> Iterator[str]:
    for tag in report.tags:
        version = f"{tag.digest[:12]} at {tag.commit[:12]}"
        if delete:
            yield f"{tag.name}@{tag.label} was {version}, and is no label any more"
        elif not report.changed:
            yield f"{tag.name}@{tag.label} is {version} already"
        else:
            yield f"{tag.name}@{tag.label} is {version}{f', and was {tag.before[:12]}' if tag.before else ''}"
        if report.changed:
            yield "Next: commit tenuto.lock"


def _listed_lines(report: "TagReport") -> Iterator[str]:
    width = max((len(f"{tag.name}@{tag.label}") for tag in report.tags), default=0)
    for tag in report.tags:
        pinned = "  (what the lock pins)" if tag.pinned else ""
        yield f"{f'{tag.name}@{tag.label}':<{width}}  {tag.digest[:12]} at {tag.commit[:12]}{pinned}"
