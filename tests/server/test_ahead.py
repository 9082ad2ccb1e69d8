"""Who asks for the files of a folder in order finds the next ones in memory; never what has changed, never what it may not have."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import delete, event

from tenuto.core.gitobj import TREE_MODE, TreeItem
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.content.ahead import Folder
from tenuto.server.content.lookup import Lookup
from tenuto.server.http.exchange import Call
from tenuto.server.known import SMALL_BYTES
from tenuto.server.repos.rows import find_repo
from tenuto.server.schema import lfs_objects
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, gone, large, small

COUNT = 60
SMALL = [f"small/{number:03d}.txt" for number in range(COUNT)]
LARGE = [f"large/{number:03d}.bin" for number in range(COUNT)]


def folder_of(count: int) -> tuple[Folder, list[str]]:
    names = [f"{number:06d}" for number in range(count)]
    items = [TreeItem(name, 0o100644, "0" * 40) for name in names]
    items.insert(count // 2, TreeItem(names[count // 2] + "-folder", TREE_MODE, "0" * 40))
    return Folder({item.name: item for item in sorted(items)}), names


def test_what_follows_is_handed_out_once_and_in_order() -> None:
    folder, names = folder_of(500)
    handed: list[str] = []
    misses = 0
    for name in names:
        if name not in handed:
            misses += 1
            handed += [name, *(item.name for item in folder.next_facts(name, 50))]
    assert handed == names, "files only, each of them once"
    assert misses < 20


def test_several_readers_at_once_come_out_of_order() -> None:
    folder, names = folder_of(800)
    chance, ready, misses = random.Random(1), set[str](), 0
    for start in range(0, 800, 8):
        turn = names[start : start + 8]
        chance.shuffle(turn)
        for name in turn:
            if name not in ready:
                misses += 1
                following = [item.name for item in folder.next_facts(name, 64)]
                assert not ready & set(following)
                ready.update(following)
    assert misses < 150


def test_a_second_reader_is_followed_as_the_first_one_was() -> None:
    folder, names = folder_of(500)
    for _ in range(2):
        ready: set[str] = set()
        misses = 0
        for name in names:
            if name not in ready:
                misses += 1
                ready.update(item.name for item in folder.next_facts(name, 50))
        assert misses < 20


def test_who_jumps_about_is_read_nothing_ahead() -> None:
    folder, names = folder_of(100_000)
    asked = [names[place] for place in range(99_000, 1000, -1000)]
    assert not any(folder.next_facts(name, 128) for name in asked)
    assert folder.next_facts("not there", 128) == []
    follower = names[names.index(asked[-1]) + 1]
    assert 1 <= len(folder.next_facts(follower, 128)) < 128, "a run begins small"


def test_bodies_are_read_behind_facts() -> None:
    folder, names = folder_of(500)
    assert folder.next_bodies(names[0], "blobs", 32) == [], "nothing is known of them yet"
    facts = [item.name for item in folder.next_facts(names[0], 128)]
    for kind in ("blobs", "objects"):
        bodies = [item.name for item in folder.next_bodies(names[0], kind, 2)]
        assert bodies == facts[:2]
    assert [item.name for item in folder.next_bodies(names[3], "blobs", 32)] == facts[3:]
    assert folder.next_bodies(facts[-1], "blobs", 32) == []


@pytest.fixture
def filled(make_owner: Callable[..., Owner]) -> Owner:
    owner = make_owner()
    lines = [small(path, path.encode()) for path in SMALL]
    for path in LARGE:
        lines.append(large(path, owner.talk.put_large(owner.repo, path.encode()), len(path)))
    owner.talk.commit(owner.repo, *lines).raise_for_status()
    return owner


def lookup(hub: LiveHub, owner: Owner, path: str) -> Lookup:
    parts = hub.hub.parts
    call = Call("GET", {"rev": "main", "path": path}, "", {}, hub.url, "")
    with parts.database.read() as connection:
        repo = find_repo(connection, RepoId(RepoKind.MODEL, owner.name, "repo"))
    assert repo is not None
    call.repo = repo
    return Lookup(parts, call, follow=True)


def read_ahead(hub: LiveHub, owner: Owner, talk: Talk) -> tuple[str, str]:
    """The first files of both folders were read; one file behind them in each, for which nobody asked, and which is in memory."""
    for path in (*SMALL[:8], *LARGE[:8]):
        assert talk.read(owner.repo, path).content == path.encode()
    return next(in_memory(hub, owner, SMALL[10:])), next(in_memory(hub, owner, LARGE[10:]))


def in_memory(hub: LiveHub, owner: Owner, paths: list[str]) -> Iterator[str]:
    for path in paths:
        one = lookup(hub, owner, path)
        found = one.recall()
        if found and one.recall_body(found) is not None:
            yield path


@contextmanager
def connections(hub: LiveHub) -> Iterator[list[object]]:
    """One item for each time that a connection to the database is taken."""
    taken: list[object] = []

    def count(connection: object, *_: object) -> None:
        taken.append(connection)

    engine = hub.hub.parts.database.engine
    event.listen(engine, "checkout", count)
    yield taken
    event.remove(engine, "checkout", count)


@pytest.mark.parametrize("paths", [SMALL, LARGE])
@pytest.mark.parametrize("way", ["resolve", "raw"])
def test_files_that_are_read_in_order_are_looked_up_together(
    hub: LiveHub, filled: Owner, paths: list[str], way: str
) -> None:
    with connections(hub) as taken:
        for path in paths:
            url = f"/{filled.repo}/{way}/main/{path}"
            head, body = filled.talk.client.head(url), filled.talk.get(url)
            assert (head.status_code, body.status_code) == (200, 200)
            assert head.headers["ETag"] == body.headers["ETag"]
            assert head.headers["Content-Length"] == body.headers["Content-Length"] == str(len(body.content))
            if way == "resolve" or paths is SMALL:
                assert body.content == path.encode()
            else:
                assert body.content.startswith(b"version https://git-lfs.github.com/spec/v1\n")
    assert len(taken) < COUNT / 3


def test_what_was_read_ahead_is_for_those_who_may_read_it(hub: LiveHub, filled: Owner, speak) -> None:
    nobody, reader = speak(None), speak(hub.hub.create_token(filled.name, "read"))
    settings = f"/api/models/{filled.repo}/settings"

    def answers(talk: Talk, paths: tuple[str, str]) -> set[tuple[int, str]]:
        urls = [f"/{filled.repo}/resolve/main/{path}" for path in paths]
        heard = [talk.client.request(method, url) for url in urls for method in ("HEAD", "GET")]
        return {(one.status_code, one.headers.get("X-Error-Code", "")) for one in heard}

    ahead = read_ahead(hub, filled, nobody)
    filled.talk.client.put(settings, json={"private": True}).raise_for_status()
    read_ahead(hub, filled, reader)
    assert answers(nobody, ahead) == {(404, "RepoNotFound")}, "though others have it in memory"
    assert answers(reader, ahead) == {(200, "")}
    filled.talk.client.put(settings, json={"private": False, "gated": "manual"}).raise_for_status()
    read_ahead(hub, filled, reader)
    assert answers(nobody, ahead) == {(401, "GatedRepo")}
    newest = max(hub.hub.list_tokens(filled.name), key=lambda one: one.id)
    read_ahead(hub, filled, reader)
    assert hub.hub.revoke_token(newest.id)
    read_ahead(hub, filled, filled.talk)
    assert answers(reader, ahead) == {(401, "BadToken")}


def test_a_commit_between_two_requests_is_seen(hub: LiveHub, filled: Owner) -> None:
    ahead = read_ahead(hub, filled, filled.talk)
    oid = filled.talk.put_large(filled.repo, b"new")
    filled.talk.commit(filled.repo, small(ahead[0], b"new"), large(ahead[1], oid, 3)).raise_for_status()
    for path in ahead:
        answer = filled.talk.read(filled.repo, path)
        assert (answer.content, answer.headers["X-Repo-Commit"]) == (b"new", filled.talk.head(filled.repo))
    read_ahead(hub, filled, filled.talk)
    filled.talk.commit(filled.repo, *[gone(path) for path in ahead]).raise_for_status()
    for path in ahead:
        answer = filled.talk.client.head(f"/{filled.repo}/resolve/main/{path}")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")


def test_what_is_read_while_somebody_commits_is_known_to_nobody(hub: LiveHub, filled: Owner) -> None:
    read_ahead(hub, filled, filled.talk)
    slow = lookup(hub, filled, LARGE[40])
    filled.talk.commit(filled.repo, small("other.txt", b"")).raise_for_status()
    slow.find()
    assert slow.recall() is not None
    assert lookup(hub, filled, LARGE[40]).recall() is None
    assert lookup(hub, filled, LARGE[9]).recall() is None


def test_damage_is_told_to_those_who_ask_for_it_alone(hub: LiveHub, filled: Owner) -> None:
    sizes = {path: found["lfs"] for path, found in filled.talk.listing(filled.repo).items() if "lfs" in found}
    missing, cut, lost = LARGE[10], LARGE[20], LARGE[30]
    place = hub.hub.parts.store
    os.remove(place.file(sizes[missing]["oid"]))
    os.chmod(place.file(sizes[cut]["oid"]), 0o644)
    os.truncate(place.file(sizes[cut]["oid"]), 3)
    with hub.hub.parts.database.write() as connection:
        connection.execute(delete(lfs_objects).where(lfs_objects.c.sha256 == sizes[lost]["oid"]))
    for path in LARGE:
        answer = filled.talk.read(filled.repo, path)
        if path in {missing, cut, lost}:
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (500, "CorruptObject"), path
        else:
            assert answer.content == path.encode()


def test_only_small_files_are_kept(hub: LiveHub, make_owner: Callable[..., Owner]) -> None:
    owner = make_owner()
    bodies = {f"{number:02d}": bytes([number]) * (SMALL_BYTES + number % 2) for number in range(30)}
    lines = [
        small(name, body) if number % 3 else large(name, owner.talk.put_large(owner.repo, body), len(body))
        for number, (name, body) in enumerate(bodies.items())
    ]
    owner.talk.commit(owner.repo, *lines).raise_for_status()
    for name, body in bodies.items():
        assert owner.talk.read(owner.repo, name).content == body
    for name, body in bodies.items():
        one = lookup(hub, owner, name)
        found = one.recall()
        assert found is not None
        assert one.recall_body(found) == (body if len(body) <= SMALL_BYTES else None)
