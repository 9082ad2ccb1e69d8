"""`HfFileSystem` reads, writes and lists a repo, in every age of the stock client."""

from pathlib import Path
from typing import Any

import pytest

from tests.wire.client import RefusedError, packed, unpacked
from tests.wire.conftest import Repo
from tests.wire.content import mixed, write

pytestmark = pytest.mark.wire
LARGE = mixed(1_000_000)
NAMES = {"config.json", "sub dir/deep/é 日本.bin", "sub dir/50% #1.txt"}


@pytest.fixture
def filled(repo: Repo, tmp_path: Path) -> Repo:
    files = {name: name.encode() for name in NAMES}
    folder = write(tmp_path / "folder", {**files, "model.safetensors": LARGE})
    repo.do("upload_folder", folder_path=str(folder))
    return repo


def ask(repo: Repo, method: str, path: str = "", **words: object) -> Any:
    """A method of the file system on a path in the repo."""
    return repo.client.do("file_system", method=method, path=f"{repo.root}/{path}".rstrip("/"), **words)


def test_listing(filled: Repo) -> None:
    root = filled.root
    top = ask(filled, "ls", detail=False)
    assert set(top) == {f"{root}/{name}" for name in (".gitattributes", "config.json", "model.safetensors", "sub dir")}
    found = set(ask(filled, "find"))
    assert found == {f"{root}/{name}" for name in {*NAMES, ".gitattributes", "model.safetensors"}}
    assert ask(filled, "glob", "**/*.bin") == [f"{root}/sub dir/deep/é 日本.bin"]
    info = ask(filled, "info", "model.safetensors")
    assert (info["type"], info["size"]) == ("file", len(LARGE))
    assert ask(filled, "exists", "sub dir/deep") is True
    assert ask(filled, "exists", "nothing/here") is False
    assert ask(filled, "modified", "config.json").startswith("20")
    with pytest.raises(RefusedError) as caught:
        ask(filled, "ls", "nothing")
    assert "FileNotFoundError" in caught.value.classes


def test_reading(filled: Repo, tmp_path: Path) -> None:
    path = f"{filled.root}/model.safetensors"
    for start, length in ((0, 10), (123_456, 200_000), (len(LARGE) - 5, 100)):
        part = filled.client.do("read_range", path=path, start=start, length=length)
        assert unpacked(part) == LARGE[start : start + length]
    assert unpacked(ask(filled, "cat_file", "sub dir/50% #1.txt")) == b"sub dir/50% #1.txt"
    filled.client.do("file_system", method="get_file", rpath=path, lpath=str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == LARGE


def test_another_revision(filled: Repo, tmp_path: Path) -> None:
    filled.do("create_branch", branch="feat/one")
    filled.put(write(tmp_path, {"x": b"on the branch"}) / "x", "config.json", revision="feat/one")
    branch = f"{filled.root}@feat%2Fone/config.json"
    assert unpacked(filled.client.do("file_system", method="cat_file", path=branch)) == b"on the branch"
    assert unpacked(ask(filled, "cat_file", "config.json")) == b"config.json"


def test_writing(filled: Repo) -> None:
    root = filled.root
    for name, content in (("new/a b.txt", b"small"), ("new/large.bin", LARGE)):
        filled.client.do("write", path=f"{root}/{name}", content=packed(content))
        assert filled.get(name) == content
    filled.client.do("file_system", method="cp_file", path1=f"{root}/new/large.bin", path2=f"{root}/copied.bin")
    filled.client.do("file_system", method="cp_file", path1=f"{root}/new/a b.txt", path2=f"{root}/copied.txt")
    ask(filled, "rm", "new", recursive=True)
    assert filled.files() == {*NAMES, "model.safetensors", "copied.bin", "copied.txt"}
    assert filled.get("copied.bin") == LARGE
    assert filled.get("copied.txt") == b"small"


def test_copying_to_another_repo(filled: Repo) -> None:
    other = Repo(filled.client, f"{filled.name}-other", filled.kind, filled.private)
    other.do("create_repo", private=filled.private)
    for name in ("model.safetensors", "config.json"):
        words = {"path1": f"{filled.root}/{name}", "path2": f"{other.root}/copies/{name}"}
        filled.client.do("file_system", method="cp_file", **words)
        assert other.get(f"copies/{name}") == filled.get(name)
