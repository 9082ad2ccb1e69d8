"""The page on compatibility says what the server does, no more and no less."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tenuto.server.api.absent import Absence, absent_routes
from tenuto.server.routes import make_routes
from tests.server.conftest import Owner

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
_ROW = re.compile(r"\| ([A-Z]+) \| `([^`]+)` \| ([^|]+) \| ([^|]*) \|")


def rows() -> dict[tuple[str, str], str]:
    found = [_ROW.fullmatch(line) for line in PAGE.read_text().splitlines() if line.startswith("| ") and "`/" in line]
    assert all(found), "a row that cannot be read"
    listed = [(match[1], match[2], match[3].strip()) for match in found if match]
    doubled = [key for key, count in Counter(one[:2] for one in listed).items() if count > 1]
    assert not doubled, f"listed twice: {doubled}"
    return {one[:2]: one[2] for one in listed}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    routes = {(route.method, route.pattern) for route in make_routes()}
    listed = set(rows())
    assert routes - listed == set(), "routes without a row in docs/compatibility.md"
    assert listed - routes == set(), "rows in docs/compatibility.md without a route"


def test_the_states_are_true() -> None:
    listed = rows()
    assert set(listed.values()) == {"implemented", "partly", "501"}
    for route in make_routes():
        assert (listed[route.method, route.pattern] == "501") is isinstance(route.handler, Absence), route


def path_of(pattern: str) -> str:
    for word, value in (("{T}", "models"), ("/{W}", ""), ("{rest*}", "a/b")):
        pattern = pattern.replace(word, value)
    return re.sub(r"\{\w+\}", "x", pattern)


@pytest.mark.parametrize("route", absent_routes(), ids=lambda route: f"{route.method} {route.pattern}")
def test_what_is_absent_says_so(owner: Owner, speak, route) -> None:
    for talk in (owner.talk, speak(None)):
        answer = talk.client.request(route.method, path_of(route.pattern))
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (501, "NotSupported")
        assert answer.headers["X-Error-Message"].startswith("this hub has no ")
        assert answer.json()["error"] == answer.headers["X-Error-Message"]
