"""Services: accounts of machines, which act for a user or an organization in its namespace, with tokens of their own."""

from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from tenuto.core.errors import UsageError
from tenuto.server.access import Right
from tenuto.server.audit import Deed
from tenuto.server.people.accounts import COLUMNS, Account, Kind, account_of_row, add_account, right_text
from tenuto.server.people.change import Change
from tenuto.server.schema import services, users

MOST_SERVICES = 1000


class Service(NamedTuple):
    """A service, and how far its right goes in the namespace of its owner."""

    account: Account
    right: Right


def add_service(change: Change, name: str, owner: Account, right: Right, full_name: str = "") -> Account:
    """A new service of `owner`. Raises UsageError (BadAddress, BadRequest), ConflictError (Exists)."""
    if owner.kind is Kind.SERVICE or right is Right.NONE:
        raise UsageError(f"{owner.name} cannot have services", hint="a service acts for a user or an organization")
    own = select(func.count()).select_from(services).where(services.c.owner_id == owner.id)
    if change.connection.execute(own).scalar_one() >= MOST_SERVICES:
        raise UsageError(f"{owner.name} has {MOST_SERVICES} services", hint="give those that are there other tokens")
    made = add_account(change, name, Kind.SERVICE, full_name=full_name)
    row = {"service_id": made.id, "owner_id": owner.id, "right": right_text(right)}
    change.connection.execute(insert(services).values(row))
    change.record(Deed.SERVICE_CHANGE, name, name=owner.name, new=right_text(right))
    return made


def set_service_right(change: Change, service: Account, right: Right) -> None:
    """How far a service may go from now on. Raises UsageError (BadRequest)."""
    if right is Right.NONE:
        raise UsageError("a service has the right to read, to write or to administer")
    here = services.c.service_id == service.id
    change.connection.execute(update(services).where(here).values(right=right_text(right)))
    change.record(Deed.SERVICE_CHANGE, service.name, new=right_text(right))


def owner_of(connection: Connection, service: Account) -> Account:
    """The account that a service acts for."""
    query = select(*COLUMNS).join(services, services.c.owner_id == users.c.id)
    return account_of_row(tuple(connection.execute(query.where(services.c.service_id == service.id)).one()))


def list_services(connection: Connection, owner: Account | None = None) -> list[Service]:
    """The services of an account, or all, by name."""
    query = (
        select(*COLUMNS, services.c.right)
        .join(services, services.c.service_id == users.c.id)
        .order_by(users.c.name_key)
    )
    rows = connection.execute(query.where(services.c.owner_id == owner.id) if owner else query)
    return [Service(account_of_row(tuple(row)[:-1]), Right[row[-1].upper()]) for row in rows]
