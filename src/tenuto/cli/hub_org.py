"""`tenuto hub org`: organizations and their members, run on the machine of the hub."""

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.cli.hub import data_option, open_hub

_HERE = "tenuto.cli.hub_org"

org = LazyGroup(
    "org",
    lazy={
        "add": (_HERE, "Make an organization."),
        "list": (_HERE, "Show all organizations."),
        "members": (_HERE, "Show who belongs to an organization."),
        "set": (_HERE, "Make a user a member, or change how far a member may go."),
        "remove": (_HERE, "Take a member out."),
    },
    help="Organizations, and who belongs to them.",
)

_ARGUMENT = click.argument("name", metavar="ORGANIZATION")
_USER = click.argument("user_name", metavar="USER")


@command("add", example="tenuto hub org add acme --admin alice --data hub-data", exits=(1, 7, 9))
@click.argument("name")
@click.option("--admin", required=True, metavar="USER", help="The user who administers it.")
@click.option("--full-name", default="", help="What people call it.")
@data_option
def add(name: str, admin: str, full_name: str, data: str | None) -> None:
    """Make an organization with one member, who administers it."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account
        from tenuto.server.people.organizations import add_organization

        with opened.changing() as change:
            add_organization(change, name, find_account(change.connection, admin, Kind.USER), full_name, settled=True)
    run.printer.report(
        {"name": name, "admin": admin}, lambda: [f"Made the organization {name}, administered by {admin}"]
    )


@command("list", example="tenuto hub org list --data hub-data", exits=(7, 9))
@data_option
def list_(data: str | None) -> None:
    """Show all organizations, with how many belong to each."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, list_accounts
        from tenuto.server.people.organizations import count_members

        with opened.parts.database.read() as connection:
            found = [(one, count_members(connection, one)) for one in list_accounts(connection, Kind.ORGANIZATION)]
    report = [
        {"name": one.name, "full_name": one.full_name, "members": count, "disabled": one.disabled_ms is not None}
        for one, count in found
    ]
    run.printer.report(report, lambda: [f"{one.name}  {count} members" for one, count in found])


@command("members", example="tenuto hub org members acme --data hub-data", exits=(7, 9))
@_ARGUMENT
@data_option
def members(name: str, data: str | None) -> None:
    """Show who belongs to an organization, and how far each may go."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account, right_text
        from tenuto.server.people.organizations import list_members

        with opened.parts.database.read() as connection:
            found = list_members(connection, find_account(connection, name, Kind.ORGANIZATION))
    report = [{"user": one.account.name, "right": right_text(one.right)} for one in found]
    run.printer.report(report, lambda: [f"{one['user']}  {one['right']}" for one in report])


@command("set", example="tenuto hub org set acme bob --role write --data hub-data", exits=(1, 7, 9))
@_ARGUMENT
@_USER
@click.option("--role", type=click.Choice(["read", "write", "admin"]), required=True, help="How far the user may go.")
@data_option
def set_(name: str, user_name: str, role: str, data: str | None) -> None:
    """Make a user a member, or change how far a member may go."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account, right_named
        from tenuto.server.people.organizations import set_member

        with opened.changing() as change:
            organization = find_account(change.connection, name, Kind.ORGANIZATION)
            set_member(change, organization, find_account(change.connection, user_name), right_named(role))
    run.printer.report(
        {"organization": name, "user": user_name, "right": role}, lambda: [f"{user_name} may {role} in {name}"]
    )


@command("remove", example="tenuto hub org remove acme bob --data hub-data", exits=(1, 7, 9))
@_ARGUMENT
@_USER
@data_option
def remove(name: str, user_name: str, data: str | None) -> None:
    """Take a member out. What the member made in the organization stays there; the last administrator cannot go."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account
        from tenuto.server.people.organizations import remove_member

        with opened.changing() as change:
            organization = find_account(change.connection, name, Kind.ORGANIZATION)
            remove_member(change, organization, find_account(change.connection, user_name))
    run.printer.report({"organization": name, "user": user_name}, lambda: [f"{user_name} belongs to {name} no longer"])
