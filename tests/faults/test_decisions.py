"""Fault 13: decisions at a gate that race with whatever else happens count if they still may, once, and each leaves its row."""

import itertools
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest
from sqlalchemy import update

from tenuto.server.access import Gate, Right, Standing
from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.gates.states import DEEDS, NEXT, Event
from tenuto.server.people.accounts import find_account, set_disabled
from tenuto.server.people.change import Change
from tenuto.server.people.organizations import remove_member, set_member
from tenuto.server.people.services import set_service_right
from tenuto.server.people.tokens import list_tokens, revoke_token
from tenuto.server.repos.rows import delete_repo, set_gate
from tenuto.server.schema import access_requests, repos, users
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, small
from tests.server.test_gate_states import Gated

_NUMBERS = itertools.count(1)


@pytest.fixture
def gated(hub: LiveHub, make_owner: Callable[..., Owner], speak: Callable[..., Talk]) -> Gated:
    owner = make_owner()
    name = f"guest-of-{owner.name}"
    return Gated(hub, owner, speak(hub.user(name)), name)


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("standing", list(Standing))
def test_each_step_leaves_its_row_and_what_is_refused_leaves_none(
    gated: Gated, standing: Standing, event: Event
) -> None:
    gated.bring_to(standing)
    before = gated.deeds()
    gated.do(event)
    assert gated.deeds() == before + rows_of(standing, event)


def rows_of(standing: Standing, event: Event) -> list[str]:
    """What the log tells of an event: nothing of what changes nothing; who asks and is let in at once leaves both rows."""
    if event is Event.PROLONG and standing is not Standing.ACCEPTED:
        event = Event.GRANT
    after = NEXT[event].get(standing)
    if after is None:
        return []
    if event not in {Event.ASK, Event.ENTER}:
        return [DEEDS[event].value]
    if after is standing:
        return []
    return ["access.request"] + ["access.accept"] * (after is Standing.ACCEPTED)


class Turn:
    """The lock of those who write, which says when somebody waits for it."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self.is_waited_for = threading.Event()

    def acquire(self, timeout: float) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        self.is_waited_for.set()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()


class Desk(NamedTuple):
    """An organization with a gated repo, somebody who asked to be let in, and two who decide: a person and a machine."""

    hub: LiveHub
    house: str
    key: int
    guest: Talk
    deciders: dict[str, Talk]

    @property
    def api(self) -> str:
        return f"/api/models/{self.house}/repo"

    def rows(self) -> list[str]:
        with self.hub.hub.parts.database.read() as connection:
            found = entries(connection, Wanted(repo_key=self.key))
            return [one.deed for one in found if one.deed.startswith("access.")]


@pytest.fixture
def desk(hub: LiveHub, speak: Callable[..., Talk]) -> Desk:
    number = next(_NUMBERS)
    house, chief, boss, machine, guest = (f"{word}-{number}" for word in ("house", "chief", "boss", "machine", "guest"))
    head = speak(hub.user(chief))
    hub.user(boss)
    head.post("/api/organizations", {"name": house}).raise_for_status()
    head.client.put(f"/api/organizations/{house}/members/{boss}", json={"role": "admin"}).raise_for_status()
    head.post(f"/api/accounts/{house}/services", {"name": machine, "role": "admin"}).raise_for_status()
    head.create(f"{house}/repo").raise_for_status()
    head.commit(f"{house}/repo", small("a.txt", b"a")).raise_for_status()
    head.client.put(f"/api/models/{house}/repo/settings", json={"gated": "manual"}).raise_for_status()
    asking = speak(hub.user(guest))
    asking.client.post(f"/{house}/repo/ask-access", json={}, follow_redirects=False)
    key = int(head.get(f"/api/models/{house}/repo").json()["_id"])
    deciders = {
        "person": speak(hub.hub.create_token(boss, "write")),
        "machine": speak(hub.hub.create_token(machine, "write")),
    }
    return Desk(hub, house, key, asking, deciders)


def of(change: Change, desk: Desk, word: str):
    return find_account(change.connection, desk.house.replace("house", word))


def demoted(change: Change, desk: Desk) -> None:
    set_member(change, of(change, desk, "house"), of(change, desk, "boss"), Right.WRITE)
    set_service_right(change, of(change, desk, "machine"), Right.WRITE)


def gone(change: Change, desk: Desk) -> None:
    remove_member(change, of(change, desk, "house"), of(change, desk, "boss"))
    set_service_right(change, of(change, desk, "machine"), Right.READ)


def closed(change: Change, desk: Desk) -> None:
    set_disabled(change, of(change, desk, "boss"), True)
    set_disabled(change, of(change, desk, "machine"), True)


def without_token(change: Change, desk: Desk) -> None:
    for word in ("boss", "machine"):
        for token in list_tokens(change.connection, of(change, desk, word), change.now_ms):
            assert revoke_token(change, None, token.id)


def moved(change: Change, desk: Desk) -> None:
    here = update(repos).where(repos.c.id == desk.key)
    change.connection.execute(here.values(namespace="elsewhere", name_key=f"elsewhere/{desk.house}"))


def opened(change: Change, desk: Desk) -> None:
    set_gate(change.connection, desk.key, Gate.OPEN)


def deleted(change: Change, desk: Desk) -> None:
    delete_repo(change.connection, desk.key)


MEANWHILE = [demoted, gone, closed, without_token, moved, opened, deleted]
DECISIONS = {
    "handle": {"status": "accepted"},
    "handle-many": {"status": "accepted", "all": True},
    "grant": {},
}


DECIDED = [("handle", "person"), ("handle-many", "machine"), ("grant", "person")]


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize(("decision", "decider"), DECIDED)
def test_who_may_no_longer_when_its_turn_comes_decides_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, decision: str, meanwhile: Callable[[Change, Desk], None], decider: str
) -> None:
    database = desk.hub.hub.parts.database
    turn = Turn(database._writer)
    monkeypatch.setattr(database, "_writer", turn)
    talk = desk.deciders[decider]
    assert talk.get(f"{desk.api}/user-access-request/pending").status_code == 200, "it may, and its token is known"
    name = desk.house.replace("house", "guest")
    body = DECISIONS[decision] | ({} if decision == "handle-many" else {"user": name})
    statuses: list[int] = []
    with desk.hub.hub.changing() as change:
        deciding = threading.Thread(
            target=lambda: statuses.append(talk.post(f"{desk.api}/user-access-request/{decision}", body).status_code)
        )
        deciding.start()
        assert turn.is_waited_for.wait(30), "it was let in, and waits"
        meanwhile(change, desk)
    deciding.join()
    assert statuses[0] in {400, 401, 403, 404}
    assert desk.rows() == ["access.request"]
    assert decided(desk) in {Standing.PENDING, None}


def decided(desk: Desk) -> Standing | None:
    with desk.hub.hub.parts.database.read() as connection:
        here = access_requests.c.repo_id == desk.key
        found = connection.execute(access_requests.select().where(here)).mappings().first()
        return None if found is None else Standing(found["status"])


def test_of_a_decision_that_may_be_taken_nothing_keeps_it(desk: Desk) -> None:
    name = desk.house.replace("house", "guest")
    for decider, status in (("machine", "accepted"), ("person", "revoked")):
        body = {"user": name, "status": status}
        assert desk.deciders[decider].post(f"{desk.api}/user-access-request/handle", body).status_code == 200
        assert decided(desk) is Standing(status)
    assert desk.rows() == ["access.request", "access.accept", "access.revoke"]


def test_whoever_comes_under_the_name_of_somebody_who_had_a_grant_has_none(gated: Gated, speak) -> None:
    """Grants are of ids: even where a name became free, the grant is not that of whoever takes it."""
    gated.bring_to(Standing.ACCEPTED)
    with gated.hub.hub.parts.database.write() as connection:
        old, other = find_account(connection, gated.name), f"{gated.name}-gone"
        connection.execute(update(users).where(users.c.id == old.id).values(name=other, name_key=other))
    newcomer = speak(gated.hub.user(gated.name))
    assert newcomer.get(f"{gated.api}/access-form").json()["own"]["state"] == "none"
    assert newcomer.read(gated.repo, "README.md").status_code == 200
    assert newcomer.get(f"{gated.api}/auth-check").status_code == 403
    assert gated.guest.get(f"{gated.api}/auth-check").status_code == 200
