"""`inventory`: what is here, in every form."""

import json
from pathlib import Path

from inline_snapshot import snapshot

from tests.cli.conftest import Desk, Shell

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def leave(top: Path) -> None:
    """What a download script leaves: a model in a cache within a folder of its name, and a dataset that does not exist."""
    repo = top / "models/facebook/facebook_musicgen-small/models--facebook--musicgen-small"
    snapshot_folder = repo / "snapshots" / COMMIT
    snapshot_folder.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "blobs/1").write_bytes(b"w" * 3000)
    (snapshot_folder / "model.safetensors").symlink_to("../../blobs/1")
    (repo / "blobs/2").write_text("---\nlicense: cc-by-nc-4.0\n---\n# MusicGen\n")
    (snapshot_folder / "README.md").symlink_to("../../blobs/2")
    (top / "datasets/ionosphere_maestro").mkdir(parents=True)


def test_a_project(desk: Desk) -> None:
    desk.begin()
    done = desk("inventory")
    assert done.filtered(str(done)) == snapshot("""\
exit status 0
--- out ---
Datasets:
  data  present   5.1 kB  2 files at [COMMIT], no licence stated
0 models (0 files, 0 B), 1 dataset (2 files, 5.1 kB)
""")
    (desk.project / "data/a.txt").unlink()
    done = desk("inventory", "--offline")
    assert str(done) == snapshot("""\
exit status 1
--- out ---
Datasets:
  data  partial   5.1 kB  1 file at [COMMIT], no licence stated
        1 of 2 files missing
0 models (0 files, 0 B), 1 dataset (1 file, 5.1 kB)
Not whole: data
""")


def test_a_folder(shell: Shell) -> None:
    leave(shell.project)
    assert str(shell("inventory", ".")) == snapshot("""\
exit status 1
--- out ---
Models:
  facebook/musicgen-small  present   3.0 kB  2 files at [COMMIT], cc-by-nc-4.0
Datasets:
  datasets/ionosphere_maestro  empty        0 B  0 files, no licence stated
                               there is no file in it
1 model (2 files, 3.0 kB), 1 dataset (0 files, 0 B)
Not whole: datasets/ionosphere_maestro
""")
    done = shell("inventory", ".", "--models", "--json")
    assert done.status == 0
    assert [item["repo_id"] for item in done.json["models"]] == ["facebook/musicgen-small"]
    assert "datasets" not in done.json


def test_the_forms(shell: Shell) -> None:
    leave(shell.project)
    one, other = shell("inventory", ".", "--format", "json").json, shell("inventory", ".", "--json").json
    assert {**one, "generated_at": ""} == {**other, "generated_at": ""}
    assert shell("inventory", ".", "--format", "csv").out.splitlines()[1].startswith("facebook/musicgen-small,model,")
    assert shell("inventory", ".", "--format", "html").out.startswith("<!doctype html>")
    bill = json.loads(shell("inventory", ".", "--format", "cyclonedx").out)
    assert [part["type"] for part in bill["components"]] == ["machine-learning-model", "data"]


def test_into_a_file(shell: Shell) -> None:
    leave(shell.project)
    done = shell("inventory", ".", "--models", "--output", "models/inventory.json")
    assert str(done) == snapshot("""\
exit status 0
--- err ---
Wrote models/inventory.json: 1 model (2 files, 3.0 kB)
""")
    read = json.loads((shell.project / "models/inventory.json").read_text())
    assert read["models"][0]["snapshot"] == COMMIT
    assert shell("inventory", ".", "--models", "--format", "csv", "--output", "new/list.csv").status == 0
    assert (shell.project / "new/list.csv").read_text().count("\n") == 2
    assert shell("inventory", ".", "--output", "new/both.json", "--json").json.keys() >= {"models", "datasets"}


def test_what_changed(shell: Shell) -> None:
    leave(shell.project)
    shell("inventory", ".", "--output", "inventory/combined_inventory.json")
    again = shell("inventory", ".", "--against", "inventory/combined_inventory.json")
    assert (again.status, again.out[:21]) == (0, "Nothing changed since")
    (shell.project / "datasets/ionosphere_maestro/a.wav").write_bytes(b"sound")
    done = shell("inventory", ".", "--against", "inventory/combined_inventory.json")
    assert done.status == 1
    assert done.out.splitlines()[:4] == [
        "changed  datasets/ionosphere_maestro",
        "  status: empty -> present",
        "  files_count: 0 -> 1",
        "  size_bytes: 0 -> 5",
    ]
    assert shell("inventory", ".", "--against", "inventory/combined_inventory.json", "--json").json["same"] is False


def test_the_schema(shell: Shell) -> None:
    done = shell("inventory", "--schema")
    assert json.loads(done.out)["title"] == "Inventory of models and datasets"
    assert shell("inventory", "--schema", "--json").json == json.loads(done.out)


def test_where_nothing_is(shell: Shell) -> None:
    assert str(shell("inventory", ".")) == snapshot("""\
exit status 0
--- out ---
There are no models and no datasets here
""")
    assert str(shell("inventory", "nowhere")) == snapshot("""\
exit status 9
--- err ---
error: [PROJECT]/nowhere is not a folder
hint: name a folder that holds models or datasets
""")
    assert shell("inventory", "--json").error["code"] == "ProjectNotFound"
