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
        "trust": (_HERE, "Let CI jobs act as a service, without a secret there."),
        "rules": (_HERE, "Show whose jobs may act as which service."),
        "untrust": (_HERE, "Take such a rule back."),
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


@command(
    "trust",
    example="tenuto hub service trust ci --issuer https://ci.example.org --claim repository=acme/birds",
    exits=(7, 9),
)
@click.argument("name", metavar="SERVICE")
@click.option("--issuer", required=True, help="Who says what a job is.")
@click.option(
    "--claim", "claims", multiple=True, required=True, metavar="NAME=VALUE", help="What it must say; all of them."
)
@click.option("--minutes", type=int, default=60, show_default=True, help="For how long the token of a job is good.")
@data_option
def trust(name: str, issuer: str, claims: tuple[str, ...], minutes: int, data: str | None) -> None:
    """Let CI jobs act as a service: a job shows the identity token of its CI and gets a short-lived token of the service."""
    run = invocation()
    wanted = dict(_parted(claim) for claim in claims)
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import Kind, find_account
        from tenuto.server.signin.jobs import add_rule

        with opened.changing() as change:
            service = find_account(change.connection, name, Kind.SERVICE)
            rule_id = add_rule(change, service, issuer, wanted, minutes * 60)
    run.printer.report(
        {"id": rule_id, "service": service.name, "issuer": issuer, "claims": wanted, "life_s": minutes * 60},
        lambda: [f"Rule {rule_id}: jobs of {issuer} may act as {service.name} where {_listed(wanted)}"],
    )


def _parted(claim: str) -> tuple[str, str]:
    from tenuto.core.errors import UsageError

    claim_name, mark, value = claim.partition("=")
    if not mark:
        raise UsageError(f"{claim[:60]!r} names no value", code="BadCommand", hint="write it as repository=acme/model")
    return claim_name, value


def _listed(claims: dict[str, str]) -> str:
    return " and ".join(f"{name} is {value}" for name, value in claims.items())


@command("rules", example="tenuto hub service rules --data hub-data", exits=(7, 9))
@data_option
def rules(data: str | None) -> None:
    """Show whose jobs may act as which service."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.signin.jobs import list_rules

        with opened.parts.database.read() as connection:
            found = list_rules(connection)
    run.printer.report(
        [one._asdict() for one in found],
        lambda: [f"{one.id}  {one.service}  {one.issuer}  {_listed(one.claims)}" for one in found],
    )


@command("untrust", example="tenuto hub service untrust 3 --data hub-data", exits=(7, 9))
@click.argument("rule_id", type=int, metavar="ID")
@data_option
def untrust(rule_id: int, data: str | None) -> None:
    """Take a rule back: jobs get no token by it any more. `tenuto hub service rules` shows the ids."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.signin.jobs import remove_rule

        with opened.changing() as change:
            remove_rule(change, rule_id)
    run.printer.report({"id": rule_id, "removed": True}, lambda: [f"Took rule {rule_id} back"])
