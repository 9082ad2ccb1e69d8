"""`tenuto repo create | delete`."""

import click

from tenuto.cli.frame import LazyGroup, command, invocation

repo = LazyGroup(
    "repo",
    lazy={
        "create": ("tenuto.cli.repo", "Make an empty repo."),
        "delete": ("tenuto.cli.repo", "Delete a repo with all its history."),
    },
    help="Make and delete repos on the hub.",
)


@command("create", example="tenuto repo create hf://datasets/ninanor/beats-checkpoints --private", exits=(1, 3, 4, 6))
@click.argument("address")
@click.option("--private", is_flag=True, help="Only you may see it.")
@click.option("--exist-ok", is_flag=True, help="Be content if it is there already.")
def create(address: str, private: bool, exist_ok: bool) -> None:
    """Make an empty repo on the hub."""
    from tenuto.core.errors import ConflictError
    from tenuto.core.ids import RepoId

    run = invocation()
    wanted = RepoId.parse(address)
    remote = run.remote()
    with remote.session:
        try:
            url, made = remote.create_repo(wanted, private=private), True
        except ConflictError as error:
            if error.code not in {"Exists", "Conflict"}:
                raise
            if not exist_ok:
                raise ConflictError(f"{wanted} is there already", code="Exists", hint="add --exist-ok") from error
            url, made = f"{remote.endpoint}/{wanted.web_path}", False
    kind = f"{'private' if private else 'public'} {wanted.kind.value} repo"
    text = f"Made {wanted}, a {kind}: {url}" if made else f"{wanted} is there already: {url}"
    run.printer.report({"repo": str(wanted), "url": url, "created": made}, lambda: [text])


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
