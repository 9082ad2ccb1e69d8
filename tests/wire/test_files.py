"""Single files of every size and name go up, come down bit for bit, and are deleted, through stock clients of every age."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.wire.client import Client, Make, RefusedError, packed
from tests.wire.conftest import MAKES, Repo
from tests.wire.content import MIXED_BYTES, NAMES, SMALL, mixed, write

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("large"), {"large.bin": mixed(MIXED_BYTES)}) / "large.bin"


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("huge"), {"huge.bin": mixed(142_000_000, seed=1)}) / "huge.bin"


@pytest.mark.parametrize("name", NAMES)
def test_names_and_small_sizes(repo: Repo, tmp_path: Path, name: str) -> None:
    for number, content in enumerate(SMALL.values()):
        path = write(tmp_path, {f"{number}": content}) / f"{number}"
        commit = repo.put(path, name)["oid"]
        assert repo.get(name) == repo.get(name, revision=commit) == content
        assert repo.get(name, local_dir=str(tmp_path / f"local{number}")) == content
        (found,) = repo.do("get_paths_info", paths=[name])
        assert (found["path"], found["size"]) == (name, len(content))
    assert repo.files() == {name}


def test_a_file_in_memory_and_an_open_file(repo: Repo, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    path = write(tmp_path, {"x": content}) / "x"
    repo.do("upload_content", content=packed(content), path_in_repo="a b/memory.safetensors")
    repo.do("upload_open_file", path=str(path), path_in_repo="open.bin")
    for name in ("a b/memory.safetensors", "open.bin"):
        assert repo.get(name) == content
        (found,) = repo.do("get_paths_info", paths=[name])
        assert found["lfs"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_large_file_and_its_next_version(repo: Repo, large: Path, tmp_path: Path, hub: LiveHub) -> None:
    before = len(hub.log())
    first = repo.put(large, "large.bin")["oid"]
    sent_by_xet = "/v1/xorbs/" in hub.log()[before:]
    assert sent_by_xet is repo.client.make.xet
    content = large.read_bytes()
    changed = content[:5_000_000] + b"something new" + content[5_000_000:]
    repo.put(write(tmp_path, {"next.bin": changed}) / "next.bin", "large.bin")
    assert repo.get("large.bin") == changed
    assert repo.get("large.bin", revision=first) == content
    assert repo.get("large.bin", revision=first, local_dir=str(tmp_path / "local")) == content


@pytest.mark.slow
def test_a_huge_file(make_repo: Callable[..., Repo], huge: Path) -> None:
    repo = make_repo("model", private=True)
    repo.put(huge, "huge.safetensors")
    assert repo.get("huge.safetensors") == huge.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("client", [Make("hub-2.4", True), Make("hub-2.4", False)], indirect=True, ids=str)
def test_a_gigabyte(make_repo: Callable[..., Repo], tmp_path: Path, hub: LiveHub) -> None:
    path = tmp_path / "giga.bin"
    with open(path, "wb") as file:
        file.writelines(os.urandom(1_000_000) for _ in range(1000))
    repo, before = make_repo("model"), len(hub.log())
    repo.put(path, "giga.bin")
    in_parts = "/lfs/part/" in hub.log()[before:]
    assert in_parts is not repo.client.make.xet
    down = repo.do("hf_hub_download", filename="giga.bin", local_dir=str(tmp_path / "down"))
    assert digest(Path(down)) == digest(path)
    (found,) = repo.do("get_paths_info", paths=["giga.bin"])
    assert (found["lfs"]["sha256"], found["size"]) == (digest(path), path.stat().st_size)


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize(
    "sender", [make for make in MAKES if make.environment == "hub-2.4"], ids=lambda one: f"from-{one}"
)
def test_what_a_new_client_sent_clients_of_every_age_get(
    repo: Repo, sender: Make, clients: Callable[[Make], Client], large: Path, hub: LiveHub
) -> None:
    Repo(clients(sender), repo.name, repo.kind, repo.private).put(large, "large.bin")
    before = len(hub.log())
    assert repo.get("large.bin") == large.read_bytes()
    by_xet = "/reconstructions/" in hub.log()[before:]
    assert by_xet is (sender.xet and repo.client.make.xet)


def test_what_is_in_the_repo_already_is_not_sent_again(repo: Repo, large: Path, hub: LiveHub) -> None:
    repo.put(large, "large.bin")
    before = len(hub.log())
    repo.put(large, "another name.bin")
    sent = hub.log()[before:]
    assert '"PUT"' not in sent
    assert "/v1/xorbs/" not in sent
    assert repo.get("another name.bin") == large.read_bytes()


def test_deleting(repo: Repo, tmp_path: Path) -> None:
    path = write(tmp_path, {"x": b"x"}) / "x"
    for name in ("a b/50% #1.txt", "a b/keep.txt", "keep.bin"):
        kept = repo.put(path, name)["oid"]
    repo.do("delete_file", path_in_repo="a b/50% #1.txt")
    assert repo.files() == {"a b/keep.txt", "keep.bin"}
    repo.do("delete_folder", path_in_repo="a b")
    assert repo.files() == {"keep.bin"}
    assert repo.get("a b/50% #1.txt", revision=kept) == b"x"
    with pytest.raises(RefusedError) as caught:
        repo.do("delete_file", path_in_repo="never there")
    assert caught.value.status == 404


def test_a_stale_parent_is_refused(repo: Repo, tmp_path: Path) -> None:
    path = write(tmp_path, {"x": b"x"}) / "x"
    parent = repo.head
    repo.put(path, "one", parent_commit=parent)
    with pytest.raises(RefusedError) as caught:
        repo.put(path, "two", parent_commit=parent)
    assert caught.value.status == 412
    assert repo.files() == {"one"}


def test_large_objects_are_listed_and_deleted_for_good(make_repo: Callable[..., Repo], tmp_path: Path) -> None:
    repo = make_repo("dataset", private=True)
    path = write(tmp_path, {"x": bytes(range(256)) * 400}) / "x"
    repo.put(path, "secret.bin")
    assert repo.do("forget_objects", names=["secret.bin"]) == 1
    assert repo.files() == set()
    assert repo.do("list_lfs_files") == []
    repo.put(path, "again.bin")
    assert repo.get("again.bin") == path.read_bytes()
