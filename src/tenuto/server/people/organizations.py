"""Organizations and who belongs to them. What is in an organization's namespace stays there, whoever leaves."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.server.access import Right
from tenuto.server.audit import Deed
from tenuto.server.people.accounts import COLUMNS, Account, Kind, account_of_row, add_account, right_text
from tenuto.server.people.change import Change
from tenuto.server.schema import memberships, users

MOST_ADMINISTERED = 100


class Member(NamedTuple):
    """A user in an organization."""

    account: Account
    right: Right
    since_ms: int


class Membership(NamedTuple):
    """An organization that a user belongs to."""

    organization: Account
    right: Right


def add_organization(
    change: Change, name: str, admin: Account, full_name: str = "", *, settled: bool = False
) -> Account:
    """A new organization with one member, who administers it; `settled` as for any account.

    Whoever administers `MOST_ADMINISTERED` of them makes no more: names are for all. Raises UsageError (BadAddress, BadRequest),
    ConflictError (Exists).
    """
    own = (memberships.c.user_id == admin.id) & (memberships.c.right == right_text(Right.ADMIN))
    count = select(func.count()).select_from(memberships).where(own)
    if not settled and change.connection.execute(count).scalar_one() >= MOST_ADMINISTERED:
        raise UsageError(
            f"{admin.name} administers {MOST_ADMINISTERED} organizations", hint="ask whoever runs this hub"
        )
    made = add_account(change, name, Kind.ORGANIZATION, full_name=full_name, settled=settled)
    set_member(change, made, admin, Right.ADMIN)
    return made


def set_member(change: Change, organization: Account, user: Account, right: Right) -> None:
    """`user` belongs to the organization, with that right from now on. Raises UsageError (BadRequest), ConflictError (Conflict)."""
    if user.kind is not Kind.USER or right is Right.NONE:
        raise UsageError(f"{user.name} cannot be a member", hint="members are users; for a machine, make a service")
    if right is not Right.ADMIN:
        _check_not_last(change.connection, organization, user)
    old = _right_of(change.connection, organization, user)
    place = {"organization_id": organization.id, "user_id": user.id}
    if old is None:
        row = {**place, "right": right_text(right), "created_ms": change.now_ms}
        change.connection.execute(insert(memberships).values(row))
    else:
        here = update(memberships).where(*(memberships.c[key] == value for key, value in place.items()))
        change.connection.execute(here.values(right=right_text(right)))
    change.record(Deed.MEMBER_SET, organization.name, name=user.name, old=old, new=right_text(right))


def remove_member(change: Change, organization: Account, user: Account) -> None:
    """`user` belongs to the organization no longer. Raises NotFoundError (UserNotFound), ConflictError (Conflict) for its last admin."""
    _check_not_last(change.connection, organization, user)
    here = (memberships.c.organization_id == organization.id) & (memberships.c.user_id == user.id)
    if not change.connection.execute(delete(memberships).where(here)).rowcount:
        raise NotFoundError(f"{user.name} is no member of {organization.name}", code="UserNotFound")
    change.record(Deed.MEMBER_REMOVE, organization.name, name=user.name)


def _right_of(connection: Connection, organization: Account, user: Account) -> str | None:
    here = (memberships.c.organization_id == organization.id) & (memberships.c.user_id == user.id)
    return connection.execute(select(memberships.c.right).where(here)).scalar()


def _check_not_last(connection: Connection, organization: Account, user: Account) -> None:
    if _right_of(connection, organization, user) != right_text(Right.ADMIN):
        return
    admins = (memberships.c.organization_id == organization.id) & (memberships.c.right == right_text(Right.ADMIN))
    open_ones = select(func.count()).select_from(memberships).join(users, users.c.id == memberships.c.user_id)
    others = admins & users.c.disabled_ms.is_(None) & (users.c.id != user.id)
    if not connection.execute(open_ones.where(others)).scalar_one():
        raise ConflictError(
            f"{user.name} is the last one who administers {organization.name}",
            hint="let another member administer it first",
        )


def list_members(connection: Connection, organization: Account, after: int = 0, limit: int = 1000) -> list[Member]:
    """A page of the members, behind the account with the id `after`."""
    query = select(*COLUMNS, memberships.c.right, memberships.c.created_ms).join(
        memberships, memberships.c.user_id == users.c.id
    )
    here = (memberships.c.organization_id == organization.id) & (users.c.id > after)
    rows = connection.execute(query.where(here).order_by(users.c.id).limit(limit))
    return [Member(account_of_row(tuple(row)[:-2]), Right[row[-2].upper()], row[-1]) for row in rows]


def count_members(connection: Connection, organization: Account) -> int:
    """How many belong to it."""
    here = memberships.c.organization_id == organization.id
    return int(connection.execute(select(func.count()).select_from(memberships).where(here)).scalar_one())


def memberships_of(connection: Connection, user_id: int) -> list[Membership]:
    """The organizations that a user belongs to, by name."""
    query = select(*COLUMNS, memberships.c.right).join(memberships, memberships.c.organization_id == users.c.id)
    here = (memberships.c.user_id == user_id) & users.c.disabled_ms.is_(None)
    rows = connection.execute(query.where(here).order_by(users.c.name_key))
    return [Membership(account_of_row(tuple(row)[:-1]), Right[row[-1].upper()]) for row in rows]
