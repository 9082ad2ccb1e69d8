"""Users over HTTP, for whoever administers the hub (docs/accounts.md)."""

import msgspec

from tenuto.core.wire import timestamp_text
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import (
    Account,
    Kind,
    add_account,
    find_account,
    list_accounts,
    set_admin,
    set_disabled,
    set_full_name,
)
from tenuto.server.people.change import changing


class UserRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A user to add."""

    name: str
    full_name: str = ""


class UserChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What shall be otherwise; what is left out stays."""

    full_name: str | None = None
    admin: bool | None = None
    disabled: bool | None = None


def _shown(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "fullname": account.shown_name,
        "type": account.kind.value,
        "admin": account.is_admin,
        "disabled": account.disabled_ms is not None,
        "createdAt": timestamp_text(account.created_ms),
    }


def list_all(parts: Parts, call: Call) -> Answer:
    """All accounts of the hub, by name."""
    with parts.database.read() as connection:
        return json_answer([_shown(one) for one in list_accounts(connection)])


def add(parts: Parts, call: Call) -> Answer:
    """A new user, who can do nothing until it has a password, a token, or another issuer that knows it."""
    wanted = call.json(UserRequest)
    with changing(parts, call.origin) as change:
        made = add_account(change, wanted.name, Kind.USER, full_name=wanted.full_name, settled=True)
    return json_answer(_shown(made))


def change_one(parts: Parts, call: Call) -> Answer:
    """Disable or enable an account of any kind, change its full name, let a user administer the hub."""
    wanted = call.json(UserChange)
    with changing(parts, call.origin) as change:
        account = find_account(change.connection, call.params["account"])
        if wanted.full_name is not None:
            set_full_name(change, account, wanted.full_name)
        if wanted.admin is not None:
            set_admin(change, account, wanted.admin)
        if wanted.disabled is not None:
            set_disabled(change, account, wanted.disabled)
        return json_answer(_shown(find_account(change.connection, account.name)))
