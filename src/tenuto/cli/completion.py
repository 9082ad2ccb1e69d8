"""`tenuto completion`, and what a shell is told while a person types: the words of the project around, without a request."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from tenuto.cli.frame import Invocation, command, invocation

if TYPE_CHECKING:
    from tenuto.core.manifest import Artifact

SHELLS = ("bash", "zsh", "fish")


@command("completion", example="tenuto completion bash > ~/.tenuto-completion.sh\ntenuto completion fish | source")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that lets a shell complete commands, options, and the artifacts and groups of the project around.

    In ~/.bashrc: eval "$(tenuto completion bash)"
    """
    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root.command, {}, "tenuto", "_TENUTO_COMPLETE").source()
    invocation().printer.answer({"shell": shell, "script": script}, script.strip("\n"))


def artifact_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Artifacts of the project that begin so, with kind and path, but for those that were typed before."""
    typed = context.params.get(parameter.name or "") or ()
    return [
        CompletionItem(name, help=f"{artifact.kind}, {artifact.path}")
        for name, artifact in _artifacts(context).items()
        if name.startswith(incomplete) and name not in typed
    ]


def group_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Groups of the project's artifacts that begin so."""
    groups = {group for artifact in _artifacts(context).values() for group in artifact.groups}
    return [CompletionItem(group) for group in sorted(groups) if group.startswith(incomplete)]


def _artifacts(context: click.Context) -> "Mapping[str, Artifact]":
    """What the manifest names; nothing where there is none, or none that can be read: this is no moment for an error."""
    from tenuto.core.errors import TenutoError
    from tenuto.core.manifest import MANIFEST_NAME, parse_manifest
    from tenuto.project.workspace import find_root

    run = context.find_object(Invocation)
    try:
        with open(os.path.join(find_root(run.root if run else os.getcwd()), MANIFEST_NAME), encoding="utf-8") as file:
            return parse_manifest(file.read()).artifacts
    except (TenutoError, OSError, UnicodeDecodeError):
        return {}
