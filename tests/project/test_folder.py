"""Writing below the project and nowhere else."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.core.errors import StorageError, TenutoError, UsageError
from tenuto.project.folder import Folder
from tenuto.store.disk import Layout

OTHER_DISK = Path("/dev/shm")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def folder(root: Path) -> Iterator[Folder]:
    with Folder(str(root)) as opened:
        yield opened


@pytest.fixture
def stored(tmp_path: Path) -> str:
    (tmp_path / "stored").write_bytes(b"stored bytes")
    return str(tmp_path / "stored")


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.parametrize("mode", ["auto", "hardlink", "symlink", "copy"])
def test_a_file_is_placed_in_folders_that_are_made(folder: Folder, root: Path, stored: str, mode: str) -> None:
    status = folder.place(Layout(mode), stored, "a/b/c.bin")
    placed = root / "a" / "b" / "c.bin"
    assert placed.read_bytes() == b"stored bytes"
    assert (status.st_size, status.st_ino) == (12, placed.stat().st_ino)
    assert placed.is_symlink() == (mode == "symlink")
    assert os.listdir(root / "a" / "b") == ["c.bin"]


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy"])
@pytest.mark.parametrize("before", ["file", "link", "dangling link"])
def test_what_is_under_the_name_is_replaced_and_not_written_through(
    folder: Folder, root: Path, stored: str, mode: str, before: str
) -> None:
    victim = root.parent / "victim"
    victim.write_bytes(b"victim")
    if before == "file":
        os.link(victim, root / "x")
    else:
        (root / "x").symlink_to(victim if before == "link" else root / "nothing")
    folder.place(Layout(mode), stored, "x")
    assert (root / "x").read_bytes() == b"stored bytes"
    assert victim.read_bytes() == b"victim"
    assert not (root / "nothing").exists()
    assert os.listdir(root) == ["x"]


def test_nothing_is_written_through_a_linked_folder(folder: Folder, root: Path, stored: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "data").symlink_to(outside)
    for path in ("data/x", "data/deep/x"):
        with pytest.raises(UsageError, match="data is not a real folder") as caught:
            folder.place(Layout(), stored, path)
        assert caught.value.code == "BadPath"
    (outside / "mine").write_bytes(b"mine")
    for action in (
        lambda: folder.move_away("data/mine", str(root.parent / "trash")),
        lambda: folder.rename("data/mine", "data/yours"),
    ):
        with pytest.raises(UsageError, match="data is not a real folder"):
            action()
    assert os.listdir(outside) == ["mine"]


def test_a_link_that_is_swapped_in_later_is_not_followed(folder: Folder, root: Path, stored: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    folder.place(Layout(), stored, "data/sub/one")
    (root / "data" / "sub").rename(root / "data" / "moved")
    (root / "data" / "sub").symlink_to(outside)
    folder.place(Layout(), stored, "data/sub/two")
    with Folder(str(root)) as again, pytest.raises(UsageError):
        again.place(Layout(), stored, "data/sub/three")
    assert os.listdir(outside) == []


def test_a_file_in_the_place_of_a_folder_is_refused(folder: Folder, root: Path, stored: str) -> None:
    (root / "data").write_bytes(b"a file")
    with pytest.raises(UsageError, match="data is not a real folder"):
        folder.place(Layout(), stored, "data/x")
    assert (root / "data").read_bytes() == b"a file"


def test_a_folder_in_the_place_of_a_file_is_refused(folder: Folder, root: Path, stored: str) -> None:
    (root / "x" / "inner").mkdir(parents=True)
    with pytest.raises(StorageError):
        folder.place(Layout(), stored, "x")
    assert os.listdir(root) == ["x"]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "", ".", "CON", "a/.git/config"])
def test_no_other_path_is_written(folder: Folder, root: Path, stored: str, path: str) -> None:
    for action in (
        lambda: folder.place(Layout(), stored, path),
        lambda: folder.move_away(path, str(root.parent / "trash")),
        lambda: folder.rename("x", path),
    ):
        with pytest.raises(TenutoError) as caught:
            action()
        assert caught.value.code == "BadPath"
    assert sorted(os.listdir(root.parent)) == ["project", "stored"]


def test_many_folders_do_not_use_up_the_open_files(root: Path, stored: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = open_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 100, hard))
    try:
        with Folder(str(root)) as folder:
            for number in range(300):
                folder.place(Layout(), stored, f"{number % 7}/{number}/x")
            folder.place(Layout(), stored, "/".join(["deep"] * 150) + "/x")
            assert open_descriptors() - before <= 65
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sum(len(files) for _, _, files in os.walk(root)) == 301
    assert open_descriptors() == before


def test_a_file_moves_away_under_its_own_path_and_empty_folders_go(folder: Folder, root: Path) -> None:
    (root / "data" / "a" / "b").mkdir(parents=True)
    (root / "data" / "a" / "b" / "x").write_bytes(b"mine")
    (root / "data" / "keep").write_bytes(b"keep")
    trash = root / ".tenuto" / "trash" / "1"
    folder.move_away("data/a/b/x", str(trash))
    assert (trash / "data" / "a" / "b" / "x").read_bytes() == b"mine"
    assert os.listdir(root / "data") == ["keep"]


def test_a_file_that_is_gone_is_left_alone(folder: Folder, root: Path) -> None:
    folder.move_away("x", str(root.parent / "trash"))
    assert os.listdir(root) == []


def test_a_folder_that_was_pruned_can_be_made_again(folder: Folder, root: Path, stored: str) -> None:
    folder.place(Layout(), stored, "data/a/b/x")
    folder.move_away("data/a/b/x", str(root.parent / "trash"))
    folder.place(Layout(), stored, "data/a/b/y")
    assert (root / "data" / "a" / "b" / "y").read_bytes() == b"stored bytes"
    assert not (root / "data" / "a" / "b" / "x").exists()


@pytest.mark.skipif(
    not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == Path("/tmp").stat().st_dev, reason="one disk only"
)
def test_a_file_moves_to_another_disk(folder: Folder, root: Path) -> None:
    import tempfile

    (root / "data").mkdir()
    (root / "data" / "x").write_bytes(b"mine" * 1000)
    (root / "data" / "link").symlink_to("x")
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as trash:
        assert os.stat(trash).st_dev != root.stat().st_dev
        for name in ("x", "link"):
            folder.move_away(f"data/{name}", trash)
        assert Path(trash, "data", "x").read_bytes() == b"mine" * 1000
        assert os.readlink(os.path.join(trash, "data", "link")) == "x"
    assert os.listdir(root / "data") == []


def test_a_file_gets_a_second_name(folder: Folder, root: Path) -> None:
    (root / "data").mkdir()
    (root / "data" / "x.pt").write_bytes(b"mine")
    inode = (root / "data" / "x.pt").stat().st_ino
    folder.rename("data/x.pt", "data/x.mine.pt")
    assert os.listdir(root / "data") == ["x.mine.pt"]
    assert (root / "data" / "x.mine.pt").stat().st_ino == inode


def test_a_name_that_is_taken_is_not_taken_again(folder: Folder, root: Path) -> None:
    (root / "x").write_bytes(b"mine")
    (root / "y").write_bytes(b"other")
    with pytest.raises(UsageError, match="y exists already"):
        folder.rename("x", "y")
    assert ((root / "x").read_bytes(), (root / "y").read_bytes()) == (b"mine", b"other")


def test_a_root_that_is_not_there_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Folder(str(tmp_path / "nothing"))
