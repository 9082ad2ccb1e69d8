"""Which large objects came whole and are to be cut into chunks (decision 19). A row goes with the object, and once that is done."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from tenuto.server.db import Database, chunks
from tenuto.server.schema import lfs_objects, uncut_objects


class Uncut(NamedTuple):
    """An object to cut for a repo."""

    repo_key: int
    sha256: str
    size: int


def add(database: Database, connection: Connection, repo_key: int, sha256s: Iterable[str], now_ms: int) -> None:
    """List large objects that the repo holds."""
    rows = [{"repo_id": repo_key, "sha256": sha256, "queued_ms": now_ms} for sha256 in sha256s]
    if rows:
        connection.execute(database.insert_new(uncut_objects), rows)


def newest(connection: Connection, but: Collection[tuple[int, str]] = ()) -> Uncut | None:
    """The one that was listed last, whose next version is the most likely to come soon; none of `but` these, by repo and sha256."""
    here = (lfs_objects.c.repo_id == uncut_objects.c.repo_id) & (lfs_objects.c.sha256 == uncut_objects.c.sha256)
    query = select(uncut_objects.c.repo_id, uncut_objects.c.sha256, lfs_objects.c.size).join(lfs_objects, here)
    order = (uncut_objects.c.queued_ms.desc(), uncut_objects.c.repo_id, uncut_objects.c.sha256)
    rows = connection.execute(query.order_by(*order).limit(len(but) + 1))
    return next((Uncut(*row) for row in rows if (row.repo_id, row.sha256) not in but), None)


def listed(connection: Connection, repo_key: int, sha256s: Iterable[str]) -> set[str]:
    """Those of these objects that are to be cut for a repo."""
    found: set[str] = set()
    for some in chunks(list(sha256s)):
        here = (uncut_objects.c.repo_id == repo_key) & uncut_objects.c.sha256.in_(some)
        found.update(connection.execute(select(uncut_objects.c.sha256).where(here)).scalars())
    return found


def remove(connection: Connection, repo_key: int, sha256: str) -> bool:
    """Take an object off the list; whether it was on it."""
    here = (uncut_objects.c.repo_id == repo_key) & (uncut_objects.c.sha256 == sha256)
    return connection.execute(delete(uncut_objects).where(here)).rowcount > 0
