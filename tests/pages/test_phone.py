"""On a phone everything is within reach: tabs, the buttons of a row, and the labels of plots are large enough to be read."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page

from tenuto.testing.live_hub import LiveHub
from tests.pages.world import World

PHONE = {"width": 360, "height": 740}
_LABEL_PX = """labels => labels.map(one => one.getScreenCTM().a * parseFloat(getComputedStyle(one).fontSize))"""


@pytest.fixture
def phone(hub: LiveHub, world: World, visit: Callable[..., BrowserContext]) -> Callable[[str], Page]:
    context = visit(world.token, viewport=PHONE)

    def go(path: str) -> Page:
        page = context.new_page()
        page.goto(hub.url + path)
        return page

    return go


def is_within(one: Locator) -> bool:
    box = one.bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]


@pytest.mark.parametrize("tab", ["access", "storage", "audit", "settings"])
def test_every_tab_of_a_repo_is_in_sight(phone: Callable[[str], Page], world: World, tab: str) -> None:
    tabs = phone(f"/{world.model}/{tab}").locator(".tabs a")
    assert tabs.count() == 9
    assert all(is_within(one) for one in tabs.all())


def test_the_labels_of_plots_can_be_read(phone: Callable[[str], Page], world: World) -> None:
    for path in (f"/datasets/{world.dataset}/insights", f"/{world.adapters}/insights?path=jazz"):
        sizes = phone(path).locator(".plot text:visible").evaluate_all(_LABEL_PX)
        assert sizes
        assert min(sizes) >= 11


def test_rows_stand_one_below_the_other_with_all_that_is_in_them(
    hub: LiveHub, world: World, phone: Callable[[str], Page], speak
) -> None:
    revoke = phone("/settings/tokens").locator("summary", has_text="Revoke").first
    assert is_within(revoke)
    answers = {"Affiliation": "A house of research", "Country": "France", "Born on": "2000-01-01"}
    answers |= {"Purpose": "Research", "I agree to the terms": "true"}
    asker = speak(hub.user("phone-asker"))
    asked = asker.client.post(f"/datasets/{world.gated}/ask-access", data=answers, follow_redirects=False)
    assert asked.status_code == 303
    page = phone(f"/datasets/{world.gated}/access?state=pending")
    row = page.locator(".stack tbody tr", has_text="phone-asker")
    box = row.bounding_box()
    assert box is not None
    assert box["height"] < 280
    assert is_within(row.get_by_text("A house of research"))
    accept = page.get_by_role("button", name="Accept", exact=True).bounding_box()
    assert accept is not None
    assert accept["y"] + accept["height"] <= PHONE["height"]
