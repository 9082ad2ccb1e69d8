"""Requests for access, from each state by each event: what the table says, what the page says, and what a live hub does."""

import itertools
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from tenuto.core.errors import ConflictError
from tenuto.server.access import Standing
from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.gates.deciding import MOST_AT_ONCE
from tenuto.server.gates.states import DEEDS, NEXT, Event, shown_as
from tenuto.server.schema import access_requests, repos, users
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, small

DOCS = Path(__file__).parents[2] / "docs/gates.md"
CARD = b"---\nextra_gated_prompt: %s\n---\n"
ROWS = {
    "ask, at a manual gate": Event.ASK,
    "ask, at an auto gate": Event.ENTER,
    **{event.value: event for event in Event if event not in {Event.ASK, Event.ENTER}},
}


class Gated:
    """One gated repo, one account before it, and a way to bring it into each state."""

    def __init__(self, hub: LiveHub, owner: Owner, guest: Talk, name: str) -> None:
        self.hub, self.owner, self.guest, self.name = hub, owner.talk, guest, name
        self.repo, self.api = owner.repo, f"/api/models/{owner.repo}"
        self.write_terms(b"old")
        self.set(gated="manual")

    def write_terms(self, text: bytes) -> None:
        self.owner.commit(self.repo, small("README.md", CARD % text)).raise_for_status()

    def set(self, **settings: object) -> None:
        self.owner.client.put(f"{self.api}/settings", json=settings).raise_for_status()

    def ask(self, **answers: object) -> int:
        return self.guest.client.post(f"/{self.repo}/ask-access", json=answers, follow_redirects=False).status_code

    def handle(self, status: str, **more: object) -> int:
        body = {"user": self.name, "status": status, **more}
        return self.owner.post(f"{self.api}/user-access-request/handle", body).status_code

    def grant(self, **more: object) -> int:
        return self.owner.post(f"{self.api}/user-access-request/grant", {"user": self.name, **more}).status_code

    def state(self) -> Standing:
        own = self.guest.get(f"{self.api}/access-form").json()["own"]
        assert own["passes"] is (own["state"] == "accepted")
        assert (self.guest.get(f"{self.api}/auth-check").status_code == 200) is own["passes"]
        return Standing("" if own["state"] == "none" else own["state"])

    def bring_to(self, standing: Standing) -> None:
        match standing:
            case Standing.PENDING:
                self.ask()
            case Standing.ACCEPTED | Standing.EXPIRED | Standing.OUTDATED | Standing.REVOKED:
                self.ask()
                assert self.handle("accepted") == 200
            case Standing.REJECTED:
                self.ask()
                assert self.handle("rejected", rejectionReason="not now") == 200
        if standing is Standing.REVOKED:
            assert self.handle("revoked", rejectionReason="no longer") == 200
        if standing is Standing.OUTDATED:
            self.write_terms(b"new")
        if standing is Standing.EXPIRED:
            with self.hub.hub.parts.database.write() as connection:
                connection.execute(
                    update(access_requests).where(access_requests.c.repo_id == self.key).values(expires_ms=1)
                )
        assert self.state() is standing

    @property
    def key(self) -> int:
        with self.hub.hub.parts.database.read() as connection:
            return connection.execute(select(repos.c.id).where(repos.c.name_key == self.repo)).scalar_one()

    def deeds(self) -> list[str]:
        """What the audit log tells of requests for this repo."""
        with self.hub.hub.parts.database.read() as connection:
            found = entries(connection, Wanted(repo_key=self.key))
            return [entry.deed for entry in found if entry.deed.startswith("access.")]

    def do(self, event: Event) -> int:
        match event:
            case Event.ASK | Event.ENTER:
                self.set(gated="auto" if event is Event.ENTER else "manual")
                return self.ask()
            case Event.WITHDRAW:
                return self.guest.post(f"{self.api}/user-access-request/cancel").status_code
            case Event.GRANT:
                return self.grant()
            case Event.PROLONG:
                return self.grant(days=3)
        words = {Event.ACCEPT: "accepted", Event.REJECT: "rejected", Event.REVOKE: "revoked", Event.REOPEN: "pending"}
        return self.handle(words[event])


@pytest.fixture
def gated(hub: LiveHub, make_owner, speak) -> Gated:
    owner = make_owner()
    name = f"guest-of-{owner.name}"
    return Gated(hub, owner, speak(hub.user(name)), name)


def test_the_page_shows_the_table() -> None:
    lines = [line.strip("|\n").split("|") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    head, *rows = [[cell.strip() for cell in line] for line in lines if "---" not in line[0]]
    states = [Standing("" if name == "none" else name) for name in head[1:]]
    assert set(states) == set(Standing)
    shown = {
        ROWS[row[0]]: {
            state: Standing("" if cell == "none" else cell) for state, cell in zip(states, row[1:], strict=True) if cell
        }
        for row in rows
    }
    assert shown == {event: dict(steps) for event, steps in NEXT.items()}
    assert DEEDS.keys() == NEXT.keys() == set(Event)


def test_who_was_turned_away_gets_nowhere_alone() -> None:
    for event, standing in itertools.product(
        (Event.ASK, Event.ENTER, Event.WITHDRAW), (Standing.REJECTED, Standing.REVOKED)
    ):
        assert standing not in NEXT[event]


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("standing", list(Standing))
def test_each_step_on_a_live_hub(gated: Gated, standing: Standing, event: Event) -> None:
    gated.bring_to(standing)
    status = gated.do(event)
    after = NEXT[event].get(standing)
    if event is Event.PROLONG and standing is not Standing.ACCEPTED:
        after = Standing.ACCEPTED  # a grant with a time
    assert gated.state() is (standing if after is None else after)
    refused = {Event.ASK: 403, Event.ENTER: 403, Event.GRANT: 400}.get(event, 404)
    assert status == (refused if after is None else 303 if event in {Event.ASK, Event.ENTER} else 200)


def test_stock_lists_hold_every_state(gated: Gated, stock) -> None:
    owner = stock(gated.owner.client.headers["Authorization"].removeprefix("Bearer "))
    for standing in Standing:
        if standing is Standing.NONE:
            continue
        with gated.hub.hub.parts.database.write() as connection:
            connection.execute(access_requests.delete().where(access_requests.c.repo_id == gated.key))
        gated.write_terms(b"old")
        gated.bring_to(standing)
        lists = {
            "pending": list(owner.list_pending_access_requests(gated.repo)),
            "accepted": list(owner.list_accepted_access_requests(gated.repo)),
            "rejected": list(owner.list_rejected_access_requests(gated.repo)),
        }
        assert [name for name, found in lists.items() if found] == [shown_as(standing).value]
        for name in (standing.value, "all"):
            (one,) = gated.owner.get(f"{gated.api}/user-access-request/{name}").json()
            assert (one["state"], one["status"]) == (standing.value, shown_as(standing).value)


def test_the_reason_is_told_to_whoever_asked(gated: Gated) -> None:
    gated.bring_to(Standing.REJECTED)
    refused = gated.guest.get(f"{gated.api}/auth-check")
    assert "They say: not now" in refused.headers["X-Error-Message"]
    assert gated.guest.get(f"{gated.api}/access-form").json()["own"]["reason"] == "not now"
    assert gated.ask() == 403
    gated.set(gated="auto")
    assert gated.ask() == 403
    assert gated.handle("rejected") == 404
    assert gated.handle("accepted") == 200
    assert "reason" not in gated.guest.get(f"{gated.api}/access-form").json()["own"]


def test_asking_twice_at_once_makes_one_request(gated: Gated) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(gated.ask())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [303] * 6
    assert gated.deeds() == ["access.request"]
    assert len(gated.owner.get(f"{gated.api}/user-access-request/all").json()) == 1


def test_of_two_decisions_at_once_the_one_that_saw_something_else_is_refused(gated: Gated) -> None:
    gated.bring_to(Standing.PENDING)
    statuses: dict[str, int] = {}

    def decide(verdict: str) -> None:
        statuses[verdict] = gated.handle(verdict, was="pending")

    threads = [threading.Thread(target=decide, args=(verdict,)) for verdict in ("accepted", "rejected")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses.values()) == [200, 404]
    winner = next(verdict for verdict, status in statuses.items() if status == 200)
    assert gated.state().value == winner
    assert gated.deeds() == ["access.request", {"accepted": "access.accept", "rejected": "access.reject"}[winner]]


def test_a_request_withdrawn_meanwhile_is_not_accepted(gated: Gated) -> None:
    gated.bring_to(Standing.PENDING)
    assert gated.do(Event.WITHDRAW) == 200
    assert gated.handle("accepted") == 404
    assert gated.state() is Standing.NONE


def test_a_pending_request_asks_again_once_the_gate_is_auto(gated: Gated) -> None:
    gated.bring_to(Standing.PENDING)
    gated.set(gated="auto")
    assert gated.state() is Standing.PENDING
    assert gated.ask() == 303
    assert gated.state() is Standing.ACCEPTED
    gated.set(gated="manual")
    assert gated.state() is Standing.ACCEPTED


def test_a_closed_account_and_an_organization_are_let_in_nowhere(gated: Gated) -> None:
    gated.bring_to(Standing.PENDING)
    database = gated.hub.hub.parts.database
    with database.write() as connection:
        connection.execute(update(users).where(users.c.name == gated.name).values(disabled_ms=1))
    assert (gated.handle("accepted"), gated.grant()) == (404, 404)
    assert gated.guest.get(f"{gated.api}/access-form").status_code == 401
    with pytest.raises(ConflictError):
        gated.hub.user(gated.name.upper())  # nobody else gets the name, and the grant with it
    with database.write() as connection:
        connection.execute(
            update(users).where(users.c.name == gated.name).values(disabled_ms=None, kind="organization")
        )
    assert gated.handle("accepted") == 400


def test_whoever_lost_the_right_meanwhile_decides_nothing(gated: Gated, hub: LiveHub, make_owner, speak) -> None:
    """The right is looked at in the transaction of the decision, not only before."""
    gated.bring_to(Standing.PENDING)
    parts = hub.hub.parts
    statuses: list[int] = []
    with parts.database.write() as connection:  # decisions wait for their turn to write
        waiting = threading.Thread(target=lambda: statuses.append(gated.handle("accepted")))
        waiting.start()
        waiting.join(0.3)
        connection.execute(update(repos).where(repos.c.id == gated.key).values(namespace="somebody-else"))
    waiting.join()
    assert statuses[0] in {403, 404}
    with parts.database.write() as connection:
        connection.execute(update(repos).where(repos.c.id == gated.key).values(namespace=gated.repo.split("/")[0]))
    assert gated.state() is Standing.PENDING


def test_where_no_requests_are_taken(gated: Gated) -> None:
    gated.set(takesRequests=False)
    refused = gated.guest.client.post(f"/{gated.repo}/ask-access", json={})
    assert refused.status_code == 403
    assert "takes no requests" in refused.json()["error"]
    assert gated.guest.get(f"{gated.api}/access-form").json()["takesRequests"] is False
    assert gated.grant() == 200
    assert gated.state() is Standing.ACCEPTED
    gated.set(takesRequests=True)
    assert gated.handle("revoked") == 200
    gated.handle("accepted")
    gated.set(takesRequests=False)
    gated.write_terms(b"others")
    assert gated.state() is Standing.ACCEPTED, "nothing was agreed to"


def test_agreeing_anew_needs_no_open_requests_and_no_decision(gated: Gated) -> None:
    gated.bring_to(Standing.OUTDATED)
    gated.set(takesRequests=False)
    assert gated.ask() == 303
    assert gated.state() is Standing.ACCEPTED


class TestTimes:
    def expiry(self, gated: Gated) -> str | None:
        return gated.guest.get(f"{gated.api}/access-form").json()["own"].get("expiresAt")

    def test_a_grant_is_for_as_long_as_the_repo_says_or_the_decision(self, gated: Gated) -> None:
        assert gated.grant() == 200
        assert self.expiry(gated) is None
        gated.set(grantDays=10)
        assert gated.handle("revoked") == gated.handle("accepted") == 200
        by_repo = self.expiry(gated)
        assert by_repo
        assert gated.grant(days=20) == 200
        assert str(self.expiry(gated)) > by_repo
        assert gated.grant(days=None) == 200
        assert self.expiry(gated) is None
        assert gated.handle("accepted", expiresAt="2999-01-01T00:00:00Z") == 400, "further than anybody means"
        assert gated.handle("accepted", expiresAt="2030-01-01T00:00:00Z") == 200
        assert self.expiry(gated) == "2030-01-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        "more",
        [{"days": 0}, {"days": -1}, {"days": 10**9}, {"days": "x"}, {"expiresAt": "1999-01-01"}, {"expiresAt": "soon"}],
    )
    def test_times_that_cannot_be(self, gated: Gated, more: dict[str, object]) -> None:
        assert gated.grant(**more) == 400
        assert gated.state() is Standing.NONE
        if "days" in more:
            put = gated.owner.client.put(f"{gated.api}/settings", json={"grantDays": more["days"]})
            assert put.status_code == 400

    def test_an_auto_gate_lets_in_for_as_long_as_the_repo_says(self, gated: Gated) -> None:
        gated.set(gated="auto", grantDays=1)
        assert gated.ask() == 303
        assert self.expiry(gated)


class TestMany:
    def many(self, gated: Gated, **body: object) -> dict:
        answer = gated.owner.post(f"{gated.api}/user-access-request/handle-many", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_by_name_by_id_and_all(self, gated: Gated, speak) -> None:
        names = [f"{gated.name}-{number}" for number in range(5)]
        for name in names:
            talk = speak(gated.hub.user(name))
            talk.client.post(f"/{gated.repo}/ask-access", json={}, follow_redirects=False)
        ids = [one["requestId"] for one in gated.owner.get(f"{gated.api}/user-access-request/pending").json()]
        first = self.many(
            gated,
            status="accepted",
            users=[names[0].upper(), "nobody-at-all"],
            requestIds=[ids[1], ids[0], "x"],
            days=5,
        )
        assert sorted(first["done"]) == names[:2]
        assert sorted(one["name"] for one in first["failed"]) == ["nobody-at-all", "x"]
        rest = self.many(gated, status="rejected", all=True, rejectionReason="all of you")
        assert (sorted(rest["done"]), rest["failed"], rest["more"]) == (names[2:], [], False)
        assert self.many(gated, status="accepted", users=[names[0]])["failed"][0]["name"] == names[0]
        states = {one["user"]["user"]: one for one in gated.owner.get(f"{gated.api}/user-access-request/all").json()}
        assert [states[name]["state"] for name in names] == ["accepted"] * 2 + ["rejected"] * 3
        assert (states[names[0]]["expiresAt"] > "", states[names[4]]["rejectionReason"]) == (True, "all of you")

    def test_closed_accounts_keep_nobody_else_from_being_let_in(self, gated: Gated, speak) -> None:
        prefix = f"closed-{gated.key}"
        with gated.hub.hub.parts.database.write() as connection:
            rows = [
                {"name": f"{prefix}-{one}", "name_key": f"{prefix}-{one}", "is_admin": False, "created_ms": 1}
                for one in range(MOST_AT_ONCE)
            ]
            connection.execute(insert(users), [{**row, "disabled_ms": 2} for row in rows])
            closed = connection.execute(select(users.c.id).where(users.c.name.startswith(prefix))).scalars().all()
            asked = {"repo_id": gated.key, "status": "pending", "fields": "{}", "created_ms": 1}
            connection.execute(insert(access_requests), [{**asked, "user_id": one} for one in closed])
        gated.ask()
        let_in = self.many(gated, status="accepted", all=True)
        assert (let_in["done"], let_in["failed"], let_in["more"]) == ([gated.name], [], False)
        rest = self.many(gated, status="rejected", all=True)
        assert (len(rest["done"]), rest["more"]) == (MOST_AT_ONCE, False), "they can be turned away"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"all": True, "users": ["x"]},
            {"users": ["x"] * 1001},
            {"users": "x"},
            {"requestIds": [1]},
            {"all": True, "expireAt": "2099-01-01"},
        ],
    )
    def test_what_cannot_be_meant(self, gated: Gated, body: dict[str, object]) -> None:
        answer = gated.owner.post(f"{gated.api}/user-access-request/handle-many", {"status": "accepted", **body})
        assert answer.status_code in {400, 413}


def test_a_report_for_a_spreadsheet_holds_no_formula(gated: Gated) -> None:
    gated.ask(Company='=HYPERLINK("http://x")', Why="a, b\nc")
    text = gated.owner.get(f"/{gated.repo}/user-access-report?format=csv").text
    head, *_ = text.splitlines()
    assert head == "user,fullname,status,time,reviewed,reviewer,expires,reason,Company,Why"
    assert "\"'=HYPERLINK" in text
    assert gated.owner.get(f"/{gated.repo}/user-access-report?format=xls").status_code == 400
