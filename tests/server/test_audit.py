"""The audit log: whole, or it says so; never without the deed, and no deed without it."""

import hashlib
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.exc import IntegrityError as RowRefused

from tenuto.core.ids import RepoId
from tenuto.server.access import Actor, Repo
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.audit.reading import Entry, Wanted, as_csv, as_lines, entries, verify
from tenuto.server.audit.trail import COLUMNS, NO_HASH
from tenuto.server.db import Database
from tenuto.server.http.serving import Service
from tenuto.server.migrate import migrate
from tenuto.server.service import Hub
from tenuto.server.upkeep.backup import back_up, restore
from tenuto.server.upkeep.check import QUICK, check_hub
from tenuto.testing.live_hub import LiveHub, ProcessHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, small
from tests.server.test_concurrency import at_once
from tests.server.upkeep_hub import opened

ANNA = Origin(Actor(7, "anna", token_id=3), "192.0.2.1", "request-1")
REPO = Repo(4, RepoId.parse("hf://datasets/anna/birds"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'hub.sqlite3'}")
    migrate(made)
    yield made
    made.close()


def write_rows(database: Database, count: int = 6) -> list[str]:
    hashes = []
    for number in range(count):
        with database.write() as connection:
            facts = {"old": "a" * 40, "new": "b" * 40}
            subject = f"refs/heads/{number}"
            hashes.append(record(connection, ANNA, Deed.COMMIT, 1000 + number, repo=REPO, subject=subject, facts=facts))
    return hashes


def verdict(database: Database, anchor: str | None = None):
    with database.read() as connection:
        return verify(connection, anchor)


def all_entries(database: Database, wanted: Wanted | None = None) -> list[Entry]:
    with database.read() as connection:
        return list(entries(connection, wanted))


def test_a_row_says_who_did_what_to_which_repo_from_where_and_when(database: Database) -> None:
    (digest,) = write_rows(database, 1)
    (entry,) = all_entries(database)
    assert (entry.number, entry.actor, entry.actor_id, entry.token_id) == (1, "anna", 7, 3)
    assert (entry.deed, entry.repo, entry.repo_id, entry.subject) == (
        "commit",
        "hf://datasets/anna/birds",
        4,
        "refs/heads/0",
    )
    assert (entry.address, entry.request_id, entry.hash) == ("192.0.2.1", "request-1", digest)
    assert entry.time == "1970-01-01T00:00:01.000Z"
    assert entry.facts == {"old": "a" * 40, "new": "b" * 40}


def test_the_hash_is_what_the_decision_says(database: Database) -> None:
    """Anybody can compute it from the row and the hash before, with no code of ours."""
    write_rows(database, 2)
    with database.read() as connection:
        rows = [dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM audit_log ORDER BY number")]
    before = "0" * 64
    for row in rows:
        digest = row.pop("hash")
        text = json.dumps({**row, "before": before}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        before = digest


def tamper(database: Database, *statements: str) -> None:
    """Somebody who has the file, and takes the rules away first."""
    with closing(sqlite3.connect(str(database.engine.url.database))) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if name.startswith("audit_log"):
                connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("column", [*(one.name for one in COLUMNS if one.name != "number"), "hash"])
@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_change_of_any_value_is_found(database: Database, column: str, number: int) -> None:
    write_rows(database)
    tamper(database, f"UPDATE audit_log SET {column} = {column} || '1' WHERE number = {number}")
    found = verdict(database)
    assert (found.clean, found.damaged_row, found.rows) == (False, number, number - 1)


def test_gaps_swaps_and_insertions_are_found(database: Database) -> None:
    write_rows(database)
    folder = Path(str(database.engine.url.database)).parent
    swap = [f"UPDATE audit_log SET number = {new} WHERE number = {old}" for old, new in ((2, 99), (4, 2), (99, 4))]
    closed = ["DELETE FROM audit_log WHERE number = 3"]
    closed += [f"UPDATE audit_log SET number = {old - 1} WHERE number = {old}" for old in (4, 5, 6)]
    for name, statements, damaged in (
        ("gap", ["DELETE FROM audit_log WHERE number = 3"], 3),
        ("closed gap", closed, 3),
        ("first row", ["DELETE FROM audit_log WHERE number = 1"], 1),
        ("swap", swap, 2),
        (
            "doubled",
            [
                "INSERT INTO audit_log SELECT 7, "
                + ", ".join(c.name for c in COLUMNS[1:])
                + ", hash FROM audit_log WHERE number = 6"
            ],
            7,
        ),
    ):
        shutil.copy(str(database.engine.url.database), folder / name)
        with closing(sqlite3.connect(folder / "hub.sqlite3")) as source, closing(sqlite3.connect(folder / name)) as to:
            source.backup(to)
        other = Database(f"sqlite:///{folder / name}")
        tamper(other, *statements)
        assert (verdict(other).clean, verdict(other).damaged_row) == (False, damaged), name
        other.close()


def test_a_lost_tail_and_a_log_that_was_written_anew_are_found_by_an_anchor(database: Database) -> None:
    hashes = write_rows(database)
    for anchor in (None, NO_HASH, *hashes):
        assert verdict(database, anchor).clean
    assert verdict(database).head == hashes[-1]
    tamper(database, "DELETE FROM audit_log WHERE number > 4")
    assert verdict(database).clean
    assert verdict(database, hashes[3]).clean
    found = verdict(database, hashes[5])
    assert (found.clean, found.damaged_row) == (False, 5)
    assert "anchor" in found.detail


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log WHERE number = 3",
        "DELETE FROM audit_log",
        "REPLACE INTO audit_log SELECT * FROM audit_log WHERE number = 2",
        "INSERT INTO audit_log SELECT number + 5, " + ", ".join(c.name for c in COLUMNS[1:]) + ", hash FROM audit_log",
    ],
)
def test_the_database_refuses_to_change_or_remove_rows(database: Database, statement: str) -> None:
    write_rows(database, 3)
    with pytest.raises(RowRefused, match="only ever added to"), database.write() as connection:
        connection.exec_driver_sql(statement)
    assert (verdict(database).clean, verdict(database).rows) == (True, 3)


def test_what_looks_like_a_token_is_left_out(database: Database) -> None:
    token = "hf_" + "x" * 43
    with database.write() as connection:
        origin = Origin(Actor(1, "eve"), "::1", token)
        facts = {"name": f"my {token}", "names": ["a", token]}
        record(connection, origin, Deed.TOKEN_CREATE, 0, subject=f"refs/heads/{token}", facts=facts)
        with pytest.raises(AssertionError, match="password"):
            record(connection, origin, Deed.USER_ADD, 0, facts={"password": "x"})
    (entry,) = all_entries(database)
    assert "xxxx" not in repr(entry)
    assert entry.facts["names"] == ["a", "hf_…"]
    assert verdict(database).clean


def test_what_is_exported_can_be_chosen_and_is_harmless_in_a_spreadsheet(database: Database) -> None:
    write_rows(database, 4)
    with database.write() as connection:
        record(connection, Origin(Actor(9, "=cmd()")), Deed.USER_ADD, 5000, subject='a "quoted", name\nof two lines')
    assert [one.number for one in all_entries(database, Wanted(since_ms=1002))] == [3, 4, 5]
    assert [one.number for one in all_entries(database, Wanted(actor="anna"))] == [1, 2, 3, 4]
    assert [one.number for one in all_entries(database, Wanted(repo="hf://datasets/anna/birds", since_ms=1003))] == [4]
    assert [one.number for one in all_entries(database, Wanted(limit=2, before=4))] == [3, 2]
    found = all_entries(database)
    assert [json.loads(line)["number"] for line in as_lines(found)] == [1, 2, 3, 4, 5]
    lines = list(as_csv(found))
    assert lines[0].startswith("number,time,actor,")
    assert "'=cmd()" in lines[5]


def test_what_is_refused_leaves_no_row(hub: LiveHub, owner: Owner) -> None:
    before = all_entries(hub.hub.parts.database)
    talk = owner.talk
    assert talk.create(owner.repo).status_code == 409
    assert talk.commit(owner.repo, small("a", b"a"), parent="0" * 40).status_code == 412
    assert talk.post(f"/api/models/{owner.repo}/branch/main").status_code == 409
    assert talk.client.request("DELETE", f"/api/models/{owner.repo}/tag/none").status_code == 404
    assert talk.commit("somebody/else", small("a", b"a")).status_code == 404
    assert all_entries(hub.hub.parts.database) == before


def test_fifty_commit_at_once_and_the_chain_is_whole(hub: LiveHub, owner: Owner) -> None:
    def work(talk: Talk, number: int) -> int:
        return talk.commit(owner.repo, small(f"t{number}", b"x")).status_code

    assert at_once(hub, owner.token, 50, work) == [200] * 50
    assert verdict(hub.hub.parts.database).clean
    assert_log_is_history(hub.hub.parts.database, owner.repo)


def assert_log_is_history(database: Database, repo: str) -> None:
    """The commits in the log are those of the branch, each on the one before."""
    address = f"hf://{repo}"
    moves = [one.facts for one in all_entries(database, Wanted(repo=address)) if one.deed == "commit"]
    with database.read() as connection:
        line = dict(
            connection.exec_driver_sql(
                "SELECT oid, parent_oid FROM git_commits JOIN repos ON repos.id = repo_id WHERE name_key = ?",
                (repo.lower(),),
            ).all()
        )
        head = connection.exec_driver_sql(
            "SELECT commit_oid FROM git_refs JOIN repos ON repos.id = repo_id WHERE name_key = ?", (repo.lower(),)
        ).scalar()
    for move in reversed(moves):
        assert (move["new"], move["old"]) == (head, line[head])
        head = line[head]
    assert line[head] is None, "a commit of the branch is not in the log"


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_hub_that_is_killed_has_the_row_of_every_commit_and_of_no_other(tmp_path: Path, rounds: int) -> None:
    with ProcessHub(str(tmp_path / "data")) as hub:
        token = hub.user("kim")
        with closing(Talk(hub.url, token)) as talk:
            talk.create("kim/repo").raise_for_status()
        for round_number in range(rounds):
            if round_number:
                hub.start()
            begun = threading.Event()

            def work(number: int, begun: threading.Event = begun, round_number: int = round_number) -> None:
                with closing(Talk(hub.url, token)) as talk, suppress(httpx2.HTTPError):
                    for turn in range(200):
                        talk.commit("kim/repo", small(f"{round_number}-{number}-{turn}", b"x"))
                        begun.set()

            threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
            for thread in threads:
                thread.start()
            assert begun.wait(30)
            hub.kill()
            for thread in threads:
                thread.join()
            with opened(tmp_path / "data") as parts:
                assert verdict(parts.database).clean
                assert_log_is_history(parts.database, "kim/repo")


def test_a_restored_hub_goes_on_where_the_snapshot_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with LiveHub(str(data)) as hub:
        hub.user("kim")
        database = hub.hub.parts.database
        kept = verdict(database).head
        back_up(database, str(data), str(tmp_path / "backup"), hub.hub.parts.now_ms())
        hub.user("lee")
        lost = verdict(database).head
    restore(str(tmp_path / "backup"), str(tmp_path / "again"), 10**12)
    with opened(tmp_path / "again") as parts:
        assert verdict(parts.database, kept).clean
        assert not verdict(parts.database, lost).clean
        last = all_entries(parts.database)[-1]
        assert (last.deed, last.actor_id) == ("hub.restore", 0)
        assert last.actor.startswith("command line, uid ")
        assert list(last.facts) == ["snapshot"]


def test_a_check_of_the_hub_verifies_the_log(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as parts:
        write_rows(parts.database, 3)
        assert check_hub(parts, str(tmp_path / "data"), QUICK).findings == []
        tamper(parts.database, "UPDATE audit_log SET actor = 'eve' WHERE number = 2")
        (finding,) = check_hub(parts, str(tmp_path / "data"), QUICK).findings
    assert (finding.fault, finding.kind, finding.name) == ("damaged", "audit log", "row 2")


@pytest.mark.parametrize(
    ("proxies", "expected"), [("", "127.0.0.1"), ("127.0.0.1", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")]
)
def test_only_a_proxy_that_was_named_says_for_whom_it_asks(tmp_path: Path, proxies: str, expected: str) -> None:
    with Hub.open(str(tmp_path / "data")) as hub:
        service = Service(hub.app, hub.parts.log, "127.0.0.1", 0, proxies)
        ready = threading.Event()
        thread = threading.Thread(target=service.run, args=(lambda _url: ready.set(),))
        thread.start()
        assert ready.wait(30)
        headers = {
            "Authorization": f"Bearer {hub.first_token}",
            "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
            "X-Amzn-Trace-Id": "the-request",
        }
        body = {"name": "repo", "organization": "admin", "type": "model"}
        httpx2.post(f"{service.url}/api/repos/create", json=body, headers=headers, trust_env=False).raise_for_status()
        service.stop()
        thread.join()
        last = all_entries(hub.parts.database)[-1]
    assert (last.deed, last.address, last.request_id) == ("repo.create", expected, "the-request")


def test_the_page_on_the_log_explains_every_word_and_every_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    assert [deed for deed in Deed if f"`{deed}`" not in text] == []
    assert [name for name in Entry.__struct_fields__ if f"`{name}`" not in text] == []
