"""What every command shares: global options, help that ends with an example and exit codes, and what is made from them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from tenuto.cli.output import Printer

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from tenuto.core.settings import Settings
    from tenuto.hub.remote import Remote
    from tenuto.project.workspace import Workspace

EXIT_MEANINGS = {
    0: "done and clean",
    1: "the answer is no: something differs, or both sides moved",
    2: "bad command line, manifest or lock",
    3: "not logged in, or the token is not valid",
    4: "access denied or gated",
    5: "integrity: bytes are not what they should be",
    6: "network or hub unavailable",
    7: "disk or local file trouble",
    8: "another process holds the lock",
    9: "not found",
    70: "a bug of ours",
    130: "interrupted",
}


class Invocation:
    """One run of the program: its global flags, and the printer, settings, project and hub that follow from them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.flags: dict[str, Any] = {}
        self.token_is_own = False  # whether the command was given a token, and looks for none

    @cached_property
    def printer(self) -> Printer:
        """Where results go."""
        flags = self.flags
        progress = not flags.get("no_progress") and self.settings().progress
        return Printer(json=bool(flags.get("json")), quiet=bool(flags.get("quiet")), progress=progress)

    @property
    def root(self) -> str:
        """The folder to start from."""
        return str(self.flags.get("root") or os.getcwd())

    def write(self, path: str, content: bytes) -> None:
        """Put a report into a file, relative to the folder to start from; its own folder is made if need be. Raises StorageError."""
        from tenuto.store.disk import disk_errors, replace_file

        file = os.path.join(self.root, path)
        with disk_errors(file):
            os.makedirs(os.path.dirname(file), exist_ok=True)
        replace_file(file, content)

    def settings(self, manifest: Mapping[str, object] | None = None, **flags: str | int | None) -> "Settings":
        """All settings; `flags` are those of the command itself."""
        from tenuto.project.preferences import settings_from

        return settings_from(
            self.environment, manifest, {"offline": self.flags.get("offline"), **flags}, self._project_root(manifest)
        )

    def _project_root(self, manifest: Mapping[str, object] | None) -> str | None:
        if manifest is None:
            return None
        from tenuto.project.workspace import find_root

        return find_root(self.root)

    def workspace(self) -> "Workspace":
        """The project that the command is run in."""
        from tenuto.project.workspace import Workspace

        return Workspace.find(self.root, self.settings, self._connect, self.printer.watch)

    def project_settings(self, **flags: str | None) -> "Settings":
        """Settings as in the project, or without one if there is none."""
        from tenuto.core.errors import NotFoundError
        from tenuto.project.workspace import manifest_settings

        try:
            return self.settings(manifest_settings(self.root), **flags)
        except NotFoundError:
            return self.settings(None, **flags)

    def remote(self, **flags: str | None) -> "Remote":
        """The hub, with no need for a project."""
        return self._connect(self.project_settings(**flags))

    def _connect(self, settings: "Settings") -> "Remote":
        """Open the conversation: only now is the HTTP client loaded."""
        return self._connector(settings)

    @cached_property
    def _connector(self) -> "Callable[[Settings], Remote]":
        from tenuto.hub.tokens import Connector

        return Connector(self.printer.note)


def invocation() -> Invocation:
    """The run that the current command belongs to."""
    found = click.get_current_context().find_object(Invocation)
    assert found is not None
    return found


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and value is not False:
        run = context.find_object(Invocation)
        assert run is not None
        run.flags[parameter.name or ""] = value


def _global(name: str, help_text: str, **more: Any) -> click.Option:
    return click.Option([name], help=help_text, expose_value=False, callback=_remember, is_eager=True, **more)


def global_options() -> list[click.Parameter]:
    """The options that every command takes, before or after its name."""
    return [
        _global("--json", "Print one JSON document.", is_flag=True),
        _global("--quiet", "Print errors only.", is_flag=True),
        _global("--verbose", "Print more, and the whole trace of a bug.", is_flag=True),
        _global("--offline", "Make no request.", is_flag=True),
        _global("--no-progress", "Show no progress bars.", is_flag=True),
        _global("--root", "Start from this folder.", type=click.Path(file_okay=False, exists=True)),
    ]


class Command(click.Command):
    """A command with the global options, whose help ends with an example and its exit codes."""

    def __init__(
        self,
        *arguments: Any,
        example: str = "",
        exits: Sequence[int] = (),
        meanings: Mapping[int, str] = EXIT_MEANINGS,
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self.params += global_options()
        self.example, self.exits, self.meanings = example, exits, meanings

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example and the table of exit codes."""
        if self.example:
            with formatter.section("Example"):
                for line in self.example.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), self.meanings[status]) for status in sorted({*self.exits, 0, 2})])


def command(
    name: str, *, example: str, exits: Sequence[int] = (), meanings: Mapping[int, str] | None = None
) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command: its name, an example as a user would type it, and the exit codes that matter beside 0 and 2.

    `meanings` are those of codes that mean something else here than everywhere.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        own = {**EXIT_MEANINGS, **(meanings or {})}
        made = click.command(name, cls=Command, example=example, exits=exits, meanings=own)(function)
        assert isinstance(made, Command)
        return made

    return decorate


class LazyGroup(click.Group):
    """A group whose commands are loaded when they are called: `--help` imports none of them.

    `lazy` maps a name to the module that holds it, under the attribute of the same name, and one line of help. A name that is a word
    of Python has an underscore at its end there.
    """

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.params += global_options()
        self.lazy = lazy

    def list_commands(self, context: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(self.lazy)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Load a command."""
        import importlib

        if name not in self.lazy:
            import difflib

            if context.resilient_parsing:
                return None  # a shell asks what could follow
            close = difflib.get_close_matches(name, self.lazy, cutoff=0.7)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"No such command '{name}'.{guess}", context)
        module, attribute = importlib.import_module(self.lazy[name][0]), name.replace("-", "_")
        found = getattr(module, attribute, None) or getattr(module, f"{attribute}_")
        assert isinstance(found, click.Command)
        return found

    def shell_complete(self, context: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Names of commands, from the table, and options."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=text) for name, (_, text) in self.lazy.items() if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, context, incomplete)]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])
