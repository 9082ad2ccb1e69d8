"""`tenuto package`."""

from collections.abc import Iterator

import click

from tenuto.cli.choosing import naming
from tenuto.cli.frame import command, invocation
from tenuto.core.human import count_text, size_text


@command(
    "package",
    example="tenuto package src/beats_demo\ntenuto package src/beats_demo beats --check",
    exits=(1, 6, 7, 9),
)
@click.argument("folder", type=click.Path())
@naming
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the package ships something else.")
def package(folder: str, names: tuple[str, ...], check: bool) -> int:
    """Write what is locked into a Python package, so that its users need no project.

    FOLDER is that of the package. It gets `_tenuto`, with manifest, lock and listings, and no bytes of the files: tenuto.path(NAME,
    package="...") fetches and verifies them.
    """
    import os

    from tenuto.project.ship import ship

    run = invocation()
    with run.workspace() as workspace:
        report = ship(workspace, os.path.join(run.root, folder), names, dry_run=check)

    def lines() -> Iterator[str]:
        for artifact in report.artifacts:
            totals = f"{count_text(artifact.files, 'file')}, {size_text(artifact.bytes)}"
            yield f"{artifact.name}: {artifact.source} at {(artifact.commit or artifact.digest)[:12]}, {totals}"
        if not report.changed:
            yield f"{report.folder} is as locked"
        elif check:
            yield f"{report.folder} is not as locked; tenuto package {folder} writes it"
        else:
            yield f"Wrote {report.folder}"
            yield "Next: commit it, and make sure that it is in the wheel"

    run.printer.report(report, lines)
    return 1 if check and report.changed else 0
