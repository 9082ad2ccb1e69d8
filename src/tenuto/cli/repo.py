"""`tenuto repo create | settings | delete`; what uses their space is in `cli.space`."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import LazyGroup, command, invocation

if TYPE_CHECKING:
    from tenuto.core.ids import RepoId
    from tenuto.hub.remote import Remote

repo = LazyGroup(
    "repo",
    lazy={
        "create": ("tenuto.cli.repo", "Make an empty repo."),
        "settings": ("tenuto.cli.repo", "Say who may see a repo, and who may read it."),
        "usage": ("tenuto.cli.space", "Say what uses the space of a repo, and what deleting it frees."),
        "delete": ("tenuto.cli.repo", "Delete a repo with all its history."),
    },
    help="Make, open, close and delete repos on the hub.",
)


@command("create", example="tenuto repo create hf://datasets/ninanor/beats-checkpoints --private", exits=(1, 3, 4, 6))
@click.argument("address")
@click.option("--private", is_flag=True, help="Only you may see it.")
@click.option("--gated", type=click.Choice(("auto", "manual")), help="It has a gate from the start.")
@click.option("--exist-ok", is_flag=True, help="Be content if it is there already.")
def create(address: str, private: bool, gated: str | None, exist_ok: bool) -> None:
    """Make an empty repo on the hub."""
    from tenuto.core.errors import ConflictError
    from tenuto.core.ids import RepoId

    run = invocation()
    wanted = RepoId.parse(address)
    remote = run.remote()
    with remote.session:
        try:
            url, made = remote.create_repo(wanted, private=private, gated=gated), True
        except ConflictError as error:
            if error.code not in {"Exists", "Conflict"}:
                raise
            if not exist_ok:
                raise ConflictError(f"{wanted} is there already", code="Exists", hint="add --exist-ok") from error
            url, made = f"{remote.endpoint}/{wanted.web_path}", False
    kind = f"{'private' if private else 'public'} {'gated ' if gated else ''}{wanted.kind.value} repo"
    text = f"Made {wanted}, a {kind}: {url}" if made else f"{wanted} is there already: {url}"
    run.printer.report({"repo": str(wanted), "url": url, "created": made}, lambda: [text])


_MOST_DAYS = 36_500
_ADDRESS = "hf://datasets/gamahea/lemm-dataset"


@command(
    "settings",
    example=f"tenuto repo settings {_ADDRESS} --gated auto --grant-days 90\ntenuto repo settings {_ADDRESS} --private",
    exits=(3, 4, 6, 9),
)
@click.argument("address")
@click.option("--private/--public", default=None, help="Who may see that it exists.")
@click.option(
    "--gated",
    type=click.Choice(("auto", "manual", "off")),
    help="Who may read its files: whoever asks, or whom you accept.",
)
@click.option("--takes-requests", type=click.Choice(("yes", "no")), help="Whether others can ask for access.")
@click.option(
    "--grant-days", metavar="DAYS", help="How long those stay who are let in from now on; `never` for no end."
)
def settings(
    address: str, private: bool | None, gated: str | None, takes_requests: str | None, grant_days: str | None
) -> None:
    """Change who may see a repo and who may read it: at once, links that were handed out and running downloads included.

    Without options, says how it is set up, and how many requests for access there are.
    """
    from tenuto.core.ids import RepoId

    run = invocation()
    wanted = RepoId.parse(address)
    values: dict[str, object] = {}
    if private is not None:
        values |= {"private": private, "visibility": "private" if private else "public"}
    if gated:
        values["gated"] = gated != "off" and gated
    if takes_requests:
        values["takesRequests"] = takes_requests == "yes"
    if grant_days:
        values["grantDays"] = _days(grant_days)
    remote = run.remote()
    with remote.session:
        if values:
            remote.change_settings(wanted, values)
        else:
            values = _settings_of(remote, wanted)
    values.pop("visibility", None)
    run.printer.report({"repo": str(wanted), **values}, lambda: [f"{wanted}: {one}" for one in _said(values)])


def _settings_of(remote: "Remote", repo: "RepoId") -> dict[str, object]:
    """How a repo is set up; with the requests in each state, for whoever administers it."""
    from tenuto.hub.gates import GateKeeper

    found = GateKeeper(remote, repo).gateway()
    values: dict[str, object] = {"private": bool(remote.info(repo, "main").private), "gated": found.gated}
    values |= {"takesRequests": found.takes_requests, "grantDays": found.grant_days}
    return values | ({} if found.requests is None else {"requests": found.requests})


def _days(text: str) -> int | None:
    from tenuto.core.errors import UsageError

    if text == "never":
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= _MOST_DAYS):
        raise UsageError(f"{text!r} is not a number of days", code="BadCommand", hint="write 30, or never")
    return int(text)


def _said(values: Mapping[str, object]) -> Iterator[str]:
    """Each setting as people say it."""
    days = values.get("grantDays")
    words = {
        ("private", True): "only you and those with a right on it see it",
        ("private", False): "everybody sees it",
        ("gated", "auto"): "whoever asks may read it",
        ("gated", "manual"): "whom you accept may read it",
        ("gated", False): "everybody who sees it may read it",
        ("takesRequests", True): "others can ask for access",
        ("takesRequests", False): "nobody can ask for access",
        ("grantDays", days): f"whoever is let in stays for {days} days" if days else "whoever is let in stays",
    }
    for name, value in values.items():
        if isinstance(value, dict):
            yield "requests: " + (", ".join(f"{count} {state}" for state, count in sorted(value.items())) or "none")
            continue
        yield words[name, value]


@command("delete", example="tenuto repo delete hf://datasets/ninanor/beats-checkpoints --yes", exits=(3, 4, 6, 9))
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(address: str, yes: bool) -> None:
    """Delete a repo on the hub, with all its history. There is no way back."""
    import sys

    from tenuto.core.errors import NotFoundError, UsageError
    from tenuto.core.ids import RepoId

    run = invocation()
    wanted = RepoId.parse(address)
    remote = run.remote()
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"deleting {wanted} wants a yes", code="BadCommand", hint="add --yes")
        click.confirm(f"Delete {wanted} on {remote.endpoint} with all its history?", abort=True, err=True)
    with remote.session:
        try:
            remote.delete_repo(wanted)
        except NotFoundError as error:
            raise NotFoundError(
                f"{wanted} is not on {remote.endpoint}, or you may not see it", code=error.code, hint=error.hint
            ) from error
    run.printer.report({"repo": str(wanted), "deleted": True}, lambda: [f"Deleted {wanted}"])
