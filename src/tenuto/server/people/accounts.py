"""Accounts as rows: users, organizations and services share one table, and their names (decision 20)."""

from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from tenuto.core.errors import AccessDeniedError, ConflictError, NotFoundError, UsageError
from tenuto.server.access import Right, Role
from tenuto.server.accounts import check_namespace
from tenuto.server.audit import Deed
from tenuto.server.people.change import Change
from tenuto.server.schema import invitations, repos, tokens, users

MOST_LISTED = 10_000
_FULL_NAME_LETTERS = 100


class Kind(StrEnum):
    """What an account stands for."""

    USER = "user"
    ORGANIZATION = "organization"
    SERVICE = "service"


class Account(NamedTuple):
    """A row of the table."""

    id: int
    name: str
    kind: Kind
    full_name: str
    is_admin: bool
    created_ms: int
    disabled_ms: int | None
    is_held: bool
    """Whoever administers the hub disabled it, and nobody else enables it again."""

    @property
    def shown_name(self) -> str:
        """What people call it."""
        return self.full_name or self.name


COLUMNS = (
    users.c.id,
    users.c.name,
    users.c.kind,
    users.c.full_name,
    users.c.is_admin,
    users.c.created_ms,
    users.c.disabled_ms,
    users.c.is_held,
)
_ADDED = {Kind.USER: Deed.USER_ADD, Kind.ORGANIZATION: Deed.ORGANIZATION_ADD, Kind.SERVICE: Deed.SERVICE_ADD}
_CHANGED = {
    Kind.USER: Deed.USER_CHANGE,
    Kind.ORGANIZATION: Deed.ORGANIZATION_CHANGE,
    Kind.SERVICE: Deed.SERVICE_CHANGE,
}


def account_of_row(row: tuple[int, str, str, str, bool, int, int | None, bool]) -> Account:
    """The account in a row of `COLUMNS`."""
    account = Account._make(row)
    return account._replace(kind=Kind(account.kind))


def find_account(connection: Connection, name: str, kind: Kind | None = None) -> Account:
    """The account of that name, in any case; raises NotFoundError (UserNotFound) if there is none, or none of that kind."""
    row = connection.execute(select(*COLUMNS).where(users.c.name_key == name.lower())).first()
    if row is None or kind not in {None, row.kind}:
        raise NotFoundError(f"there is no {kind or 'account'} {name[:100]}", code="UserNotFound")
    return account_of_row(tuple(row))


def list_accounts(connection: Connection, kind: Kind | None = None) -> list[Account]:
    """All accounts, or those of a kind, by name."""
    query = select(*COLUMNS).order_by(users.c.name_key).limit(MOST_LISTED)
    rows = connection.execute(query.where(users.c.kind == kind.value) if kind else query)
    return [account_of_row(tuple(row)) for row in rows]


def find_accounts(connection: Connection, wanted: str, after: str, limit: int) -> list[Account]:
    """A page of the accounts that have `wanted` in a name, by name, behind the name `after`."""
    named = users.c.name_key.contains(wanted.lower(), autoescape=True)
    named |= users.c.full_name.icontains(wanted, autoescape=True)
    query = select(*COLUMNS).where(named, users.c.name_key > after.lower()).order_by(users.c.name_key).limit(limit)
    return [account_of_row(tuple(row)) for row in connection.execute(query)]


def add_account(
    change: Change, name: str, kind: Kind, *, full_name: str = "", is_admin: bool = False, settled: bool = False
) -> Account:
    """A new account, which can do nothing yet. Only where the name was `settled` by whoever governs the hub may it be that of a
    namespace which has repos, and belongs to nobody so far. Raises UsageError (BadAddress), ConflictError (Exists).
    """
    check_namespace(name)
    taken = change.connection.execute(select(users.c.id).where(users.c.name_key == name.lower())).first()
    if taken or not (settled or _is_free(change, name)):
        raise ConflictError(f"there is an account {name} already", code="Exists", hint="take another name")
    row = {
        "name": name,
        "name_key": name.lower(),
        "kind": kind.value,
        "full_name": _checked(full_name),
        "is_admin": is_admin,
        "created_ms": change.now_ms,
    }
    made = change.connection.execute(insert(users).values(row).returning(*COLUMNS)).one()
    change.record(_ADDED[kind], name, role="admin" if is_admin else None)
    return account_of_row(tuple(made))


def _is_free(change: Change, name: str) -> bool:
    return (
        change.connection.execute(select(repos.c.id).where(func.lower(repos.c.namespace) == name.lower())).first()
        is None
    )


def _checked(full_name: str) -> str:
    full_name = full_name.strip()
    if len(full_name) > _FULL_NAME_LETTERS or not (full_name or "x").isprintable():
        raise UsageError(f"a full name has at most {_FULL_NAME_LETTERS} letters, in one line")
    return full_name


def set_full_name(change: Change, account: Account, full_name: str) -> None:
    """What people call an account from now on. Raises UsageError (BadRequest)."""
    _update(change, account, full_name=_checked(full_name))
    change.record(_CHANGED[account.kind], account.name)


def set_admin(change: Change, account: Account, is_admin: bool) -> None:
    """Whether a user administers the hub. Raises UsageError (BadRequest), ConflictError (Conflict) for the last one who does."""
    if account.kind is not Kind.USER:
        raise UsageError(f"{account.name} is no user; only users administer the hub")
    if not is_admin:
        _check_not_last(change, account)
    _update(change, account, is_admin=is_admin)
    change.record(Deed.USER_CHANGE, account.name, role="admin" if is_admin else "user")


def set_disabled(change: Change, account: Account, is_disabled: bool, *, by_owner: bool = False) -> None:
    """No token of the account, nor of a service that acts for it, is good while it is disabled; its name stays taken.

    Browser sessions, and links for a new password, end for good. What whoever administers the hub disabled is enabled `by_owner` no more.
    Raises ConflictError (Conflict) for the last who administers the hub, AccessDeniedError (Forbidden).
    """
    if by_owner and account.is_held and not is_disabled:
        raise AccessDeniedError(
            f"whoever administers this hub disabled {account.name}", hint="ask them: only they enable it again"
        )
    if is_disabled:
        _check_not_last(change, account)
        end_sessions(change, account.id)
        change.connection.execute(delete(invitations).where(invitations.c.user_id == account.id))
    is_held = is_disabled and (account.is_held or not by_owner)
    _update(change, account, disabled_ms=change.now_ms if is_disabled else None, is_held=is_held)
    change.record(_CHANGED[account.kind], account.name, status="disabled" if is_disabled else "enabled")


def end_sessions(change: Change, user_id: int, but: int = 0) -> int:
    """Every browser of a user is signed out, except that with the session `but`; how many there were."""
    live = (tokens.c.user_id == user_id) & (tokens.c.role == Role.SESSION.value) & tokens.c.revoked_ms.is_(None)
    ended = update(tokens).where(live, tokens.c.id != but).values(revoked_ms=change.now_ms)
    return change.connection.execute(ended).rowcount


def _check_not_last(change: Change, account: Account) -> None:
    others = users.c.is_admin & users.c.disabled_ms.is_(None) & (users.c.id != account.id)
    query = select(func.count()).select_from(users).where(others)
    if account.is_admin and not change.connection.execute(query).scalar_one():
        raise ConflictError(
            f"{account.name} is the last one who administers this hub", hint="let somebody else administer it first"
        )


def _update(change: Change, account: Account, **values: object) -> None:
    change.connection.execute(update(users).where(users.c.id == account.id).values(values))


def right_named(text: str) -> Right:
    """The right called `text`; raises UsageError (BadRequest) unless that is read, write or admin."""
    try:
        right = Right[text.upper()]
    except KeyError:
        right = Right.NONE
    if right is Right.NONE:
        raise UsageError(f"{text[:40]!r} is not a right", hint="use read, write or admin")
    return right


def right_text(right: Right) -> str:
    """How a right is called, and kept."""
    return right.name.lower()
