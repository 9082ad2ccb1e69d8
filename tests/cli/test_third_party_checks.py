"""What others publish is checked as one's own is."""

from tests.cli.conftest import Desk
from tests.cli.test_health import flip


def test_a_source_is_inventoried_verified_and_compared(desk: Desk) -> None:
    desk.begin()
    theirs = desk.project
    desk.project = desk.folder / "reader"
    desk.project.mkdir()
    for command in (["init"], ["add", desk.repo, "--include", "*.bin", "--name", "songs"], ["sync"]):
        done = desk(*command)
        assert done.status == 0, done
    (item,) = desk("inventory", "--json").json["datasets"]
    assert (item["status"], item["files_count"], item["source"]) == ("present", 1, desk.repo)
    assert len(item["snapshot"]) == 40
    for command in (["verify"], ["verify", "--quick"], ["diff"], ["diff", "songs", "hub:main"], ["smoke"]):
        done = desk(*command)
        assert done.status == 0, done
    assert desk("checksums").out.endswith(f"{item['local_path']}/b.bin\n")
    desk.project, reader = theirs, desk.project
    desk.write("data/b.bin", b"2")
    assert desk("push").status == 0
    desk.project = reader
    done = desk("diff", "songs", "hub:main", "--json")
    assert (done.status, done.json["artifacts"][0]["modified"]) == (1, 1)
    flip(next(reader.rglob("b.bin")))
    assert desk("verify", "songs").status == 5
    assert desk("smoke", "--quiet").status == 3


def test_a_source_that_is_not_there_is_an_entry_that_says_so(desk: Desk) -> None:
    desk("init")
    desk.write(
        "tenuto.toml",
        '[artifacts.gone]\npath = "gone"\nsource = "hf://datasets/nobody/nothing"\nkind = "dataset"\n',
    )
    assert desk("sync").status == 9
    done = desk("inventory", "--json")
    assert done.status == 1
    (item,) = done.json["datasets"]
    assert (item["status"], item["snapshot"], item["files_count"]) == ("missing", None, 0)
    assert item["detail"] == "it was never fetched: the lock does not have it"
    assert desk("checksums").status == 1
