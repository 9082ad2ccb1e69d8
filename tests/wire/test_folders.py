"""Folders go up whole, again for nothing, and come down bit for bit, through stock clients of every age."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wire.client import Make
from tests.wire.conftest import MAKES, Repo
from tests.wire.content import NAMES, SMALL, mixed, write

pytestmark = pytest.mark.wire
CARD = b"---\nlicense: mit\ntags: [audio]\n---\n# A card\n"
FILES = {
    "README.md": CARD,
    **SMALL,
    **{name: name.encode() for name in NAMES},
    "model.safetensors": mixed(3_000_000),
    "sub/more.bin": mixed(1_000_000, seed=1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "folder", FILES)


def test_a_folder_goes_up_once_and_comes_down(repo: Repo, folder: Path, tmp_path: Path) -> None:
    first = repo.do("upload_folder", folder_path=str(folder))["oid"]
    again = repo.do("upload_folder", folder_path=str(folder))["oid"]
    assert first == again == repo.head, "nothing changed, no commit"
    assert repo.snapshot() == FILES
    (folder / "config.json").write_bytes(b"{}")
    second = repo.do("upload_folder", folder_path=str(folder))["oid"]
    assert second != first
    assert repo.snapshot(local_dir=str(tmp_path / "local")) == {**FILES, "config.json": b"{}"}
    assert repo.snapshot(revision=first) == FILES
    assert repo.snapshot(allow_patterns=["*.json"], local_dir=str(tmp_path / "some")).keys() == {
        name for name in FILES if name.endswith(".json")
    }
    card = repo.do("repo_info")["card_data"]
    assert card["license"] == "mit"


def test_a_folder_replaces_what_matches(repo: Repo, folder: Path) -> None:
    repo.do("upload_folder", folder_path=str(folder), path_in_repo="a b", allow_patterns=["*.bin", "*.json"])
    (folder / "ten.bin").unlink()
    repo.do(
        "upload_folder",
        folder_path=str(folder),
        path_in_repo="a b",
        allow_patterns=["*.safetensors"],
        delete_patterns=["*.bin"],
    )
    left = {name for name in FILES if name.endswith((".json", ".safetensors"))}
    assert repo.files() == {f"a b/{name}" for name in left}


def test_a_folder_is_proposed(repo: Repo, folder: Path) -> None:
    made = repo.do("upload_folder", folder_path=str(folder), create_pr=True)
    assert repo.files() == set()
    (proposal,) = repo.do("get_repo_discussions")
    assert made["pr_num"] in {proposal["num"], None}
    assert repo.snapshot(revision=f"refs/pr/{proposal['num']}") == FILES
    repo.do("merge_pull_request", discussion_num=proposal["num"])
    assert repo.files() == set(FILES)


@pytest.mark.parametrize("client", [make for make in MAKES if make.environment != "hub-2.4"], indirect=True, ids=str)
def test_a_large_folder_goes_up_by_its_own_command(repo: Repo, folder: Path) -> None:
    for _ in range(2):
        repo.do("upload_large_folder", folder_path=str(folder), num_workers=2)
        assert repo.snapshot() == FILES


def small_files(count: int) -> dict[str, bytes]:
    source = random.Random(count)
    return {f"part-{n % 20}/{n:05}.json": b'{"n": %d}' % source.randrange(10**9) for n in range(count)}


@pytest.mark.parametrize(
    ("client", "count"),
    [
        (Make("hub-2.4", True), 300),
        *(pytest.param(Make(hub, True), 2000, marks=pytest.mark.slow) for hub in ("hub-2.4", "hub-0.36")),
        *(pytest.param(Make(hub, True), 20_000, marks=pytest.mark.slow) for hub in ("hub-2.4", "hub-1.33", "hub-0.36")),
    ],
    indirect=["client"],
    ids=str,
)
def test_many_small_files(make_repo: Callable[..., Repo], count: int, tmp_path: Path) -> None:
    repo, files = make_repo("dataset"), small_files(count)
    repo.do("upload_folder", folder_path=str(write(tmp_path / "many", files)))
    assert repo.files() == set(files)
    assert repo.snapshot(max_workers=16) == files
