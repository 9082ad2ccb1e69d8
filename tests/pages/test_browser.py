"""Every page in a real browser: nothing fails on it, axe finds no serious fault, it fits a phone, in light and in dark."""

from collections.abc import Callable
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import BrowserContext, Page

from tenuto.testing.live_hub import LiveHub
from tests.pages.places import ASKED, OWN, PLACES, place
from tests.pages.world import World

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
_COLOURS = {"type": "rule", "values": ["color-contrast"]}
_RUN = "runOnly => axe.run(document, {resultTypes: ['violations'], runOnly})"
_SERIOUS = {"serious", "critical"}


def faults(page: Page, rules: dict[str, object] = _RULES) -> list[str]:
    """What axe finds that keeps somebody out."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate(_RUN, rules)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in _SERIOUS]


def open_page(context: BrowserContext, url: str, status: int) -> tuple[Page, list[str]]:
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    answer = page.goto(url)
    assert answer is not None
    assert answer.status == status
    return page, [one for one in said if status == 200 or "status of 404" not in one]


@pytest.mark.parametrize("name", [*PLACES, *OWN, *ASKED])
def test_a_page_is_for_everybody(hub: LiveHub, world: World, visit: Callable[..., BrowserContext], name: str) -> None:
    token = world.token if name in OWN else hub.user("asker") if name in ASKED else None
    url = hub.url + place({**PLACES, **OWN, **ASKED}[name], world)
    page, said = open_page(visit(token, color_scheme="light"), url, 404 if name == "nothing" else 200)
    assert page.title().endswith("Tenuto")
    assert page.locator("h1, .title").count() >= 1
    assert faults(page) == []
    page.emulate_media(color_scheme="dark")
    assert faults(page, _COLOURS) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "it must be scrolled sideways on a phone"
    assert said == []


def test_the_judge_of_pages_finds_faults(visit: Callable[..., BrowserContext]) -> None:
    page = visit().new_page()
    page.set_content(
        "<html lang=en><title>x</title><main><h1>x</h1><img src=x><p style='color:#aaa;background:#bbb'>faint</p></main>"
    )
    assert {fault.partition(":")[0] for fault in faults(page)} == {"image-alt", "color-contrast"}
