"""Links by which somebody gets an account, or a new password for the one that is there: each is good once, and for some days."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.server.access import Right
from tenuto.server.accounts import check_namespace, name_of
from tenuto.server.audit import Deed
from tenuto.server.identity import digest_of
from tenuto.server.people.accounts import Account, Kind, add_account, find_account, right_named, right_text
from tenuto.server.people.change import Change
from tenuto.server.people.organizations import set_member
from tenuto.server.people.tokens import DAY_MS, new_secret
from tenuto.server.schema import invitations, users
from tenuto.server.signin.passwords import keep_password

DAYS = 7.0
_LEAST = "read"
_MAKERS = users.alias("makers")
_STANDS = invitations.c.maker_id.is_(None) | (_MAKERS.c.is_admin & _MAKERS.c.disabled_ms.is_(None))
MOST_DAYS = 90
MOST_LISTED = 500
PATH = "/join"
FIELD = "code"
"""In the query, which no log holds."""


class InvitationWish(msgspec.Struct, frozen=True):
    """Whom to invite: with `name` that name is settled, with `organization` the account becomes a member there."""

    name: str = ""
    organization: str = ""
    role: str = _LEAST
    days: float = DAYS


class Invitation(msgspec.Struct, frozen=True):
    """What a link is good for. `user_id` 0 makes an account, called `name` if that is settled."""

    id: int
    name: str
    user_id: int
    organization: str
    right: str


class OpenLink(NamedTuple):
    """What is shown of a link that somebody has: for whom, to do what, and who made it; the secret is nowhere."""

    id: int
    name: str
    resets: bool
    organization: str
    right: str
    maker: str
    expires_ms: int


def invite(change: Change, wish: InvitationWish) -> str:
    """The secret end of a new link, which is shown here only. Raises UsageError, NotFoundError (UserNotFound)."""
    organization = find_account(change.connection, wish.organization, Kind.ORGANIZATION) if wish.organization else None
    if organization is None and wish.role != _LEAST:
        raise UsageError(
            f"whoever is invited has a role in an organization: {wish.role[:40]!r} where?", hint="name one"
        )
    right = right_text(right_named(wish.role)) if organization else ""
    taken = select(users.c.id).where(users.c.name_key == wish.name.lower())
    if wish.name and check_namespace(wish.name) and change.connection.execute(taken).first():
        raise ConflictError(f"there is an account {wish.name} already", code="Exists", hint="invite by another name")
    return _insert(
        change,
        wish.days,
        name=wish.name,
        organization_id=organization.id if organization else None,
        right=right,
    )


def invite_to_reset(change: Change, user: Account, days: float = DAYS) -> str:
    """The secret end of a link by which that user sets a new password; those made before are no longer good. Raises UsageError."""
    if user.kind is not Kind.USER:
        raise UsageError(f"{user.name} is no user; only users have passwords")
    change.connection.execute(delete(invitations).where(invitations.c.user_id == user.id))
    return _insert(change, days, name=user.name, user_id=user.id)


def _insert(change: Change, days: float, **values: object) -> str:
    if not 0 < days <= MOST_DAYS:
        raise UsageError(f"a link is good for at most {MOST_DAYS} days")
    change.connection.execute(delete(invitations).where(invitations.c.expires_ms <= change.now_ms))
    secret, expires_ms = new_secret(), change.now_ms + int(days * DAY_MS)
    maker_id = change.origin.actor.user_id or None
    row = {"digest": digest_of(secret), "created_ms": change.now_ms, "expires_ms": expires_ms, "maker_id": maker_id}
    row |= values
    change.connection.execute(insert(invitations).values(row))
    change.record(Deed.USER_CHANGE, str(values["name"]), kind="invitation", until_ms=expires_ms)
    return secret


def list_invitations(connection: Connection, now_ms: int) -> list[OpenLink]:
    """The links that are not over, the newest first."""
    organizations = users.alias("organizations")
    columns = (invitations.c.id, invitations.c.name, invitations.c.user_id, organizations.c.name, invitations.c.right)
    query = select(*columns, _MAKERS.c.name, invitations.c.expires_ms).where(invitations.c.expires_ms > now_ms, _STANDS)
    query = query.outerjoin(organizations, organizations.c.id == invitations.c.organization_id)
    query = query.outerjoin(_MAKERS, _MAKERS.c.id == invitations.c.maker_id)
    rows = connection.execute(query.order_by(invitations.c.id.desc()).limit(MOST_LISTED))
    return [
        OpenLink(key, name, bool(user), place or "", right, by or "", end)
        for key, name, user, place, right, by, end in rows
    ]


def withdraw(change: Change, invitation_id: int) -> None:
    """A link is no longer good. Raises NotFoundError (UserNotFound) if it was not."""
    here = invitations.c.id == invitation_id
    name = change.connection.execute(select(invitations.c.name).where(here)).scalar()
    if name is None:
        raise NotFoundError("this link is not good any more", code="UserNotFound", hint="load the page anew")
    change.connection.execute(delete(invitations).where(here))
    change.record(Deed.USER_CHANGE, name, kind="invitation", status="removed")


def find_invitation(connection: Connection, secret: str, now_ms: int) -> Invitation:
    """What a link is good for; raises NotFoundError (UserNotFound) if it was used, has expired, or never was, and if whoever made it
    administers the hub no longer.
    """
    known = (invitations.c.digest == digest_of(secret)) & (invitations.c.expires_ms > now_ms)
    query = select(invitations).outerjoin(_MAKERS, _MAKERS.c.id == invitations.c.maker_id)
    row = connection.execute(query.where(known, _STANDS)).first()
    if row is None:
        raise _no_longer_good()
    organization = name_of(connection, row.organization_id) if row.organization_id else ""
    return Invitation(row.id, row.name, row.user_id or 0, organization, row.right)


def _no_longer_good() -> NotFoundError:
    return NotFoundError("this link is no longer good", code="UserNotFound", hint="ask whoever sent it for a new one")


def accept(change: Change, secret: str, name: str, text: str, full_name: str = "") -> Account:
    """The account that a link was good for, made or with its new password, of which `text` is kept; the link is not good for another.

    Raises UsageError, ConflictError (Exists), NotFoundError (UserNotFound).
    """
    invitation = find_invitation(change.connection, secret, change.now_ms)
    if not change.connection.execute(delete(invitations).where(invitations.c.id == invitation.id)).rowcount:
        raise _no_longer_good()  # somebody else was faster
    if invitation.user_id:
        account = find_account(change.connection, name_of(change.connection, invitation.user_id), Kind.USER)
        if account.disabled_ms is not None:
            raise _no_longer_good()
    else:
        settled = bool(invitation.name)
        account = add_account(change, invitation.name or name, Kind.USER, full_name=full_name, settled=settled)
        if invitation.organization:
            organization = find_account(change.connection, invitation.organization, Kind.ORGANIZATION)
            set_member(change, organization, account, Right[invitation.right.upper()])
    keep_password(change, account, text)
    return account


def sign_up(change: Change, name: str, text: str, full_name: str = "") -> Account:
    """A new account for whoever comes, where the hub is open to everybody; `text` is kept of its password.

    Raises UsageError, ConflictError (Exists).
    """
    account = add_account(change, name, Kind.USER, full_name=full_name)
    keep_password(change, account, text)
    return account
