"""Pages that name people, on a hub with many of them: light, a page at a time, and nobody is left out."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest

from tenuto.server.access import Right
from tenuto.server.people.accounts import Kind, add_account, find_account, set_admin
from tenuto.server.people.organizations import add_organization, set_member
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.server.signin.conftest import CHEAP, PASSWORD
from tests.server.signin.window import Window

MANY, MOST_BYTES = 120, 50_000
PEOPLE = [f"member{number:03}" for number in range(MANY)]


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=CHEAP) as live:
        live.hub.add_user("boss")
        with live.hub.changing() as change:
            boss = find_account(change.connection, "boss")
            set_admin(change, boss, True)
            set_password(change, CHEAP, boss, PASSWORD)
            house = add_organization(change, "house", boss)
            for name in PEOPLE:
                one = add_account(change, name, Kind.USER, full_name=f"100% {name[6:]}")
                set_member(change, house, one, Right.READ)
        yield live


@pytest.fixture
def boss(window: Callable[[], Window]) -> Window:
    made = window()
    made.sign_in("boss", PASSWORD)
    return made


def pages(browser: Window, place: str | None) -> Iterator[str]:
    """That page and all behind it."""
    while place:
        page = browser.get(place)
        assert page.status_code == 200
        assert len(page.content) < MOST_BYTES
        yield page.text
        found = re.search(r'<a class="button" href="([^"]+)" rel="next">', page.text)
        place = unescape(found[1]) if found else None


@pytest.mark.parametrize("place", ["/settings/people", "/organizations/house/settings"])
def test_everybody_is_on_one_page(boss: Window, place: str) -> None:
    shown = list(pages(boss, place))
    assert 3 <= len(shown) <= 5
    assert re.findall(r'<a href="/(member\d+)">', "".join(shown)) == PEOPLE


def test_people_are_found_by_either_name(boss: Window) -> None:
    for search, count in (("MEMBER", MANY), ("member00", 10), ("100%25+07", 10), ("%25", MANY), ("_", 0)):
        found = "".join(pages(boss, f"/settings/people?search={search}"))
        assert len(re.findall(r'<a href="/(member\d+)">', found)) == count, search


def test_the_next_page_is_found_after_a_form_that_failed(boss: Window) -> None:
    page = boss.send("/settings/people", {"deed": "nothing", "account": "boss"}, "/settings/people/change")
    assert page.status_code == 400
    assert 'href="/settings/people?search=&amp;after=' in page.text


def test_a_namespace_names_some_and_counts_the_others(window: Callable[[], Window]) -> None:
    page = window().get("/house").text
    assert len(re.findall(r'<a href="/(?:boss|member\d+)">', page)) == 24
    assert "and 97 more" in page
