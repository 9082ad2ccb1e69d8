"""`tenuto completion`, and what a shell is told while a person types: the words of the project around, without a request."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem, get_completion_class

from tenuto.cli.frame import Invocation, command, invocation

if TYPE_CHECKING:
    from tenuto.core.manifest import Artifact

T = TypeVar("T")
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


def versioned_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Artifacts that begin so; behind an `@`, labels and git revisions.

    bash makes three words of `NAME@LABEL`, and puts the answer in the place of the last two.
    """
    typed = ["", *(context.params.get(parameter.name or "") or ())]
    if typed[-1] == "@":
        name, mark, begun = typed[-2], "@", incomplete
    else:
        name, mark, begun = incomplete.rpartition("@")
        if mark and not name:
            name, incomplete = typed[-1], mark
    if not mark:
        return artifact_names(context, parameter, incomplete)
    before = f"{name}@" if incomplete.startswith(f"{name}@") else "@"
    return [CompletionItem(f"{before}{word}", help=text) for word, text in _versions(context, name, begun)]


def label_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Labels of the artifact that was typed before."""
    labels = _labels(context, str(context.params.get("name")))
    return [CompletionItem(label) for label in labels if label.startswith(incomplete)]


def version_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Labels of the artifact that was typed before, and git revisions."""
    versions = _versions(context, str(context.params.get("name")), incomplete)
    return [CompletionItem(word, help=text) for word, text in versions]


def _versions(context: click.Context, name: str, begun: str) -> Iterator[tuple[str, str]]:
    from tenuto.project.history import revision_names

    known = dict.fromkeys(revision_names(_root(context)), "in git")
    known = dict.fromkeys(_labels(context, name), "label") | known
    return ((word, text) for word, text in known.items() if word.startswith(begun))


def _labels(context: click.Context, name: str) -> list[str]:
    from tenuto.core.lockfile import LOCK_NAME, Lock, parse_lock

    lock = _read(context, LOCK_NAME, parse_lock) or Lock()
    return [label for artifact, label in sorted(lock.tags) if artifact == name]


def _artifacts(context: click.Context) -> "Mapping[str, Artifact]":
    from tenuto.core.manifest import MANIFEST_NAME, parse_manifest

    manifest = _read(context, MANIFEST_NAME, parse_manifest)
    return manifest.artifacts if manifest else {}


def _read(context: click.Context, name: str, parse: Callable[[str], T]) -> "T | None":
    """A file of the project; None where there is none, or none that can be read: this is no moment for an error."""
    from tenuto.core.errors import TenutoError

    try:
        with open(os.path.join(_root(context), name), encoding="utf-8") as file:
            return parse(file.read())
    except (TenutoError, OSError, UnicodeDecodeError):
        return None


def _root(context: click.Context) -> str:
    from tenuto.core.errors import TenutoError
    from tenuto.project.workspace import find_root

    run = context.find_object(Invocation)
    start = run.root if run else os.getcwd()
    try:
        return find_root(start)
    except TenutoError:
        return start
