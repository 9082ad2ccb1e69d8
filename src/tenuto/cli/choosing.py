"""Options that several commands share: which artifacts, and what a failure of some of them means for the exit status."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from tenuto.cli.completion import artifact_names, group_names, versioned_names
from tenuto.cli.frame import Invocation

if TYPE_CHECKING:
    from tenuto.project.failure import Failure
    from tenuto.project.workspace import Only

_OF_MODELS = ("model", "adapter", "checkpoint")


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `names`, `--group`, `--models` and `--datasets`, as `names`, `group`, `models` and `datasets`."""
    return naming(filtering(function))


def filtering(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--group`, `--models` and `--datasets`."""
    function = click.option("--datasets", is_flag=True, help="Datasets only.")(function)
    function = click.option("--models", is_flag=True, help="Models, adapters and checkpoints only.")(function)
    group = click.option(
        "--group", multiple=True, shell_complete=group_names, help="Artifacts of this group only; may be given again."
    )
    return group(function)


def naming(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `names`, artifacts by name or path; none stands for all."""
    return click.argument("names", nargs=-1, shell_complete=artifact_names)(function)


def naming_versions(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `names`, each maybe as `NAME@VERSION`."""
    return click.argument("names", nargs=-1, shell_complete=versioned_names)(function)


def only_of(group: Sequence[str], *, models: bool, datasets: bool) -> "Only":
    """What the options choose; both kinds are as good as none."""
    from tenuto.project.workspace import Only

    kinds = (*(_OF_MODELS if models else ()), *(("dataset",) if datasets else ()))
    return Only(tuple(group), kinds)


def ended(run: Invocation, failures: "Sequence[Failure]") -> int:
    """Say what could not be had, each with its hint, and return the exit status that this makes; machines have read it already."""
    from tenuto.project.failure import exit_status_of

    if not run.printer.json:
        for failure in failures:
            run.printer.error(failure.error)
    return exit_status_of(failures)


def variant_lines(name: str, variants: Sequence[str]) -> Iterator[str]:
    """What to do about weights that come in several variants."""
    if variants:
        shown = ", ".join(variants[:12])
        yield f"{name} holds several variants ({shown}); to take one: tenuto add ... --variant {variants[0]}"
