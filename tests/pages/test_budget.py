"""No page is heavy: under 100 kB with all that it needs, and under 15 statements to the database."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from tenuto.testing.live_hub import LiveHub
from tests.pages.places import ASKED, OWN, PLACES, place
from tests.pages.world import World
from tests.server.talk import small

HTML = {"Accept": "text/html"}
MOST_BYTES, MOST_STATEMENTS = 100_000, 15
HEAVY = {"storage"}
"""Pages that walk through all versions of a repo, and do so anew only when something on the hub was changed."""


@contextmanager
def statements(hub: LiveHub) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    asked: list[str] = []

    def note(_connection, _cursor, statement: str, *_more) -> None:
        asked.append(statement)

    engine = hub.hub.parts.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def with_all_it_needs(talk, text: str) -> int:
    needed = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', text))
    return len(text.encode()) + sum(len(talk.get(path).content) for path in needed)


@pytest.mark.parametrize("name", [*PLACES, *OWN, *ASKED])
def test_a_page_is_light(hub: LiveHub, world: World, speak, name: str) -> None:
    token = world.token if name in OWN else hub.user("asker") if name in ASKED else None
    talk = speak(token)
    path = place({**PLACES, **OWN, **ASKED}[name], world)
    talk.get(path, headers=HTML)  # what is remembered of a commit is computed once
    if name not in HEAVY:
        talk.commit(world.private, small("turn.txt", name.encode()))  # makes the hub forget what it knows
    with statements(hub) as asked:
        answer = talk.get(path, headers=HTML)
    assert answer.status_code == (404 if name == "nothing" else 200)
    assert len(asked) < MOST_STATEMENTS, "\n".join(asked)
    assert with_all_it_needs(talk, answer.text) < MOST_BYTES


def test_a_folder_deep_down_with_a_long_history_is_light_the_first_time(hub: LiveHub, owner) -> None:
    for number in range(60):
        owner.talk.commit(owner.repo, small(f"a/b/c/{number % 7}.txt", str(number).encode())).raise_for_status()
    hub.hub.parts.cache.forget(int(owner.talk.get(f"/api/models/{owner.repo}").json()["_id"]))
    with statements(hub) as asked:
        answer = owner.talk.get(f"/{owner.repo}/tree/main/a/b/c", headers=HTML)
    assert answer.text.count("/blob/main/") == 7
    assert len(asked) < MOST_STATEMENTS, "\n".join(asked)


def test_very_large_content_makes_no_large_page(owner) -> None:
    files = {
        "many.json": b"[" + b"1," * 100_000 + b"1]",
        "deep.json": b'{"a":' * 400 + b"1" + b"}" * 400,
        "long.py": b"x = [1, 'two', 3.0]  # a comment\n" * 3_000,
        "line.txt": b"<" * 900_000,
        "wide.csv": b"," * 100_000 + b"\n1\n",
        "tall.csv": b"a,b\n" + b"<<<<<<<<<<,2\n" * 9_000,
        "README.md": b"<b>" * 50_000,
        "list.md": b"* a\n" * 20_000,
        "refs.md": b"![[]()" * 9_000,
    }
    owner.talk.commit(owner.repo, *[small(name, content) for name, content in files.items()]).raise_for_status()
    for name in files:
        answer = owner.talk.get(f"/{owner.repo}/blob/main/{name}", headers=HTML)
        assert answer.status_code == 200
        assert with_all_it_needs(owner.talk, answer.text) < MOST_BYTES, name
    for view in ("", "/blob/main/many.json?as=text", "/commit/main", "/tree/main", "/compare"):
        answer = owner.talk.get(f"/{owner.repo}{view}", headers=HTML)
        assert answer.status_code == 200
        assert with_all_it_needs(owner.talk, answer.text) < MOST_BYTES, view


def test_a_folder_of_very_many_files_comes_in_pages(owner) -> None:
    names = [f"{number:04d}-{'x' * 100}.txt" for number in range(450)]
    owner.talk.commit(owner.repo, *[small(name, b"x") for name in names]).raise_for_status()
    path, seen = f"/{owner.repo}/tree/main", []
    while path:
        text = owner.talk.get(path, headers=HTML).text
        assert with_all_it_needs(owner.talk, text) < MOST_BYTES
        seen += re.findall(r"/blob/main/([^\"]+)\"", text)
        following = re.search(r'href="([^"]+)" rel="next"', text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert sorted(seen) == sorted([*names, ".gitattributes"])
