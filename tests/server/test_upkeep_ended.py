"""What ended long ago is removed while the hub serves, and the audit log keeps what was done with it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from tenuto.server.audit.reading import Wanted, entries, verify
from tenuto.server.identity import identify
from tenuto.server.people.accounts import find_account
from tenuto.server.people.tokens import ScopeWish, TokenWish, make_token, revoke_token
from tenuto.server.schema import device_logins, invitations, token_scopes, tokens
from tenuto.server.service import Hub
from tenuto.server.signin.invitations import InvitationWish, invite
from tenuto.server.upkeep import ended as upkeep_ended
from tenuto.server.upkeep.ended import KEEP_DAYS, Sweeper, remove_ended

DAY_MS = 86_400_000


class Clocked:
    """A hub whose days pass as they are told."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = 1_000_000 * DAY_MS
        self.log = (folder / "log").open("w")
        self.hub = Hub.open(str(folder / "data"), log=self.log, now_ms=lambda: self.now_ms)
        self.hub.add_user("ann")

    def token(self, days: float | None, role: str = "write") -> str:
        scopes = (ScopeWish("ann", "read"),) if role == "fine-grained" else ()
        with self.hub.changing() as change:
            wish = TokenWish("a token", role, days, scopes=scopes)
            return make_token(change, find_account(change.connection, "ann"), wish)[1]

    def is_good(self, token: str) -> bool:
        with self.hub.parts.database.read() as connection:
            return identify(connection, token, self.now_ms) is not None

    def count(self, table) -> int:
        with self.hub.parts.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    def deeds(self, deed: str) -> list[dict]:
        with self.hub.parts.database.read() as connection:
            assert verify(connection).clean
            return [entry.facts for entry in entries(connection, Wanted()) if entry.deed == deed]


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[Clocked]:
    made = Clocked(tmp_path)
    yield made
    made.hub.close()
    made.log.close()


def test_tokens_are_kept_for_a_while_after_they_ended_and_those_that_are_good_for_ever(clocked: Clocked) -> None:
    kept, dated, revoked = clocked.token(None), clocked.token(1, "fine-grained"), clocked.token(None)
    with clocked.hub.changing() as change:
        number = change.connection.execute(select(func.max(tokens.c.id))).scalar_one()
        assert revoke_token(change, None, number)
    before = clocked.count(tokens)
    clocked.now_ms += KEEP_DAYS * DAY_MS
    assert remove_ended(clocked.hub.parts) == 0, "one of them not a day too early"
    clocked.now_ms += 1
    assert remove_ended(clocked.hub.parts) == 1, "the one that was revoked a month ago"
    clocked.now_ms += DAY_MS
    assert remove_ended(clocked.hub.parts) == 1
    assert remove_ended(clocked.hub.parts) == 0
    assert (clocked.count(tokens), clocked.count(token_scopes)) == (before - 2, 0)
    assert [clocked.is_good(one) for one in (kept, dated, revoked)] == [True, False, False]
    assert len(clocked.deeds("token.revoke")) == 1
    assert len(clocked.deeds("token.create")) >= 3
    assert clocked.deeds("hub.sweep") == [{"tokens": 1, "links": 0, "logins": 0}] * 2


def test_links_and_logins_of_devices_are_removed_too(clocked: Clocked) -> None:
    with clocked.hub.changing() as change:
        invite(change, InvitationWish(days=1))
        row = {"device_digest": "a", "user_digest": "b", "status": "pending", "expires_ms": clocked.now_ms}
        change.connection.execute(insert(device_logins).values(row))
    assert remove_ended(clocked.hub.parts) == 0
    clocked.now_ms += (KEEP_DAYS + 2) * DAY_MS
    assert remove_ended(clocked.hub.parts) == 2
    assert (clocked.count(invitations), clocked.count(device_logins)) == (0, 0)
    assert clocked.deeds("hub.sweep") == [{"tokens": 0, "links": 1, "logins": 1}]


def test_many_go_in_batches(clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_ended, "_BATCH_ROWS", 10)
    for _ in range(25):
        clocked.token(1)
    clocked.now_ms += (KEEP_DAYS + 2) * DAY_MS
    assert remove_ended(clocked.hub.parts) == 25
    assert [one["tokens"] for one in clocked.deeds("hub.sweep")] == [10, 10, 5]


def test_a_hub_that_serves_looks_by_itself_and_stops_at_once(clocked: Clocked) -> None:
    clocked.token(1)
    clocked.now_ms += (KEEP_DAYS + 2) * DAY_MS
    sweeper = Sweeper(clocked.hub.parts)
    sweeper.start()
    deadline = time.monotonic() + 30
    while not clocked.deeds("hub.sweep") and time.monotonic() < deadline:
        time.sleep(0.01)
    sweeper.stop()
    sweeper.stop()
    assert clocked.deeds("hub.sweep") == [{"tokens": 1, "links": 0, "logins": 0}]


def test_a_session_that_goes_on_is_not_removed(clocked: Clocked) -> None:
    token = clocked.token(None)
    clocked.now_ms += 365 * DAY_MS
    with clocked.hub.parts.database.write() as connection:
        connection.execute(update(tokens).values(last_used_ms=1))
    assert remove_ended(clocked.hub.parts) == 0
    assert clocked.is_good(token)
