"""What the hub remembers of its database is never older than the last commit, whoever made it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tenuto.server import known
from tenuto.server.db import Database
from tenuto.server.known import Known
from tenuto.testing.live_hub import LiveHub, ProcessHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small


@pytest.fixture
def database(tmp_path: Path):
    made = Database(f"sqlite:///{tmp_path / 'hub.sqlite3'}")
    with made.write() as connection:
        connection.exec_driver_sql("CREATE TABLE facts (value)")
    yield made
    made.close()


def test_what_is_kept_is_known_until_somebody_commits(database: Database, tmp_path: Path) -> None:
    first = database.known()
    first.keep("key", "value")
    with database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM facts").all()
    assert database.known().get("key") == "value"
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO facts VALUES (1)")
        assert database.known().get("key") == "value", "it holds until the commit"
    assert database.known().get("key") is None
    first.keep("late", "read before the commit")
    assert database.known().get("late") is None
    database.known().keep("key", "value")
    other = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
    other.execute("DELETE FROM facts")
    other.close()
    assert database.known().get("key") is None


def test_a_database_that_cannot_be_asked_leaves_nothing_known(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/hub.sqlite3")
    database.known().keep("key", "value")
    assert database.known().get("key") is None
    database.close()


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_CAPACITY_BYTES", 10_000)
    facts = Known()
    for number in range(100):
        facts.keep(number, bytes(1000), 1000)
    assert facts.get(99) == bytes(1000)
    assert 1 <= sum(facts.get(number) is not None for number in range(100)) <= 5


def every_read(talk: Talk, repo: str) -> set[tuple[int, str]]:
    """What is answered to whatever may come from memory."""
    paths = [f"/{repo}/{way}/main/{path}" for way in ("resolve", "raw") for path in ("a.txt", "m.bin")]
    answers = [talk.client.request(method, path) for path in paths for method in ("HEAD", "GET")]
    answers.append(talk.get(f"/api/models/{repo}"))
    return {(answer.status_code, answer.headers.get("X-Error-Code", "")) for answer in answers}


LET_IN = {(200, "")}


@pytest.fixture
def filled(make_owner: Callable[..., Owner]) -> Owner:
    owner = make_owner()
    oid = owner.talk.put_large(owner.repo, b"large")
    owner.talk.commit(owner.repo, large("m.bin", oid, 5), small("a.txt", b"text")).raise_for_status()
    return owner


def test_who_is_turned_away_is_turned_away_at_the_next_request(hub: LiveHub, filled: Owner, speak) -> None:
    nobody, reader = speak(None), speak(hub.hub.create_token(filled.name, "read"))
    settings = f"/api/models/{filled.repo}/settings"
    for _ in range(3):
        assert every_read(nobody, filled.repo) == every_read(nobody, filled.repo) == LET_IN
        filled.talk.client.put(settings, json={"private": True}).raise_for_status()
        assert every_read(nobody, filled.repo) == {(404, "RepoNotFound")}
        assert every_read(reader, filled.repo) == LET_IN
        filled.talk.client.put(settings, json={"private": False, "gated": "manual"}).raise_for_status()
        assert (401, "GatedRepo") in every_read(nobody, filled.repo)
        assert every_read(nobody, filled.repo) == {(401, "GatedRepo"), (200, "")}, "its facts are public"
        filled.talk.client.put(settings, json={"gated": False}).raise_for_status()
    newest = max(hub.hub.list_tokens(filled.name), key=lambda one: one.id)
    assert every_read(reader, filled.repo) == LET_IN
    assert hub.hub.revoke_token(newest.id)
    assert every_read(reader, filled.repo) == {(401, "BadToken")}
    assert every_read(filled.talk, filled.repo) == LET_IN


def test_what_another_process_changes_holds_at_the_next_request(tmp_path: Path) -> None:
    with ProcessHub(str(tmp_path / "data")) as hub:
        token = hub.user("ann")
        ann, nobody, repo = Talk(hub.url, token), Talk(hub.url, None), "ann/repo"
        ann.create(repo).raise_for_status()
        ann.commit(repo, small("a.txt", b"1"), small("m.bin", b"2")).raise_for_status()
        database = sqlite3.connect(tmp_path / "data" / "hub.sqlite3", isolation_level=None)
        for _ in range(3):
            assert every_read(nobody, repo) == every_read(ann, repo) == LET_IN
            database.execute("UPDATE repos SET private = 1")
            assert every_read(nobody, repo) == {(404, "RepoNotFound")}
            assert every_read(ann, repo) == every_read(ann, repo) == LET_IN
            database.execute("UPDATE tokens SET revoked_ms = 1")
            assert every_read(ann, repo) == {(401, "BadToken")}
            database.execute("UPDATE tokens SET revoked_ms = NULL")
            database.execute("UPDATE repos SET private = 0")
        database.close()
        ann.close()
        nobody.close()


def test_a_commit_is_seen_at_the_next_request(filled: Owner) -> None:
    for turn in range(20):
        content = b"%d" % turn
        oid = filled.talk.put_large(filled.repo, content)
        lines = (small("a.txt", content), large("m.bin", oid, len(content)))
        filled.talk.commit(filled.repo, *lines).raise_for_status()
        for path in ("a.txt", "m.bin"):
            for _ in range(2):
                answer = filled.talk.read(filled.repo, path)
                assert (answer.content, answer.headers["X-Repo-Commit"]) == (content, filled.talk.head(filled.repo))


def test_ranges_and_conditions_are_answered_from_memory_as_from_the_disk(filled: Owner) -> None:
    for path, data in (("a.txt", b"text"), ("m.bin", b"large")):
        url = f"/{filled.repo}/resolve/main/{path}"
        seen = []
        for _ in range(2):
            part = filled.talk.client.get(url, headers={"Range": "bytes=1-2"})
            etag = part.headers["ETag"]
            none = filled.talk.client.get(url, headers={"If-None-Match": etag})
            behind = filled.talk.client.get(url, headers={"Range": "bytes=99-"})
            seen.append((part.status_code, part.content, none.status_code, behind.status_code))
        assert seen == [(206, data[1:3], 304, 416)] * 2
