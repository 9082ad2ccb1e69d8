"""Refuses what would go beyond a quota: early where sizes are announced, and for certain in the transaction that adds the bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tenuto.core.errors import StorageError
from tenuto.core.human import size_text
from tenuto.server.quota.limits import Limit, limits_on
from tenuto.server.quota.totals import note_day, usage


@contextmanager
def guard(connection: Connection, repo_key: int, now_ms: int) -> Iterator[None]:
    """Around whatever adds to a repo, inside its transaction: it stands only if all limits hold afterwards, and the day is noted.

    What adds no bytes of files is never refused: whoever has too much can still delete. Raises StorageError (QuotaExceeded).
    """
    before = usage(connection, repo_key)
    yield
    after = usage(connection, repo_key)
    if after == before:
        return
    grown = after.counted_bytes - before.counted_bytes
    if grown > 0:
        for limit in limits_on(connection, repo_key):
            if limit.used_bytes > limit.allowed_bytes:
                raise _exceeded(limit._replace(used_bytes=limit.used_bytes - grown), grown)
    note_day(connection, repo_key, after, now_ms)


def check_room(connection: Connection, repo_key: int, wanted_bytes: int) -> None:
    """Return if so many bytes more would fit now; raises StorageError (QuotaExceeded). It reserves nothing: `guard` has the last word."""
    for limit in limits_on(connection, repo_key) if wanted_bytes > 0 else ():
        if limit.used_bytes + wanted_bytes > limit.allowed_bytes:
            raise _exceeded(limit, wanted_bytes)


def check_held(connection: Connection, repo_key: int) -> None:
    """Return if what a repo holds fits where it is now, as after a move; raises StorageError (QuotaExceeded)."""
    for limit in limits_on(connection, repo_key):
        if limit.used_bytes > limit.allowed_bytes:
            held = usage(connection, repo_key).counted_bytes
            raise _exceeded(limit._replace(used_bytes=limit.used_bytes - held), held)


def _exceeded(limit: Limit, wanted_bytes: int) -> StorageError:
    who = f"The repos of {limit.name} together" if limit.is_account else limit.name
    held = f"may hold {size_text(limit.allowed_bytes)} and hold{'' if limit.is_account else 's'} {size_text(limit.used_bytes)}"
    return StorageError(
        f"Quota exceeded: {who} {held}; {size_text(wanted_bytes)} more do not fit",
        code="QuotaExceeded",
        hint="`tenuto repo usage` says what frees space; or ask whoever runs the hub for more",
    )
