"""Somebody changes something: one transaction, who does it, and when. What was done is told to the audit log in the same transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.server.access import Actor
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.hub import Parts
from tenuto.server.permit import check_unchanged


class Change(NamedTuple):
    """A transaction that writes, by `origin`, at `now_ms`."""

    connection: Connection
    origin: Origin
    now_ms: int

    def by(self, user_id: int, name: str) -> "Change":
        """The same, done by somebody who has just proved who it is."""
        return self._replace(origin=self.origin._replace(actor=Actor(user_id=user_id, name=name)))

    def record(self, deed: Deed, subject: str, **facts: str | int | bool | None) -> None:
        """The audit log tells of `deed`, done to the account `subject`."""
        record(self.connection, self.origin, deed, self.now_ms, subject=subject, facts=facts)


@contextmanager
def changing(parts: Parts, origin: Origin) -> Iterator[Change]:
    """What is changed inside, by `origin`, is there when the block ends, or not at all if it raises.

    Whoever was let in, and lost the token or any right before this transaction began, changes nothing: raises AuthenticationError
    (BadToken), ConflictError (Conflict).
    """
    with parts.database.write() as connection:
        change = Change(connection, origin, parts.now_ms())
        check_unchanged(connection, origin.actor, change.now_ms)
        yield change
