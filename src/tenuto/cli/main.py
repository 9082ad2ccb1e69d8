"""The program: finds the command, runs it, and turns what happens into an exit status."""

import contextlib
import gc
import os
import sys
from typing import NoReturn

import click

from tenuto import __version__
from tenuto.cli.frame import Invocation, LazyGroup
from tenuto.cli.output import Printer
from tenuto.core.errors import InternalError, StorageError, TenutoError, UsageError

COMMANDS = {
    "init": ("tenuto.cli.project", "Start a project in this folder."),
    "track": ("tenuto.cli.project", "Put a folder or file of your own under the project's care."),
    "add": ("tenuto.cli.sources", "Take what others publish into the project."),
    "remove": ("tenuto.cli.sources", "Take artifacts out of the project."),
    "import-list": ("tenuto.cli.sources", "Take a list of repo ids into the manifest."),
    "plan": ("tenuto.cli.sources", "Say what a sync would fetch, and whether it can."),
    "lock": ("tenuto.cli.sources", "Pin what others publish."),
    "outdated": ("tenuto.cli.sources", "Say which sources have something newer."),
    "upgrade": ("tenuto.cli.sources", "Take what the sources have now."),
    "status": ("tenuto.cli.project", "Say what differs from the lock."),
    "push": ("tenuto.cli.transfer", "Send what changed here to the hub."),
    "pull": ("tenuto.cli.transfer", "Fetch what the lock pins."),
    "sync": ("tenuto.cli.transfer", "Bring folder and hub together, both ways."),
    "tag": ("tenuto.cli.tag", "Give a version a label."),
    "import-dvc": ("tenuto.cli.dvc", "Take over what DVC tracks."),
    "verify": ("tenuto.cli.health", "Read every locked file and compare it with its hash."),
    "inventory": ("tenuto.cli.inventory", "Say which models and datasets are here."),
    "checksums": ("tenuto.cli.checksums", "Print the sha256 of every file."),
    "smoke": ("tenuto.cli.checksums", "Check that the files that matter are here."),
    "diff": ("tenuto.cli.diff", "Say what differs between two versions."),
    "package": ("tenuto.cli.package", "Let a Python package ship the lock."),
    "repair": ("tenuto.cli.health", "Bring back files that are damaged or missing."),
    "inspect": ("tenuto.cli.inspect", "Say what is inside a file, and whether it is whole."),
    "cache": ("tenuto.cli.cache", "The store that all your projects share."),
    "login": ("tenuto.cli.account", "Keep a token for a hub."),
    "logout": ("tenuto.cli.account", "Forget the token of a hub."),
    "whoami": ("tenuto.cli.account", "Say who the hub takes you for."),
    "repo": ("tenuto.cli.repo", "Make, open, close and delete repos on the hub."),
    "access": ("tenuto.cli.access", "Gated repos: ask to be let in, and decide who is."),
    "hub": ("tenuto.cli.hub", "Run a hub of your own."),
    "hook": ("tenuto.cli.hook", "What git asks before a commit."),
    "completion": ("tenuto.cli.completion", "Let a shell complete what you type."),
}


def _print_version(context: click.Context) -> None:
    click.echo(f"tenuto {__version__}")
    context.exit()


cli = LazyGroup(
    "tenuto",
    lazy=COMMANDS,
    help="Model weights and audio datasets: locked, verified, in step with a hub.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
cli.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        help="Print the version.",
        callback=lambda context, _, value: _print_version(context) if value and not context.resilient_parsing else None,
    )
)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    status = execute(Invocation(os.environ), sys.argv[1:])
    gc.freeze()  # the process is at its end: nobody needs to look for cycles in what is left
    sys.exit(status)


def execute(run: Invocation, arguments: list[str]) -> int:
    """Run one command line; returns the exit status. Nothing escapes but what the interpreter itself raises."""
    try:
        result = cli.main(arguments, prog_name="tenuto", standalone_mode=False, obj=run)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        if "--json" in arguments:  # click may have stopped before it read that
            run.flags["json"] = True
        return _fail(run, _usage_error(error))
    except TenutoError as error:
        return _fail(run, error)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except SystemExit:  # click's way to leave when the reader of a help text has seen enough
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported as one
        return _bug(run, error)


def _usage_error(error: click.ClickException) -> UsageError:
    """What click says, in our words: no full stop, and what to do apart from what happened."""
    what, _, guess = error.format_message().partition(" Did you mean ")
    what = what.rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"see `{context.command_path if context else 'tenuto'} --help`"
    if guess:
        hint = f"did you mean {guess.rstrip('?')}? If not, {hint}"
    return UsageError(what[:1].lower() + what[1:], code="BadCommand", hint=hint)


def _fail(run: Invocation, error: TenutoError) -> int:
    with contextlib.suppress(StorageError):  # if there is nowhere to say it, the exit status must do
        _printer(run).error(error, _token_hint(run, error))
    if run.flags.get("verbose"):
        import traceback

        traceback.print_exception(error)
    return error.exit_status


def _printer(run: Invocation) -> Printer:
    try:
        return run.printer
    except (TenutoError, click.ClickException):
        return Printer(json=bool(run.flags.get("json")))


def _token_hint(run: Invocation, error: TenutoError) -> str | None:
    """What to do where a token that was held back, or one that the hub does not know, may be the reason."""
    if error.exit_status not in {3, 4, 9} or run.token_is_own or "tenuto.hub.tokens" not in sys.modules:
        return None
    from tenuto.hub.tokens import find_token

    try:
        settings = run.project_settings()
        token = find_token(settings)
    except TenutoError:
        return None
    login = f"`tenuto login --endpoint {settings.endpoint}`"
    if token.withheld:
        return (
            f"your token was not sent, because only tenuto.toml names {settings.endpoint}: "
            f"run {login}, or set HF_ENDPOINT"
        )
    if not settings.token and _has_shared_dotenv(run):
        return "the token in .env was not used, because git tracks that file: run `git rm --cached .env` and ignore it"
    if error.code == "BadToken" and token.source == ".env":
        return f"it comes from .env beside tenuto.toml: correct it there, or take it out and run {login}"
    if error.code == "BadToken" and token.source == "environment":
        return f"it comes from the environment, as in HF_TOKEN: correct it there, or unset it and run {login}"
    return f"run {login}" if error.code == "BadToken" else None


def _has_shared_dotenv(run: Invocation) -> bool:
    from tenuto.project.dotenv import read_dotenv
    from tenuto.project.workspace import find_root

    try:
        return read_dotenv(find_root(run.root)).is_tracked
    except TenutoError:
        return False


def _bug(run: Invocation, error: Exception) -> int:
    import traceback

    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    failure = InternalError(
        f"this is a bug in tenuto {__version__}: {type(error).__name__} at {place}: {error}",
        hint="please report it, with what `--verbose` prints",
    )
    with contextlib.suppress(StorageError):
        _printer(run).error(failure)
    if run.flags.get("verbose"):
        traceback.print_exception(error)
    return failure.exit_status
