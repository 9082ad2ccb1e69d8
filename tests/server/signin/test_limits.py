"""What passwords, links and sign-ups are bounded by."""

import re
from collections.abc import Callable
from contextlib import ExitStack

import httpx2
import pytest

from tenuto.core.errors import UsageError
from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.http.rates import MOST_LOOKS
from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account, set_admin, set_disabled
from tenuto.server.people.change import Change
from tenuto.server.signin.invitations import InvitationWish, invite
from tenuto.server.signin.passwords import MOST_BYTES, check_password, find_hash, is_right, set_password
from tenuto.testing.live_hub import LiveHub
from tests.server.signin.conftest import CHEAP, PASSWORD
from tests.server.signin.window import Window
from tests.server.talk import Talk

LONGEST = "four words " + "x" * (MOST_BYTES - 11)


def test_a_password_that_is_too_long_is_called_so() -> None:
    assert check_password(LONGEST, "ann") == LONGEST
    with pytest.raises(UsageError, match=f"at most {MOST_BYTES} bytes"):
        check_password(LONGEST + "x", "ann")
    with pytest.raises(UsageError, match="at least"):
        check_password("short", "ann")


def test_what_follows_the_longest_password_is_not_left_out(hub: LiveHub, window, someone: str) -> None:
    dearer = Limits(password_memory_kib=128, password_rounds=2)
    with hub.hub.changing() as change:
        set_password(change, dearer, find_account(change.connection, someone), LONGEST)
    assert window().sign_in(someone, LONGEST + "x").status_code == 401
    for _ in range(2):
        assert window().sign_in(someone, LONGEST).status_code == 303, "kept anew with other work, it is still the same"
    with hub.hub.parts.database.read() as connection:
        kept = find_hash(connection, find_account(connection, someone).id)
    assert is_right(CHEAP, kept, LONGEST)
    assert not is_right(CHEAP, kept, LONGEST + "x")


def test_whoever_comes_makes_so_many_accounts() -> None:
    with LiveHub(limits=Limits(password_memory_kib=64, password_rounds=1, sign_up=True)) as own:

        def sign_up(number: int, address: str = "127.0.0.2") -> int:
            transport = httpx2.HTTPTransport(local_address=address)
            fields = {"name": f"crowd-{number}", "password": PASSWORD, "again": PASSWORD}
            with httpx2.Client(transport=transport, base_url=own.url, trust_env=False) as client:
                headers = {"Origin": own.url, "Accept": "text/html"}
                return client.post("/join", data=fields, headers=headers).status_code

        assert [sign_up(number) for number in range(22)] == [303] * 20 + [429] * 2
        assert sign_up(99, "127.0.0.3") == 303, "others may"


def test_those_who_sign_in_leave_room_for_all_others(hub: LiveHub, window, someone: str) -> None:
    attempts = hub.hub.parts.attempts
    with ExitStack() as looks:
        for _ in range(MOST_LOOKS):
            looks.enter_context(attempts.look())
        for _ in range(12):
            refused = window().sign_in(someone, PASSWORD)
            assert refused.status_code == 429
        assert "Too many people sign in at this moment" in refused.text
        assert window().get("/").status_code == 200
    assert window().sign_in(someone, PASSWORD).status_code == 303, "none of that counts as a failure"
    for _ in range(MOST_LOOKS + 1):
        assert window().sign_in(someone, "this is not the one").status_code in {401, 429}
    with ExitStack() as looks:
        for _ in range(MOST_LOOKS):
            looks.enter_context(attempts.look())


def no_administrator(change: Change, name: str) -> None:
    set_admin(change, find_account(change.connection, name), False)


def closed(change: Change, name: str) -> None:
    set_disabled(change, find_account(change.connection, name), True)


@pytest.mark.parametrize("over", [no_administrator, closed])
@pytest.mark.parametrize("kind", ["reset", "name"])
def test_a_link_ends_with_the_right_of_who_made_it(
    hub: LiveHub, window: Callable[[], Window], speak: Callable[..., Talk], someone: str, over, kind: str
) -> None:
    boss = f"boss-of-{someone}"
    token = hub.user(boss)
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, boss), True)
    body = {kind: someone if kind == "reset" else f"{someone}-new"}
    place = speak(token).post("/api/hub/invitations", body).json()["link"].removeprefix(hub.url)
    assert window().get(place).status_code == 200
    fields = window().hidden(place) | {"password": "the boss chose this", "again": "the boss chose this"}
    with hub.hub.changing() as change:
        over(change, boss)
    assert window().get(place).status_code == 404
    assert window().client.post("/join", data=fields).status_code == 404
    assert window().sign_in(someone, PASSWORD).status_code == 303, "it is still the old one"


def test_a_link_is_listed_without_its_secret_and_taken_back(hub: LiveHub, window, someone: str) -> None:
    boss = window()
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, someone), True)
        code = invite(change, InvitationWish(name=f"{someone}-guest"))
    boss.sign_in(someone, PASSWORD)
    page = boss.get("/settings/people").text
    assert f"{someone}-guest" in page
    assert "the command line" in page
    assert code not in page
    found = re.search(rf'{someone}-guest.*?name="account" value="(\d+)".*?value="withdraw"', page, re.DOTALL)
    assert found
    assert window().get(f"/join?code={code}").status_code == 200
    for status in (303, 404):
        fields = {"deed": "withdraw", "account": found[1]}
        assert boss.send("/settings/people", fields, "/settings/people/change").status_code == status
    assert window().get(f"/join?code={code}").status_code == 404
    for fields in ({"deed": "withdraw", "account": "x"}, {"deed": "odd", "account": someone}):
        assert boss.send("/settings/people", fields, "/settings/people/change").status_code == 400
    with hub.hub.parts.database.read() as connection:
        last = next(entries(connection, Wanted(actor=someone, limit=1)))
    assert (last.deed, last.subject, last.facts) == (
        "user.change",
        f"{someone}-guest",
        {"kind": "invitation", "status": "removed"},
    )


def test_a_browser_cuts_no_password(hub: LiveHub, window, someone: str) -> None:
    browser = window()
    with hub.hub.changing() as change:
        code = invite(change, InvitationWish())
    pages = [browser.get(place).text for place in ("/login", f"/join?code={code}")]
    browser.sign_in(someone, PASSWORD)
    for page in (*pages, browser.get("/settings").text):
        lengths = re.findall(r'type="password"[^>]*maxlength="(\d+)"', page)
        assert lengths
        assert set(lengths) == {str(MOST_BYTES)}


def test_the_log_tells_that_all_other_browsers_were_signed_out(hub: LiveHub, window, someone: str) -> None:
    here, there, elsewhere = window(), window(), window()
    for one in (here, there, elsewhere):
        one.sign_in(someone, PASSWORD)
    for _ in range(2):
        assert here.send("/settings", {"session": "others"}, "/settings/sessions").status_code == 303
    with hub.hub.parts.database.read() as connection:
        found = entries(connection, Wanted(actor=someone))
        assert [one.facts for one in found if one.deed == "sign-out"] == [{"tokens": 2}]
