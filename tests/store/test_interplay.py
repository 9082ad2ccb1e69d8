"""Collections, sweeps, other users and callers that fail, all at once: nothing that somebody needs is lost, and nothing stays open."""

import concurrent.futures.thread  # noqa: F401 - nobody may load it later
import ctypes  # noqa: F401
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import StorageError
from tenuto.store import spool
from tenuto.store.adopt import adopt
from tenuto.store.base import Sealed
from tenuto.store.collect import FRESH_S, Collector, held
from tenuto.store.hashing import ToHash, hash_files
from tenuto.store.local import LocalStore
from tenuto.store.xet.folder import XorbFolder
from tests.store.test_local import as_nobody

BROKEN = BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "cache"))


def age(store: LocalStore, sha256: str) -> None:
    os.utime(store.file(sha256), (0, 0))


def broken(_size_bytes: int) -> None:
    raise BROKEN


class TestCollections:
    def test_what_was_published_once_more_counts_as_used(self, store: LocalStore) -> None:
        name = store.put(b"an object")
        age(store, name)
        seen = list(held(store))
        assert store.put(b"an object") == name
        collector = Collector(store, time.time())
        collector.remove(seen)
        assert store.has(name)
        assert collector.removed.objects == 0
        assert os.stat(store.file(name)).st_mtime == 0, "working files that share it look as before"

    def test_what_somebody_comes_for_between_look_and_move_is_brought_back(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = store.put(b"an object")
        age(store, name)
        rename = os.rename

        def come_first(source: str, target: str) -> None:
            if source == store.file(name):
                os.utime(source)
            rename(source, target)

        monkeypatch.setattr(os, "rename", come_first)
        collector = Collector(store, time.time())
        collector.remove(list(held(store)))
        assert store.read(name) == b"an object"
        assert collector.removed.objects == 0
        assert collector.trash_bytes == 0

    def test_what_is_collected_in_the_middle_of_a_publish_is_published(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = store.put(b"an object")
        age(store, name)
        stat, seen = os.stat, list(held(store))

        def come_first(path: object, **options: object) -> os.stat_result:
            if path == store.file(name) and seen:
                monkeypatch.undo()
                Collector(store, time.time()).remove(seen)
                assert not store.has(name)
            return stat(path, **options)  # type: ignore[arg-type]

        sealed = store.take_in(b"an object")
        monkeypatch.setattr(os, "stat", come_first)
        store.publish([sealed])
        assert store.read(name) == b"an object"

    def test_several_at_once_and_those_who_publish(self, store: LocalStore) -> None:
        contents = [b"object %d" % number for number in range(60)]
        names = [store.put(content) for content in contents]
        for name in names:
            age(store, name)
        seen, stop = list(held(store)), threading.Event()

        def collect() -> int:
            collector = Collector(store, time.time() + 1)
            collector.remove(seen)
            collector.empty_trash(-FRESH_S)
            return collector.removed.objects

        def publish() -> None:
            while not stop.is_set():
                for content in contents[::2]:
                    store.put(content)

        with ThreadPoolExecutor(4) as pool:
            publishing = pool.submit(publish)
            collecting = [pool.submit(collect) for _ in range(3)]
            try:
                counts = [one.result(timeout=30) for one in collecting]
            finally:
                stop.set()
            publishing.result(timeout=30)
        assert sum(counts) <= len(names), "each object is counted once"
        store.publish([store.take_in(content) for content in contents[::2]])
        assert {one.sha256 for one in store} >= set(names[::2])

    def test_a_trash_that_goes_while_it_is_emptied(self, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
        name = store.put(b"an object")
        age(store, name)
        now_s = time.time()
        Collector(store, now_s).remove(list(held(store)))
        rmtree = shutil.rmtree

        def come_first(folder: str, **options: Callable[..., object]) -> None:
            rmtree(folder)
            rmtree(folder, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(shutil, "rmtree", come_first)
        Collector(store, now_s).empty_trash(0)
        assert os.listdir(os.path.join(store.root, "trash")) == []


class TestOtherUsers:
    def test_their_spool_files_are_left_alone(self, store: LocalStore) -> None:
        with as_nobody() as folder:
            other = LocalStore(folder)
            other.put(b"an object")
            user = os.geteuid()
            os.seteuid(0) if os.getuid() == 0 else None
            file = Path(other.spool) / "new-theirs"
            file.write_bytes(b"12345")
            file.chmod(0o000)
            part = Path(other.spool) / "part-key"
            part.write_bytes(b"theirs")
            part.chmod(0o000)
            os.seteuid(user)
            with other.receive() as incoming:
                incoming.write(b"mine")
                assert other.sweep(-1) == 0
            with other.receive(key="key") as incoming:
                assert incoming.size == 0
                incoming.write(b"beside")
                other.publish([incoming.seal()])
            assert file.exists()
            assert part.exists()

    def test_a_seal_that_ends_half_way_can_be_gone_on_with(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever is killed there must not leave a file that only root could write to."""

        def refuse(_path: str) -> str:
            raise OSError(errno.EIO, "Input/output error")

        with as_nobody() as folder:
            other = LocalStore(folder)
            with monkeypatch.context() as patch, other.receive(key="key") as incoming:
                patch.setattr(spool, "rename_sealed", refuse)
                incoming.write(b"abc")
                with pytest.raises(StorageError):
                    incoming.seal()
            with other.receive(key="key") as incoming:
                assert incoming.size == 3


@pytest.fixture
def no_leak() -> Iterator[None]:
    """As many files are open afterwards as before."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not say what is open")
@pytest.mark.usefixtures("no_leak")
class TestLeaks:
    def test_what_cannot_be_dropped_is_closed(self) -> None:
        with as_nobody() as folder:
            for incoming in (LocalStore(folder).receive(), XorbFolder(folder).receive()):
                path = Path(getattr(incoming, "path", "") or incoming._path)  # type: ignore[union-attr]
                rights = path.parent.stat().st_mode
                path.parent.chmod(0o555)
                with pytest.raises(StorageError):
                    incoming.close()
                path.parent.chmod(rights)
                incoming.close()


class TestCallersThatFail:
    """An error of whoever is told of progress is no fault of a file."""

    @pytest.mark.parametrize("size", [10, 3 << 20])
    def test_while_files_are_hashed(self, tmp_path: Path, size: int) -> None:
        files = []
        for number in range(300):
            file = tmp_path / str(number)
            file.write_bytes(bytes(size if number < 3 else 10))
            files.append(ToHash(file.name, str(file), size))
        calls: list[int] = []

        def fail(count: int) -> None:
            calls.append(count)
            broken(count)

        with pytest.raises(BrokenPipeError) as caught:
            hash_files(files, fail)
        assert caught.value is BROKEN
        assert len(calls) <= 8, "it is not told any more"

    def test_while_files_are_adopted(self, store: LocalStore, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"some bytes")
        with pytest.raises(BrokenPipeError):
            adopt(store, [str(file)], broken)
        assert list(store) == []


def test_a_sealed_object_that_is_gone_is_told(store: LocalStore) -> None:
    store.put(b"makes the folders")
    with pytest.raises(StorageError):
        store.publish([Sealed("ab" * 32, 3, os.path.join(store.spool, "sealed-gone"))])
