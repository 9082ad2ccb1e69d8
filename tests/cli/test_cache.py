"""The store of a user: its size, what may go, what is taken over from elsewhere, and what other libraries see of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import Desk
from tests.cli.test_workspace_story import WEIGHTS, Keeper

DAY_S = 86_400


@pytest.fixture
def keeper(hub: LiveHub, tmp_path: Path) -> Keeper:
    """A keeper with a project that has one model."""
    keeper = Keeper(tmp_path, hub)
    files = {"model.safetensors": WEIGHTS[:50_000], "config.json": b"{}"}
    assert keeper("add", keeper.publish("small", files)).status == 0
    return keeper


def objects(keeper: Desk) -> dict[str, Path]:
    """The objects of the store by sha256."""
    top = keeper.home / ".cache/tenuto/store-v1/objects"
    return {file.parent.name + file.name: file for file in top.glob("??/*")}


def clone_of(keeper: Desk) -> Path:
    """A copy of what git would hold of the project."""
    (keeper.project / ".gitignore").touch()
    return keeper.clone()


def age(keeper: Desk, days: float = 400) -> None:
    """Let everything in the store have been unused for long."""
    moment = time.time() - days * DAY_S
    for file in objects(keeper).values():
        os.utime(file, (moment, moment))


def test_what_a_project_needs_is_spared_and_the_rest_goes_by_way_of_the_trash(keeper: Keeper) -> None:
    keeper("add", keeper.publish("other", {"model.safetensors": WEIGHTS[50_000:90_000]}))
    keeper("remove", "other", "--files")
    age(keeper)
    planned = keeper("cache", "gc", "--dry-run", "--json").json
    assert planned["removed"]["bytes"] >= 40_000
    assert len(objects(keeper)) > 3
    before = objects(keeper)

    cleared = keeper("cache", "gc", "--json").json
    assert cleared["removed"] == planned["removed"]
    assert cleared["trash_bytes"] == cleared["removed"]["bytes"]
    gone = before.keys() - objects(keeper).keys()
    assert len(gone) == cleared["removed"]["objects"]
    assert keeper("verify").status == 0
    (keeper.project / "models/small/model.safetensors").unlink()
    assert keeper("--offline", "pull").status == 0

    keeper("cache", "gc", "--now")
    assert keeper("cache", "size", "--json").json["trash_bytes"] == 0


def test_another_branch_needs_what_this_one_does_not(keeper: Keeper) -> None:
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *command], cwd=keeper.project, check=True, capture_output=True)
    subprocess.run(["git", "branch", "kept"], cwd=keeper.project, check=True)
    keeper("remove", "small", "--files")
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "two"], cwd=keeper.project, check=True
    )
    age(keeper)
    assert keeper("cache", "gc", "--json").json["removed"]["objects"] == 0


def test_a_project_that_was_moved_is_spared_where_it_is_now(keeper: Keeper) -> None:
    age(keeper)
    before = objects(keeper).keys()
    moved = keeper.project.rename(keeper.folder / "moved")
    assert keeper("cache", "gc", "--now", cwd=moved).status == 0
    assert objects(keeper).keys() == before


def test_a_lock_that_cannot_be_read_stops_a_collection(keeper: Keeper) -> None:
    (keeper.project / "tenuto.lock").write_text("<<<<<<< HEAD\n")
    age(keeper)
    before = objects(keeper).keys()
    refused = keeper("cache", "gc", "--json", cwd=keeper.folder)
    assert refused.status == 2
    assert refused.error["code"] == "BadLock"
    assert objects(keeper).keys() == before


def test_a_repository_that_git_does_not_read_stops_a_collection(keeper: Keeper) -> None:
    """Else what its other branches need would be taken for needless."""
    (keeper.project / ".git").write_text("gitdir: nowhere\n")
    age(keeper)
    before = objects(keeper).keys()
    refused = keeper("cache", "gc", "--json", cwd=keeper.folder)
    assert refused.status == 7
    assert "branches" in str(refused.error["message"])
    assert objects(keeper).keys() == before


def test_another_project_that_is_broken_fails_no_pull(keeper: Keeper) -> None:
    other = keeper.folder / "other-project"
    other.mkdir()
    for command in ("init", "lock"):
        assert keeper(command, cwd=other).status == 0
    (other / "tenuto.lock").write_text("<<<<<<< HEAD\n")
    address = keeper.publish("more", {"model.safetensors": WEIGHTS[:9_000]})
    added = keeper("add", address, TENUTO_CACHE_LIMIT="1kB")
    assert added.status == 0, str(added)
    assert keeper("verify").status == 0


def test_what_was_used_lately_stays(keeper: Keeper) -> None:
    keeper("remove", "small")
    assert keeper("cache", "gc", "--json").json["removed"]["objects"] == 0
    assert keeper("cache", "gc", "--now", "--json").json["removed"]["objects"] == 0  # within the hour


def test_the_limit_takes_what_was_unused_for_longest_and_spares_what_is_needed(keeper: Keeper) -> None:
    for number in range(3):
        keeper("add", keeper.publish(f"m{number}", {"model.safetensors": os.urandom(30_000)}))
    keeper("remove", "m0", "m1", "m2")
    age(keeper)
    shown = keeper("cache", "limit", "70kB", "--json").json
    assert shown["limit_bytes"] == 70_000
    assert 'cache_limit = "70kB"' in (keeper.home / ".config/tenuto/settings.toml").read_text()
    assert keeper("cache", "size", "--json").json["bytes"] <= 81_000  # 50 kB are needed
    assert keeper("--offline", "verify").status == 0
    assert keeper("cache", "limit").out == "70 kB\n" or keeper("cache", "limit").out.startswith("70")
    keeper("add", keeper.publish("big", {"model.safetensors": os.urandom(90_000)}))  # needed, so it stays
    assert keeper("verify").status == 0
    assert keeper("cache", "limit", "none").status == 0
    assert keeper("cache", "limit").out == "No limit\n"
    assert keeper("cache", "limit", "much").status == 2


def test_files_of_a_hugging_face_cache_are_adopted_and_not_downloaded_again(keeper: Keeper, hub: LiveHub) -> None:
    address = keeper.publish("big", {"model.safetensors": WEIGHTS, "sub/other.bin": WEIGHTS[::-1]})
    code = f"from huggingface_hub import snapshot_download; snapshot_download({address.removeprefix('hf://')!r})"
    subprocess.run([sys.executable, "-c", code], env=keeper.environment, check=True, capture_output=True)
    adopted = keeper("cache", "adopt", str(keeper.home / ".cache/huggingface/hub"))
    assert adopted.status == 0
    report = keeper("add", address, "--json").json
    assert report["pulled"]["artifacts"][0]["downloaded_bytes"] == 0
    assert (keeper.project / "models/big/model.safetensors").read_bytes() == WEIGHTS
    inodes = {os.stat(file).st_ino for file in (keeper.home / ".cache/huggingface/hub").rglob("*") if file.is_file()}
    assert os.stat(objects(keeper)[sha256(WEIGHTS)]).st_ino in inodes, "the bytes lie on the disk twice"


def test_a_damaged_file_is_adopted_as_what_it_is(keeper: Keeper) -> None:
    """A blob that is named by another hash than it has never passes for the other one."""
    address = keeper.publish("big", {"model.safetensors": WEIGHTS})
    folder = keeper.folder / "blobs"
    folder.mkdir()
    (folder / sha256(WEIGHTS)).write_bytes(WEIGHTS[:-1] + b"x")
    assert keeper("cache", "adopt", str(folder)).status == 0
    assert sha256(WEIGHTS) not in objects(keeper)
    assert keeper("add", address, "--json").json["pulled"]["artifacts"][0]["downloaded_bytes"] == len(WEIGHTS)


def sha256(content: bytes) -> str:
    """The name of the bytes."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


def test_hugging_face_libraries_find_what_is_exposed_without_a_request(keeper: Keeper, hub: LiveHub) -> None:
    exposed = keeper("cache", "expose", "--json").json["artifacts"]
    assert [(one["files"], one["missing"]) for one in exposed] == [(2, 0)]
    code = (
        "from huggingface_hub import hf_hub_download, snapshot_download\n"
        f"print(hf_hub_download('{keeper.owner}/small', 'model.safetensors'))\n"
        f"print(snapshot_download('{keeper.owner}/small'))\n"
    )
    before = hub.log().count("\n")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**keeper.environment, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub.url},
        check=True,
        capture_output=True,
        text=True,
    )
    assert hub.log().count("\n") == before
    file, folder = done.stdout.split()
    assert Path(file).read_bytes() == WEIGHTS[:50_000]
    assert sorted(path.name for path in Path(folder).iterdir()) == ["config.json", "model.safetensors"]
    assert keeper("cache", "expose").status == 0  # again, over what is there


def test_what_the_shared_store_has_is_not_downloaded(keeper: Keeper) -> None:
    clone = clone_of(keeper)
    shared = str(keeper.home / ".cache/tenuto")
    fresh = {"TENUTO_CACHE": str(keeper.folder / "fresh"), "TENUTO_CACHE_SHARED": shared}
    before = {file: file.read_bytes() for file in Path(shared).rglob("*") if file.is_file()}
    pulled = keeper("pull", "--json", cwd=clone, **fresh).json
    assert pulled["artifacts"][0]["downloaded_bytes"] < 100
    assert (clone / "models/small/model.safetensors").read_bytes() == WEIGHTS[:50_000]
    assert {file: file.read_bytes() for file in Path(shared).rglob("*") if file.is_file()} == before


def test_damage_in_the_shared_store_is_not_taken_over(keeper: Keeper) -> None:
    clone = clone_of(keeper)
    damaged = objects(keeper)[sha256(WEIGHTS[:50_000])]
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" + WEIGHTS[1:50_000])
    fresh = {"TENUTO_CACHE": str(keeper.folder / "fresh"), "TENUTO_CACHE_SHARED": str(keeper.home / ".cache/tenuto")}
    assert keeper("pull", cwd=clone, **fresh).status == 0
    assert (clone / "models/small/model.safetensors").read_bytes() == WEIGHTS[:50_000]
