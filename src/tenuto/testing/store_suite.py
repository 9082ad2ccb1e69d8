"""What every store must pass. Subclass it beside your tests:

    class TestMyStore(StoreContract):
        def make_store(self, folder: Path) -> Store:
            return MyStore(folder)

The suite looks at a store through its public face only. `pytest` collects the subclass; `folder` is fresh for each test.
"""

import contextlib
import hashlib
import random
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, NotFoundError, UsageError
from tenuto.core.gitobj import blob_id
from tenuto.store.base import IncomingBlocks, Sealed, Store, StoredObject

ABSENT = "ab" * 32
BAD_NAMES = (
    "",
    "../../../etc/passwd",
    "/etc/passwd",
    "a" * 63,
    "a" * 65,
    "A" * 64,
    "g" * 64,
    "\u0661" * 64,
    "a" * 62 + "/a",
    "a" * 64 + "\n",
    "..",
)
BAD_KEYS = ("", "..", "../x", "a/b", "a.b", "a b", "a\n", "\u00e9", "k" * 129)


def sha256_of(data: bytes) -> str:
    """The name of `data` in a store."""
    return hashlib.sha256(data).hexdigest()


def seal(store: Store, data: bytes, key: str | None = None) -> Sealed:
    """Take in and seal `data`, without publishing it."""
    with store.receive(key=key) as incoming:
        incoming.write(data)
        return incoming.seal(sha256=sha256_of(data))


def receive_blocks(store: Store, data: bytes) -> IncomingBlocks:
    """Begin to take in `data` by blocks of 10 kB."""
    incoming = store.receive_blocks(sha256_of(data), len(data), 10_000)
    if incoming is None:
        pytest.skip("this store takes objects from their start only")
    return incoming


def put_block(incoming: IncomingBlocks, data: bytes, number: int) -> None:
    """Take in one block of `data`."""
    start = number * incoming.block_bytes
    incoming.write(start, data[start : start + incoming.block_bytes])
    incoming.complete(number)


class StoreContract:
    """The conformance suite for `tenuto.store.base.Store`."""

    def make_store(self, folder: Path) -> Store:
        """A new, empty store; it may use the empty folder `folder`."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.make_store(tmp_path)

    # --- reading

    def test_an_empty_store_holds_nothing(self, store: Store) -> None:
        assert list(store) == []
        assert not store.has(ABSENT)
        assert store.delete(ABSENT) is False

    def test_what_is_absent_is_not_found(self, store: Store) -> None:
        store.put(b"something else")
        for verb in (store.size, store.open, store.read):
            with pytest.raises(NotFoundError) as caught:
                verb(ABSENT)
            assert caught.value.code == "ObjectNotFound"
            assert ABSENT in str(caught.value)

    def test_put_then_read(self, store: Store) -> None:
        name = store.put(b"hello")
        assert name == sha256_of(b"hello")
        assert store.has(name)
        assert store.size(name) == 5
        assert store.read(name) == b"hello"

    def test_an_open_object_can_be_read_in_parts_and_sought(self, store: Store) -> None:
        name = store.put(bytes(range(256)) * 40)
        with store.open(name) as file:
            assert file.seekable()
            assert file.read(3) == b"\x00\x01\x02"
            file.seek(256)
            assert file.read(2) == b"\x00\x01"
            file.seek(-1, 2)
            assert file.read() == b"\xff"

    def test_an_object_fills_memory_at_one_stroke(self, store: Store) -> None:
        name = store.put(b"hello")
        for size, count, expected in ((5, 5, b"hello"), (8, 5, b"hello___"), (2, 3, b"he"), (0, 1, b"")):
            room = bytearray(b"_" * size)
            assert (store.fill(name, memoryview(room)), bytes(room)) == (count, expected)
        assert store.fill(store.put(b""), memoryview(bytearray())) == 0
        with pytest.raises(NotFoundError):
            store.fill(sha256_of(b"nowhere"), memoryview(bytearray(9)))

    def test_a_whole_object_is_taken_in_as_a_received_one(self, store: Store) -> None:
        name = sha256_of(b"hello")
        sealed = [store.take_in(b"hello"), store.take_in(b"hello", sha256=name, git_id=blob_id(b"hello"))]
        assert [(one.sha256, one.size) for one in sealed] == [(name, 5)] * 2
        assert not store.has(name)
        store.publish(sealed)
        assert store.read(name) == b"hello"
        dropped = store.take_in(b"dropped")
        store.discard(dropped)
        assert [stored.sha256 for stored in store] == [name]

    @pytest.mark.parametrize("expected", [{"sha256": "0" * 64}, {"git_id": "0" * 40}], ids=repr)
    def test_a_whole_object_that_is_not_what_was_expected_leaves_nothing(
        self, store: Store, expected: dict[str, str]
    ) -> None:
        with pytest.raises(IntegrityError, match="expected 0000"):
            store.take_in(b"hello", **expected)
        assert list(store) == []

    def test_an_open_object_outlives_its_deletion(self, store: Store) -> None:
        data = random.Random(1).randbytes(100_000)
        name = store.put(data)
        with store.open(name) as file:
            start = file.read(10)
            store.delete(name)
            assert start + file.read() == data

    def test_the_empty_object(self, store: Store) -> None:
        name = store.put(b"")
        assert (store.has(name), store.size(name), store.read(name)) == (True, 0, b"")
        assert list(store) == [StoredObject(name, 0)]

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_a_bad_name_is_refused_by_every_method(self, store: Store, name: str) -> None:
        for verb in (store.has, store.size, store.open, store.read, store.delete):
            with pytest.raises(UsageError) as caught:
                verb(name)
            assert caught.value.code == "BadRequest"

    def test_iteration_lists_every_object_once(self, store: Store) -> None:
        contents = [f"object {number}".encode() * number for number in range(40)]
        for data in contents:
            store.put(data)
        assert sorted(store) == sorted(StoredObject(sha256_of(data), len(data)) for data in contents)

    def test_iteration_bears_changes_meanwhile(self, store: Store) -> None:
        names = [store.put(b"%d" % number) for number in range(20)]
        seen = []
        for found in store:
            seen.append(found.sha256)
            store.put(b"new %d" % len(seen) if len(seen) < 5 else b"new")
            store.delete(names[-1])
        assert set(names[:-1]) <= set(seen)

    # --- taking in

    def test_nothing_is_visible_before_publish(self, store: Store) -> None:
        name = sha256_of(b"hidden")
        with store.receive() as incoming:
            incoming.write(b"hidden")
            assert not store.has(name)
            sealed = incoming.seal()
        assert not store.has(name)
        assert list(store) == []
        with pytest.raises(NotFoundError):
            store.open(name)
        store.publish([sealed])
        assert store.read(name) == b"hidden"

    def test_sealed_says_hash_and_size(self, store: Store) -> None:
        with store.receive() as incoming:
            assert incoming.size == 0
            incoming.write(b"abc")
            incoming.write(memoryview(b"_def_")[1:4])
            assert incoming.size == 6
            sealed = incoming.seal(sha256=sha256_of(b"abcdef"), source="a test")
        assert (sealed.sha256, sealed.size) == (sha256_of(b"abcdef"), 6)

    def test_a_buffer_may_be_used_again_after_write(self, store: Store) -> None:
        buffer = bytearray(b"first")
        with store.receive() as incoming:
            incoming.write(memoryview(buffer))
            buffer[:] = b"wrong"
            sealed = incoming.seal()
        store.publish([sealed])
        assert store.read(sha256_of(b"first")) == b"first"

    def test_publish_takes_many_and_none(self, store: Store) -> None:
        store.publish([])
        batch = [seal(store, b"%d" % number) for number in range(30)]
        store.publish(iter(batch))
        assert {found.sha256 for found in store} == {sha256_of(b"%d" % number) for number in range(30)}

    def test_publish_of_what_is_here_already(self, store: Store) -> None:
        first, second = seal(store, b"same"), seal(store, b"same")
        store.publish([first])
        store.publish([second, seal(store, b"same"), seal(store, b"other")])
        assert store.read(sha256_of(b"same")) == b"same"
        assert store.read(sha256_of(b"other")) == b"other"
        assert len(list(store)) == 2

    def test_what_is_discarded_is_not_published(self, store: Store) -> None:
        sealed = seal(store, b"unwanted")
        store.discard(sealed)
        assert list(store) == []

    def test_an_unsealed_object_is_dropped(self, store: Store) -> None:
        with store.receive() as incoming:
            incoming.write(b"never finished")
        incoming.close()
        assert list(store) == []

    def test_delete_then_put_again(self, store: Store) -> None:
        name = store.put(b"back again")
        assert store.delete(name) is True
        assert not store.has(name)
        assert store.delete(name) is False
        assert store.put(b"back again") == name
        assert store.read(name) == b"back again"

    def test_a_large_object_in_odd_sized_writes(self, store: Store) -> None:
        source = random.Random(7)
        data = source.randbytes(5_000_003)
        with store.receive(git_size=len(data)) as incoming:
            position = 0
            while position < len(data):
                step = source.choice([1, 4095, 4097, 65_537, 1_048_577])
                incoming.write(memoryview(data)[position : position + step])
                position += step
            sealed = incoming.seal(sha256=sha256_of(data), git_id=blob_id(data))
        store.publish([sealed])
        assert store.size(sealed.sha256) == len(data)
        assert store.read(sealed.sha256) == data

    # --- verification

    def test_a_wrong_hash_names_both_and_the_source(self, store: Store) -> None:
        with store.receive() as incoming:
            incoming.write(b"wrong bytes")
            with pytest.raises(IntegrityError) as caught:
                incoming.seal(sha256=ABSENT, source="https://hub.test/file")
        assert caught.value.code == "HashMismatch"
        for part in (ABSENT, sha256_of(b"wrong bytes"), "https://hub.test/file"):
            assert part in str(caught.value)
        assert list(store) == []

    def test_after_a_wrong_hash_nothing_is_resumed(self, store: Store) -> None:
        with store.receive(key="some-key") as incoming:
            incoming.write(b"wrong bytes")
            with pytest.raises(IntegrityError):
                incoming.seal(sha256=ABSENT)
        with store.receive(key="some-key") as incoming:
            assert incoming.size == 0

    def test_a_git_id_is_checked(self, store: Store) -> None:
        data = b"a small file\n"
        with store.receive(git_size=len(data)) as incoming:
            incoming.write(data)
            sealed = incoming.seal(git_id=blob_id(data))
        store.publish([sealed])
        assert store.has(sha256_of(data))
        with store.receive(git_size=len(data)) as incoming:
            incoming.write(b"other bytes..")
            with pytest.raises(IntegrityError) as caught:
                incoming.seal(git_id=blob_id(data), source="the hub")
        for part in (blob_id(data), blob_id(b"other bytes.."), "the hub"):
            assert part in str(caught.value)
        assert len(list(store)) == 1

    def test_a_git_id_that_was_not_computed_is_no_match(self, store: Store) -> None:
        with store.receive() as incoming:
            incoming.write(b"data")
            with pytest.raises(IntegrityError):
                incoming.seal(git_id=blob_id(b"data"))

    # --- interruption

    def test_resume_by_key(self, store: Store) -> None:
        data = random.Random(3).randbytes(300_000)
        with store.receive(key="half-done") as incoming:
            incoming.write(data[:200_000])
        with store.receive(key="half-done", git_size=len(data)) as incoming:
            assert 0 <= incoming.size <= 200_000
            incoming.write(data[incoming.size :])
            sealed = incoming.seal(sha256=sha256_of(data), git_id=blob_id(data))
        store.publish([sealed])
        assert store.read(sealed.sha256) == data

    def test_resume_after_an_exception(self, store: Store) -> None:
        with contextlib.suppress(ConnectionError), store.receive(key="cut") as incoming:
            incoming.write(b"part one, ")
            raise ConnectionError
        with store.receive(key="cut") as incoming:
            if incoming.size == 0:
                incoming.write(b"part one, ")
            incoming.write(b"part two")
            store.publish([incoming.seal(sha256=sha256_of(b"part one, part two"))])
        assert store.has(sha256_of(b"part one, part two"))

    def test_a_finished_key_starts_anew(self, store: Store) -> None:
        store.publish([seal(store, b"done", key="again")])
        with store.receive(key="again") as incoming:
            assert incoming.size == 0
        with store.receive(key="another") as incoming:
            assert incoming.size == 0

    def test_a_sealed_object_is_out_of_reach_of_its_key(self, store: Store) -> None:
        sealed = seal(store, b"sealed, not published", key="reach")
        with store.receive(key="reach") as incoming:
            assert incoming.size == 0
            incoming.write(b"other")
            incoming.restart()
        store.publish([sealed])
        assert store.read(sealed.sha256) == b"sealed, not published"

    def test_two_at_once_under_one_key_never_mix(self, store: Store) -> None:
        with store.receive(key="both") as first, store.receive(key="both") as second:
            first.write(b"first ")
            second.write(b"second ")
            first.write(b"one")
            second.write(b"one")
            batch = [first.seal(), second.seal()]
        store.publish(batch)
        assert {found.sha256 for found in store} == {sha256_of(b"first one"), sha256_of(b"second one")}

    # --- blocks, of stores that take them

    def test_blocks_come_in_any_order_from_many_threads(self, store: Store) -> None:
        data = random.Random(4).randbytes(100_001)
        with receive_blocks(store, data) as incoming, ThreadPoolExecutor(4) as pool:
            numbers = incoming.missing()
            assert numbers == list(range(11))
            list(pool.map(lambda number: put_block(incoming, data, number), reversed(numbers)))
            assert incoming.missing() == []
            sealed = incoming.seal(sha256=sha256_of(data))
        assert not store.has(sealed.sha256)
        store.publish([sealed])
        assert store.read(sealed.sha256) == data

    def test_blocks_that_are_complete_may_be_gone_on_from_and_others_not(self, store: Store) -> None:
        data = random.Random(5).randbytes(100_000)
        with receive_blocks(store, data) as incoming:
            put_block(incoming, data, 3)
            incoming.write(50_000, data[50_000:55_000])
        with receive_blocks(store, data) as incoming:
            missing = incoming.missing()
            assert set(range(10)) - {3} <= set(missing)
            for number in missing:
                put_block(incoming, data, number)
            store.publish([incoming.seal(sha256=sha256_of(data))])
        assert store.read(sha256_of(data)) == data

    def test_wrong_blocks_are_named_and_forgotten(self, store: Store) -> None:
        data = b"0123456789" * 3000
        with receive_blocks(store, data) as incoming:
            for number in incoming.missing():
                put_block(incoming, data.replace(b"7", b"8"), number)
            with pytest.raises(IntegrityError, match="the place") as caught:
                incoming.seal(sha256=sha256_of(data), source="the place")
            assert caught.value.code == "HashMismatch"
            assert incoming.missing() == [0, 1, 2]
        assert list(store) == []

    def test_restart_forgets(self, store: Store) -> None:
        with store.receive(key="from-the-top", git_size=5) as incoming:
            incoming.write(b"nonsense that is longer")
            incoming.restart()
            assert incoming.size == 0
            incoming.write(b"sense")
            sealed = incoming.seal(sha256=sha256_of(b"sense"), git_id=blob_id(b"sense"))
        store.publish([sealed])
        assert store.read(sealed.sha256) == b"sense"

    def test_restart_after_a_wrong_hash(self, store: Store) -> None:
        with store.receive(key="next-source") as incoming:
            incoming.write(b"from a liar")
            with pytest.raises(IntegrityError):
                incoming.seal(sha256=sha256_of(b"truth"))
            incoming.restart()
            incoming.write(b"truth")
            store.publish([incoming.seal(sha256=sha256_of(b"truth"))])
        assert store.read(sha256_of(b"truth")) == b"truth"

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_bad_key_is_refused(self, store: Store, key: str) -> None:
        for receive in (lambda: store.receive(key=key), lambda: store.receive_blocks(key, 10, 5)):
            with pytest.raises(UsageError) as caught:
                receive()
            assert caught.value.code == "BadRequest"

    @pytest.mark.parametrize("key", ["new", "part", "sealed", "objects", ABSENT, "git-" + "0" * 40])
    def test_any_key_of_the_right_form_works(self, store: Store, key: str) -> None:
        waiting = [seal(store, b"without a key"), seal(store, b"with one", key=key)]
        with store.receive(key=key) as incoming:
            assert incoming.size == 0
        store.publish(waiting)
        assert store.has(sha256_of(b"without a key"))
        assert store.has(sha256_of(b"with one"))

    # --- many at once

    def test_many_threads(self, store: Store) -> None:
        contents = [random.Random(number).randbytes(1 + number * 997) for number in range(24)]

        def work(data: bytes) -> str:
            name = sha256_of(data)
            with store.receive(key=name) as incoming:
                if incoming.size == 0:
                    for start in range(0, len(data), 1000):
                        incoming.write(data[start : start + 1000])
                store.publish([incoming.seal(sha256=name)])
            assert store.read(name) == data
            return name

        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(work, contents * 3))
        assert set(names) == {found.sha256 for found in store}
        assert len(list(store)) == len(contents)

    def test_a_reader_never_sees_half_an_object(self, store: Store) -> None:
        data = random.Random(5).randbytes(400_000)
        name, done, seen = sha256_of(data), threading.Event(), set()

        def look() -> None:
            while not done.is_set():
                with contextlib.suppress(NotFoundError):
                    seen.add(store.read(name))

        with ThreadPoolExecutor(2) as pool:
            watchers = [pool.submit(look) for _ in range(2)]
            try:
                self._churn(store, data, range(15))
            finally:
                done.set()
            for watcher in watchers:
                watcher.result()
        assert seen <= {data}

    @staticmethod
    def _churn(store: Store, data: bytes, rounds: Iterable[int]) -> None:
        for _ in rounds:
            store.publish([seal(store, data)])
            store.delete(sha256_of(data))
