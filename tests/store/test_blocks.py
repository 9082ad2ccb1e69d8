"""Objects that come in by blocks: in any order, from many threads, on from what a killed process left, and never claimed too soon."""

import ctypes
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, InternalError, StorageError, UsageError
from tenuto.store import blocks, disk
from tenuto.store.blocks import BlockFile
from tenuto.store.local import LocalStore
from tenuto.testing.stores import MemoryStore

BLOCK = 1000
CONTENT = random.Random(7).randbytes(10 * BLOCK + 1)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def begin(store: LocalStore, size: int = len(CONTENT), block: int = BLOCK) -> BlockFile:
    return store.receive_blocks(SHA256, size, block)


def fill(incoming: BlockFile, *numbers: int) -> None:
    for number in numbers:
        incoming.write(number * BLOCK, CONTENT[number * BLOCK : (number + 1) * BLOCK])
        incoming.complete(number)


def spool(store: LocalStore) -> list[str]:
    return sorted(os.listdir(store.spool))


def test_in_any_order(store: LocalStore) -> None:
    numbers = list(range(11))
    random.Random(1).shuffle(numbers)
    with begin(store) as incoming:
        fill(incoming, *numbers)
        assert incoming.missing() == []
        sealed = incoming.seal(sha256=SHA256)
    store.publish([sealed])
    assert store.read(SHA256) == CONTENT
    assert spool(store) == []


def test_from_many_threads(store: LocalStore) -> None:
    for _ in range(5):
        with begin(store) as incoming, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: fill(incoming, number), incoming.missing()))
            store.publish([incoming.seal(sha256=SHA256)])
        assert store.read(SHA256) == CONTENT
        store.delete(SHA256)


def test_a_size_of_whole_blocks(store: LocalStore) -> None:
    whole = CONTENT[: 3 * BLOCK]
    with store.receive_blocks("key", len(whole), BLOCK) as incoming:
        fill(incoming, 2, 1, 0)
        sealed = incoming.seal(sha256=hashlib.sha256(whole).hexdigest())
    store.publish([sealed])
    assert store.read(sealed.sha256) == whole


def test_goes_on_with_what_is_complete(store: LocalStore) -> None:
    with begin(store) as incoming:
        fill(incoming, 0, 3, 10)
        incoming.write(5 * BLOCK, b"half of it")
    with begin(store) as incoming:
        assert incoming.missing() == [1, 2, 4, 5, 6, 7, 8, 9]
        fill(incoming, *incoming.missing())
        store.publish([incoming.seal(sha256=SHA256)])
    assert store.read(SHA256) == CONTENT


@pytest.mark.parametrize(("size", "block"), [(len(CONTENT) + 1, BLOCK), (len(CONTENT), BLOCK + 1), (BLOCK, BLOCK)])
def test_blocks_of_another_cut_are_thrown_away(store: LocalStore, size: int, block: int) -> None:
    with begin(store) as incoming:
        fill(incoming, 0, 1)
    with begin(store, size, block) as incoming:
        assert len(incoming.missing()) == -(-size // block)


def test_nothing_complete_leaves_nothing(store: LocalStore) -> None:
    with begin(store) as incoming:
        incoming.write(0, b"half")
    assert spool(store) == []


def test_wrong_bytes_are_named_and_gone(store: LocalStore) -> None:
    with begin(store) as incoming:
        fill(incoming, *range(10))
        incoming.write(10 * BLOCK, b"\0")
        incoming.complete(10)
        with pytest.raises(IntegrityError, match="from there") as caught:
            incoming.seal(sha256=SHA256, source="there")
        assert SHA256 in caught.value.message
        assert len(incoming.missing()) == 11
        fill(incoming, *range(11))
        store.publish([incoming.seal(sha256=SHA256)])
    assert store.read(SHA256) == CONTENT


def test_a_complete_block_is_not_written_again(store: LocalStore) -> None:
    with begin(store) as incoming:
        fill(incoming, 2)
        for position, data in ((2000, b"x"), (2999, b"x"), (1500, b"x" * 600), (len(CONTENT), b"x"), (-1, b"x")):
            with pytest.raises(InternalError):
                incoming.write(position, data)
        incoming.write(1999, b"x")
        incoming.write(3000, b"x")
        incoming.restart()
        fill(incoming, *range(11))
        store.publish([incoming.seal(sha256=SHA256)])


def test_a_block_that_is_reopened_is_written_anew_and_hashed_anew(store: LocalStore) -> None:
    with begin(store) as incoming:
        fill(incoming, *range(11))
        for number in (9, 0, 10):
            before = incoming.version(number)
            incoming.reopen(number)
            assert (incoming.missing(), incoming.version(number)) == ([number], 0)
            incoming.write(number * BLOCK, bytes(1))
            fill(incoming, number)
            assert incoming.version(number) not in {0, before}
        store.publish([incoming.seal(sha256=SHA256)])
    assert store.read(SHA256) == CONTENT


def test_what_was_reopened_is_missing_afterwards(store: LocalStore) -> None:
    with begin(store) as incoming:
        fill(incoming, 0, 1, 2)
        incoming.reopen(1)
    with begin(store) as incoming:
        assert incoming.missing() == [1, *range(3, 11)]


@pytest.mark.parametrize("seed", range(20))
def test_written_in_any_pieces_and_over_again(store: LocalStore, seed: int) -> None:
    """Pieces of blocks come in turn from several writers, who begin anew at times, with other bytes before."""
    chance = random.Random(seed)
    with begin(store) as incoming:
        ends = dict.fromkeys(range(11), 0)
        while missing := incoming.missing():
            number, wrong = chance.choice(missing[:4]), chance.random() < 0.1
            length = min(BLOCK, len(CONTENT) - number * BLOCK)
            if wrong:
                incoming.write(number * BLOCK + chance.randrange(length), b"?")
                ends[number] = 0
            piece = CONTENT[number * BLOCK :][ends[number] : min(ends[number] + chance.randrange(1, 400), length)]
            incoming.write(number * BLOCK + ends[number], piece)
            ends[number] += len(piece)
            if ends[number] == length:
                incoming.complete(number)
                if chance.random() < 0.2:
                    again = chance.randrange(number + 1)
                    incoming.reopen(again)
                    ends[again] = 0
        store.publish([incoming.seal(sha256=SHA256)])


def assert_lost(store: LocalStore, incoming: BlockFile) -> None:
    """No block counts, nothing can be done with it, and the next one of its key begins anew, beside it and after it."""
    assert incoming.is_lost
    assert incoming.missing() == list(range(11))
    for ask in (
        lambda: incoming.write(5 * BLOCK, b"x"),
        lambda: incoming.complete(5),
        lambda: incoming.reopen(5),
        incoming.restart,
        incoming.seal,
    ):
        with pytest.raises(StorageError):
            ask()
    with begin(store) as fresh:
        fill(fresh, 0)
        incoming.close()
    with begin(store) as fresh:
        assert fresh.missing() == list(range(1, 11))
        fill(fresh, *fresh.missing())
        store.publish([fresh.seal(sha256=SHA256)])
    assert store.read(SHA256) == CONTENT
    assert spool(store) == []


def test_a_sync_that_fails_takes_every_block_along(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system drops the pages of whichever block it could not write, tells one thread, and syncs what is left for the next."""
    syncs = iter([None, OSError(errno.EIO, "Input/output error")])

    def sync(descriptor: int) -> None:
        if error := next(syncs, None):
            os.pwrite(descriptor, bytes(2 * BLOCK), 0)
            raise error

    monkeypatch.setattr(blocks, "_sync", sync)
    incoming = begin(store)
    fill(incoming, 3)
    incoming.write(0, CONTENT[: 2 * BLOCK])
    with pytest.raises(StorageError):
        incoming.complete(1)
    with pytest.raises(StorageError):
        incoming.complete(0)
    assert_lost(store, incoming)


@pytest.mark.parametrize("work", ["complete", "reopen", "restart"])
def test_a_map_that_cannot_be_written_takes_every_block_along(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    incoming = begin(store)
    fill(incoming, 0, 1)
    incoming.write(2 * BLOCK, CONTENT[2 * BLOCK : 3 * BLOCK])

    def refuse(descriptor: int, data: bytes, position: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(StorageError):
            {"complete": lambda: incoming.complete(2), "reopen": lambda: incoming.reopen(1)}.get(
                work, incoming.restart
            )()
    assert_lost(store, incoming)


def test_a_disk_that_fails_early_takes_every_block_along(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, *rest: object) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(blocks, "EARLY_BYTES", BLOCK)
    incoming = begin(store)
    fill(incoming, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "_system_call", lambda name: refuse)
        with pytest.raises(StorageError):
            incoming.write(2 * BLOCK, CONTENT[2 * BLOCK : 3 * BLOCK])
    assert_lost(store, incoming)


def test_a_seal_that_fails_takes_every_block_along(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    incoming = begin(store)
    fill(incoming, *range(11))
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(StorageError):
            incoming.seal(sha256=SHA256)
    assert_lost(store, incoming)


def test_an_object_of_no_bytes_has_one_block(store: LocalStore) -> None:
    with store.receive_blocks("nothing", 0, BLOCK) as incoming:
        assert incoming.missing() == [0]
        incoming.complete(0)
        store.publish([incoming.seal(sha256=hashlib.sha256().hexdigest())])


def test_bytes_that_rotted_between_two_runs_are_found(store: LocalStore) -> None:
    with begin(store) as incoming:
        fill(incoming, 0, 1, 2)
    with open(Path(store.spool) / f"blocks-{SHA256}", "r+b") as file:
        file.seek(1500)
        file.write(b"rotten")
    with begin(store) as incoming:
        fill(incoming, *incoming.missing())
        with pytest.raises(IntegrityError):
            incoming.seal(sha256=SHA256)


def test_a_second_one_takes_its_own_file(store: LocalStore) -> None:
    with begin(store) as first:
        fill(first, 0, 1)
        with begin(store) as second:
            assert len(second.missing()) == 11
            fill(second, *range(11))
            store.publish([second.seal(sha256=SHA256)])
        fill(first, *first.missing())
        store.publish([first.seal(sha256=SHA256)])
    assert store.read(SHA256) == CONTENT
    assert spool(store) == []


def test_a_key_that_is_none(store: LocalStore) -> None:
    for any_store in (store, MemoryStore()):
        with pytest.raises(UsageError):
            any_store.receive_blocks("../x", 10, 5)


def test_a_store_may_take_objects_from_their_start_only() -> None:
    assert MemoryStore().receive_blocks(SHA256, 10, 5) is None


CHILD = """
import sys
from tenuto.store.local import LocalStore
store, size = LocalStore(sys.argv[1]), int(sys.argv[2])
with store.receive_blocks("killed", size, 1 << 16) as incoming:
    for number in incoming.missing():
        for position in range(number << 16, min(size, number + 1 << 16), 1 << 12):
            incoming.write(position, bytes([number % 251 + 1]) * min(1 << 12, size - position))
            print(position, flush=True)
        incoming.complete(number)
"""


@pytest.mark.parametrize("lines", [1, 17, 100, 301])
def test_killed_at_any_moment_the_map_claims_nothing_that_is_not_there(tmp_path: Path, lines: int) -> None:
    size = 40 * (1 << 16) + 5
    arguments = [sys.executable, "-c", CHILD, str(tmp_path), str(size)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        for _ in range(lines):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
    with LocalStore(str(tmp_path)).receive_blocks("killed", size, 1 << 16) as incoming:
        missing = set(incoming.missing())
        held = (Path(tmp_path) / "store-v1" / "spool" / "blocks-killed").read_bytes()
        for number in set(range(41)) - missing:
            block = held[number << 16 : min(size, number + 1 << 16)]
            assert block == bytes([number % 251 + 1]) * len(block)
        assert len(missing) <= 41 - (lines - 1) // 16, "what was complete is not lost"
