"""Fault 15: whoever signs in with a name learns nothing of whether somebody has it, neither by words nor by work."""

from collections.abc import Callable

import pytest
from argon2 import PasswordHasher

from tenuto.server.people.accounts import find_account, set_disabled
from tenuto.server.people.organizations import add_organization
from tenuto.testing.live_hub import LiveHub
from tests.server.signin.conftest import PASSWORD, hub, someone, window
from tests.server.signin.window import Window

__all__ = ["hub", "someone", "window"]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of the library that are made for passwords: a clock would only guess."""
    found: list[str] = []
    for name in ("hash", "verify"):
        original = getattr(PasswordHasher, name)

        def counted(*values: object, name: str = name, original: Callable[..., object] = original) -> object:
            found.append(name)
            return original(*values)

        monkeypatch.setattr(PasswordHasher, name, counted)
    return found


def of(hub: LiveHub, someone: str, kind: str) -> str:
    """The name of an account of that kind, or one that nobody has."""
    if kind == "closed":
        with hub.hub.changing() as change:
            set_disabled(change, find_account(change.connection, someone), True)
    elif kind == "without a password":
        hub.hub.add_user(f"{someone}-without")
    elif kind == "an organization":
        with hub.hub.changing() as change:
            add_organization(change, f"{someone}-house", find_account(change.connection, someone))
    ends = {"without a password": "-without", "an organization": "-house", "unknown": "-unknown"}
    return {"in capitals": someone.upper(), "no name": "a b/c", "long": "x" * 96}.get(
        kind, someone + ends.get(kind, "")
    )


KINDS = ["known", "in capitals", "closed", "without a password", "an organization", "unknown", "no name", "long"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_costs_one_look_at_a_password_and_gets_the_same_words(
    hub: LiveHub, window: Callable[[], Window], someone: str, done: list[str], kind: str
) -> None:
    name, said = of(hub, someone, kind), []
    for given in (name, "nobody-at-all"):
        browser = window()
        fields = browser.hidden("/login") | {"name": given, "password": f"not {PASSWORD}"}
        done.clear()
        answer = browser.client.post("/login", data=fields)
        assert len(done) == 1
        said.append((answer.status_code, answer.text.replace(given, "NAME"), answer.headers.get("Set-Cookie")))
    assert said[0] == said[1]
    assert said[0][0] == 401
