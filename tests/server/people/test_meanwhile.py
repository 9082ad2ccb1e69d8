"""What somebody may do is looked at again when its turn comes: whoever lost it in between changes nothing."""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx2
import msgspec
import pytest
from sqlalchemy import select

from tenuto.server.access import Right
from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.people.accounts import end_sessions, find_account, set_admin, set_disabled
from tenuto.server.people.change import Change
from tenuto.server.people.organizations import remove_member, set_member
from tenuto.server.people.tokens import list_tokens, revoke_token
from tenuto.server.schema import discussions, file_locks, git_refs
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.faults.test_decisions import Turn
from tests.server.signin.conftest import CHEAP
from tests.server.signin.window import Window
from tests.server.talk import Talk, large

PASSWORD, OTHER = "four words stand here", "four others stand there"
_NUMBERS = itertools.count(1)


class House(NamedTuple):
    """An organization that two people administer, one of whom also administers the hub."""

    hub: LiveHub
    name: str
    boss: str
    talk: Talk

    def of(self, change: Change, name: str):
        return find_account(change.connection, name)

    def last_deed(self) -> int:
        with self.hub.hub.parts.database.read() as connection:
            return next(entries(connection, Wanted(limit=1))).number


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=CHEAP) as live:
        yield live


@pytest.fixture
def house(hub: LiveHub, speak: Callable[..., Talk]) -> House:
    number = next(_NUMBERS)
    name, boss = f"house-{number}", f"boss-{number}"
    head = speak(hub.user(f"chief-{number}"))
    talk = speak(hub.user(boss))
    head.post("/api/organizations", {"name": name}).raise_for_status()
    head.client.put(f"/api/organizations/{name}/members/{boss}", json={"role": "admin"}).raise_for_status()
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, boss), True)
    return House(hub, name, boss, talk)


def demoted(change: Change, house: House) -> None:
    set_member(change, house.of(change, house.name), house.of(change, house.boss), Right.READ)


def expelled(change: Change, house: House) -> None:
    remove_member(change, house.of(change, house.name), house.of(change, house.boss))


def no_administrator(change: Change, house: House) -> None:
    set_admin(change, house.of(change, house.boss), False)


def closed(change: Change, house: House) -> None:
    set_disabled(change, house.of(change, house.boss), True)


def without_token(change: Change, house: House) -> None:
    for token in list_tokens(change.connection, house.of(change, house.boss), change.now_ms):
        assert revoke_token(change, None, token.id)


DEEDS = [
    ("POST", "/api/accounts/{boss}/tokens", {"role": "write"}),
    ("POST", "/api/accounts/{name}/services", {"name": "{name}-bot", "role": "write"}),
    ("PUT", "/api/organizations/{name}/members/{boss}", {"role": "write"}),
    ("PUT", "/api/hub/accounts/{boss}", {"fullName": "x"}),
    ("POST", "/api/hub/invitations", {"organization": "{name}", "role": "admin"}),
]
MEANWHILE = [(demoted, 409), (no_administrator, 409), (closed, 401), (without_token, 401)]


def while_waiting(house: House, monkeypatch, send: Callable[[], object], meanwhile: Callable[[Change], object]) -> None:
    """`meanwhile` is done after what is sent was let in, and before its turn to write comes."""
    database = house.hub.hub.parts.database
    turn = Turn(database._writer)
    monkeypatch.setattr(database, "_writer", turn)
    with house.hub.hub.changing() as change:
        sending = threading.Thread(target=send)
        sending.start()
        assert turn.is_waited_for.wait(30), "it was let in, and waits"
        meanwhile(change)
    sending.join()


@pytest.mark.parametrize(("meanwhile", "status"), MEANWHILE)
@pytest.mark.parametrize(("method", "path", "body"), DEEDS, ids=[one[1] for one in DEEDS])
def test_who_lost_a_right_changes_no_account(house: House, monkeypatch, method, path, body, meanwhile, status) -> None:
    assert house.talk.get("/api/whoami-v2").status_code == 200, "its token is known, and was used lately"
    names = {"name": house.name, "boss": house.boss}
    wanted = {key: value.format(**names) for key, value in body.items()}
    said: list[httpx2.Response] = []
    seen: list[int] = []

    def then(change: Change) -> None:
        meanwhile(change, house)
        seen.append(next(entries(change.connection, Wanted(limit=1))).number)

    send = lambda: said.append(house.talk.client.request(method, path.format(**names), json=wanted))  # noqa: E731
    while_waiting(house, monkeypatch, send, then)
    assert said[0].status_code == status, said[0].text
    assert house.last_deed() == seen[0]


FOR_GOOD = [
    ("DELETE", "/api/repos/delete", {"type": "model", "organization": "{name}", "name": "repo"}),
    ("POST", "/api/repos/move", {"type": "model", "fromRepo": "{name}/repo", "toRepo": "{boss}/taken"}),
    ("POST", "/api/models/{name}/repo/super-squash/main", {"message": "gone"}),
    ("POST", "/api/models/{name}/repo/lfs-files/batch", {"deletions": {"sha": ["{oid}"], "rewriteHistory": True}}),
]


@pytest.mark.parametrize("meanwhile", [demoted, closed, without_token])
@pytest.mark.parametrize(("method", "path", "body"), FOR_GOOD, ids=[one[1] for one in FOR_GOOD])
def test_who_lost_a_right_destroys_nothing(house: House, monkeypatch, method, path, body, meanwhile) -> None:
    repo = f"{house.name}/repo"
    house.talk.create(repo).raise_for_status()
    oid = house.talk.put_large(repo, b"large" * 500)
    house.talk.commit(repo, large("m.bin", oid)).raise_for_status()
    with house.hub.hub.changing() as change:
        set_admin(change, house.of(change, house.boss), False)
    assert house.talk.get("/api/whoami-v2").status_code == 200, "its token was used lately"
    text = msgspec.json.encode(body).decode()
    for word, value in (("{name}", house.name), ("{boss}", house.boss), ("{oid}", oid)):
        text = text.replace(word, value)
    said: list[httpx2.Response] = []
    seen: list[int] = []

    def then(change: Change) -> None:
        meanwhile(change, house)
        seen.append(next(entries(change.connection, Wanted(limit=1))).number)

    place, headers = path.format(name=house.name), {"Content-Type": "application/json"}
    send = lambda: said.append(house.talk.client.request(method, place, content=text, headers=headers))  # noqa: E731
    while_waiting(house, monkeypatch, send, then)
    assert said[0].status_code in {401, 403, 409}, said[0].text
    assert house.last_deed() == seen[0]


WRITTEN = [
    (
        "POST",
        "/api/models/{repo}/commit/main",
        b'{"key":"header","value":{"summary":"x"}}\n{"key":"deletedFile","value":{"path":"m.bin"}}',
    ),
    (
        "POST",
        "/api/models/{repo}/commit/main?create_pr=1",
        b'{"key":"header","value":{"summary":"x"}}\n{"key":"deletedFile","value":{"path":"m.bin"}}',
    ),
    ("POST", "/api/models/{repo}/branch/side", b"{}"),
    ("POST", "/api/models/{repo}/tag/main", b'{"tag":"v1"}'),
    ("POST", "/{repo}.git/info/lfs/locks", b'{"path":"m.bin"}'),
    ("POST", "/api/models/{repo}/discussions", b'{"title":"a title"}'),
    ("POST", "/{repo}/upload/main", None),
]


@pytest.mark.parametrize("meanwhile", [expelled, closed, without_token])
@pytest.mark.parametrize(("method", "path", "body"), WRITTEN, ids=[one[1] for one in WRITTEN])
def test_who_lost_a_right_writes_nothing(house: House, monkeypatch, method, path, body, meanwhile) -> None:
    repo = f"{house.name}/repo"
    house.talk.create(repo, private=True).raise_for_status()
    house.talk.commit(repo, large("m.bin", house.talk.put_large(repo, b"large" * 500))).raise_for_status()
    with house.hub.hub.changing() as change:
        set_admin(change, house.of(change, house.boss), False)
    assert house.talk.get("/api/whoami-v2").status_code == 200, "its token was used lately"
    before = kept(house)
    said: list[httpx2.Response] = []
    sent = {"files": {"files": ("x.txt", b"x")}} if body is None else {"content": body}
    send = lambda: said.append(house.talk.client.request(method, path.format(repo=repo), **sent))  # noqa: E731
    while_waiting(house, monkeypatch, send, lambda change: meanwhile(change, house))
    assert said[0].status_code in {401, 403, 404}, said[0].text
    assert kept(house) == before


def kept(house: House) -> list[object]:
    """Refs, locks and discussions of all repos."""
    with house.hub.hub.parts.database.read() as connection:
        return [connection.execute(select(table)).all() for table in (git_refs, file_locks, discussions)]


def test_of_two_who_change_a_password_the_first_signs_the_other_out(house: House, monkeypatch) -> None:
    limits = house.hub.hub.parts.limits
    with house.hub.hub.changing() as change:
        set_password(change, limits, house.of(change, house.boss), PASSWORD)
    thief = Window(house.hub.url)
    thief.sign_in(house.boss, PASSWORD)
    hidden = thief.hidden("/settings")
    mine = {**hidden, "old": PASSWORD, "password": "the thief chose this", "again": "the thief chose this"}
    said: list[httpx2.Response] = []
    send = lambda: said.append(thief.client.post("/settings/password", data=mine))  # noqa: E731

    def owner(change: Change) -> None:
        set_password(change, limits, house.of(change, house.boss), OTHER)

    while_waiting(house, monkeypatch, send, owner)
    assert said[0].status_code == 401
    window = Window(house.hub.url)
    assert window.sign_in(house.boss, OTHER).status_code == 303
    for one in (thief, window):
        one.close()


def test_by_a_token_the_old_password_has_to_be_the_one_that_holds(house: House, monkeypatch) -> None:
    limits = house.hub.hub.parts.limits
    with house.hub.hub.changing() as change:
        set_password(change, limits, house.of(change, house.boss), PASSWORD)
    assert house.talk.get("/api/whoami-v2").status_code == 200, "its token was used lately"
    form = {"old": PASSWORD, "password": "the thief chose this", "again": "the thief chose this"}
    said: list[httpx2.Response] = []
    send = lambda: said.append(house.talk.client.post("/settings/password", data=form))  # noqa: E731

    def owner(change: Change) -> None:
        set_password(change, limits, house.of(change, house.boss), OTHER)

    while_waiting(house, monkeypatch, send, owner)
    assert (said[0].status_code, "changed meanwhile" in said[0].text) == (409, True)


def test_a_browser_that_was_signed_out_makes_no_token(house: House, monkeypatch) -> None:
    limits = house.hub.hub.parts.limits
    with house.hub.hub.changing() as change:
        set_password(change, limits, house.of(change, house.boss), PASSWORD)
    thief = Window(house.hub.url)
    thief.sign_in(house.boss, PASSWORD)
    hidden = thief.hidden("/settings/tokens")
    said: list[httpx2.Response] = []
    send = lambda: said.append(thief.client.post("/settings/tokens", data={**hidden, "role": "write"}))  # noqa: E731
    while_waiting(house, monkeypatch, send, lambda change: end_sessions(change, house.of(change, house.boss).id))
    assert said[0].status_code == 401
    with house.hub.hub.parts.database.read() as connection:
        now_ms = house.hub.hub.parts.now_ms()
        assert len(list_tokens(connection, find_account(connection, house.boss), now_ms)) == 1
    thief.close()
