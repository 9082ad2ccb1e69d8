"""Signing in with a password: one answer for all that is wrong, a session of its own for each browser, and none that outlives its end."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from tenuto.core.errors import TenutoError, UsageError
from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account, set_disabled
from tenuto.server.schema import passwords
from tenuto.server.signin.invitations import InvitationWish, invite, invite_to_reset
from tenuto.server.signin.passwords import check_password, hash_of, is_right, keep_password, set_password
from tenuto.server.signin.sessions import browser_name
from tenuto.testing.live_hub import LiveHub
from tests.server.signin.conftest import CHEAP, PASSWORD
from tests.server.signin.window import Window

OTHER = "wholly different phrase"


def kept_of(hub: LiveHub, name: str) -> str | None:
    with hub.hub.parts.database.read() as connection:
        user_id = find_account(connection, name).id
        return connection.execute(select(passwords.c.hash).where(passwords.c.user_id == user_id)).scalar()


def test_a_browser_signs_in_and_out(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    browser = window()
    assert browser.get("/settings").status_code == 401
    answer = browser.sign_in(someone.upper(), PASSWORD, "/login?next=/settings")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/settings")
    cookie = answer.headers["Set-Cookie"]
    assert re.fullmatch(r"tenuto_session=hf_\w{43}; Path=/; HttpOnly; SameSite=Lax; Max-Age=1209600", cookie), (
        "no Secure on plain http"
    )
    page = browser.get("/settings")
    assert page.status_code == 200
    assert "Firefox on Linux" in page.text
    assert browser.cookie not in page.text
    old = browser.cookie
    answer = browser.send("/settings", {}, "/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    browser.client.cookies.set("tenuto_session", old)
    assert browser.get("/settings").status_code == 401
    assert browser.get("/").status_code == 200, "a session that is over is nobody's"
    assert "/login?next=%2Fsettings" in browser.get("/settings").text
    late = browser.client.post("/settings/profile", data={"full_name": "late"})
    assert late.status_code == 401
    assert 'href="/login">Sign in<' in late.text, "what was sent is not asked for again by GET"


def test_a_session_from_before_is_not_used_again(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    browser = window()
    browser.client.cookies.set("tenuto_session", "hf_chosenbysomebodyelse", "127.0.0.1")
    browser.sign_in(someone, PASSWORD)
    first = browser.cookie
    assert first != "hf_chosenbysomebodyelse"
    browser.client.post("/login", data={"name": someone, "password": PASSWORD, **browser.hidden("/settings")})
    assert browser.cookie != first
    other = window()
    other.client.cookies.set("tenuto_session", first)
    assert other.get("/settings").status_code == 401, "signing in anew ended it"


def test_behind_https_the_cookie_is_secure(hub: LiveHub, someone: str) -> None:
    from tenuto.server.http.exchange import Call
    from tenuto.server.signin.password_sign_in import sign_in

    call = Call("POST", {}, "", {"host": "hub.example.org"}, "https://hub.example.org", "/login", address="192.0.2.1")
    _, cookie = sign_in(hub.hub.parts, call, someone, PASSWORD)
    assert cookie.startswith("__Host-tenuto_session=hf_")
    assert cookie.endswith("; Secure")


@pytest.mark.parametrize(("scheme", "believed"), [("https", "ours"), ("http", "theirs")])
def test_over_https_no_neighbour_in_the_domain_signs_anybody_in(scheme: str, believed: str) -> None:
    from tenuto.server.forgery import cookie_of
    from tenuto.server.http.exchange import Call

    headers = {"cookie": "tenuto_session=theirs; __Host-tenuto_session=ours"}
    assert cookie_of(Call("GET", {}, "", headers, f"{scheme}://hub.example.org")) == believed


def test_what_is_wrong_is_told_in_the_same_words(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    hub.hub.add_user(f"{someone}-without")
    with hub.hub.changing() as change:
        set_disabled(change, find_account(change.connection, someone), True)
    said = set()
    for name in (someone, f"{someone}-without", "nobody-at-all", "' OR 1=1 --"):
        answer = window().sign_in(name, OTHER)
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
        said.add(answer.text.replace(f'value="{name}"', "").replace("&#39;", "'").replace(f'value="{name}"', ""))
    assert len(said) == 1
    assert window().sign_in(someone, PASSWORD).status_code == 401, "it is disabled"


def test_the_same_work_is_done_for_whoever_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in calls of the library: a clock would only guess."""
    from argon2 import PasswordHasher

    done = []
    for name in ("hash", "verify"):
        original = getattr(PasswordHasher, name)
        monkeypatch.setattr(
            PasswordHasher,
            name,
            lambda *values, name=name, original=original: (done.append(name), original(*values))[1],
        )
    assert not is_right(CHEAP, None, PASSWORD)
    assert len(done) == 1


def test_what_is_kept_is_made_anew_when_it_shall_cost_more(
    hub: LiveHub, window: Callable[[], Window], someone: str
) -> None:
    with hub.hub.changing() as change:
        weaker = CHEAP.__class__(password_memory_kib=32, password_rounds=1)
        set_password(change, weaker, find_account(change.connection, someone), PASSWORD)
    before = kept_of(hub, someone)
    assert "m=32,t=1" in before
    assert window().sign_in(someone, OTHER).status_code == 401
    assert kept_of(hub, someone) == before, "a wrong password changes nothing"
    assert window().sign_in(someone, PASSWORD).status_code == 303
    assert "m=64,t=1" in kept_of(hub, someone)
    assert window().sign_in(someone, PASSWORD).status_code == 303


@pytest.mark.parametrize("password", ["", "short", "x" * 40, "abababababab", "i am mallory, really", "y" * 2000])
def test_weak_passwords_are_refused_and_never_told(password: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_password(password, "mallory")
    assert not password or password not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "password", ["pâté, chèvre, ail et sel", "пароль из слов", "\udc80 odd bytes in here", "a" * 11 + "bcdef"]
)
def test_passwords_of_any_letters(hub: LiveHub, password: str) -> None:
    hub.user("polyglot")
    with hub.hub.changing() as change:
        set_password(change, CHEAP, find_account(change.connection, "polyglot"), password)
    kept = kept_of(hub, "polyglot")
    assert is_right(CHEAP, kept, password)
    assert not is_right(CHEAP, kept, password + "x")
    assert not is_right(CHEAP, "no text of argon2", password)


def test_a_new_password_ends_all_other_browsers(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    here, there = window(), window()
    for one in (here, there):
        one.sign_in(someone, PASSWORD)
        assert one.get("/settings").status_code == 200
    fields = {"old": OTHER, "password": OTHER, "again": OTHER}
    assert here.send("/settings", fields, "/settings/password").status_code == 401
    assert here.send("/settings", {**fields, "old": PASSWORD, "again": "x"}, "/settings/password").status_code == 400
    assert there.get("/settings").status_code == 200
    assert here.send("/settings", {**fields, "old": PASSWORD}, "/settings/password").status_code == 303
    assert here.get("/settings").status_code == 200
    assert there.get("/settings").status_code == 401
    assert window().sign_in(someone, PASSWORD).status_code == 401
    assert window().sign_in(someone, OTHER).status_code == 303


def test_browsers_are_listed_and_ended_one_by_one(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    here, there, elsewhere = window(), window(), window()
    for one in (here, there, elsewhere):
        one.sign_in(someone, PASSWORD)
    numbers = re.findall(r'name="session" value="(\d+)"', here.get("/settings").text)
    assert len(numbers) == 2
    assert here.send("/settings", {"session": numbers[0]}, "/settings/sessions").status_code == 303
    assert [one.get("/settings").status_code for one in (here, there, elsewhere)] == [200, 200, 401]
    assert here.send("/settings", {"session": numbers[0]}, "/settings/sessions").status_code == 404
    stranger = window()
    hub.hub.add_user(f"{someone}-x")
    with hub.hub.changing() as change:
        set_password(change, CHEAP, find_account(change.connection, f"{someone}-x"), PASSWORD)
    stranger.sign_in(f"{someone}-x", PASSWORD)
    assert stranger.send("/settings", {"session": numbers[1]}, "/settings/sessions").status_code == 404
    assert here.send("/settings", {"session": "others"}, "/settings/sessions").status_code == 303
    assert [one.get("/settings").status_code for one in (here, there)] == [200, 401]


def test_a_session_is_no_token_and_a_token_no_session(
    hub: LiveHub, window: Callable[[], Window], someone: str, speak
) -> None:
    browser = window()
    browser.sign_in(someone, PASSWORD)
    assert speak(browser.cookie).get("/api/whoami-v2").status_code == 401
    token = hub.hub.create_token(someone, "write")
    other = window()
    other.client.cookies.set("tenuto_session", token)
    assert other.get("/settings").status_code == 401
    assert browser.get("/api/whoami-v2").json()["name"] == someone
    assert str(hub.hub.list_tokens(someone)).count("id=") == 1, "a session is not listed as a token"


def test_who_guesses_has_to_wait_and_whether_the_name_exists_does_not_matter(someone: str) -> None:
    """On a hub of its own: the address of all callers is one."""
    said = {}
    with LiveHub(limits=CHEAP) as hub:
        hub.user("ann")
        with hub.hub.changing() as change:
            set_password(change, CHEAP, find_account(change.connection, "ann"), PASSWORD)
        for name in ("ann", "nobody"):
            browser = Window(hub.url)
            fields = browser.hidden("/login")
            answers = [
                browser.client.post("/login", data={**fields, "name": name, "password": OTHER}) for _ in range(12)
            ]
            assert [one.status_code for one in answers][:10] == [401] * 10
            assert answers[-1].status_code == 429
            assert int(answers[-1].headers["Retry-After"]) >= 1
            said[name] = answers[-1].text.replace(name, "")
            if name == "ann":
                answer = browser.client.post("/login", data={**fields, "name": name, "password": PASSWORD})
                assert answer.status_code == 429, "a right password does not tell either that it is right"
            browser.close()
    assert re.sub(r"\d+", "N", said["ann"]) == re.sub(r"\d+", "N", said["nobody"])


def link(hub: LiveHub, wish: InvitationWish) -> str:
    with hub.hub.changing() as change:
        return f"/join?code={invite(change, wish)}"


def test_an_invitation_makes_one_account(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    hub.user("boss")
    from tenuto.server.people.organizations import add_organization, memberships_of

    with hub.hub.changing() as change:
        add_organization(change, "guild", find_account(change.connection, "boss"))
    place = link(hub, InvitationWish(organization="guild", role="write"))
    browser = window()
    assert "guild" in browser.get(place).text
    fields = {"name": someone, "password": PASSWORD, "again": PASSWORD}
    assert browser.send(place, fields).status_code == 409, "the name is taken"
    fields["name"] = f"{someone}-new"
    assert browser.send(place, {**fields, "password": "x", "again": "x"}).status_code == 400
    assert browser.send(place, {**fields, "again": "x"}).status_code == 400
    answer = browser.send(place, fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.get("/settings").status_code == 200
    with hub.hub.parts.database.read() as connection:
        (membership,) = memberships_of(connection, find_account(connection, f"{someone}-new").id)
    assert (membership.organization.name, membership.right.name) == ("guild", "WRITE")
    assert window().get(place).status_code == 404, "it is good once"


def test_of_many_who_follow_one_link_at_once_one_gets_an_account(hub: LiveHub, window, someone: str) -> None:
    place = link(hub, InvitationWish())
    windows = [window() for _ in range(6)]
    forms = [one.hidden(place) | {"password": PASSWORD, "again": PASSWORD} for one in windows]

    def join(number: int) -> int:
        fields = forms[number] | {"name": f"{someone}-{number}"}
        return windows[number].client.post("/join", data=fields).status_code

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(join, range(6))) == [303, 404, 404, 404, 404, 404]


def test_many_guesses_at_once_are_not_looked_at_either() -> None:
    with LiveHub(limits=CHEAP) as own:
        windows = [Window(own.url) for _ in range(8)]
        fields = {"name": "nobody", "password": OTHER, "next": "/"}

        def guess(number: int) -> list[int]:
            return [windows[number].client.post("/login", data=fields).status_code for _ in range(5)]

        with ThreadPoolExecutor(8) as threads:
            statuses = [status for found in threads.map(guess, range(8)) for status in found]
        for one in windows:
            one.close()
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < 20, "ten are free, and then a few as time passes"


def test_a_settled_name_is_not_chosen_anew(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    place = link(hub, InvitationWish(name=f"{someone}-settled"))
    browser = window()
    assert browser.send(place, {"name": "another", "password": PASSWORD, "again": PASSWORD}).status_code == 303
    assert f"{someone}-settled" in browser.get("/settings").text


def test_a_lost_password_is_set_anew_by_a_link(hub: LiveHub, window: Callable[[], Window], someone: str) -> None:
    before = window()
    before.sign_in(someone, PASSWORD)
    with hub.hub.changing() as change:
        account = find_account(change.connection, someone)
        older, newer = (invite_to_reset(change, account) for _ in range(2))
    assert window().get(f"/join?code={older}").status_code == 404, "the newer link takes its place"
    browser = window()
    assert browser.send(f"/join?code={newer}", {"password": OTHER, "again": OTHER}).status_code == 303
    assert before.get("/settings").status_code == 401
    assert window().sign_in(someone, OTHER).status_code == 303


def test_nobody_waits_for_the_turn_to_write_while_a_password_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    from argon2 import PasswordHasher

    original, turns = PasswordHasher.hash, []
    with LiveHub(limits=Limits(password_memory_kib=64, password_rounds=1, sign_up=True)) as own:
        file = own.hub.parts.database.engine.url.database

        def hash_meanwhile(*values: object) -> str:
            with contextlib.closing(sqlite3.connect(file, timeout=5)) as other:
                other.execute("BEGIN IMMEDIATE")  # it raises where whoever hashes has the turn
                other.rollback()
            turns.append(len(turns))
            return original(*values)

        with own.hub.changing() as change:
            link = invite(change, InvitationWish())
        monkeypatch.setattr(PasswordHasher, "hash", hash_meanwhile)
        fields = {"password": PASSWORD, "again": PASSWORD}
        for place, name in ((f"/join?code={link}", "ann"), ("/join", "bob")):
            browser = Window(own.url)
            assert browser.send(place, fields | {"name": name}).status_code == 303
            browser.close()
        with own.hub.changing() as change:
            link = invite_to_reset(change, find_account(change.connection, "ann"))
        browser = Window(own.url)
        assert browser.send(f"/join?code={link}", fields).status_code == 303
        assert browser.send("/settings", fields | {"old": PASSWORD}, "/settings/password").status_code == 303
        weak = hash_of(Limits(password_memory_kib=32, password_rounds=1), PASSWORD, "ann")
        with own.hub.changing() as change:
            keep_password(change, find_account(change.connection, "ann"), weak)
        assert browser.sign_in("ann", PASSWORD).status_code == 303
        browser.close()
    assert len(turns) == 6


@pytest.mark.parametrize("days", [0, -1, 91, float("inf"), float("nan")])
def test_links_end(hub: LiveHub, days: float) -> None:
    with hub.hub.changing() as change, pytest.raises(TenutoError):
        invite(change, InvitationWish(days=days))


def test_nobody_joins_uninvited_unless_the_hub_is_open(hub: LiveHub, window: Callable[[], Window]) -> None:
    refused = window().get("/join")
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "RouteNotFound")
    browser = window()
    answer = browser.client.post("/join", data={"name": "x1", "password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 404
    open_limits = CHEAP.__class__(password_memory_kib=64, password_rounds=1, sign_up=True)
    with LiveHub(limits=open_limits) as open_hub:
        browser = Window(open_hub.url)
        assert "/join" in browser.get("/login").text
        fields = {"name": "newcomer", "password": PASSWORD, "again": PASSWORD}
        assert browser.send("/join", fields).status_code == 303
        assert browser.get("/settings").status_code == 200
        browser.close()


def test_the_audit_log_tells_of_it_without_what_was_typed(
    hub: LiveHub, window: Callable[[], Window], someone: str
) -> None:
    browser = window()
    browser.sign_in("my-password-in-the-wrong-field", OTHER)
    browser.sign_in(someone, OTHER)
    browser.sign_in(someone, PASSWORD)
    browser.send("/settings", {}, "/logout")
    with hub.hub.parts.database.read() as connection:
        found = list(entries(connection, Wanted(limit=4)))[::-1]
    assert [(one.deed, one.subject) for one in found] == [
        ("sign-in.refused", ""),
        ("sign-in.refused", someone),
        ("sign-in.ok", someone),
        ("sign-out", someone),
    ]
    assert not [word for word in (OTHER, PASSWORD, "my-password") if word in f"{found} {hub.log()}"]


def test_browsers_have_names() -> None:
    chrome = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    assert browser_name(chrome) == "Chrome on Windows"
    assert browser_name(f"{chrome} Edg/140.0") == "Edge on Windows"
    assert browser_name("<script>") == "a browser"
    assert browser_name("") == "a browser"
