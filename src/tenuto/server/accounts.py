"""Names of accounts: which may be, and whose they are."""

from sqlalchemy import Connection, func, select

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.ids import check_name
from tenuto.server.schema import users

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


def check_namespace(name: str) -> str:
    """Return `name` if a user or organisation may have it; raises UsageError (BadAddress)."""
    check_name(name, "user name")
    if name.lower() in _RESERVED:
        raise UsageError(f"{name!r} is a word of the hub itself", code="BadAddress", hint="take another name")
    return name


def has_users(connection: Connection) -> bool:
    """Whether anybody is there yet."""
    return bool(connection.execute(select(func.count()).select_from(users)).scalar_one())


def user_id_of(connection: Connection, name: str) -> int:
    """The id of the user of that name, in any case; raises NotFoundError (UserNotFound)."""
    found = connection.execute(select(users.c.id).where(users.c.name_key == name.lower())).scalar()
    if found is None:
        raise NotFoundError(f"there is no user {name}", code="UserNotFound", hint="add it with `tenuto hub user add`")
    return int(found)


def name_of(connection: Connection, user_id: int) -> str:
    """The name of the account with that id; empty if there is none."""
    return connection.execute(select(users.c.name).where(users.c.id == user_id)).scalar() or ""
