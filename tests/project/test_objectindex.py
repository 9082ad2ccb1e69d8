"""What is believed of an object without reading it."""

import os
import sqlite3
from pathlib import Path

import pytest

from tenuto.project.objectindex import BELIEVED_S, ObjectIndex

NAME = "ab" * 32
NOW_S = 2_000_000_000.0
OLD_NS = 1_700_000_000_000_000_000


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """An object, hours old."""
    file = tmp_path / "object"
    file.write_bytes(b"as it was read")
    file.chmod(0o444)
    os.utime(file, ns=(OLD_NS, OLD_NS))
    return file


class Verbs:
    """Each verb of the project has an index of its own, on one file."""

    def __init__(self, file: Path) -> None:
        self.file, self.now_s = file, NOW_S

    def index(self, *names: str) -> ObjectIndex:
        index = ObjectIndex(str(self.file), lambda: self.now_s)
        index.load(names)
        return index

    def read(self, stored: Path) -> None:
        index = self.index()
        index.found_sound(NAME, os.stat(stored), self.now_s)
        index.save()

    def lay_out(self, stored: Path, target: Path) -> None:
        index = self.index(NAME)
        os.link(stored, target)
        index.laid_out([(NAME, os.stat(stored))])
        index.save()

    def believes(self, stored: Path) -> bool:
        return self.index(NAME).believes(NAME, os.stat(stored))


@pytest.fixture
def verbs(tmp_path: Path) -> Verbs:
    return Verbs(tmp_path / "objects.db")


def overwrite(file: Path, *, keep_time: bool) -> None:
    before = file.stat()
    file.chmod(0o644)
    with open(file, "r+b") as opened:
        opened.write(b"X")
    file.chmod(0o444)
    if keep_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_read_is_believed_by_the_next_verb(verbs: Verbs, stored: Path) -> None:
    assert not verbs.believes(stored)
    verbs.read(stored)
    assert verbs.believes(stored)
    assert not verbs.index("cd" * 32).believes("cd" * 32, os.stat(stored))


@pytest.mark.parametrize("keep_time", [False, True])
def test_what_was_written_to_is_not(verbs: Verbs, stored: Path, keep_time: bool) -> None:
    verbs.read(stored)
    overwrite(stored, keep_time=keep_time)
    assert not verbs.believes(stored)


@pytest.mark.parametrize("keep_time", [False, True])
def test_what_was_written_to_after_it_was_laid_out_is_not(
    verbs: Verbs, stored: Path, tmp_path: Path, keep_time: bool
) -> None:
    verbs.read(stored)
    verbs.lay_out(stored, tmp_path / "work")
    assert verbs.believes(stored)
    overwrite(tmp_path / "work", keep_time=keep_time)
    assert not verbs.believes(stored)


def test_another_file_under_its_name_is_not(verbs: Verbs, stored: Path, tmp_path: Path) -> None:
    verbs.read(stored)
    other = tmp_path / "other"
    other.write_bytes(b"AS IT WAS READ")
    os.utime(other, ns=(OLD_NS, OLD_NS))
    other.replace(stored)
    assert not verbs.believes(stored)


def test_names_that_come_and_go_change_nothing(verbs: Verbs, stored: Path, tmp_path: Path) -> None:
    verbs.read(stored)
    verbs.lay_out(stored, tmp_path / "work")
    (tmp_path / "work").unlink()
    assert verbs.believes(stored)
    verbs.lay_out(stored, tmp_path / "work")
    os.link(stored, tmp_path / "another")
    assert verbs.believes(stored)


def test_a_name_that_came_excuses_no_write(verbs: Verbs, stored: Path, tmp_path: Path) -> None:
    verbs.read(stored)
    os.link(stored, tmp_path / "work")
    overwrite(stored, keep_time=False)
    assert not verbs.believes(stored)
    verbs.lay_out(stored, tmp_path / "again")
    assert not verbs.believes(stored), "what is laid out must be what was believed"


def test_what_was_read_long_ago_is_read_again(verbs: Verbs, stored: Path, tmp_path: Path) -> None:
    verbs.read(stored)
    verbs.now_s += BELIEVED_S - 10
    verbs.lay_out(stored, tmp_path / "work")
    assert verbs.believes(stored)
    verbs.now_s += 20
    assert not verbs.believes(stored), "to lay it out is not to read it"
    verbs.read(stored)
    assert verbs.believes(stored)


def test_a_clock_that_was_set_back_makes_nothing_young(verbs: Verbs, stored: Path) -> None:
    verbs.read(stored)
    verbs.now_s -= 1000
    assert not verbs.believes(stored)


def test_what_is_as_young_as_the_look_at_it_is_not_kept(verbs: Verbs, stored: Path) -> None:
    os.utime(stored, (NOW_S, NOW_S))
    verbs.read(stored)
    verbs.lay_out(stored, stored.with_name("work"))
    assert not verbs.believes(stored)


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_a_damaged_index_knows_nothing_and_goes_on(verbs: Verbs, stored: Path, damage: bytes) -> None:
    verbs.read(stored)
    verbs.file.write_bytes(damage)
    assert not verbs.believes(stored)
    verbs.read(stored)
    assert verbs.believes(stored)


def test_an_index_of_another_make_knows_nothing_and_goes_on(verbs: Verbs, stored: Path) -> None:
    with sqlite3.connect(verbs.file) as database:
        database.execute("CREATE TABLE objects (x)")
    assert not verbs.believes(stored)
    verbs.read(stored)
    assert verbs.believes(stored)


def test_an_index_that_cannot_be_made_costs_no_error(stored: Path, tmp_path: Path) -> None:
    verbs = Verbs(tmp_path / "missing" / "objects.db")
    verbs.read(stored)
    assert not verbs.believes(stored)


def test_many_are_found_as_few_are(verbs: Verbs, stored: Path) -> None:
    names = [f"{number:064x}" for number in range(3000)]
    index = verbs.index()
    for name in names:
        index.found_sound(name, os.stat(stored), NOW_S)
    index.save()
    for asked in (names[:10], names[:600], names):
        index = verbs.index(*asked)
        assert [name for name in names if index.believes(name, os.stat(stored))] == asked
