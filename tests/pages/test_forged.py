"""Faults 14 and 17, with a real browser: what a page of somebody else makes it send changes nothing, and what it learns is nothing.

The other page is on another port of the same host: to a browser that is the same site, so it sends the cookie of the session along.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState

from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.hub.scripted import Reply, Seen, Server, serving
from tests.pages.test_account_walk import PASSWORD, sign_in
from tests.server.talk import Talk, small

LIMITS = Limits(password_memory_kib=64, password_rounds=1)
CANARY = "hf_canaryOfAddresses"
FORMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "profile": ("/settings/profile", "application/x-www-form-urlencoded", {"full_name": "forged"}),
    "with a token that is none": (
        "/settings/profile",
        "application/x-www-form-urlencoded",
        {"full_name": "forged", "csrf": "x"},
    ),
    "files": ("/settings/profile", "multipart/form-data", {"full_name": "forged"}),
    "password": ("/settings/password", "application/x-www-form-urlencoded", {"password": "x" * 20, "again": "x" * 20}),
    "token": ("/settings/tokens", "application/x-www-form-urlencoded", {"name": "forged", "role": "write"}),
    "repo": ("/new", "application/x-www-form-urlencoded", {"kind": "model", "owner": "ann", "name": "forged"}),
    "repo by what looks like JSON": ("/api/repos/create", "text/plain", {'{"name": "forged", "x": "': '"}'}),
    "service": ("/settings/services", "application/x-www-form-urlencoded", {"name": "forged", "role": "write"}),
    "organization": ("/organizations/new", "application/x-www-form-urlencoded", {"name": "forged"}),
    "access to a gate": ("/bea/gated/ask-access", "application/x-www-form-urlencoded", {}),
    "talk": ("/bea/gated/discussions", "application/x-www-form-urlencoded", {"title": "forged", "text": "forged"}),
    "away": ("/logout", "application/x-www-form-urlencoded", {}),
    "device": (
        "/oauth/authorize-device",
        "application/x-www-form-urlencoded",
        {"user_code": "BCDF-GHJK", "decision": "allow"},
    ),
}
_SEND = """([url, kind, fields]) => {
    const form = document.createElement('form');
    form.method = 'post'; form.action = url; form.enctype = kind;
    for (const [name, value] of Object.entries(fields)) {
        const one = document.createElement('input');
        one.name = name; one.value = value; form.append(one);
    }
    document.body.append(form); form.submit();
}"""
_FETCH = """([url, method, kind]) => fetch(url, {
    method, credentials: 'include', body: method === 'GET' ? undefined : '{"name": "forged"}',
    headers: kind ? {'Content-Type': kind} : {},
}).then(answer => answer.text()).catch(() => 'nothing')"""


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=LIMITS) as live:
        for name in ("ann", "bea"):
            live.hub.add_user(name)
            with live.hub.changing() as change:
                set_password(change, LIMITS, find_account(change.connection, name), PASSWORD)
        talk = Talk(live.url, live.user("bea"))
        talk.create("bea/gated").raise_for_status()
        talk.commit("bea/gated", small("README.md", b"# Gated")).raise_for_status()
        talk.client.put("/api/models/bea/gated/settings", json={"gated": "auto"}).raise_for_status()
        talk.close()
        yield live


def blank(_seen: Seen) -> Reply:
    return Reply(200, b"<!doctype html><title>other</title><body></body>", {"Content-Type": "text/html"})


@pytest.fixture
def other() -> Iterator[Server]:
    """Somebody else, on the same host."""
    with serving(blank) as server:
        yield server


@pytest.fixture(scope="module")
def signed_in(hub: LiveHub, browser: Browser) -> StorageState:
    """What the browser of Ann keeps."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{hub.url}/login")
        sign_in(page, "ann", PASSWORD)
        page.wait_for_url(f"{hub.url}/")
        return context.storage_state()


@pytest.fixture
def page(signed_in: StorageState, visit: Callable[..., BrowserContext]) -> Page:
    """A window in which Ann is signed in."""
    return visit(storage_state=signed_in).new_page()


def all_of(hub: LiveHub) -> str:
    """What the hub holds that a forged form would have changed."""
    with hub.hub.parts.database.read() as connection:
        tables = ("users", "repos", "tokens", "access_requests", "discussions", "services", "memberships", "passwords")
        rows = {one: connection.exec_driver_sql(f"SELECT * FROM {one}").all() for one in tables}
    return json.dumps({name: [[str(value) for value in row] for row in found] for name, found in rows.items()})


@pytest.mark.parametrize("name", FORMS)
def test_no_form_of_another_page_does_anything(hub: LiveHub, other: Server, page: Page, name: str) -> None:
    place, kind, fields = FORMS[name]
    before = all_of(hub)
    page.goto(other.url)
    with page.expect_navigation() as sent:
        page.evaluate(_SEND, [f"{hub.url}{place}", kind, fields])
    assert "tenuto_session" in sent.value.request.all_headers().get("cookie", ""), "the browser sends it along"
    assert sent.value.status == 403
    assert all_of(hub) == before
    assert page.request.get(f"{hub.url}/settings").status == 200, "and still signed in"


def test_nobody_is_signed_in_as_somebody_else(
    hub: LiveHub, other: Server, visit: Callable[..., BrowserContext]
) -> None:
    context = visit()
    page = context.new_page()
    page.goto(other.url)
    fields = {"name": "bea", "password": PASSWORD, "next": "/"}
    with page.expect_navigation() as sent:
        page.evaluate(_SEND, [f"{hub.url}/login", "application/x-www-form-urlencoded", fields])
    assert sent.value.status == 403
    assert [one for one in context.cookies() if one["name"] == "tenuto_session"] == []


def test_the_same_form_of_our_page_does_it(hub: LiveHub, page: Page) -> None:
    before = all_of(hub)
    page.goto(f"{hub.url}/settings")
    page.locator("[name=full_name]").fill("Ann A.")
    with page.expect_navigation():
        page.locator("[name=full_name]").press("Enter")
    assert all_of(hub) != before


@pytest.mark.parametrize(
    ("place", "method", "kind"),
    [
        ("/api/whoami-v2", "GET", ""),
        ("/settings", "GET", ""),
        ("/settings/tokens", "GET", ""),
        ("/api/models?author=ann", "GET", "application/json"),
        ("/api/repos/create", "POST", "text/plain"),
        ("/api/repos/create", "POST", "application/json"),
        ("/api/models/bea/gated/like", "POST", "text/plain"),
        ("/api/models/bea/gated/like", "DELETE", ""),
        ("/api/models/bea/gated/settings", "PUT", "application/json"),
    ],
)
def test_no_script_of_another_page_reads_or_changes_anything(
    hub: LiveHub, other: Server, page: Page, place: str, method: str, kind: str
) -> None:
    before = all_of(hub)
    page.goto(other.url)
    assert page.evaluate(_FETCH, [f"{hub.url}{place}", method, kind]) == "nothing"
    assert all_of(hub) == before


def test_no_other_page_shows_one_of_ours_in_a_frame(hub: LiveHub, other: Server, page: Page) -> None:
    page.goto(other.url)
    for place in ("/", "/settings", "/bea/gated", "/login"):
        with page.expect_event("framenavigated"):
            page.evaluate("url => { document.body.innerHTML = `<iframe src='${url}'></iframe>`; }", f"{hub.url}{place}")
        frame = page.frames[-1]
        frame.wait_for_load_state()
        assert frame.url.startswith("chrome-error:"), place


@pytest.mark.parametrize("place", ["/join?code={canary}", "/login?next=/x?token={canary}", "/bea/links?link={canary}"])
def test_no_other_host_learns_what_stood_in_an_address(
    hub: LiveHub, other: Server, visit: Callable[..., BrowserContext], place: str
) -> None:
    """Where a link leads out, the browser does not say where it stood."""
    page = visit().new_page()
    talk = Talk(hub.url, hub.user("bea"))
    talk.create("bea/links")
    talk.commit("bea/links", small("README.md", f"[out]({other.url}/out)".encode()))
    talk.close()
    page.goto(hub.url + place.format(canary=CANARY))
    assert CANARY in page.url
    if not page.get_by_role("link", name="out", exact=True).count():
        page.evaluate("url => { document.body.innerHTML = `<a href='${url}'>out</a>`; }", f"{other.url}/out")
    page.get_by_role("link", name="out", exact=True).click()
    page.wait_for_url(f"{other.url}/out")
    (seen,) = [one for one in other.seen if one.path == "/out"]
    assert "referer" not in seen.headers
    assert CANARY not in str(other.seen)
    assert CANARY not in hub.log()
