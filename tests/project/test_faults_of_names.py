"""Faults 1, 2 and 4: names, hashes and links that lead elsewhere, from a hub that lies; nothing is written outside, and nothing here changes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, UsageError
from tenuto.project.pull import Choice
from tenuto.testing.lies import Lie, Rewritten
from tests.project.conftest import Scene
from tests.project.outside import PATH, Outside, outside

__all__ = ["outside"]

FILES = {"harmless.bin": b"harmless " * 5_000, "other.txt": b"other\n"}
TREE = r"/tree/"
WICKED = {
    "a step up": "../x",
    "a step up inside": "a/../../b",
    "an absolute path": "/etc/x",
    "a drive": "C:\\x",
    "a drive without a root": "D:x",
    "a share": "\\\\host\\share\\x",
    "a device": "CON",
    "a device with an ending": "aux.txt",
    "a turned reading order": "a\u202e.pt",
    "nul": "a\0b",
    "a line break": "a\nb",
    "300 bytes": "n" * 300,
    "a dot at the end": "model.",
    "git's own in capitals": ".GIT/config",
    "a stream": "a:b",
    "nothing between slashes": "a//b",
    "nothing": "",
}
TWINS = {"case": "OTHER.txt", "composed": "o\u0308", "a folder of a file's name": "other.txt/x"}


def renamed(name: str) -> Lie:
    """The hub calls the harmless file so, whenever it lists the repo."""
    return Lie("GET", TREE, Rewritten(b'"harmless.bin"', json.dumps(name).encode()), times=None)


@pytest.mark.parametrize("name", WICKED.values(), ids=WICKED)
def test_a_wicked_name_is_not_added(outside: Outside, name: str) -> None:
    outside.publish(FILES)
    with outside.lying(renamed(name)):
        outside.fails(outside.add, "BadPath", "BadAnswer")
    assert outside.files() == {}


@pytest.mark.parametrize("name", WICKED.values(), ids=WICKED)
def test_a_wicked_name_is_neither_pulled_nor_taken_by_an_upgrade(outside: Outside, name: str) -> None:
    """The lock is honest, the hub is not any more: neither what is locked nor what is newer is taken by that name."""
    outside.publish(FILES)
    outside.add()
    outside.forget_store()
    with outside.lying(renamed(name)):
        outside.fails(outside.pull, "BadPath", "BadAnswer", "DigestMismatch")
    outside.publish({"other.txt": b"newer\n"})
    with outside.lying(renamed(name)):
        outside.fails(outside.upgrade, "BadPath", "BadAnswer")
    assert outside.files() == FILES


@pytest.mark.parametrize("name", [".tenuto/state.db", ".git/hooks/post-checkout", ".git/config"])
def test_what_programs_keep_in_hidden_folders_is_left_out(outside: Outside, name: str) -> None:
    """Fault 4: no hook and no setting of another program comes with an artifact."""
    outside.publish(FILES)
    with outside.lying(renamed(name)):
        outside.add()
    assert outside.files() == {"other.txt": FILES["other.txt"]}


@pytest.mark.parametrize("name", TWINS.values(), ids=TWINS)
def test_two_names_that_are_one_somewhere_are_refused(outside: Outside, name: str) -> None:
    outside.publish({**FILES, "\u00f6": b"composed"} if name == "o\u0308" else FILES)
    with outside.lying(renamed(name)):
        error = outside.fails(outside.add, "BadPath", "BadAnswer")
    assert error.exit_status in {2, 6}


@pytest.mark.parametrize("others", [("Weights.bin", "weights.bin"), ("Data/a.txt", "data/b.txt")])
def test_twins_are_told_with_a_way_out(outside: Outside, others: tuple[str, str]) -> None:
    """Two files, or two folders, that differ by case alone: one is left out, by the choice of the keeper, or none is taken."""
    outside.publish({others[0]: b"one", others[1]: b"two", "config.json": b"{}"})
    error = outside.fails(outside.add, "BadPath")
    assert "one name on some systems" in error.message
    (pattern,) = re.findall("--exclude '(.+)'", error.hint or "")
    outside.add(exclude=(pattern,))
    assert outside.files().keys() == {others[0], "config.json"}
    outside.publish({others[1].upper(): b"three"})
    outside.fails(outside.upgrade, "BadPath")
    assert outside.files().keys() == {others[0], "config.json"}


def test_twins_that_were_made_on_the_hub_are_not_pulled(scene: Scene) -> None:
    scene.ann.write("data/a.txt", b"one")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    scene.upload("A.txt", b"two")
    with pytest.raises(UsageError, match="one name on some systems") as caught:
        scene.ann.sync()
    assert "on the hub" in (caught.value.hint or "")
    assert scene.ann.files("data") == {"a.txt": b"one"}


HASHES = {
    "a path": "../" * 21 + "x",
    "capitals": "A" * 64,
    "63 digits": "a" * 63,
    "digits of another script": "\u0661" * 64,
    "another algorithm": "sha512:" + "a" * 64,
    "nothing": "",
}


@pytest.mark.parametrize("wicked", HASHES.values(), ids=HASHES)
@pytest.mark.parametrize("field", ["oid", "lfs"])
def test_what_is_no_hash_is_no_name_of_an_object(outside: Outside, wicked: str, field: str) -> None:
    """Fault 2: the listing gives something else where a hash should be."""
    outside.publish({**FILES, "weights.safetensors": b"w" * 12_000_000})
    tree = outside.api.get_paths_info(outside.repo, ["harmless.bin", "weights.safetensors"])
    known = {one.path: one for one in tree}
    true = known["harmless.bin"].blob_id if field == "oid" else known["weights.safetensors"].lfs.sha256
    lie = Lie("GET", TREE, Rewritten(json.dumps(true).encode(), json.dumps(wicked).encode()), times=None)
    with outside.lying(lie):
        outside.fails(outside.add, "BadAnswer")
    assert outside.files() == {}


@pytest.mark.parametrize("where", ["the folder", "a folder above", "a file"])
def test_nothing_is_written_through_a_link(outside: Outside, tmp_path: Path, where: str) -> None:
    """Fault 4: a link lies where a file or folder of the artifact is to be."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"precious")
    outside.publish(FILES)
    path = {"the folder": PATH, "a folder above": "models", "a file": f"{PATH}/harmless.bin"}[where]
    place = outside.keeper.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere / "precious" if where == "a file" else elsewhere)
    if where == "a file":
        with pytest.raises(ConflictError):
            outside.add()
        outside.pull(choice=Choice.THEIRS)
        assert outside.files() == FILES
        assert not place.is_symlink()
    else:
        outside.fails(outside.add, "BadPath")
    assert {file.name: file.read_bytes() for file in elsewhere.iterdir()} == {"precious": b"precious"}


def test_no_line_for_git_is_written_through_a_link(outside: Outside, tmp_path: Path) -> None:
    """Fault 4: the folder becomes a link when the artifact is known already, as by a `git pull`."""
    outside.publish(FILES)
    outside.add()
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(outside.keeper.root / "models")
    (outside.keeper.root / "models").symlink_to(tmp_path / "elsewhere")
    for run in (outside.add, outside.pull, outside.upgrade):
        outside.fails(run, "BadPath")
    assert list((tmp_path / "elsewhere").iterdir()) == []
