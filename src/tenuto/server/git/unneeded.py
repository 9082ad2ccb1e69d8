"""What no ref of a repo needs any more, and since when that is known (decision 12).

A collection writes this list, waits, and removes what has been on it for long. Whoever tells a client that something is here, or lets
new rows build on it, takes it off the list: then the wait begins anew.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, select

from tenuto.server.db import Database, chunks
from tenuto.server.schema import unneeded

_ANY = select(unneeded.c.name).where(unneeded.c.repo_id == bindparam("repo")).limit(1)
_ONE = select(unneeded.c.name).where(unneeded.c.repo_id == bindparam("repo"), unneeded.c.name == bindparam("name"))


def listed(connection: Connection, repo_key: int) -> dict[str, int]:
    """The list of a repo: since when, by name."""
    query = select(unneeded.c.name, unneeded.c.since_ms).where(unneeded.c.repo_id == repo_key)
    return dict(tuple(row) for row in connection.execute(query))


def add(database: Database, connection: Connection, repo_key: int, names: Iterable[str], now_ms: int) -> None:
    """Put names on the list; those that are on it keep their time."""
    rows = [{"repo_id": repo_key, "name": name, "since_ms": now_ms} for name in names]
    if rows:
        connection.execute(database.insert_new(unneeded), rows)


def spare(connection: Connection, repo_key: int, names: Iterable[str]) -> None:
    """Take names off the list, inside the transaction that relies on them."""
    if connection.execute(_ANY, {"repo": repo_key}).first() is not None:
        remove(connection, repo_key, names)


def remove(connection: Connection, repo_key: int, names: Iterable[str]) -> None:
    """Take names off the list."""
    for some in chunks(list(names)):
        connection.execute(delete(unneeded).where(unneeded.c.repo_id == repo_key, unneeded.c.name.in_(some)))


def spare_told(database: Database, repo_key: int, names: Iterable[str]) -> None:
    """Take off the list what a client was told to be here; writes nothing if nothing of it is listed."""
    told = list(names)
    with database.read() as connection:
        if connection.execute(_ANY, {"repo": repo_key}).first() is None:
            return
    with database.write() as connection:
        remove(connection, repo_key, told)


def spare_all_if_listed(connection: Connection, repo_key: int, name: str) -> None:
    """Begin anew for a repo that comes back to something unneeded: a branch at an old commit needs more than that commit."""
    if connection.execute(_ONE, {"repo": repo_key, "name": name}).first() is not None:
        connection.execute(delete(unneeded).where(unneeded.c.repo_id == repo_key))
