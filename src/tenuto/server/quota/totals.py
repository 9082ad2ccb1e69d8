"""How many bytes each repo holds. Triggers keep the numbers, inside the transaction that changes what is counted."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
)

from tenuto.server.schema import git_objects, lfs_objects, repo_usage, repo_xorbs, repos, usage_days, xet_files, xorbs

DAY_MS = 24 * 3600 * 1000


class Usage(msgspec.Struct, frozen=True):
    """What a repo holds, over all its versions and pending uploads; each content counts once.

    `file_bytes`: small files, as they are. `object_bytes`: large files that lie whole. `xorb_bytes`: the stored chunks of all others, or
    the slices of a whole object that these are. `history_bytes`: what git adds (commits, folders, tags, pointers); no quota counts it.
    """

    file_bytes: int = 0
    object_bytes: int = 0
    xorb_bytes: int = 0
    history_bytes: int = 0

    @property
    def counted_bytes(self) -> int:
        """What a quota counts: the bytes of files."""
        return self.file_bytes + self.object_bytes + self.xorb_bytes


class Day(NamedTuple):
    """A day, counted from 1970 UTC, and what a repo held when it last changed on it."""

    number: int
    usage: Usage


_COLUMNS = tuple(repo_usage.c[name] for name in Usage.__struct_fields__)
_OF_REPO = select(*_COLUMNS).where(repo_usage.c.repo_id == bindparam("repo"))
COUNTED = repo_usage.c.file_bytes + repo_usage.c.object_bytes + repo_usage.c.xorb_bytes
"""What a quota counts of a repo."""

_OVER_TIME = union_all(
    select(usage_days.c.day, *(usage_days.c[name] for name in Usage.__struct_fields__)).where(
        usage_days.c.repo_id == bindparam("repo")
    ),
    select(null(), *_COLUMNS).where(repo_usage.c.repo_id == bindparam("repo")),
)


def usage(connection: Connection, repo_key: int) -> Usage:
    """What a repo holds."""
    row = connection.execute(_OF_REPO, {"repo": repo_key}).first()
    return Usage(*row) if row else Usage()


def counted_below(connection: Connection, namespace: str) -> int:
    """What all repos in a namespace hold together, as quotas count it."""
    query = select(func.coalesce(func.sum(COUNTED), 0)).join(repos, repos.c.id == repo_usage.c.repo_id)
    return int(connection.execute(query.where(is_below(repos, literal(namespace.lower())))).scalar_one())


def is_below(table: FromClause, key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a repo is in the namespace that has this name in lower case; found by the index over kind and name."""
    return and_(table.c.kind.in_(("model", "dataset", "space")), table.c.name_key.between(key + "/", key + "0"))


def note_day(connection: Connection, repo_key: int, found: Usage, now_ms: int) -> None:
    """Remember what a repo holds at the end, so far, of this day."""
    key = (usage_days.c.repo_id == repo_key) & (usage_days.c.day == now_ms // DAY_MS)
    connection.execute(delete(usage_days).where(key))
    row = {"repo_id": repo_key, "day": now_ms // DAY_MS, **msgspec.structs.asdict(found)}
    connection.execute(insert(usage_days), row)


def over_time(connection: Connection, repo_key: int) -> tuple[list[Day], Usage]:
    """The days on which a repo changed, oldest first, and what it holds now; in between it held what it held before."""
    rows = connection.execute(_OVER_TIME, {"repo": repo_key}).all()
    found = [Day(row[0], Usage(*row[1:])) for row in rows if row[0] is not None]
    now = next((Usage(*row[1:]) for row in rows if row[0] is None), Usage())
    return sorted(found, key=lambda day: day.number), now


def wrong_totals(connection: Connection) -> Iterator[tuple[int, Usage, Usage]]:
    """Repos whose numbers are not the sums of their rows: the repo, what is noted, and what is there. A check finds none."""
    noted = {row[0]: Usage(*row[1:]) for row in connection.execute(select(repo_usage.c.repo_id, *_COLUMNS))}
    for key in connection.execute(select(repos.c.id).order_by(repos.c.id)).scalars().all():
        found = _counted_anew(connection, key)
        if noted.get(key, Usage()) != found:
            yield key, noted.get(key, Usage()), found


def _counted_anew(connection: Connection, repo_key: int) -> Usage:
    is_file = (git_objects.c.kind == "blob") & git_objects.c.lfs_sha256.is_(None)
    git = select(
        func.coalesce(func.sum(case((is_file, git_objects.c.size), else_=0)), 0),
        func.coalesce(func.sum(case((is_file, 0), else_=git_objects.c.size)), 0),
    ).where(git_objects.c.repo_id == repo_key)
    small, history = connection.execute(git).one()
    same = (xet_files.c.repo_id == lfs_objects.c.repo_id) & (xet_files.c.sha256 == lfs_objects.c.sha256)
    whole = select(func.coalesce(func.sum(lfs_objects.c.size), 0)).where(
        lfs_objects.c.repo_id == repo_key, ~exists().where(same)
    )
    size = case((xorbs.c.source_sha256.is_(None), xorbs.c.stored_bytes), else_=xorbs.c.raw_bytes)
    stored = select(func.coalesce(func.sum(size), 0)).join(repo_xorbs)
    return Usage(
        int(small),
        int(connection.execute(whole).scalar_one()),
        int(connection.execute(stored.where(repo_xorbs.c.repo_id == repo_key)).scalar_one()),
        int(history),
    )
