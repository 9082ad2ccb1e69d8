"""`tenuto hub audit`: what it prints, and how it ends."""

import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.server.upkeep_hub import Sample, make_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample") / "data")


@pytest.fixture
def data(sample: Sample, shell: Shell) -> Path:
    place = shell.project / "hub-data"
    shutil.copytree(sample.folder, place)
    return place


def test_a_whole_log_is_told_with_an_anchor(shell: Shell, data: Path) -> None:
    done = shell("hub", "audit", "verify")
    whole, anchor = done.out.splitlines()
    assert (done.status, whole.startswith("Whole: "), anchor.startswith("Anchor: ")) == (0, True, True)
    digest = anchor.removeprefix("Anchor: ")
    assert "the anchor among them" in shell("hub", "audit", "verify", "--anchor", digest).out
    missing = shell("hub", "audit", "verify", "--anchor", "f" * 64)
    assert (missing.status, "no row has the hash of the anchor" in missing.out) == (5, True)


@pytest.mark.slow
def test_other_ways_to_verify(shell: Shell, data: Path) -> None:
    assert shell("hub", "audit", "verify", "--json").json["clean"] is True
    assert shell("hub", "audit", "verify", "--anchor", "short").status == 2
    assert shell("hub", "audit", "verify", "--data", "elsewhere").status == 9


def test_damage_names_its_row(shell: Shell, data: Path) -> None:
    with closing(sqlite3.connect(data / "hub.sqlite3")) as connection, connection:
        connection.execute("DROP TRIGGER audit_log_keeps_values")
        connection.execute("UPDATE audit_log SET actor = 'eve' WHERE number = 4")
    done = shell("hub", "audit", "verify")
    assert done.status == 5
    assert done.out.startswith("damaged: row 4: ")
    assert "Whole up to row 3" in done.out


def test_the_log_is_printed_as_lines_or_a_table(shell: Shell, data: Path) -> None:
    rows = [json.loads(line) for line in shell("hub", "audit", "export").out.splitlines()]
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert {"user.add", "token.create", "repo.create", "commit", "ref.create"} <= {row["deed"] for row in rows}
    table = list(csv.DictReader(io.StringIO(shell("hub", "audit", "export", "--format", "csv").out)))
    assert [int(row["number"]) for row in table] == [row["number"] for row in rows]


@pytest.mark.slow
def test_a_part_of_the_log_is_printed(shell: Shell, data: Path) -> None:
    count = shell("hub", "audit", "export").out.count("\n")
    bob = shell("hub", "audit", "export", "--actor", "bob", "--since", "1h").out.splitlines()
    assert {json.loads(line)["repo"] for line in bob} == {"hf://bob/two"}
    assert shell("hub", "audit", "export", "--repo", "ann/three", "--json").out.count('"repo.create"') == 1
    assert shell("hub", "audit", "export", "--since", "2001-01-01").out.count("\n") == count
    assert shell("hub", "audit", "export", "--since", "yesterday").status == 2
