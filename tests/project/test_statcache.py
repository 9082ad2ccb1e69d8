"""The state index: what it remembers, and what becomes of it when it is damaged or many use it at once."""

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tenuto.core.errors import StorageError
from tenuto.project.statcache import Base, Seen, StateIndex

BASE = Base("d" * 64, "c" * 40, "http://hub hf://a/b")


def seen(path: str, sha256: str = "a" * 64) -> Seen:
    return Seen(path, 1, 2, 3, sha256)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def index(file: Path) -> Iterator[StateIndex]:
    with StateIndex(str(file)) as opened:
        yield opened


def test_what_was_recorded_is_there_in_the_next_run(file: Path) -> None:
    with StateIndex(str(file)) as index:
        index.remember([seen("a/x")])
        index.set_base("a", BASE)
        index.remember_git_ids([("1" * 40, "a" * 64)])
    with StateIndex(str(file)) as index:
        assert index.files("a") == {"a/x": seen("a/x")}
        assert index.base("a") == BASE
        assert index.sha256_of(["1" * 40, "2" * 40]) == {"1" * 40: "a" * 64}


def test_an_unknown_artifact_has_no_base(index: StateIndex) -> None:
    assert index.base("a") is None


def test_a_folder_is_not_its_neighbours(index: StateIndex) -> None:
    names = ["a", "a0", "a/b", "a.b", "a/b/c", "a/é", "a/\U0001f3b5", "ab", "A/b", "a-", "b/a/b"]
    index.remember([seen(name) for name in names])
    assert sorted(index.files("a")) == ["a", "a/b", "a/b/c", "a/é", "a/\U0001f3b5"]
    assert sorted(index.files("a/b")) == ["a/b", "a/b/c"]
    assert list(index.files("é")) == []


segments = some.text(some.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=4)
paths = some.lists(segments, min_size=1, max_size=3).map("/".join)


@given(names=some.lists(paths, unique=True), folder=paths)
def test_files_are_found_by_folder_whatever_their_names(index: StateIndex, names: list[str], folder: str) -> None:
    index.remember([seen(name) for name in names])
    try:
        assert index.files(folder).keys() == {n for n in names if n == folder or n.startswith(f"{folder}/")}
    finally:
        index.remember([], gone=names)


def test_what_is_gone_is_forgotten_and_what_changed_is_replaced(index: StateIndex) -> None:
    index.remember([seen("a/x"), seen("a/y")])
    index.remember([seen("a/y", "b" * 64)], gone=["a/x"])
    assert index.files("a") == {"a/y": seen("a/y", "b" * 64)}


def test_many_git_ids_are_found(index: StateIndex) -> None:
    pairs = [(f"{number:040x}", f"{number:064x}") for number in range(1234)]
    index.remember_git_ids(pairs)
    assert index.sha256_of(git_id for git_id, _ in pairs) == dict(pairs)


@pytest.mark.parametrize("damage", [b"", b"this is no database, but long enough to be read as one" * 20])
def test_a_file_that_is_no_database_is_replaced(file: Path, damage: bytes) -> None:
    file.write_bytes(damage)
    with StateIndex(str(file)) as index:
        index.set_base("a", BASE)
        assert index.base("a") == BASE
    assert not damage or (file.parent / "state.db.damaged").read_bytes() == damage


def test_a_database_that_is_damaged_further_in_is_replaced_in_mid_work(file: Path) -> None:
    with StateIndex(str(file)) as index:
        index.remember([seen(f"a/{number}") for number in range(2000)])
    with open(file, "r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))
    with StateIndex(str(file)) as index:
        assert index.files("a") == {}
        index.remember([seen("a/x")])
        assert index.files("a") == {"a/x": seen("a/x")}
    assert (file.parent / "state.db.damaged").exists()


def test_a_journal_of_the_damaged_database_is_not_played_into_the_new_one(file: Path) -> None:
    with StateIndex(str(file)) as index:
        index.set_base("a", BASE)
        journal = (file.parent / "state.db-wal").read_bytes()
    file.write_bytes(b"no database" * 100)
    (file.parent / "state.db-wal").write_bytes(journal)
    with StateIndex(str(file)) as index:
        assert index.base("a") is None


def test_tables_of_somebody_else_are_replaced(file: Path) -> None:
    with StateIndex(str(file)) as index:
        index.set_base("a", BASE)
    database = sqlite3.connect(file)
    database.executescript("DROP TABLE files")
    database.close()
    with StateIndex(str(file)) as index:
        assert index.files("a") == {}
        assert index.base("a") is None


def test_a_database_of_another_version_begins_anew(file: Path) -> None:
    with StateIndex(str(file)) as index:
        index.set_base("a", BASE)
    database = sqlite3.connect(file)
    database.executescript("PRAGMA user_version = 99")
    database.close()
    with StateIndex(str(file)) as index:
        assert index.base("a") is None
    assert not (file.parent / "state.db.damaged").exists()


def test_what_the_version_before_knew_is_kept(file: Path) -> None:
    with StateIndex(str(file)) as index:
        index.remember([seen("a/x")])
        index.set_base("a", BASE)
    database = sqlite3.connect(file)
    database.executescript("ALTER TABLE files DROP COLUMN verified_at_s; PRAGMA user_version = 2")
    database.close()
    with StateIndex(str(file)) as index:
        assert index.files("a") == {"a/x": seen("a/x")}
        assert index.base("a") == BASE
        verified = seen("a/x")._replace(verified_at_s=12)
        index.remember([verified])
        assert index.files("a") == {"a/x": verified}


def test_a_busy_database_is_not_taken_for_a_damaged_one(file: Path, index: StateIndex) -> None:
    index.set_base("a", BASE)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, other.execute, ("COMMIT",))
    release.start()
    with StateIndex(str(file)) as second:
        second.remember([seen("a/x")])
        assert second.base("a") == BASE
    release.join()
    other.close()
    assert not (file.parent / "state.db.damaged").exists()


def test_a_folder_in_its_place_is_a_fault_of_the_disk(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StorageError) as caught:
        StateIndex(str(file))
    assert caught.value.code == "LocalFile"
    assert str(file) in caught.value.message


def _begin_together(file: str, number: int, barrier: Barrier) -> None:
    barrier.wait()
    with StateIndex(file) as index:
        index.set_base(f"artifact {number}", BASE)
        index.remember([seen(f"{number}/x")])


@pytest.mark.parametrize("before", [None, b"no database" * 100], ids=["none", "damaged"])
def test_processes_that_begin_at_once_lose_nothing(file: Path, before: bytes | None) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(6)
    if before:
        file.write_bytes(before)
    processes = [context.Process(target=_begin_together, args=(str(file), number, barrier)) for number in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    with StateIndex(str(file)) as index:
        assert [index.base(f"artifact {number}") for number in range(6)] == [BASE] * 6
        assert [list(index.files(str(number))) for number in range(6)] == [[f"{number}/x"] for number in range(6)]
