"""`tenuto hub token`: access tokens of all accounts, run on the machine of the hub."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.cli.hub import data_option, open_hub
from tenuto.core.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from tenuto.server.people.tokens import TokenFacts

_HERE = "tenuto.cli.hub_token"

token = LazyGroup(
    "token",
    lazy={
        "create": (_HERE, "Make a token for an account."),
        "list": (_HERE, "Show the tokens of an account."),
        "revoke": (_HERE, "Make a token useless at once."),
    },
    help="Access tokens of all accounts.",
)


@command(
    "create",
    example="tenuto hub token create alice --role write --data hub-data\n"
    "tenuto hub token create trainer --role fine-grained --scope datasets/acme/birds=read --days 90",
    exits=(7, 9),
)
@click.argument("user_name", metavar="ACCOUNT")
@click.option(
    "--role",
    type=click.Choice(["read", "write", "fine-grained"]),
    default="read",
    show_default=True,
    help="What it may do.",
)
@click.option("--name", default="", help="What it is for.")
@click.option("--days", type=float, help="For how long it is good; without end if not given.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="PLACE=RIGHT",
    help="What a fine-grained token is good for: acme=read or datasets/acme/birds=write; may be given more than once.",
)
@click.option(
    "--reads-gated", is_flag=True, help="A fine-grained token passes gates of others that let its account in."
)
@data_option
def create(
    user_name: str,
    role: str,
    name: str,
    days: float | None,
    scopes: tuple[str, ...],
    reads_gated: bool,
    data: str | None,
) -> None:
    """Make a token for an account and print it, this once."""
    run = invocation()
    with open_hub(data) as opened:
        from tenuto.server.people.accounts import find_account
        from tenuto.server.people.tokens import ScopeWish, TokenWish, make_token

        wished = tuple(ScopeWish(*_parted(scope)) for scope in scopes)
        wish = TokenWish(name=name, role=role, days=days, reads_gated=reads_gated, scopes=wished)
        with opened.changing() as change:
            token_id, secret = make_token(change, find_account(change.connection, user_name), wish)
    run.printer.note(f"A {role} token for {user_name}; it is kept hashed and cannot be shown again:")
    run.printer.answer({"user": user_name, "role": role, "id": token_id, "token": secret}, secret)


def _parted(scope: str) -> tuple[str, str]:
    place, mark, right = scope.rpartition("=")
    if not mark:
        raise UsageError(f"{scope[:60]!r} names no right", code="BadCommand", hint="write it as acme/model=read")
    return place, right


@command("list", example="tenuto hub token list alice --data hub-data", exits=(7, 9))
@click.argument("user_name", metavar="ACCOUNT")
@data_option
def list_(user_name: str, data: str | None) -> None:
    """Show the good tokens of an account: what each may do, when it was used last, and when it ends. Never the tokens.

    The last use is noted at most once an hour: it may have been used up to an hour later than that.
    """
    run = invocation()
    with open_hub(data) as opened:
        found = opened.list_tokens(user_name)
    from tenuto.core.wire import timestamp_text

    def moment(time_ms: int | None) -> str | None:
        return None if time_ms is None else timestamp_text(time_ms)

    report = [
        {
            "id": one.id,
            "name": one.name,
            "role": {"fine": "fine-grained"}.get(one.role, one.role.value),
            "created": moment(one.created_ms),
            "last_used": moment(one.last_used_ms),
            "expires": moment(one.expires_ms),
            "reads_gated": one.reads_gated,
            "scopes": [{"on": scope.on, "right": scope.right} for scope in one.scopes],
        }
        for one in found
    ]
    run.printer.report(
        report,
        lambda: [
            f"{one.id}  {_role_text(one)}  {one.name}  "
            f"last used {_minute(one.last_used_ms)}, expires {_minute(one.expires_ms)}"
            for one in found
        ],
    )


def _role_text(one: "TokenFacts") -> str:
    """What a token is good for."""
    if one.role.value != "fine":
        return one.role.value
    scopes = [f"{scope.right} on {scope.on}" for scope in one.scopes]
    return f"fine-grained ({', '.join([*scopes, *(['gates of others'] if one.reads_gated else [])])})"


def _minute(time_ms: int | None) -> str:
    return "never" if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


@command("revoke", example="tenuto hub token revoke 17 --data hub-data", exits=(7, 9))
@click.argument("token_id", type=int, metavar="ID")
@data_option
def revoke(token_id: int, data: str | None) -> None:
    """Make a token useless at once, with every link that was signed for it. `tenuto hub token list` shows the ids."""
    run = invocation()
    with open_hub(data) as opened:
        if not opened.revoke_token(token_id):
            raise NotFoundError(f"there is no good token with the id {token_id}", code="UserNotFound")
    run.printer.report({"id": token_id, "revoked": True}, lambda: [f"Revoked the token {token_id}"])
