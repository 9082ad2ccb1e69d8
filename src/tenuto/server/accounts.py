"""Users and their tokens. A token is a random secret of 256 bits; the database holds its sha256 only."""

import secrets
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.ids import check_name
from tenuto.server.access import Role
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.identity import digest_of
from tenuto.server.schema import tokens, users

TOKEN_PREFIX = "hf_"  # noqa: S105  # what stock clients expect a token to begin with
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN_CHARACTERS = 43  # 62**43 > 2**256
_RESERVED = frozenset(
    [
        "api",
        "admin-api",
        "assets",
        "buckets",
        "collections",
        "datasets",
        "docs",
        "health",
        "join",
        "kernels",
        "lfs",
        "login",
        "logout",
        "me",
        "models",
        "new",
        "none",
        "oauth",
        "organizations",
        "papers",
        "posts",
        "resolve",
        "search",
        "settings",
        "spaces",
        "static",
        "tasks",
        "uploads",
        "users",
        "v1",
        "v2",
        "webhooks",
        "xet",
    ]
)


class TokenFacts(NamedTuple):
    """What may be shown of a token."""

    id: int
    user: str
    name: str
    role: Role
    created_ms: int
    last_used_ms: int | None


def add_user(connection: Connection, name: str, *, is_admin: bool, now_ms: int) -> int:
    """Add a user and return its id. Raises UsageError (BadAddress), ConflictError (Exists)."""
    check_namespace(name)
    if connection.execute(select(users.c.id).where(users.c.name_key == name.lower())).first():
        raise ConflictError(f"there is a user {name} already", code="Exists")
    row = {"name": name, "name_key": name.lower(), "is_admin": is_admin, "created_ms": now_ms}
    return int(connection.execute(insert(users).values(row).returning(users.c.id)).scalar_one())


def check_namespace(name: str) -> str:
    """Return `name` if a user or organisation may have it; raises UsageError (BadAddress)."""
    check_name(name, "user name")
    if name.lower() in _RESERVED:
        raise UsageError(f"{name!r} is a word of the hub itself", code="BadAddress", hint="take another name")
    return name


def has_users(connection: Connection) -> bool:
    """Whether anybody is there yet."""
    return bool(connection.execute(select(func.count()).select_from(users)).scalar_one())


def create_token(connection: Connection, user: str, role: str, name: str, now_ms: int) -> str:
    """A new token of a user; it can be read here and never again.

    Raises NotFoundError (UserNotFound), UsageError (BadRequest) for an unknown role.
    """
    if role not in {Role.READ, Role.WRITE}:
        raise UsageError(f"{role!r} is not a role of a token", hint="use read or write")
    token = TOKEN_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_CHARACTERS))
    row = {
        "user_id": user_id_of(connection, user),
        "digest": digest_of(token),
        "role": role,
        "name": name[:96] or "token",
        "created_ms": now_ms,
    }
    connection.execute(insert(tokens).values(row))
    return token


def list_tokens(connection: Connection, user: str) -> list[TokenFacts]:
    """The tokens of a user that are not revoked, oldest first; raises NotFoundError (UserNotFound)."""
    columns = (tokens.c.id, tokens.c.name, tokens.c.role, tokens.c.created_ms, tokens.c.last_used_ms)
    query = select(*columns).where(tokens.c.user_id == user_id_of(connection, user), tokens.c.revoked_ms.is_(None))
    rows = connection.execute(query.order_by(tokens.c.id)).all()
    return [TokenFacts(row[0], user, row[1], Role(row[2]), row[3], row[4]) for row in rows]


def revoke_token(connection: Connection, token_id: int, now_ms: int) -> bool:
    """Make a token useless from now on, with every link that was signed for it; whether it was good until now."""
    live = (tokens.c.id == token_id) & tokens.c.revoked_ms.is_(None)
    return connection.execute(update(tokens).where(live).values(revoked_ms=now_ms)).rowcount > 0


def user_id_of(connection: Connection, name: str) -> int:
    """The id of the user of that name, in any case; raises NotFoundError (UserNotFound)."""
    found = connection.execute(select(users.c.id).where(users.c.name_key == name.lower())).scalar()
    if found is None:
        raise NotFoundError(f"there is no user {name}", code="UserNotFound", hint="add it with `tenuto hub user add`")
    return int(found)


def name_of(connection: Connection, user_id: int) -> str:
    """The name of the account with that id; empty if there is none."""
    return connection.execute(select(users.c.name).where(users.c.id == user_id)).scalar() or ""


def record_token(connection: Connection, origin: Origin, token: str, now_ms: int) -> None:
    """The audit log tells of a token that was made: whose it is, its id, name and role, and never the token."""
    made = select(tokens.c.id, tokens.c.name, tokens.c.role, users.c.name.label("user"))
    row = connection.execute(made.join(users).where(tokens.c.digest == digest_of(token))).one()
    facts = {"token_id": row.id, "name": row.name, "role": row.role}
    record(connection, origin, Deed.TOKEN_CREATE, now_ms, subject=row.user, facts=facts)
