"""What goes wrong or changes while objects are cut into chunks costs work, and keeps no object from its chunks that could have them."""

import dataclasses
import errno
import hashlib
import io
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from tenuto.core.errors import StorageError
from tenuto.server.holdings import xorbs as xet_xorbs
from tenuto.server.upkeep.check import FULL, QUICK, check_hub
from tenuto.server.xet import cutting as xet_cutting
from tenuto.server.xet.cutting import Cutter
from tenuto.store.base import Store
from tenuto.store.xet import cutting
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.stores import Call, FaultyStore, StoreFault, WatchedStore
from tests.hub.scripted import wait_until
from tests.server.conftest import Owner
from tests.server.test_xet_cutting import CONTENT, SHA256, check, collect, cut, hub, put

__all__ = ["cut", "hub"]


class Rotten(WatchedStore):
    """A store on a disk that gives no byte of some objects: reading them raises `error`."""

    def __init__(self, store: Store, error: Exception) -> None:
        super().__init__(store)
        self.error = error
        self.spoilt: set[str] = set()
        self.reads = 0

    def before(self, call: Call) -> None:
        """All calls are passed on; what is opened cannot be read."""

    def open(self, sha256: str) -> BinaryIO:
        file = self.store.open(sha256)
        if sha256 not in self.spoilt:
            return file
        self.reads += 1
        return cast("BinaryIO", _RottenFile(file, self.error))


class _RottenFile(io.BufferedReader):
    def __init__(self, file: BinaryIO, error: Exception) -> None:
        super().__init__(cast("io.RawIOBase", file))
        self._error = error

    def read(self, _size: int | None = -1, /) -> bytes:
        raise self._error


class TestFaults:
    """One object makes trouble; the others are cut, and it is tried again if that can help."""

    @pytest.fixture
    def rotten(self, hub: LiveHub) -> Rotten:
        return Rotten(hub.hub.parts.store, OSError(errno.EIO, "Input/output error"))

    def test_a_disk_that_does_not_answer_holds_up_no_other_and_is_asked_again(
        self, hub: LiveHub, owner: Owner, rotten: Rotten
    ) -> None:
        older, newer = put(owner), put(owner, CONTENT[1:], "other.bin")
        rotten.spoilt = {newer}
        moment_ms = hub.hub.parts.now_ms()
        parts = dataclasses.replace(hub.hub.parts, store=rotten, now_ms=lambda: moment_ms)
        cutter = Cutter(parts)
        assert cutter.run() == 1
        assert is_cut(hub, older)
        assert "Input/output error" in hub.log()
        assert newer in hub.log()
        for wait_s, reads in ((59, 1), (2, 2), (60, 2), (61, 3)):  # the second wait is twice as long
            moment_ms += wait_s * 1000
            assert cutter.run() == 0
            assert rotten.reads == reads
        rotten.spoilt.clear()
        moment_ms += 240_000
        assert cutter.run() == 1
        assert is_cut(hub, newer)
        assert check(hub).findings == []

    @pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("a bug")], ids=repr)
    def test_its_thread_lives_on(
        self, hub: LiveHub, owner: Owner, rotten: Rotten, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Cutter, "every_s", 0.01)
        monkeypatch.setattr(Cutter, "again_s", 0.01)
        monkeypatch.setattr(xet_cutting, "AGAIN_S", 0.01)
        rotten.error, rotten.spoilt = error, {put(owner)}
        cutter = Cutter(dataclasses.replace(hub.hub.parts, store=rotten))
        cutter.start()
        wait_until(lambda: rotten.reads >= 2)
        rotten.spoilt.clear()
        wait_until(lambda: is_cut(hub, SHA256))
        cutter.stop()
        assert ("failure" if isinstance(error, ValueError) else "cutting") in hub.log()

    def test_a_full_disk_is_no_fault_of_an_object(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
        put(owner)
        full = StorageError("no room left", code="DiskFull")
        faulty = FaultyStore(hub.hub.parts.store, [StoreFault("open", full)])
        cutter = Cutter(dataclasses.replace(hub.hub.parts, store=faulty))
        with pytest.raises(StorageError):
            cutter.run()
        assert cutter.run() == 1
        assert is_cut(hub, SHA256)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda file: file.write_bytes(CONTENT + b"more"),
            lambda file: file.write_bytes(CONTENT[:-1]),
            lambda file: file.write_bytes(b""),
            lambda file: (file.unlink(), file.mkdir()),
        ],
        ids=["longer", "shorter", "empty", "a folder"],
    )
    def test_an_object_of_another_size_is_damaged_and_not_tried_for_ever(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int], spoil: Callable[[Path], object]
    ) -> None:
        older, newer = put(owner, CONTENT[1:], "other.bin"), put(owner)
        file = Path(hub.hub.parts.store.file(newer))  # type: ignore[attr-defined]
        file.chmod(0o644)
        spoil(file)
        assert cut() == 2
        assert is_cut(hub, older)
        assert not is_cut(hub, newer)
        assert newer in hub.log()
        for depth in (QUICK, FULL):
            findings = check_hub(hub.hub.parts, hub.data_dir, depth).findings
            assert {finding.name for finding in findings} == {newer}
            assert [place.path for finding in findings for place in finding.places][:1] == ["w.bin"]


def is_cut(hub: LiveHub, sha256: str) -> bool:
    """Whether a repo holds the object as chunks."""
    with hub.hub.parts.database.read() as connection:
        query = "SELECT count(*) FROM xet_files WHERE sha256 = ?"
        return bool(connection.exec_driver_sql(query, (sha256,)).scalar())


class TestMeanwhile:
    """Something else happens while an object is cut."""

    @pytest.fixture(autouse=True)
    def short_xorbs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cutting, "MOST_XORB_BYTES", 400_000)

    @staticmethod
    def run(hub: LiveHub, at: int, happens: Callable[[], object]) -> bool:
        """Cut all that is listed, while `happens` at the look number `at`; whether there were so many."""
        looks = itertools.count(1)

        def look() -> bool:
            if next(looks) == at:
                happens()
            return False

        Cutter(hub.hub.parts, look).run()
        return next(looks) > at

    def test_a_collection_costs_work_and_nothing_else(
        self, hub: LiveHub, make_owner: Callable[..., Owner], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(xet_xorbs, "_CACHED_CHUNKS", 0)  # as of a file that is larger than the memory for tables
        for at in itertools.count(1):
            owner = make_owner()
            content = random.Random(at).randbytes(1_200_000)
            sha256 = put(owner, content)
            is_reached = self.run(hub, at, lambda: collect(hub, days=0))
            assert is_cut(hub, sha256), at
            assert owner.talk.read(owner.repo, "w.bin").content == content
            if not is_reached:
                break
        assert at > 4
        assert check(hub).findings == []

    def test_what_is_newer_comes_first(self, hub: LiveHub, owner: Owner) -> None:
        put(owner)
        seen: list[bool] = []

        def look() -> bool:
            if not seen:
                put(owner, CONTENT[1:], "newer.bin")
            seen.append(is_cut(hub, hashlib.sha256(CONTENT[1:]).hexdigest()))
            return False

        assert Cutter(hub.hub.parts, look).run() == 2
        assert True in seen, "the older one was cut after it"
        assert is_cut(hub, SHA256)
        assert check(hub).findings == []
