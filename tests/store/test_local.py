"""What is particular to a store in a folder: its layout on disk, its rights, its sweeping, a disk that refuses."""

import contextlib
import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, StorageError
from tenuto.store.base import Incoming
from tenuto.store.disk import disk_errors
from tenuto.store.local import LocalStore
from tenuto.testing.store_suite import seal, sha256_of

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "cache"))


def spool(store: LocalStore) -> list[str]:
    return sorted(os.listdir(store.spool)) if os.path.isdir(store.spool) else []


@contextlib.contextmanager
def as_nobody() -> Iterator[str]:
    """A folder, and no right to anything else: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        user = os.geteuid()
        if AS_ROOT:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)


def receive_at_once(store: LocalStore, count: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(store.receive())


def write_for_ever(incoming: Incoming) -> None:
    while True:
        incoming.write(bytes(50_000))


def put_many(store: LocalStore, count: int) -> None:
    for number in range(count):
        store.put(b"%d" % number)


class TestLayoutOnDisk:
    def test_nothing_is_made_before_first_use(self, store: LocalStore, tmp_path: Path) -> None:
        assert (list(store), store.has("0" * 64), store.sweep(0)) == ([], False, 0)
        assert os.listdir(tmp_path) == []

    def test_where_an_object_lies(self, store: LocalStore, tmp_path: Path) -> None:
        name = store.put(b"hello")
        path = tmp_path / "cache" / "store-v1" / "objects" / name[:2] / name[2:]
        assert store.file(name) == str(path)
        assert path.read_bytes() == b"hello"
        assert path.stat().st_mode & 0o777 == 0o444
        assert path.stat().st_nlink == 1
        assert sorted(os.listdir(store.root)) == ["objects", "spool"]

    def test_a_home_relative_root(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert LocalStore("~/x").root == str(tmp_path / "x" / "store-v1")

    def test_foreign_files_are_passed_over(self, store: LocalStore) -> None:
        name = store.put(b"hello")
        for path in (".DS_Store", "lost+found/x", f"{name[:2]}/README", f"{name[:2]}/{name[2:]}.tmp", f"zz/{name[2:]}"):
            os.makedirs(os.path.dirname(f"{store.objects}/{path}"), exist_ok=True)
            Path(f"{store.objects}/{path}").write_bytes(b"x")
        assert [found.sha256 for found in store] == [name]

    def test_the_folder_may_vanish_while_the_program_runs(self, store: LocalStore, tmp_path: Path) -> None:
        name = store.put(b"hello")
        os.rename(tmp_path / "cache", tmp_path / "gone")
        assert not store.has(name)
        assert store.put(b"hello") == name
        assert store.read(name) == b"hello"

    def test_publishing_again_keeps_the_inode(self, store: LocalStore) -> None:
        name = store.put(b"hello")
        before = os.stat(store.file(name)).st_ino
        store.put(b"hello")
        assert os.stat(store.file(name)).st_ino == before
        assert spool(store) == []


class TestDamage:
    @pytest.mark.parametrize("damage", ["bit", "tail", "page"])
    def test_read_names_both_hashes(self, store: LocalStore, damage: str) -> None:
        data = bytes(range(256)) * 64
        name = store.put(data)
        bad = {"bit": data[:-1] + b"\xfe", "tail": data[:-5], "page": data[:4096] + bytes(4096) + data[8192:]}[damage]
        os.chmod(store.file(name), 0o644)
        Path(store.file(name)).write_bytes(bad)
        with pytest.raises(IntegrityError) as caught:
            store.read(name)
        assert caught.value.code == "CorruptObject"
        assert name in str(caught.value)
        assert sha256_of(bad) in str(caught.value)

    def test_what_was_cut_short_is_replaced_and_files_that_share_its_bytes_are_not(self, store: LocalStore) -> None:
        name = store.put(b"hello")
        os.chmod(store.file(name), 0o644)
        os.truncate(store.file(name), 4)
        with open(store.file(name), "rb") as shared:
            store.put(b"hello")
            assert shared.read() == b"hell"
        assert store.read(name) == b"hello"
        assert spool(store) == []

    def test_repair_is_delete_and_put(self, store: LocalStore) -> None:
        name = store.put(b"hello")
        os.chmod(store.file(name), 0o644)
        Path(store.file(name)).write_bytes(b"jello")
        store.put(b"hello")
        with pytest.raises(IntegrityError):
            store.read(name)
        store.delete(name)
        store.put(b"hello")
        assert store.read(name) == b"hello"


class TestSpool:
    def test_a_keyed_part_is_found_by_another_store(self, store: LocalStore, tmp_path: Path) -> None:
        with store.receive(key="part-one") as incoming:
            incoming.write(b"first half, ")
        assert spool(store) == ["part-part-one"]
        with LocalStore(str(tmp_path / "cache")).receive(key="part-one") as incoming:
            assert incoming.size == 12
            incoming.write(b"second half")
            store.publish([incoming.seal(sha256=sha256_of(b"first half, second half"))])
        assert spool(store) == []

    def test_bytes_damaged_in_the_spool_are_found(self, store: LocalStore) -> None:
        with store.receive(key="k") as incoming:
            incoming.write(b"first half, ")
        Path(store.spool, "part-k").write_bytes(b"FIRST half, ")
        with store.receive(key="k") as incoming:
            incoming.write(b"second half")
            with pytest.raises(IntegrityError):
                incoming.seal(sha256=sha256_of(b"first half, second half"))
        assert spool(store) == []

    def test_nothing_is_left_of_what_has_no_key(self, store: LocalStore) -> None:
        with store.receive() as incoming:
            incoming.write(b"x")
            assert len(spool(store)) == 1
        with store.receive(key="empty"):
            assert len(spool(store)) == 1
        store.discard(seal(store, b"unwanted", key="k"))
        assert spool(store) == []

    def test_sealed_bytes_cannot_be_changed(self, store: LocalStore) -> None:
        with store.receive(key="k") as incoming:
            incoming.write(b"final")
            sealed = incoming.seal()
            with pytest.raises(StorageError):
                incoming.write(b" or not")
        store.publish([sealed])
        assert store.read(sealed.sha256) == b"final"

    def test_a_link_in_the_spool_is_not_followed(self, store: LocalStore, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        store.put(b"makes the folders")
        os.symlink(victim, os.path.join(store.spool, "part-k"))
        with pytest.raises(StorageError):
            store.receive(key="k")
        assert victim.read_bytes() == b"precious"

    def test_sweep_takes_what_nobody_writes(self, store: LocalStore) -> None:
        with store.receive(key="left") as incoming:
            incoming.write(b"12345")
        sealed = seal(store, b"abc")
        with store.receive(key="busy") as busy:
            busy.write(b"in the making")
            assert store.sweep(3600) == 0
            assert len(spool(store)) == 3
            assert store.sweep(0) == 5 + 3
            assert spool(store) == ["part-busy"]
        with pytest.raises(StorageError):
            store.publish([sealed])
        assert list(store) == []

    def test_sweep_counts_no_bytes_that_an_object_still_has(self, store: LocalStore) -> None:
        name = store.put(b"published, then the process died before the unlink")
        os.link(store.file(name), os.path.join(store.spool, "new-left"))
        assert store.sweep(0) == 0
        assert spool(store) == []
        assert store.has(name)


class TestRefusals:
    """What the operating system refuses is StorageError, and never read as absence."""

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (errno.ENOSPC, "DiskFull"),
            (errno.EDQUOT, "DiskFull"),
            (errno.EACCES, "LocalFile"),
            (errno.EIO, "LocalFile"),
            (errno.EMFILE, "LocalFile"),
        ],
    )
    def test_codes(self, number: int, code: str) -> None:
        with pytest.raises(StorageError) as caught, disk_errors("/the/place"):
            raise OSError(number, os.strerror(number))
        assert caught.value.code == code
        assert "/the/place" in str(caught.value)
        with pytest.raises(StorageError, match="/the/file"), disk_errors("/the/place"):
            raise OSError(number, os.strerror(number), "/the/file")

    def test_a_file_in_the_place_of_the_store(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        store = LocalStore(str(tmp_path / "file"))
        for use in (
            lambda: store.put(b"x"),
            lambda: store.has("0" * 64),
            lambda: store.size("0" * 64),
            lambda: store.open("0" * 64),
        ):
            with pytest.raises(StorageError) as caught:
                use()
            assert caught.value.code == "LocalFile"

    def test_no_rights(self) -> None:
        with as_nobody() as folder:
            store = LocalStore(f"{folder}/cache")
            name = store.put(b"x")
            os.chmod(store.objects, 0)
            for use in (store.has, store.size, store.open, store.read, store.delete):
                with pytest.raises(StorageError, match="Permission denied"):
                    use(name)
            with pytest.raises(StorageError, match="Permission denied"):
                list(store)
            os.chmod(store.objects, 0o755)
            assert store.read(name) == b"x"

    def test_no_descriptors_left(self, store: LocalStore) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with open(os.devnull, "rb") as file:
            lowest = file.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 3, limits[1]))
        try:
            with pytest.raises(StorageError, match="open files"):
                receive_at_once(store, 10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert spool(store) == []
        store.put(b"works again")


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system with little room, as root; skipped where none can be mounted."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(not AS_ROOT, reason="only root may mount")
class TestFullDisk:
    def test_the_disk_is_full(self, tmp_path: Path) -> None:
        with small_disk(tmp_path, "1m") as folder:
            store = LocalStore(str(folder))
            small = store.put(b"was here before")
            free = os.statvfs(folder).f_bavail
            with store.receive() as incoming:
                with pytest.raises(StorageError) as caught:
                    write_for_ever(incoming)
                taken = incoming.size
                assert taken == os.stat(os.path.join(store.spool, spool(store)[0])).st_size
            assert caught.value.code == "DiskFull"
            assert caught.value.hint
            assert [found.sha256 for found in store] == [small]
            assert os.statvfs(folder).f_bavail == free, "the space was given back"
            assert store.read(store.put(b"y" * 100_000)) == b"y" * 100_000

    def test_what_has_a_key_goes_on_when_there_is_room_again(self, tmp_path: Path) -> None:
        data = os.urandom(600_000)
        with small_disk(tmp_path, "1m") as folder:
            store = LocalStore(str(folder))
            ballast = folder / "ballast"
            ballast.write_bytes(bytes(700_000))
            with store.receive(key="k") as incoming, pytest.raises(StorageError):
                incoming.write(data)
            ballast.unlink()
            with store.receive(key="k") as incoming:
                assert 0 < incoming.size < len(data)
                incoming.write(data[incoming.size :])
                store.publish([incoming.seal(sha256=sha256_of(data))])
            assert store.read(sha256_of(data)) == data

    def test_no_inodes_left(self, tmp_path: Path) -> None:
        with small_disk(tmp_path, "1m,nr_inodes=12") as folder:
            store = LocalStore(str(folder))
            with pytest.raises(StorageError) as caught:
                put_many(store, 20)
            assert caught.value.code == "DiskFull"
            for found in store:
                store.read(found.sha256)


BETWEEN_OPEN_AND_LOCK = """
import sys
from tenuto.store.local import LocalStore
store = LocalStore(sys.argv[1])
first = store.receive(key="k")
first.write(b"first")
sealed = []
def seal_it_now(event, arguments):
    if event == "fcntl.flock" and not sealed:
        sealed.append(first.seal())
sys.addaudithook(seal_it_now)
with store.receive(key="k") as second:
    assert sealed, "the other one sealed between our open and our lock"
    second.write(b"second")
    sealed.append(second.seal())
store.publish(sealed)
print(*(store.read(one.sha256).decode() for one in sealed))
"""


def test_a_part_that_is_sealed_between_open_and_lock_is_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BETWEEN_OPEN_AND_LOCK, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "first second\n"


FILE_LIMIT = """
import resource, signal, sys
from tenuto.core.errors import StorageError
from tenuto.store.local import LocalStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = LocalStore(sys.argv[1])
with store.receive() as incoming:
    try:
        for _ in range(5):
            incoming.write(bytes(30_000))
    except StorageError as error:
        print(error.code, incoming.size)
print(len(list(store)), store.put(b"small"))
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """What every system without root can show: EFBIG, which more room would not cure, is LocalFile."""
    assert signal.SIGXFSZ
    answer = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["LocalFile", "100000", "0", hashlib.sha256(b"small").hexdigest()]
    assert os.listdir(tmp_path / "store-v1" / "spool") == []
