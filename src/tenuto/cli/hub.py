"""`tenuto hub`: its commands, and `serve`."""

import contextlib
import os
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import LazyGroup, command, invocation

if TYPE_CHECKING:
    from tenuto.server.service import Hub

_HERE, _UPKEEP = "tenuto.cli.hub", "tenuto.cli.upkeep"
_ADDRESS = "address"
_AUDIT, _QUOTA = "tenuto.cli.audit", "tenuto.cli.quota"

hub = LazyGroup(
    "hub",
    lazy={
        "serve": (_HERE, "Serve a hub until it is told to stop."),
        "user": (f"{_HERE}_user", "People on the hub."),
        "org": (f"{_HERE}_org", "Organizations, and who belongs to them."),
        "service": (f"{_HERE}_service", "Accounts of machines."),
        "token": (f"{_HERE}_token", "Access tokens of all accounts."),
        "check": (_UPKEEP, "Look for damage, from every ref to the last chunk."),
        "gc": (_UPKEEP, "Remove what nothing needs any more."),
        "backup": (_UPKEEP, "Write a snapshot of the hub to a folder."),
        "restore": (_UPKEEP, "Make a hub from a snapshot."),
        "usage": (_UPKEEP, "Say what each user and repo costs."),
        "audit": (_AUDIT, "Who did what on the hub."),
        "quota": (_QUOTA, "How much accounts and repos may hold."),
    },
    help="Run a hub of your own.",
)
data_option = click.option("--data", type=click.Path(file_okay=False), help="The data folder of the hub.")


def check_installed() -> None:
    """Return if the packages of the hub are installed; raises UsageError (BadCommand)."""
    import importlib

    try:
        importlib.import_module("tenuto.server.service")
    except ModuleNotFoundError as error:
        from tenuto.core.errors import UsageError

        raise UsageError(
            f"the hub needs a package that is not installed: {error.name}",
            code="BadCommand",
            hint="install it with: pip install 'tenuto[server]'",
        ) from error


def hub_folder(data: str | None) -> str:
    """The whole path of the data folder, from the option or the settings."""
    return os.path.abspath(os.path.expanduser(invocation().settings(hub_data=data).hub_data))


def open_hub(data: str | None, *, makes: bool = False, requests: int = 0, sign_up: bool = False) -> "Hub":
    """The hub in a folder. One that is not there is made if `makes`: by a mistyped folder none comes into being.

    Raises NotFoundError if there is none, UsageError (BadCommand) if its packages are not installed.
    """
    check_installed()
    from tenuto.core.errors import NotFoundError
    from tenuto.server.hub import Limits
    from tenuto.server.service import Hub

    folder = hub_folder(data)
    if not makes and not os.path.exists(os.path.join(folder, "hub.sqlite3")):
        raise NotFoundError(f"there is no hub in {folder}", hint="name its folder with --data")
    return Hub.open(folder, limits=Limits(requests=requests, sign_up=sign_up))


def last_address(folder: str) -> str | None:
    """Where a hub was served last, as `serve` noted it in its data folder."""
    try:
        with open(os.path.join(folder, _ADDRESS), encoding="ascii") as file:
            return file.read(1000).strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _note_address(folder: str, url: str) -> None:
    # It is a convenience: a hub whose folder takes no new file still serves.
    with contextlib.suppress(OSError), open(os.path.join(folder, _ADDRESS), "w", encoding="ascii") as file:
        file.write(f"{url}\n")


def first_token_line(token: str) -> str:
    """What whoever made a hub is told, once."""
    return f"Made the administrator `admin`; its token, shown this once: {token}"


@command("serve", example="tenuto hub serve --data hub-data --port 8010", exits=(7,))
@data_option
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0 takes a free one.")
@click.option("--requests", type=int, help="Requests of an account in five minutes; 0 counts none.")
def serve(data: str | None, host: str | None, port: int | None, requests: int | None) -> None:
    """Serve a hub: one process, SQLite and a folder. On its first start it makes an administrator and prints the token once."""
    run = invocation()
    settings = run.settings(hub_host=host, hub_port=port, hub_requests=requests)
    with open_hub(data, makes=True, requests=settings.hub_requests, sign_up=settings.hub_sign_up) as opened:
        from tenuto.server.service import serve as carry_out

        first_token = opened.first_token

        def ready(url: str) -> None:
            _note_address(hub_folder(data), url)

            def lines() -> list[str]:
                made = [first_token_line(first_token)] if first_token else []
                return [*made, f"The hub is at {url} (stop it with Ctrl-C)", f"Stock clients: export HF_ENDPOINT={url}"]

            run.printer.serving({"url": url, "token": first_token}, lines())

        carry_out(opened, settings.hub_host, settings.hub_port, ready, proxies=settings.hub_proxies or "")
