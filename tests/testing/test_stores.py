"""The wrappers of the test kit fail, wait and remember as told."""

import pytest

from tenuto.core.errors import StorageError
from tenuto.testing.store_suite import seal, sha256_of
from tenuto.testing.stores import Call, FaultyStore, MemoryStore, RecordingStore, SlowStore, StoreFault

FULL = StorageError("no room left", code="DiskFull")


def test_the_second_write_fails() -> None:
    store = FaultyStore(MemoryStore(), [StoreFault("write", FULL, at=2)])
    with store.receive() as incoming:
        incoming.write(b"one")
        with pytest.raises(StorageError) as caught:
            incoming.write(b"two")
        assert caught.value is FULL
        assert incoming.size == 3
        incoming.write(b"three")
        assert incoming.seal().sha256 == sha256_of(b"onethree")


def test_a_failed_publish_shows_nothing_and_may_be_tried_again() -> None:
    store = FaultyStore(MemoryStore(), [StoreFault("publish", FULL, times=2)])
    sealed = seal(store, b"data")
    for _ in range(2):
        with pytest.raises(StorageError):
            store.publish([sealed])
        assert list(store) == []
    store.publish([sealed])
    assert store.has(sealed.sha256)


def test_call_me_first() -> None:
    seen = []
    store = FaultyStore(MemoryStore(), [StoreFault("open", first=lambda: seen.append("now"), at=2)])
    name = store.put(b"data")
    for _ in range(3):
        store.read(name)
    assert seen == ["now"]


def use_every_method(store: FaultyStore) -> None:
    name = sha256_of(b"data")
    store.has(name)
    store.discard(seal(store, b"data"))
    with store.receive() as incoming:
        incoming.restart()
    store.publish([seal(FaultyStore(store.store, []), b"data")])
    store.size(name)
    store.open(name)
    list(store)
    store.delete(name)


@pytest.mark.parametrize(
    "method", ["has", "size", "open", "delete", "receive", "iter", "write", "seal", "restart", "publish", "discard"]
)
def test_every_method_can_fail(method: str) -> None:
    use_every_method(FaultyStore(MemoryStore(), [StoreFault("none", FULL)]))
    with pytest.raises(StorageError):
        use_every_method(FaultyStore(MemoryStore(), [StoreFault(method, FULL)]))


def test_slow_store_waits_before_each_call() -> None:
    waited: list[Call] = []
    store = SlowStore(MemoryStore(), waited.append)
    name = store.put(b"data")
    store.has(name)
    assert [call.name for call in waited] == ["receive", "write", "seal", "publish", "has"]


def test_recording_store_remembers_what_was_asked() -> None:
    store = RecordingStore(MemoryStore())
    name = sha256_of(b"data")
    with store.receive(key="k") as incoming:
        incoming.write(b"data")
        store.publish([incoming.seal(sha256=name)])
    assert store.calls == [Call("receive", "k"), Call("write", 4), Call("seal", name), Call("publish", (name,))]
    assert store.names() == ["receive", "write", "seal", "publish"]
