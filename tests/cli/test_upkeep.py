"""A hub is kept in order from the command line, while it serves and while it does not."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import Shell
from tests.server.talk import Talk
from tests.server.upkeep_hub import TWICE, XORB, Sample, flip, make_sample, noise, object_file, xorb_file


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample") / "data")


@pytest.fixture
def data(sample: Sample, shell: Shell) -> Path:
    """The hub of the person at the shell, in the place where it is looked for."""
    place = shell.project / "hub-data"
    shutil.copytree(sample.folder, place)
    return place


def test_a_whole_hub(shell: Shell, data: Path) -> None:
    assert str(shell("hub", "check", "--quick")) == snapshot("""\
exit status 0
--- out ---
No damage found (3 repos, 11 commits, 13 files, 4 large objects, 2 xorbs; 0 B read)
""")
    done = shell("hub", "check", "--data", "hub-data", "--json")
    assert (done.status, done.json["clean"], done.json["findings"]) == (0, True, [])
    assert done.json["counts"]["bytes_read"] > 100_000
    assert shell("hub", "check", "--sample", "50%", "--quiet").out == ""


def test_damage_is_named_with_its_places(shell: Shell, data: Path) -> None:
    object_file(data, TWICE).unlink()
    done = shell("hub", "check", "--quick")
    assert str(done) == snapshot("""\
exit status 5
--- out ---
missing: large object 7e84d4ba18674ddb48a79186eebcb152d3a3cbcf8832e85666c5aeecd6ea4d4e: it is not in the store
  in hf://ann/one@main/folder/7e84.bin
  in hf://bob/two@main/folder/7e84.bin
1 finding (3 repos, 11 commits, 13 files, 4 large objects, 2 xorbs; 0 B read)
Next: upload it again, or `tenuto hub restore` a backup to another folder
""")
    found = shell("hub", "check", "--json")
    assert found.status == 5
    (finding,) = found.json["findings"]
    assert (finding["fault"], finding["kind"], len(finding["places"])) == ("missing", "large object", 2)


def test_for_a_log_that_was_changed_nothing_is_set_aside(shell: Shell, data: Path) -> None:
    with closing(sqlite3.connect(data / "hub.sqlite3")) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if name.startswith("audit_log"):
                connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE audit_log SET subject = 'somebody' WHERE number = 1")
    done = shell("hub", "check", "--quick")
    assert done.status == 5
    assert "damaged: audit log row 1: " in done.out
    (said,) = re.findall("(?m)^Next: .*$", done.out)
    assert said.startswith("Next: nothing mends a log: compare it with that of a backup")


def test_what_is_damaged_is_set_aside_on_demand(shell: Shell, data: Path) -> None:
    flip(object_file(data, TWICE), 9)
    assert "Next: `tenuto hub check --set-aside`, then upload it again" in shell("hub", "check").out
    assert "Set aside: 1 file\nNext: upload it again" in shell("hub", "check", "--set-aside").out
    assert not object_file(data, TWICE).exists()
    assert "it is not in the store; " in shell("hub", "check", "--quick").out
    assert "Set aside" not in shell("hub", "check", "--set-aside").out


@pytest.mark.parametrize("sample_text", ["5", "0%", "101%", "x%", "-1%"])
def test_a_share_that_is_none(shell: Shell, data: Path, sample_text: str) -> None:
    assert shell("hub", "check", f"--sample={sample_text}").status == 2
    assert shell("hub", "check", "--quick", "--sample=5%").status == 2


@pytest.mark.parametrize("command", [["check"], ["gc"], ["backup", "../backup"], ["usage"]], ids=" ".join)
def test_where_there_is_no_hub_none_is_made(shell: Shell, command: list[str]) -> None:
    done = shell("hub", *command, "--json")
    assert (done.status, done.error["code"]) == (9, "EntryNotFound")
    assert list(shell.project.iterdir()) == []


def test_collecting(shell: Shell, data: Path, sample: Sample) -> None:
    with LiveHub(str(data)) as hub:
        talk = Talk(hub.url, sample.tokens["ann"])
        talk.client.delete("/api/models/ann/one/branch/side").raise_for_status()
        talk.put_large("ann/one", noise(5000, 900))
        talk.delete("ann/three").raise_for_status()
        talk.close()
        planned = shell("hub", "gc", "--dry-run")
        assert str(planned) == snapshot("""\
exit status 0
--- out ---
hf://ann/one: not needed for less than 30 days: 3 git objects, 1 large object (5.0 kB), 0 xorbs
Would be moved to the trash: 0 objects and 0 xorbs, 0 B
Would be deleted from the trash: 0 files, 0 B
""")
        assert str(shell("hub", "gc", "--keep-days", "60")) == snapshot("""\
exit status 0
--- out ---
hf://ann/one: not needed for less than 60 days: 3 git objects, 1 large object (5.0 kB), 0 xorbs
Moved to the trash: 0 objects and 0 xorbs, 0 B
Deleted from the trash: 0 files, 0 B
""")
        assert shell("hub", "gc", "--json").json["repos"][0]["waiting_objects"] == 1
    for wrong in (["--keep-days", "0.5"], ["--trash-days", "-1"]):
        assert shell("hub", "gc", *wrong).status == 2


def test_backup_and_restore(shell: Shell, data: Path) -> None:
    first = shell("hub", "backup", "../backup")
    shell.filters[first.out.split()[1].rstrip(":")] = "[SNAPSHOT]"
    assert first.status == 0
    again = shell("hub", "backup", "../backup", "--json")
    assert again.json["copied"]["files"] == 0
    shell.filters[again.json["snapshot"]] = "[SECOND]"
    assert shell("hub", "restore", "../backup").status == 1, "there is a hub"
    done = shell("hub", "restore", "../backup", "--data", "new")
    assert str(done) == snapshot("""\
exit status 0
--- out ---
The hub of snapshot [SECOND] is in [PROJECT]/new: 4 files, 106 kB copied
Tokens that were revoked since then are valid again; links that were given out are not
Next: tenuto hub check --data [PROJECT]/new, then tenuto hub serve --data [PROJECT]/new
""")
    assert shell("hub", "check", "--data", "new").status == 0
    flip(xorb_file(shell.folder / "backup", XORB.name), 50)
    refused = shell("hub", "restore", "../backup", "--data", "other")
    assert refused.status == 5
    assert "Nothing is in place" in refused.out
    assert shell("hub", "restore", "../backup", "--data", "other", "--partial").status == 5
    assert shell("hub", "check", "--data", "other").status == 5
    assert shell("hub", "restore", "../backup", "--data", "third", "--snapshot", "x").status == 9
    assert shell("hub", "restore", "../nowhere", "--data", "third").status == 9


def test_usage(shell: Shell, data: Path) -> None:
    assert str(shell("hub", "usage")) == snapshot("""\
exit status 0
--- out ---
    files     shown      held    stored   to free
        8    118 kB    121 kB    117 kB   79.4 kB  ann (2 repos)
        4   40.4 kB   41.7 kB   41.7 kB    3.7 kB  bob (1 repo)
        6    112 kB    115 kB    111 kB   73.4 kB  hf://ann/one
        4   40.4 kB   41.7 kB   41.7 kB    3.7 kB  hf://bob/two
        2    5.4 kB    6.0 kB    6.0 kB    6.0 kB  hf://ann/three
       12    158 kB    163 kB    121 kB    121 kB  all
""")
    found = shell("hub", "usage", "--json").json
    assert [one["user"] for one in found["users"]] == ["ann", "bob"]
