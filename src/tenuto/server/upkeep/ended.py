"""Tokens, browser sessions, links and logins that ended long ago are removed while the hub serves; the audit log keeps what was done."""

from sqlalchemy import Connection, Table, delete, select

from tenuto.server.access import Actor
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.chore import Chore
from tenuto.server.hub import Parts
from tenuto.server.schema import device_logins, invitations, tokens

KEEP_DAYS = 30
_DAY_MS = 86_400_000
_BATCH_ROWS = 500
_THE_HUB = Origin(Actor(name="the hub itself"))


def remove_ended(parts: Parts) -> int:
    """Nothing is left of what ended more than `KEEP_DAYS` days ago; how many rows that were.

    Each batch is a transaction of its own, which the audit log tells of. Raises UnavailableError, StorageError.
    """
    count = 0
    while removed := _remove_batch(parts):
        count += removed
    return count


def _remove_batch(parts: Parts) -> int:
    now_ms = parts.now_ms()
    before_ms = now_ms - KEEP_DAYS * _DAY_MS
    with parts.database.read() as connection:
        if not any(_ended(connection, table, before_ms, 1) for table in (tokens, invitations, device_logins)):
            return 0
    with parts.database.write() as connection:
        counts = [_remove(connection, table, before_ms) for table in (tokens, invitations, device_logins)]
        facts = {"tokens": counts[0], "links": counts[1], "logins": counts[2]}
        record(connection, _THE_HUB, Deed.HUB_SWEEP, now_ms, facts=facts)
    return sum(counts)


def _remove(connection: Connection, table: Table, before_ms: int) -> int:
    key = next(iter(table.primary_key))
    found = _ended(connection, table, before_ms, _BATCH_ROWS)
    return connection.execute(delete(table).where(key.in_(found))).rowcount if found else 0


def _ended(connection: Connection, table: Table, before_ms: int, limit: int) -> list[object]:
    """The keys of some rows that ended before that time."""
    has_ended = table.c.expires_ms < before_ms
    if table is tokens:
        has_ended |= tokens.c.revoked_ms < before_ms
    key = next(iter(table.primary_key))
    return list(connection.execute(select(key).where(has_ended).limit(limit)).scalars())


class Sweeper(Chore):
    """Looks every hour for what ended long ago, and removes it. Safe to kill at any moment."""

    name = "sweeping"
    every_s = again_s = 3600.0

    def run(self) -> int:
        """Nothing is left of it; how many rows that were. Raises UnavailableError, StorageError."""
        return remove_ended(self.parts)
