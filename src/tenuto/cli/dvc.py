"""`tenuto import-dvc`."""

from collections.abc import Iterator

import click

from tenuto.cli.choosing import ended
from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text

SHOWN = 20


@command(
    "import-dvc",
    example="tenuto import-dvc --to hf://datasets/me/checkpoints\ntenuto import-dvc checkpoints.dvc --to hf://me/beats --dry-run",
    exits=(1, 5, 7, 8, 9),
)
@click.argument("path", required=False, default=".", type=click.Path())
@click.option("--to", required=True, help="Where it is kept: hf://[datasets/]namespace/name[@branch][/folder].")
@click.option("--cache", type=click.Path(), help="The DVC cache, if not that of the repository around.")
@click.option("--dry-run", is_flag=True, help="Say what would be taken over; change nothing.")
def import_dvc(path: str, to: str, cache: str | None, dry_run: bool) -> int:
    """Take over what DVC tracks, from a .dvc file or from all at or below a folder.

    Files that are here stay; others come from the DVC cache, without a copy where the file system can. .dvc files and the cache are left as
    they are. Where there are several, each is kept below --to under its own path.
    """
    import os

    from tenuto.project.dvc import import_dvc as carry_out

    run = invocation()
    start = os.path.join(run.root, path)
    folder = os.path.join(run.root, os.path.expanduser(cache)) if cache else None
    with run.workspace() as workspace, workspace.exclusive():
        report = carry_out(workspace, start, to, folder, dry_run=dry_run)

    def lines() -> Iterator[str]:
        for artifact in report.artifacts:
            taken = f"{count_text(artifact.taken_files, 'file')} ({size_text(artifact.taken_bytes)}) from the DVC cache"
            verb = "would track" if dry_run else "tracked"
            yield f"{artifact.name}: {verb} {count_text(artifact.files, 'file')}, {taken}, kept on {artifact.repo}"
            for changed in artifact.changed[:SHOWN]:
                yield f"  not as DVC recorded it, and left as it is: {changed}"
        if report.artifacts and not dry_run:
            yield "Next: commit tenuto.toml, tenuto.lock and .gitignore, then `tenuto push`"

    run.printer.report(report, lines)
    status = ended(run, report.failures)
    return status or (1 if any(artifact.changed for artifact in report.artifacts) else 0)
