"""`tenuto hub user`: people on the hub, run on the machine of the hub."""

import sys

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.cli.hub import data_option, first_token_line, hub_folder, last_address, open_hub

_HERE = "tenuto.cli.hub_user"

user = LazyGroup(
    "user",
    lazy={
        "add": (_HERE, "Make an account."),
        "list": (_HERE, "Show all users."),
        "set": (_HERE, "Change a user."),
        "disable": (_HERE, "Close an account at once; its name stays taken."),
        "enable": (_HERE, "Open an account that was disabled."),
        "password": (_HERE, "Set the password of a user."),
        "invite": (_HERE, "Make a link by which somebody gets an account."),
    },
    help="People on the hub.",
)

_ARGUMENT = click.argument("name", metavar="USER")


@command("add", example="tenuto hub user add alice --data hub-data", exits=(1, 7))
@click.argument("name")
@click.option("--full-name", default="", help="What people call the user.")
@click.option("--admin", is_flag=True, help="The user administers the hub.")
@data_option
def add(name: str, full_name: str, admin: bool, data: str | None) -> None:
    """Make an account, and first the hub if there is none. It can do nothing until it has a token or a password."""
    run = invocation()
    with open_hub(data, makes=True) as opened:
        if opened.first_token:
            run.printer.once(first_token_line(opened.first_token))
        from tenuto.server.people.accounts import Kind, add_account

        with opened.changing() as change:
            add_account(change, name, Kind.USER, full_name=full_name, is_admin=admin, settled=True)
    place = f" --data {data}" if data else ""
    run.printer.report(
        {"name": name, "admin": admin},
        lambda: [f"Made the user {name}", f"Next: tenuto hub token create {name} --role write{place}"],
    )


@command("list", example="tenuto hub user list --data hub-data", exits=(7, 9))
@data_option
def list_(data: str | None) -> None:
    """Show all users."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, list_accounts

        with opened.parts.database.read() as connection:
            found = list_accounts(connection, Kind.USER)
    report = [
        {"name": one.name, "full_name": one.full_name, "admin": one.is_admin, "disabled": one.disabled_ms is not None}
        for one in found
    ]
    marks = {True: "administers the hub", False: ""}
    run.printer.report(
        report,
        lambda: [
            "  ".join(
                filter(None, (one.name, one.full_name, marks[one.is_admin], "disabled" if one.disabled_ms else ""))
            )
            for one in found
        ],
    )


@command("set", example="tenuto hub user set alice --admin --data hub-data", exits=(1, 7, 9))
@_ARGUMENT
@click.option("--admin/--no-admin", default=None, help="Whether the user administers the hub.")
@click.option("--full-name", help="What people call the user.")
@data_option
def set_(name: str, admin: bool | None, full_name: str | None, data: str | None) -> None:
    """Change a user."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account, set_admin, set_full_name

        with opened.changing() as change:
            account = find_account(change.connection, name, Kind.USER)
            if admin is not None:
                set_admin(change, account, admin)
            if full_name is not None:
                set_full_name(change, account, full_name)
    run.printer.report(
        {"name": account.name, "admin": admin, "full_name": full_name}, lambda: [f"Changed {account.name}"]
    )


def _switch(name: str, data: str | None, is_disabled: bool) -> None:
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import find_account, set_disabled

        with opened.changing() as change:
            account = find_account(change.connection, name)
            set_disabled(change, account, is_disabled)
    said = "is disabled: none of its tokens is good; its name stays taken" if is_disabled else "is enabled again"
    run.printer.report({"name": account.name, "disabled": is_disabled}, lambda: [f"{account.name} {said}"])


@command("disable", example="tenuto hub user disable alice --data hub-data", exits=(1, 7, 9))
@click.argument("name", metavar="ACCOUNT")
@data_option
def disable(name: str, data: str | None) -> None:
    """Close an account of any kind at once: its tokens, sessions and links, and the services that act for it."""
    _switch(name, data, True)


@command("enable", example="tenuto hub user enable alice --data hub-data", exits=(7, 9))
@click.argument("name", metavar="ACCOUNT")
@data_option
def enable(name: str, data: str | None) -> None:
    """Open an account that was disabled; its tokens are good again, its browser sessions have ended."""
    _switch(name, data, False)


def read_secret(prompt: str) -> str:
    """A line that nobody sees: asked for twice on a terminal, else read from standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


@command("password", example="tenuto hub user password alice --data hub-data", exits=(7, 9))
@_ARGUMENT
@data_option
def password(name: str, data: str | None) -> None:
    """Set the password of a user: asked for on a terminal, else the first line of standard input. Its browsers are signed out."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account
        from tenuto.server.signin.passwords import check_password, set_password

        with opened.parts.database.read() as connection:
            account = find_account(connection, name, Kind.USER)
        secret = check_password(read_secret(f"New password of {account.name}"), account.name)
        with opened.changing() as change:
            set_password(change, opened.parts.limits, account, secret)
    run.printer.report({"name": account.name}, lambda: [f"Set the password of {account.name}"])


@command(
    "invite",
    example="tenuto hub user invite --org acme --role write --url https://hub.example.org\n"
    "tenuto hub user invite alice --data hub-data",
    exits=(1, 7, 9),
)
@click.argument("name", metavar="[USER]", default="")
@click.option("--org", "organization", default="", help="The organization that the account becomes a member of.")
@click.option(
    "--role",
    type=click.Choice(["read", "write", "admin"]),
    default="read",
    show_default=True,
    help="How far the account may go there.",
)
@click.option("--days", type=float, default=7.0, show_default=True, help="For how long the link is good.")
@click.option("--url", help="The address of the hub, as people reach it.")
@data_option
def invite(name: str, organization: str, role: str, days: float, url: str | None, data: str | None) -> None:
    """Make a link by which somebody gets an account, once. For a user who is there, the link sets a new password."""
    from tenuto.core.errors import ConflictError, NotFoundError

    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account
        from tenuto.server.signin import invitations

        with opened.changing() as change:
            try:
                user = find_account(change.connection, name, Kind.USER)
            except NotFoundError:
                wish = invitations.InvitationWish(name, organization, role, days)
                secret = invitations.invite(change, wish)
            else:
                if organization:
                    hint = f"run `tenuto hub org set {organization} {user.name} --role {role}`"
                    raise ConflictError(f"{user.name} has an account already", code="Exists", hint=hint)
                secret = invitations.invite_to_reset(change, user, days)
    settings = run.settings()
    guess = last_address(hub_folder(data)) or f"http://{settings.hub_host}:{settings.hub_port}"
    link = f"{(url or guess).rstrip('/')}{invitations.PATH}?{invitations.FIELD}={secret}"
    run.printer.note(f"Good once, for {days:g} days; it cannot be shown again:")
    if not url:
        run.printer.note(f"The address {guess} is a guess: say with --url at which one people reach this hub")
    run.printer.answer({"link": link}, link)
