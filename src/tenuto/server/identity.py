"""From a token or a cookie to the account behind it, with all that the policy wants to know of it."""

import hashlib
import hmac
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select, update

from tenuto.server.access import ANYBODY, Actor, Right, Role, Scope
from tenuto.server.schema import memberships, services, token_scopes, tokens, users

TOUCH_INTERVAL_MS = 3_600_000
COOKIE = "tenuto_session"
OWN_COOKIE = f"__Host-{COOKIE}"
"""Over https: browsers take it from this very host alone, so that no neighbour in the domain signs anybody in (RFC 6265bis)."""


class Identity(NamedTuple):
    """Who asks, when the token was last used, and from when on it is no longer good; None is never."""

    actor: Actor
    last_used_ms: int | None = None
    until_ms: int | None = None


NOBODY = Identity(ANYBODY)

_COLUMNS = (
    users.c.id,
    users.c.name,
    users.c.is_admin,
    users.c.kind,
    tokens.c.id.label("token_id"),
    tokens.c.name.label("token_name"),
    tokens.c.role,
    tokens.c.reads_gated,
    tokens.c.digest,
    tokens.c.last_used_ms,
    tokens.c.expires_ms,
)
_LIVE = (
    select(*_COLUMNS)
    .join(tokens, tokens.c.user_id == users.c.id)
    .where(tokens.c.revoked_ms.is_(None), users.c.disabled_ms.is_(None))
    .where(tokens.c.expires_ms.is_(None) | (tokens.c.expires_ms > bindparam("now_ms")))
)
_BY_DIGEST = _LIVE.where(tokens.c.digest == bindparam("digest"))
_BY_TOKEN = _LIVE.where(tokens.c.id == bindparam("token_id"))
_MEMBERSHIPS = (
    select(users.c.name, memberships.c.right)
    .join(memberships, memberships.c.organization_id == users.c.id)
    .where(memberships.c.user_id == bindparam("user_id"), users.c.disabled_ms.is_(None))
)
_OWNER = (
    select(users.c.id, users.c.name, services.c.right)
    .join(services, services.c.owner_id == users.c.id)
    .where(services.c.service_id == bindparam("user_id"), users.c.disabled_ms.is_(None))
)
_SCOPES = (
    select(token_scopes.c.right, users.c.name, token_scopes.c.repo_id)
    .outerjoin(users, users.c.id == token_scopes.c.account_id)
    .where(token_scopes.c.token_id == bindparam("token_id"))
)


def digest_of(token: str) -> str:
    """Under what a token is kept."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def identify(connection: Connection, token: str, now_ms: int, *, by_cookie: bool = False) -> Identity | None:
    """Whose token this is; None if it is unknown, revoked or expired, if its account, or that for which it acts, was disabled, and for
    a session that did not come as a cookie, or a cookie that is no session."""
    digest = digest_of(token)
    row = connection.execute(_BY_DIGEST, {"digest": digest, "now_ms": now_ms}).first()
    if row is None or not hmac.compare_digest(row.digest, digest) or (row.role == Role.SESSION) is not by_cookie:
        return None
    return _identity(connection, row)


def identify_token(connection: Connection, token_id: int, now_ms: int) -> Identity | None:
    """The account behind a token that a signed link names, unless that token is no longer good."""
    row = connection.execute(_BY_TOKEN, {"token_id": token_id, "now_ms": now_ms}).first()
    return _identity(connection, row) if row else None


def _identity(connection: Connection, row: "Row[*tuple[Any, ...]]") -> Identity | None:
    owner = _owner(connection, row.id) if row.kind == "service" else None
    if row.kind == "service" and owner is None:
        return None
    rights = dict([owner[1:]]) if owner else _memberships(connection, row.id)
    role = Role(row.role)
    actor = Actor(
        user_id=row.id,
        name=row.name,
        is_admin=row.is_admin,
        token_id=row.token_id,
        token_name=row.token_name,
        role=role,
        rights=rights,
        scopes=_scopes(connection, row.token_id) if role is Role.FINE else (),
        reads_gated=row.reads_gated,
        owner_id=owner[0] if owner else 0,
    )
    return Identity(actor, row.last_used_ms, row.expires_ms)


def _owner(connection: Connection, service_id: int) -> tuple[int, str, Right] | None:
    """Id and name of the account that a service acts for, and its right there; None if that account was disabled."""
    row = connection.execute(_OWNER, {"user_id": service_id}).first()
    return (row.id, row.name, Right[row.right.upper()]) if row else None


def _memberships(connection: Connection, user_id: int) -> dict[str, Right]:
    found = connection.execute(_MEMBERSHIPS, {"user_id": user_id})
    return {name: Right[right.upper()] for name, right in found}


def _scopes(connection: Connection, token_id: int) -> tuple[Scope, ...]:
    found = connection.execute(_SCOPES, {"token_id": token_id})
    return tuple(Scope(Right[right.upper()], name or "", repo_id or 0) for right, name, repo_id in found)


def touch(connection: Connection, token_id: int, now_ms: int) -> None:
    """Remember that a token was used."""
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_ms=now_ms))
