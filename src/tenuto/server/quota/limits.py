"""How many bytes a repo, or all repos of an account together, may hold."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, union_all

from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.quota.totals import COUNTED, counted_below, is_below, usage
from tenuto.server.schema import account_quotas, repo_quotas, repo_usage, repos, users


class Limit(NamedTuple):
    """What may be held, and what is: by a repo, or by an account."""

    name: str
    allowed_bytes: int
    used_bytes: int
    is_account: bool


_OF_REPO = (
    select(repo_quotas.c.bytes, repos.c.namespace, repos.c.name)
    .join(repos, repos.c.id == repo_quotas.c.repo_id)
    .where(repo_quotas.c.repo_id == bindparam("repo"))
)
_OF_ACCOUNT = (
    select(account_quotas.c.bytes, users.c.name)
    .join(users, users.c.id == account_quotas.c.account_id)
    .join(repos, func.lower(repos.c.namespace) == users.c.name_key)
    .where(repos.c.id == bindparam("repo"))
)

_BELOW = repos.alias("below")
_ON_REPO = union_all(
    select(
        repos.c.namespace + "/" + repos.c.name,
        repo_quotas.c.bytes,
        select(func.coalesce(func.sum(COUNTED), 0))
        .where(repo_usage.c.repo_id == repo_quotas.c.repo_id)
        .scalar_subquery(),
        literal(0),
    )
    .join(repos, repos.c.id == repo_quotas.c.repo_id)
    .where(repo_quotas.c.repo_id == bindparam("repo")),
    select(
        users.c.name,
        account_quotas.c.bytes,
        select(func.coalesce(func.sum(COUNTED), 0))
        .join(_BELOW, _BELOW.c.id == repo_usage.c.repo_id)
        .where(is_below(_BELOW, users.c.name_key))
        .scalar_subquery(),
        literal(1),
    )
    .join(users, users.c.id == account_quotas.c.account_id)
    .join(repos, func.lower(repos.c.namespace) == users.c.name_key)
    .where(repos.c.id == bindparam("repo")),
)


def limits_on(connection: Connection, repo_key: int) -> list[Limit]:
    """The limits that the bytes of a repo fall under, the narrower one first; none, if nobody set one."""
    rows = connection.execute(_ON_REPO, {"repo": repo_key})
    return sorted(
        (Limit(name, allowed, int(used), bool(is_account)) for name, allowed, used, is_account in rows), key=_width
    )


def _width(limit: Limit) -> bool:
    return limit.is_account


def allowed_below(connection: Connection, account: str) -> int | None:
    """What all repos of an account together may hold; None if nobody set a limit."""
    query = select(account_quotas.c.bytes).join(users, users.c.id == account_quotas.c.account_id)
    found = connection.execute(query.where(users.c.name_key == account.lower())).scalar()
    return None if found is None else int(found)


def is_limited(connection: Connection, repo_key: int) -> bool:
    """Whether the bytes of a repo fall under a limit."""
    return any(connection.execute(query, {"repo": repo_key}).first() for query in (_OF_REPO, _OF_ACCOUNT))


def set_quota(
    connection: Connection, allowed_bytes: int | None, *, repo_key: int | None = None, account_id: int | None = None
) -> None:
    """Let a repo, or an account, hold so many bytes; None lifts the limit. What is held already stays."""
    table, key = (repo_quotas, repo_key) if account_id is None else (account_quotas, account_id)
    column = table.primary_key.columns[0]
    connection.execute(delete(table).where(column == key))
    if allowed_bytes is not None:
        connection.execute(insert(table), {column.name: key, "bytes": allowed_bytes})


def all_limits(connection: Connection) -> list[Limit]:
    """Every limit that somebody set: those of accounts first, each kind by name."""
    accounts = select(users.c.name, account_quotas.c.bytes).join(users, users.c.id == account_quotas.c.account_id)
    columns = (repos.c.id, repos.c.kind, repos.c.namespace, repos.c.name, repo_quotas.c.bytes)
    found = [
        Limit(name, allowed, counted_below(connection, name), True)
        for name, allowed in connection.execute(accounts.order_by(users.c.name)).all()
    ]
    own = select(*columns).join(repos, repos.c.id == repo_quotas.c.repo_id)
    for key, kind, namespace, name, allowed in connection.execute(own.order_by(repos.c.name_key)).all():
        address = str(RepoId(RepoKind(kind), namespace, name))
        found.append(Limit(address, allowed, usage(connection, key).counted_bytes, False))
    return found
