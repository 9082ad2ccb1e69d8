"""Somebody is invited, makes an account, a token, an organization with a service, and signs out and in again: all in a browser."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account, set_admin
from tenuto.server.signin.invitations import InvitationWish, invite
from tenuto.testing.live_hub import LiveHub
from tests.pages.test_browser import faults

PASSWORD = "four words stand here"


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=Limits(password_memory_kib=64, password_rounds=1)) as live:
        yield live


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def test_from_an_invitation_to_a_service(hub: LiveHub, visit: Callable[..., BrowserContext], speak) -> None:
    with hub.hub.changing() as change:
        code = invite(change, InvitationWish())
    page = visit().new_page()
    page.goto(f"{hub.url}/join?code={code}")
    assert faults(page) == []
    page.get_by_label("Name", exact=True).fill("ann")
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Tokens").click()
    page.get_by_label("What it is for").fill("laptop")
    page.get_by_label("all that you may do").check()
    page.get_by_role("button", name="Make the token").click()
    token = page.get_by_label("The new token").input_value()
    assert speak(token).create("ann/voice").status_code == 200
    page.goto(f"{hub.url}/organizations/new")
    page.get_by_label("Name").fill("acme")
    page.get_by_role("button", name="Make the organization").click()
    page.get_by_label("New service").fill("trainer")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("link", name="trainer").click()
    page.get_by_label("What it is for").fill("the machine in the cellar")
    page.get_by_role("button", name="Make the token").click()
    assert faults(page) == []
    service = page.get_by_label("The new token").input_value()
    assert speak(service).get("/api/whoami-v2").json()["serviceOf"] == "acme"
    page.get_by_text("Disable trainer", exact=True).click()
    assert speak(service).get("/api/whoami-v2").status_code == 200, "it is asked first"
    page.get_by_role("button", name="Yes, disable trainer").click()
    assert speak(service).get("/api/whoami-v2").status_code == 401


def test_out_and_in_again_and_what_administrators_see(hub: LiveHub, visit: Callable[..., BrowserContext]) -> None:
    with hub.hub.changing() as change:
        code = invite(change, InvitationWish(name="bea"))
    page = visit().new_page()
    page.goto(f"{hub.url}/join?code={code}")
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{hub.url}/settings")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    sign_in(page, "bea", "not this one")
    expect(page.get_by_role("alert")).to_contain_text("The name or the password is wrong.")
    sign_in(page, "bea", PASSWORD)
    assert page.url == f"{hub.url}/settings"
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, "bea"), True)
    page.goto(f"{hub.url}/settings/people")
    assert faults(page) == []
    page.get_by_label("Name").fill("cat")
    page.get_by_role("button", name="Make a link").click()
    assert page.get_by_label("The link").input_value().startswith(f"{hub.url}/join?code=")


def test_what_weighs_asks_first_without_scripts(hub: LiveHub, visit: Callable[..., BrowserContext], speak) -> None:
    token, other = hub.user("chief"), hub.user("cleo")
    with hub.hub.changing() as change:
        set_admin(change, find_account(change.connection, "chief"), True)
    page = visit(token, java_script_enabled=False).new_page()
    for word, status in (("Make administrator", 200), ("Make no administrator", 200), ("Disable", 401)):
        page.goto(f"{hub.url}/settings/people?search=cleo")
        page.get_by_text(f"{word} cleo", exact=True).click()
        assert speak(other).get("/api/whoami-v2").status_code == 200
        page.get_by_role("button", name=f"Yes, {word.lower()} cleo").click()
        assert speak(other).get("/api/whoami-v2").status_code == status
