"""`tenuto hook check | install`: what git asks before a commit."""

from collections.abc import Iterator

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.core.human import count_text, parse_size

_HERE = "tenuto.cli.hook"
_max_size = click.option("--max-size", default="10MB", show_default=True, help="Larger files do not belong into git.")

hook = LazyGroup(
    "hook",
    lazy={
        "check": (_HERE, "Say whether what is staged may be committed."),
        "install": (_HERE, "Let git check before each commit."),
    },
    help="What git asks before a commit.",
)


@command("check", example="tenuto hook check\ntenuto hook check --max-size 50MB", exits=(1, 7, 9))
@_max_size
@click.argument("files", nargs=-1, type=click.Path())
def check(max_size: str, files: tuple[str, ...]) -> int:
    """Refuse what should not be committed. Asks no hub.

    That is: a lock that is not as the manifest wants it, or with the marks of a merge; large files; files of an artifact; a .env with a
    token. Without FILES it looks at what is staged; with them at these.
    """
    from tenuto.project.hooks import check as look

    run = invocation()
    report = look(run.root, files, parse_size(max_size))

    def lines() -> Iterator[str]:
        for problem in report.problems:
            yield f"{problem.path}: {problem.message}"
            yield f"  {problem.hint}"
        if report.problems:
            yield f"{count_text(len(report.problems), 'problem')}; to commit in spite of that: git commit --no-verify"
        else:
            yield f"Nothing to object to ({count_text(report.files, 'file')})"

    run.printer.report(report, lines)
    return 1 if report.problems else 0


@command("install", example="tenuto hook install", exits=(1, 7, 9))
@_max_size
def install(max_size: str) -> None:
    """Write a pre-commit hook that runs `tenuto hook check`. A hook that is not ours stays as it is."""
    import sys

    from tenuto.project.hooks import install as carry_out

    run = invocation()
    report = carry_out(run.root, sys.executable, parse_size(max_size))
    verb = "Wrote" if report.changed else "As it should be:"
    run.printer.report(report, lambda: [f"{verb} {report.path}"])
