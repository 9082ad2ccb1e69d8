"""A hub with something to look at, plain callers, and a real browser."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tenuto.testing.live_hub import LiveHub
from tests.pages.world import World, build
from tests.server.conftest import Owner, hub, make_owner, owner, speak

__all__ = ["Owner", "hub", "make_owner", "owner", "speak"]

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS = 30_000
_SWITCHES = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--mute-audio")


@pytest.fixture(scope="module")
def world(hub: LiveHub) -> World:
    return build(hub)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser, gone after the last of these tests: as long as it is driven, no other event loop runs in this thread."""
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("these tests drive a browser: apt-get install chromium")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as play:
        yield play.chromium.launch(executable_path=found, args=list(_SWITCHES))


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes windows: of nobody, or with the token of somebody; nothing but the hub is reached from them."""
    opened: list[BrowserContext] = []

    def make(token: str | None = None, **options) -> BrowserContext:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        opened.append(browser.new_context(extra_http_headers=headers, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
