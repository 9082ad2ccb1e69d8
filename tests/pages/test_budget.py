"""No page is heavy: under 100 kB with all that it needs, and under 15 statements to the database."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from tenuto.core.ids import RepoId
from tenuto.server.git.objects import GitReader
from tenuto.server.holdings.xorbs import Xorbs
from tenuto.server.pages.content import Shelf
from tenuto.server.pages.samples import read_samples
from tenuto.server.repos.rows import find_repo
from tenuto.testing.live_hub import LiveHub
from tests.pages.places import ASKED, OWN, PLACES, place
from tests.pages.world import World, tone
from tests.server.cas import Cas
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small
from tests.store.xet_build import File, make_xorb

HTML = {"Accept": "text/html"}
MOST_BYTES, MOST_STATEMENTS = 100_000, 15


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


def push_to_all(hub: LiveHub, world: World, name: str) -> None:
    """Every repo has a new commit, and nothing of it was looked at; as much as a hub that was started anew knows."""
    owner = Talk(hub.url, world.token)
    for repo, kind in (
        (world.model, "models"),
        (world.adapters, "models"),
        (world.private, "models"),
        (world.dataset, "datasets"),
        (world.gated, "datasets"),
    ):
        owner.commit(repo, small("turn/it/round.txt", name.encode()), kind=kind).raise_for_status()
        hub.hub.parts.cache.forget(int(owner.get(f"/api/{kind}/{repo}").json()["_id"]))
    owner.close()


@pytest.mark.parametrize("name", [*PLACES, *OWN, *ASKED])
def test_a_page_is_light(hub: LiveHub, world: World, speak, name: str) -> None:
    token = world.token if name in OWN else hub.user("asker") if name in ASKED else None
    talk = speak(token)
    path = place({**PLACES, **OWN, **ASKED}[name], world)
    push_to_all(hub, world, name)
    if token:
        talk.get("/api/whoami-v2").raise_for_status()  # that a token is used is noted once an hour
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


def test_recordings_are_heard_in_few_statements_however_they_are_stored(hub: LiveHub, owner: Owner) -> None:
    """Most as objects and as chunks; in folders, beside a table that tells no durations."""
    talk, repo = owner.talk, owner.repo
    talk.create(repo, kind="dataset").raise_for_status()
    files = [small("metadata.csv", b"file_name,label\na.wav,wren\n")]
    for number in range(5):
        folder = f"train/bird{number % 2}/{number}"
        whole, cut = tone(0.5, 500 + number), tone(0.7, 600 + number)
        chunked = File([(make_xorb([cut[:3000], cut[3000:]]), 0, 2)])
        sha256 = hashlib.sha256(whole).hexdigest()
        (offered,) = talk.batch(repo, (sha256, len(whole)), prefix="datasets/").json()["objects"]
        talk.put(offered["actions"]["upload"]["href"], whole).raise_for_status()
        Cas(owner, kind="datasets").put_file(chunked)
        files += [large(f"{folder}/whole.wav", sha256), large(f"{folder}/cut.wav", chunked.sha256)]
        files.append(small(f"{folder}/small.wav", tone(0.3)))
    talk.commit(repo, *files, kind="datasets").raise_for_status()
    parts = hub.hub.parts
    parts.cache.forget(int(talk.get(f"/api/datasets/{repo}").json()["_id"]))
    cold = dataclasses.replace(parts, xorbs=Xorbs(parts.database, parts.xorbs.folder))
    with parts.database.read() as connection, statements(hub) as asked:
        found = find_repo(connection, RepoId.parse(f"datasets/{repo}"))
        assert found
        git = GitReader(connection, found.key, parts.cache)
        samples = read_samples(git, Shelf(cold, git), git.resolve("main"))
    assert (samples.heard, samples.sounds, samples.is_all, samples.faults) == (10, 15, True, [])
    assert len(asked) <= MOST_STATEMENTS - 4, "\n".join(asked)  # a page asks who is there, too, and who likes it


def test_folders_deep_down_are_left_out_and_the_page_says_so(owner: Owner) -> None:
    owner.talk.create(owner.repo, kind="dataset").raise_for_status()
    deep = "/".join("abcdefgh")
    files = [small("train/wren/a.wav", tone(0.2)), small(f"{deep}/b.wav", tone(0.2))]
    owner.talk.commit(owner.repo, *files, kind="datasets").raise_for_status()
    text = owner.talk.get(f"/datasets/{owner.repo}/insights", headers=HTML).text
    assert "The first 2 files, of more than are counted here, 1 recording" in text


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
