"""A hub whose passwords cost little, and windows on it."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import speak
from tests.server.signin.window import Window

__all__ = ["speak"]

PASSWORD = "four words stand here"
CHEAP = Limits(password_memory_kib=64, password_rounds=1)
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=CHEAP) as live:
        yield live


@pytest.fixture
def window(hub: LiveHub) -> Iterator[Callable[[], Window]]:
    made: list[Window] = []

    def make() -> Window:
        made.append(Window(hub.url))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def someone(hub: LiveHub) -> str:
    """A user with a password."""
    name = f"person{next(_NUMBERS)}"
    hub.hub.add_user(name)
    with hub.hub.changing() as change:
        set_password(change, CHEAP, find_account(change.connection, name), PASSWORD)
    return name
