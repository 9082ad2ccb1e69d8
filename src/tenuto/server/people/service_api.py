"""Services over HTTP, for whoever administers the account that they act for (docs/accounts.md)."""

from typing import Literal

import msgspec

from tenuto.core.wire import timestamp_text
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import find_account, right_named, right_text, set_disabled
from tenuto.server.people.change import changing
from tenuto.server.people.services import Service, add_service, list_services, set_service_right
from tenuto.server.people.targets import service_of

_Right = Literal["read", "write", "admin"]


class ServiceRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A service to make."""

    name: str
    role: _Right = "read"
    full_name: str = ""


class ServiceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be otherwise; what is left out stays."""

    role: _Right | None = None
    disabled: bool | None = None


def _shown(one: Service) -> dict[str, object]:
    account = one.account
    return {
        "name": account.name,
        "fullname": account.shown_name,
        "role": right_text(one.right),
        "disabled": account.disabled_ms is not None,
        "createdAt": timestamp_text(account.created_ms),
    }


def list_all(parts: Parts, call: Call) -> Answer:
    """The services of an account."""
    with parts.database.read() as connection:
        found = list_services(connection, find_account(connection, call.params["account"]))
    return json_answer([_shown(one) for one in found])


def make(parts: Parts, call: Call) -> Answer:
    """A new service; it can do nothing until it has a token. Raises UsageError, ConflictError (Exists)."""
    wanted = call.json(ServiceRequest)
    right = right_named(wanted.role)
    with changing(parts, call.origin) as change:
        owner = find_account(change.connection, call.params["account"])
        made = add_service(change, wanted.name, owner, right, wanted.full_name)
    return json_answer(_shown(Service(made, right)))


def change_one(parts: Parts, call: Call) -> Answer:
    """How far a service may go, and whether its tokens are good."""
    wanted = call.json(ServiceChange)
    with changing(parts, call.origin) as change:
        owner = find_account(change.connection, call.params["account"])
        service = service_of(change.connection, owner, call.params["service"])
        if wanted.role is not None:
            set_service_right(change, service, right_named(wanted.role))
        if wanted.disabled is not None:
            set_disabled(change, service, wanted.disabled, by_owner=True)
    return json_answer({"name": service.name})
