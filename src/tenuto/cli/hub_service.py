"""`tenuto hub service`: accounts of machines, run on the machine of the hub."""

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.cli.hub import data_option, open_hub

_HERE = "tenuto.cli.hub_service"

service = LazyGroup(
    "service",
    lazy={
        "add": (_HERE, "Make a service."),
        "list": (_HERE, "Show services."),
        "set": (_HERE, "Change how far a service may go."),
    },
    help="Accounts of machines: Spaces, CI jobs, trainers.",
)

_RIGHTS = click.Choice(["read", "write", "admin"])


@command(
    "add",
    example="tenuto hub service add trainer --for acme --role write --data hub-data",
    exits=(1, 7, 9),
)
@click.argument("name")
@click.option("--for", "owner", required=True, metavar="ACCOUNT", help="The user or organization that it acts for.")
@click.option("--role", type=_RIGHTS, default="read", show_default=True, help="How far it may go in that namespace.")
@data_option
def add(name: str, owner: str, role: str, data: str | None) -> None:
    """Make a service: an account for a Space, a CI job or a trainer, which acts for its owner and passes the gates of the owner's repos."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import find_account, right_named
        from tenuto.server.people.services import add_service

        with opened.changing() as change:
            add_service(change, name, find_account(change.connection, owner), right_named(role))
    place = f" --data {data}" if data else ""
    run.printer.report(
        {"name": name, "owner": owner, "right": role},
        lambda: [f"Made the service {name} of {owner}", f"Next: tenuto hub token create {name} --role write{place}"],
    )


@command("list", example="tenuto hub service list --for acme --data hub-data", exits=(7, 9))
@click.option("--for", "owner", metavar="ACCOUNT", help="Only those of this user or organization.")
@data_option
def list_(owner: str | None, data: str | None) -> None:
    """Show services, for whom they act, and how far they may go."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import find_account, right_text
        from tenuto.server.people.services import list_services, owner_of

        with opened.parts.database.read() as connection:
            found = list_services(connection, find_account(connection, owner) if owner else None)
            report = [
                {
                    "name": one.account.name,
                    "owner": owner_of(connection, one.account).name,
                    "right": right_text(one.right),
                    "disabled": one.account.disabled_ms is not None,
                }
                for one in found
            ]
    run.printer.report(
        report,
        lambda: [
            f"{one['name']}  may {one['right']} for {one['owner']}{'  disabled' if one['disabled'] else ''}"
            for one in report
        ],
    )


@command("set", example="tenuto hub service set trainer --role read --data hub-data", exits=(7, 9))
@click.argument("name", metavar="SERVICE")
@click.option("--role", type=_RIGHTS, required=True, help="How far it may go from now on.")
@data_option
def set_(name: str, role: str, data: str | None) -> None:
    """Change how far a service may go; `tenuto hub user disable` closes it."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account, right_named
        from tenuto.server.people.services import set_service_right

        with opened.changing() as change:
            set_service_right(change, find_account(change.connection, name, Kind.SERVICE), right_named(role))
    run.printer.report({"name": name, "right": role}, lambda: [f"{name} may {role}"])
