"""Pages on which people settle what is theirs: every form is sent once, and none that somebody else made."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tenuto.core.errors import AccessDeniedError
from tenuto.server.access import Actor, Role
from tenuto.server.audit.reading import Entry, Wanted, entries
from tenuto.server.forgery import check_origin
from tenuto.server.http.exchange import Call
from tenuto.server.people.accounts import find_account, set_admin
from tenuto.server.signin.invitations import InvitationWish, invite
from tenuto.testing.live_hub import LiveHub
from tests.server.people.deeds import FORM_DEEDS
from tests.server.signin.conftest import PASSWORD
from tests.server.signin.window import Window

TOKEN = re.compile(r'value="(hf_\w{43})"')


@pytest.fixture
def browser(window: Callable[[], Window], someone: str) -> Window:
    made = window()
    made.sign_in(someone, PASSWORD)
    return made


def last_deed(hub: LiveHub) -> Entry:
    with hub.hub.parts.database.read() as connection:
        return next(entries(connection, Wanted(limit=1)))


def steps(hub: LiveHub, one: Window, someone: str, code: str, session: str):
    """Each form, sent in an order in which it finds what it needs."""
    house, friend = f"{someone}-house", f"{someone}-friend"
    place = f"/organizations/{house}/settings"
    newer = {"old": PASSWORD, "password": f"{PASSWORD} and more", "again": f"{PASSWORD} and more"}

    bot, their_bot = f"/settings/service/{someone}-bot", f"/organizations/{house}/service/{house}-bot"

    def token_id(name: str = someone) -> str:
        return str(hub.hub.list_tokens(name)[-1].id)

    return {
        "POST /join": lambda: one.send(f"/join?code={code}", {"name": friend, "password": PASSWORD, "again": PASSWORD}),
        "POST /logout": lambda: one.send("/settings", {}, "/logout"),
        "POST /login": lambda: one.sign_in(someone, PASSWORD),
        "POST /settings/profile": lambda: one.send("/settings", {"full_name": "Some One"}, "/settings/profile"),
        "POST /settings/sessions": lambda: one.send("/settings", {"session": session}, "/settings/sessions"),
        "POST /settings/password": lambda: one.send("/settings", newer, "/settings/password"),
        "POST /settings/tokens": lambda: one.send("/settings/tokens", {"name": "laptop", "role": "write"}),
        "POST /settings/tokens/revoke": lambda: one.send(
            "/settings/tokens", {"token": token_id()}, "/settings/tokens/revoke"
        ),
        "POST /settings/services": lambda: one.send("/settings/services", {"name": f"{someone}-bot", "role": "write"}),
        "POST /settings/service/{service}/change": lambda: one.send(
            bot, {"deed": "role", "role": "read"}, f"{bot}/change"
        ),
        "POST /settings/service/{service}/tokens": lambda: one.send(bot, {"role": "read"}, f"{bot}/tokens"),
        "POST /settings/service/{service}/tokens/revoke": lambda: one.send(
            bot, {"token": token_id(f"{someone}-bot")}, f"{bot}/tokens/revoke"
        ),
        "POST /organizations/new": lambda: one.send("/organizations/new", {"name": house, "full_name": "The House"}),
        "POST /organizations/{organization}/settings/members": lambda: one.send(
            place, {"user": friend, "role": "admin"}, f"{place}/members"
        ),
        "POST /organizations/{organization}/settings/services": lambda: one.send(
            place, {"name": f"{house}-bot", "role": "write"}, f"{place}/services"
        ),
        "POST /organizations/{organization}/service/{service}/tokens": lambda: one.send(
            their_bot, {"role": "write"}, f"{their_bot}/tokens"
        ),
        "POST /organizations/{organization}/service/{service}/tokens/revoke": lambda: one.send(
            their_bot, {"token": token_id(f"{house}-bot")}, f"{their_bot}/tokens/revoke"
        ),
        "POST /organizations/{organization}/service/{service}/change": lambda: one.send(
            their_bot, {"deed": "disable"}, f"{their_bot}/change"
        ),
        "POST /organizations/{organization}/leave": lambda: one.send("/settings", {}, f"/organizations/{house}/leave"),
    }


def test_each_form_does_what_it_says_and_leaves_its_row(
    hub: LiveHub, window: Callable[[], Window], someone: str
) -> None:
    one, two = window(), window()
    with hub.hub.changing() as change:
        code = invite(change, InvitationWish())
    two.sign_in(someone, PASSWORD)
    with hub.hub.parts.database.read() as connection:
        session = str(max(row[0] for row in connection.exec_driver_sql("SELECT id FROM tokens")))
    doing = steps(hub, one, someone, code, session)
    assert doing.keys() == {route for route in FORM_DEEDS if not re.search("/elsewhere|/people/", route)}
    for route, step in doing.items():
        answer = step()
        assert answer.status_code in {200, 303}, (route, answer.text)
        made = last_deed(hub)
        assert (route, made.deed) == (route, FORM_DEEDS[route])
        assert made.request_id == answer.headers["X-Request-Id"]
    with hub.hub.parts.database.read() as connection:
        assert find_account(connection, someone).full_name == "Some One"


def test_a_new_token_is_shown_once(hub: LiveHub, browser: Window, someone: str, speak) -> None:
    hub.hub.create_token(someone, "read", "from before")
    fields = {"name": "ci", "role": "fine-grained", "on0": someone, "right0": "write", "reads_gated": "on", "days": "9"}
    page = browser.send("/settings/tokens", fields)
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    token = TOKEN.search(page.text)[1]
    assert speak(token).get("/api/whoami-v2").json()["auth"]["accessToken"]["fineGrained"]["canReadGatedRepos"] is True
    assert speak(token).create(f"{someone}/made").status_code == 200
    listed = browser.get("/settings/tokens").text
    assert token not in listed
    assert "from before" in listed
    assert "gates of others" in listed


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "fine-grained"},
        {"role": "king"},
        {"role": "read", "days": "soon"},
        {"role": "read", "days": "-1"},
        {"role": "fine-grained", "on0": "nobody-there", "right0": "read"},
        {"role": "fine-grained", "on0": "x/y", "right0": "read"},
        {"role": "session"},
        {"role": "read", "on0": "somebody", "right0": "read"},
        {"role": "write", "on2": "datasets/x/y", "right2": "read"},
        {"role": "read", "reads_gated": "on"},
    ],
)
def test_a_form_that_makes_no_token_says_why(
    hub: LiveHub, browser: Window, someone: str, fields: dict[str, str]
) -> None:
    answer = browser.send("/settings/tokens", {"name": "x", **fields})
    assert answer.status_code in {400, 404}
    assert 'role="alert"' in answer.text
    assert hub.hub.list_tokens(someone) == []


def test_a_scope_beside_a_token_for_everything_is_no_token(hub: LiveHub, browser: Window, someone: str) -> None:
    said = browser.send("/settings/tokens", {"name": "x", "role": "read", "on0": someone, "right0": "read"})
    assert said.status_code == 400
    assert "chose one that is good for everything" in said.text
    browser.send("/settings/services", {"name": f"{someone}-ci", "role": "write"})
    place = f"/settings/service/{someone}-ci"
    fields = {"name": "x", "role": "write", "on0": someone, "right0": "read"}
    assert browser.send(place, fields, f"{place}/tokens").status_code == 400
    assert hub.hub.list_tokens(f"{someone}-ci") == []


def test_the_log_reads_as_people_speak(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, someone), True)
    boss = window()
    boss.sign_in(someone, PASSWORD)
    signed_in = last_deed(hub)
    assert (signed_in.deed, signed_in.actor, signed_in.subject) == ("sign-in.ok", someone, someone)
    assert signed_in.actor_id != 0
    boss.send("/settings/tokens", {"name": "x", "role": "read", "days": "9"})
    ends_ms = last_deed(hub).facts["expires_ms"]
    page = boss.get("/settings/audit").text
    assert f"expires {datetime.fromtimestamp(ends_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC" in page
    assert str(ends_ms) not in page
    assert "_ms" not in page
    assert ">When (UTC)<" in page
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, someone), False)


def test_what_fails_is_told_on_the_page(hub: LiveHub, browser: Window, someone: str) -> None:
    assert 'role="alert"' in browser.send("/organizations/new", {"name": "no good name"}).text
    browser.send("/organizations/new", {"name": f"{someone}-org"})
    place = f"/organizations/{someone}-org/settings"
    for fields in ({"user": "nobody-there", "role": "read"}, {"user": someone, "role": "none"}, {"user": someone}):
        assert 'role="alert"' in browser.send(place, fields, f"{place}/members").text
    assert 'role="alert"' in browser.send(place, {"name": someone, "role": "read"}, f"{place}/services").text
    assert browser.send("/settings", {"full_name": "x" * 200}, "/settings/profile").status_code == 400
    assert browser.send("/settings/tokens", {"token": "1"}, "/settings/tokens/revoke").status_code == 404
    browser.send("/settings/services", {"name": f"{someone}-bot", "role": "read"})
    bot = f"/settings/service/{someone}-bot"
    assert 'role="alert"' in browser.send(bot, {"deed": "role", "role": "king"}, f"{bot}/change").text
    assert 'role="alert"' in browser.send(bot, {"role": "fine-grained"}, f"{bot}/tokens").text
    assert browser.send(bot, {"token": "x"}, f"{bot}/tokens/revoke").status_code == 404
    assert browser.get(f"/organizations/{someone}-org/service/{someone}-bot").status_code == 404, "it acts for another"


def test_an_organization_is_administered_by_its_administrators(
    hub: LiveHub, browser: Window, window, someone: str
) -> None:
    hub.user(f"{someone}-boss")
    from tenuto.server.access import Right
    from tenuto.server.people.organizations import add_organization, set_member

    with hub.hub.changing() as change:
        made = add_organization(change, f"{someone}-club", find_account(change.connection, f"{someone}-boss"))
        set_member(change, made, find_account(change.connection, someone), Right.WRITE)
    assert browser.get(f"/organizations/{someone}-club/settings").status_code == 403
    assert window().get(f"/organizations/{someone}-club/settings").status_code == 401
    assert f"{someone}-club" in browser.get("/settings").text
    assert browser.get(f"/organizations/{someone}/settings").status_code == 404


def test_the_page_of_an_account_says_with_whom_it_goes(hub: LiveHub, browser: Window, window, someone: str) -> None:
    browser.send("/organizations/new", {"name": f"{someone}-org", "full_name": "A House <b>"})
    browser.send("/settings/services", {"name": f"{someone}-bot", "role": "read"})
    nobody = window()
    assert f'Organizations: <a href="/{someone}-org">' in nobody.get(f"/{someone}").text
    assert f'Acts for: <a href="/{someone}">' in nobody.get(f"/{someone}-bot").text
    page = nobody.get(f"/{someone}-org").text
    assert f'Members: <a href="/{someone}">' in page
    assert "A House &lt;b&gt;" in page
    assert "Members and services" not in page
    assert "Members and services" in browser.get(f"/{someone}-org").text


def test_who_administers_the_hub_invites_and_closes(hub: LiveHub, browser: Window, window, someone: str) -> None:
    assert browser.get("/settings/people").status_code == 403
    assert "/settings/people" not in browser.get("/settings").text
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, someone), True)
    hub.user(f"{someone}-friend")
    place, deeds = "/settings/people", FORM_DEEDS

    def send(form: str, **fields: str):
        answer = browser.send(place, fields, f"{place}/{form}")
        made = last_deed(hub)
        assert (made.deed, made.actor) == (deeds[f"POST {place}/{form}"], someone)
        return answer

    page = send("invite", name=f"{someone}-new")
    link = re.search(r'value="(http://[^"]+/join\?code=hf_\w+)"', page.text)[1]
    assert f"{someone}-new" in window().get(link).text
    assert link not in browser.get(place).text
    friend = {"account": f"{someone}-friend"}
    assert "/join?code=" in send("change", deed="reset", **friend).text
    send("change", deed="disable", **friend)
    assert "disabled" in browser.get(f"{place}?search={someone}-friend").text
    send("change", deed="enable", **friend)
    send("change", deed="admin", **friend)
    send("change", deed="no-admin", **friend)
    for fields in ({"deed": "disable", "account": "nobody-there"}, {"deed": "admin", "account": "nobody-there"}):
        assert 'role="alert"' in browser.send(place, fields, f"{place}/change").text
    assert 'role="alert"' in browser.send(place, {"organization": "nobody-there"}, f"{place}/invite").text


class TestForgery:
    """Fault 17: what a browser is made to send by a page of somebody else changes nothing."""

    def test_forms_need_the_token_of_their_session(self, hub: LiveHub, browser: Window, window, someone: str) -> None:
        fields = {"full_name": "forged"}
        other = window()
        other.sign_in(someone, PASSWORD)
        theirs = other.hidden("/settings")["csrf"]
        for given in ({}, {"csrf": ""}, {"csrf": "0" * 32}, {"csrf": theirs}, {"csrf": "ü"}):
            answer = browser.client.post("/settings/profile", data={**fields, **given})
            assert answer.status_code == 403, given
        token = browser.hidden("/settings")["csrf"]
        assert browser.cookie not in token
        assert browser.client.post("/settings/profile", data={**fields, "csrf": token}).status_code == 303

    @pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:1", ""])
    def test_forms_come_from_pages_of_this_hub(self, browser: Window, someone: str, origin: str | None) -> None:
        fields = {"full_name": "forged", **browser.hidden("/settings")}
        login = browser.hidden("/settings") | {"name": someone, "password": PASSWORD, "next": "/"}
        headers = {} if origin is None else {"Origin": origin}
        if origin is None:
            del browser.client.headers["Origin"]
        assert browser.client.post("/settings/profile", data=fields, headers=headers).status_code == 403
        assert browser.client.post("/login", data=login, headers=headers).status_code == 403, "nor is anybody signed in"
        assert browser.client.post("/api/organizations", json={"name": "x"}, headers=headers).status_code == 403

    def test_who_is_nobody_is_not_signed_in_by_others(self, window, someone: str) -> None:
        fresh = window()
        fields = {"name": someone, "password": PASSWORD, "next": "/"}
        answer = fresh.client.post("/login", data=fields, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize("origin", ["https://{host}", "http://{host}"])
    def test_a_page_without_tls_is_none_of_a_hub_with_it(self, origin: str) -> None:
        headers = {"host": "hub.test", "origin": origin.format(host="hub.test")}
        call = Call("POST", {}, "", headers, "https://hub.test", "/settings/profile")
        call.actor = Actor(user_id=1, name="someone", token_id=1, role=Role.SESSION)
        if origin.startswith("https"):
            check_origin(call)
        else:
            with pytest.raises(AccessDeniedError, match="does not come from a page of this hub"):
                check_origin(call)

    def test_a_form_that_calls_itself_json_in_passing_needs_the_token(self, browser: Window) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded; x=json"}
        body = b"name=evil&role=write&scope=&days=1"
        answer = browser.client.post("/settings/tokens", content=body, headers=headers)
        assert answer.status_code == 403
        assert b"hf_" not in answer.content

    @pytest.mark.parametrize("kind", ["text/plain;json", "text/json", "multipart/form-data; boundary=json", ""])
    def test_what_only_looks_like_json_needs_the_token(self, browser: Window, kind: str) -> None:
        headers = {"Content-Type": kind} if kind else {}
        answer = browser.client.post("/api/repos/create", content=b'{"name": "made"}', headers=headers)
        assert answer.status_code in {400, 403}
        assert browser.client.get("/api/whoami-v2").status_code == 200

    def test_a_script_of_ours_sends_json_or_the_token_in_a_header(self, browser: Window, someone: str) -> None:
        repo = {"name": "made", "type": "model"}
        assert browser.client.post("/api/repos/create", json=repo).status_code == 200
        like = f"/api/models/{someone}/made/like"
        assert browser.client.request("DELETE", like).status_code == 403
        token = browser.hidden("/settings")["csrf"]
        assert browser.client.request("DELETE", like, headers={"X-CSRF-Token": token}).status_code == 200

    @pytest.mark.parametrize(
        "place", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "/a\nb"]
    )
    def test_signing_in_leads_to_no_other_place(self, window, someone: str, place: str) -> None:
        browser = window()
        fields = {"name": someone, "password": PASSWORD, "next": place}
        assert browser.send("/login", fields).headers["Location"] == "/"


def test_pages_are_small_and_ask_little_of_the_database(hub: LiveHub, browser: Window, someone: str) -> None:
    from sqlalchemy import event

    engine, count = hub.hub.parts.database.engine, 0
    browser.send("/organizations/new", {"name": f"{someone}-org"})

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    event.listen(engine, "before_cursor_execute", counted)
    try:
        browser.send("/settings/services", {"name": f"{someone}-bot", "role": "read"})
        places = ("/settings", "/settings/tokens", "/settings/services", f"/settings/service/{someone}-bot")
        for place in (*places, f"/organizations/{someone}-org/settings"):
            count = 0
            answer = browser.get(place)
            assert answer.status_code == 200
            assert len(answer.content) < 100_000
            assert count < 15, place
    finally:
        event.remove(engine, "before_cursor_execute", counted)


def test_who_cannot_leave_or_end_something_is_told_so_on_the_page_of_the_form(browser: Window, someone: str) -> None:
    house = f"{someone}-house"
    browser.send("/organizations/new", {"name": house})
    kept = browser.send("/settings", {}, f"/organizations/{house}/leave")
    assert kept.status_code == 409
    assert 'role="alert"' in kept.text
    assert f"/organizations/{house}/leave" in kept.text
    for page, form, fields in (
        ("/settings", "/settings/sessions", {"session": "123456"}),
        ("/settings/tokens", "/settings/tokens/revoke", {"token": "123456"}),
    ):
        answer = browser.send(page, fields, form)
        assert (answer.status_code, 'role="alert"' in answer.text) == (404, True)
