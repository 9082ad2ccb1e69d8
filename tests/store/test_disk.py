"""Hashing, syncing and laying out files on a real disk. Oracle: `sha256sum`."""

import errno
import functools
import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import StorageError
from tenuto.store import disk
from tenuto.store.disk import BLOCK_BYTES, COPIED_BYTES, Layout, copy_bytes, hash_file, replace_file, sync_filesystem
from tenuto.store.local import LocalStore

SIZES = [0, 1, 4095, 4096, 100_000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7]
DATA = b"exactly these bytes\n" * 1000
"""More than COPIED_BYTES: small files are copied."""


class TestHashFile:
    @pytest.mark.parametrize("size", SIZES)
    def test_sha256sum_agrees(self, tmp_path: Path, size: int) -> None:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        told: list[int] = []
        answer = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
        assert hash_file(str(path), told.append) == (answer.stdout.split()[0], size)
        assert sum(told) == size
        assert all(0 <= count <= BLOCK_BYTES for count in told)
        assert hash_file(str(path)) == hash_file(str(path), told.append)

    def test_a_sparse_file(self, tmp_path: Path) -> None:
        with open(tmp_path / "sparse", "wb") as file:
            file.truncate(5_000_000)
        answer = subprocess.run(["sha256sum", tmp_path / "sparse"], capture_output=True, text=True, check=True)
        assert hash_file(str(tmp_path / "sparse")) == (answer.stdout.split()[0], 5_000_000)

    def test_a_missing_file_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            hash_file(str(tmp_path / "none"))
        with pytest.raises(IsADirectoryError):
            hash_file(str(tmp_path))


class TestSync:
    @pytest.mark.parametrize("count", [0, 1, 4, 5, 40])
    def test_few_and_many(self, tmp_path: Path, count: int) -> None:
        files = []
        for number in range(count):
            (tmp_path / str(number)).write_bytes(b"x")
            files.append(str(tmp_path / str(number)))
        sync_filesystem(str(tmp_path), files)

    def test_without_syncfs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(disk, "_syncfs", lambda: None)
        (tmp_path / "a").write_bytes(b"x")
        sync_filesystem(str(tmp_path), [str(tmp_path / "a")] * 9)
        with pytest.raises(FileNotFoundError):
            sync_filesystem(str(tmp_path), [str(tmp_path / "none")] * 9)

    def test_folders_can_be_synced_too(self, tmp_path: Path) -> None:
        sync_filesystem(str(tmp_path), [str(tmp_path)])


@pytest.mark.parametrize("size", SIZES)
def test_copy_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "from").write_bytes(data)
    with open(tmp_path / "from", "rb") as reader, open(tmp_path / "to", "wb") as writer:
        copy_bytes(reader.fileno(), writer.fileno())
    assert (tmp_path / "to").read_bytes() == data


def test_copy_bytes_from_what_the_kernel_cannot_copy(tmp_path: Path) -> None:
    reader, pipe = os.pipe()
    os.write(pipe, DATA)
    os.close(pipe)
    with open(tmp_path / "to", "wb") as writer:
        copy_bytes(reader, writer.fileno())
    os.close(reader)
    assert (tmp_path / "to").read_bytes() == DATA


@pytest.fixture
def source(tmp_path: Path) -> str:
    """An object of a store."""
    store = LocalStore(str(tmp_path / "cache"))
    return store.file(store.put(DATA))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        hash_file(str(tmp_path / "pipe"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "work").mkdir()
    descriptor = os.open(tmp_path / "work", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


MODES = ("auto", "hardlink", "symlink", "copy")


class TestLayout:
    @pytest.mark.parametrize("mode", MODES)
    def test_a_new_file(self, mode: str, source: str, folder: int, tmp_path: Path) -> None:
        used = Layout(mode).place(source, folder, "model.pt")
        placed = tmp_path / "work" / "model.pt"
        assert placed.read_bytes() == DATA
        assert used == mode or (mode == "auto" and used in {"reflink", "hardlink"})
        assert placed.is_symlink() == (used == "symlink")
        assert (placed.stat().st_ino == os.stat(source).st_ino) == (used in {"hardlink", "symlink"})
        assert stat.S_IMODE(placed.stat().st_mode) == (0o644 if used in {"copy", "reflink"} else 0o444)
        assert os.listdir(tmp_path / "work") == ["model.pt"]

    @pytest.mark.parametrize("before", ["file", "read-only", "hardlink", "symlink", "dangling"])
    @pytest.mark.parametrize("mode", MODES)
    def test_a_file_in_its_place_is_replaced(
        self, mode: str, before: str, source: str, folder: int, tmp_path: Path
    ) -> None:
        placed, other = tmp_path / "work" / "model.pt", tmp_path / "other"
        other.write_bytes(b"precious")
        if before in {"file", "read-only"}:
            placed.write_bytes(b"old")
            placed.chmod(0o444 if before == "read-only" else 0o644)
        elif before == "hardlink":
            os.link(source, placed)
        else:
            placed.symlink_to(other if before == "symlink" else "nowhere")
        Layout(mode).place(source, folder, "model.pt")
        assert placed.read_bytes() == DATA
        assert os.listdir(tmp_path / "work") == ["model.pt"], "no spare is left"
        assert other.read_bytes() == b"precious", "a link is replaced, not followed"
        assert Path(source).read_bytes() == DATA

    @pytest.mark.parametrize("mode", MODES)
    def test_readers_see_the_old_or_the_new_file_at_any_time(
        self, mode: str, source: str, folder: int, tmp_path: Path
    ) -> None:
        placed = tmp_path / "work" / "model.pt"
        placed.write_bytes(b"old")
        with ThreadPoolExecutor(1) as pool:
            layout = Layout(mode)
            work = pool.submit(lambda: [layout.place(source, folder, "model.pt") for _ in range(100)])
            while not work.done():
                assert placed.read_bytes() in {b"old", DATA}
            work.result()

    def test_a_folder_in_its_place_stays(self, source: str, folder: int, tmp_path: Path) -> None:
        (tmp_path / "work" / "model.pt").mkdir()
        for mode in MODES:
            with pytest.raises(IsADirectoryError):
                Layout(mode).place(source, folder, "model.pt")
        assert os.listdir(tmp_path / "work") == ["model.pt"]

    def test_a_missing_object(self, folder: int, tmp_path: Path) -> None:
        for mode in ("auto", "hardlink", "copy"):
            with pytest.raises(FileNotFoundError):
                Layout(mode).place(str(tmp_path / "none"), folder, "model.pt")
        assert os.listdir(tmp_path / "work") == []

    def test_across_file_systems(self, source: str) -> None:
        other = Path("/dev/shm") / f"tenuto-test-{os.getpid()}"
        if not other.parent.is_dir() or os.stat(other.parent).st_dev == os.stat(source).st_dev:
            pytest.skip("there is no second file system here")
        other.mkdir()
        descriptor = os.open(other, os.O_RDONLY | os.O_DIRECTORY)
        try:
            layout = Layout()
            assert layout.place(source, descriptor, "a") == "symlink"
            assert layout.place(source, descriptor, "a") == "symlink"
            assert (other / "a").read_bytes() == DATA
            with pytest.raises(StorageError) as caught:
                Layout("hardlink").place(source, descriptor, "b")
            assert "hardlink" in str(caught.value)
            assert caught.value.hint == "set TENUTO_LINK=auto"
            assert Layout("copy").place(source, descriptor, "c") == "copy"
            assert (other / "c").read_bytes() == DATA
            assert sorted(os.listdir(other)) == ["a", "c"]
        finally:
            os.close(descriptor)
            for file in other.iterdir():
                file.unlink()
            other.rmdir()

    def test_threads_that_meet_the_same_refusal_give_up_one_mode_only(
        self, source: str, folder: int, tmp_path: Path
    ) -> None:
        for turn in range(20):
            place = functools.partial(Layout().place, source, folder)
            with ThreadPoolExecutor(8) as pool:
                used = set(pool.map(place, [f"{turn}-{number}" for number in range(16)]))
            assert used <= {"reflink", "hardlink"}, "this file system has hard links"

    def test_a_damaged_hard_link_damages_the_object(self, source: str, folder: int, tmp_path: Path) -> None:
        """Hard links share bytes: that is why they are read-only, and why `verify` looks at objects too."""
        Layout("hardlink").place(source, folder, "model.pt")
        placed = tmp_path / "work" / "model.pt"
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):
                placed.open("r+b")
        placed.chmod(0o644)
        with placed.open("r+b") as file:
            file.write(b"\xff")
        assert Path(source).read_bytes() != DATA
        store = LocalStore(str(tmp_path / "cache"))
        assert hash_file(source)[0] != next(iter(store)).sha256

    def test_small_files_are_copied_so_that_they_can_be_edited(self, folder: int, tmp_path: Path) -> None:
        for size, expected in ((0, {"copy"}), (COPIED_BYTES, {"copy"}), (COPIED_BYTES + 1, {"reflink", "hardlink"})):
            source = tmp_path / f"object-{size}"
            source.write_bytes(b"x" * size)
            source.chmod(0o444)
            assert Layout().place(str(source), folder, f"file-{size}") in expected
            assert Layout("hardlink").place(str(source), folder, f"link-{size}") == "hardlink"

    def test_a_copy_does_not(self, source: str, folder: int, tmp_path: Path) -> None:
        Layout("copy").place(source, folder, "model.pt")
        (tmp_path / "work" / "model.pt").write_bytes(b"edited")
        assert Path(source).read_bytes() == DATA


def test_what_counts_as_refusal_is_no_lack_of_room() -> None:
    assert not {errno.ENOSPC, errno.EDQUOT, errno.EIO} & disk._REFUSALS


class TestReplaceFile:
    def test_new_and_old(self, tmp_path: Path) -> None:
        path = tmp_path / "tenuto.lock"
        for content in (b"one", b"two, longer", b""):
            replace_file(str(path), content)
            assert path.read_bytes() == content
            assert os.listdir(tmp_path) == ["tenuto.lock"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def test_a_secret_is_never_readable_by_others(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_bytes(b"old")
        path.chmod(0o644)
        replace_file(str(path), b"secret", 0o600)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_reader_of_the_old_file_keeps_it(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"old")
        with path.open("rb") as file:
            replace_file(str(path), b"new")
            assert file.read() == b"old"

    def test_a_relative_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        replace_file("file", b"x")
        assert (tmp_path / "file").read_bytes() == b"x"

    def test_refusals(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        for path in (tmp_path / "none" / "file", tmp_path / "folder"):
            with pytest.raises(StorageError) as caught:
                replace_file(str(path), b"x")
            assert caught.value.code == "LocalFile"
        assert os.listdir(tmp_path) == ["folder"], "no spare is left"
