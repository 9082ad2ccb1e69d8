"""Random verbs on a store and on a dict, side by side: after every step both hold the same."""

import hashlib
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.core.gitobj import blob_id
from tenuto.store.base import Incoming, Sealed, Store
from tenuto.store.local import LocalStore
from tenuto.testing.stores import MemoryStore

KEYS = ("alpha", "beta")
contents = st.one_of(st.binary(max_size=5), st.sampled_from([b"", b"same", b"x" * 70_000]))


class Receive:
    """A receive as the model sees it: what was written, and under which key."""

    def __init__(self, incoming: Incoming, key: str | None, data: bytes) -> None:
        self.incoming, self.key, self.data = incoming, key, data


class StoreMachine(RuleBasedStateMachine):
    """Crash is an abandoned receive; what a key may resume is any part that was written under it and never sealed."""

    receives = Bundle("receives")
    waiting = Bundle("waiting")

    def make(self) -> Store:
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        return store

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}
        self.left: dict[str, set[bytes]] = {key: set() for key in KEYS}
        self.open: list[Receive] = []

    @initialize()
    def begin(self) -> None:
        self.store = self.make()

    @rule(target=receives, key=st.sampled_from([None, *KEYS]))
    def receive(self, key: str | None) -> Receive:
        incoming = self.store.receive(key=key)
        resumed = {part for part in self.left[key] if len(part) == incoming.size} if key else {b""}
        if incoming.size == 0:
            found = Receive(incoming, key, b"")
        else:
            assert resumed, "only what was written under this key may come back"
            found = Receive(incoming, key, max(resumed))
            if len(resumed) > 1:  # which of two parts of one length it is shows in the hash only
                incoming.restart()
                found.data = b""
        self.open.append(found)
        return found

    @rule(one=receives, data=contents)
    def write(self, one: Receive, data: bytes) -> None:
        if one in self.open:
            one.incoming.write(data)
            one.data += data
            assert one.incoming.size == len(one.data)

    @rule(one=receives)
    def restart(self, one: Receive) -> None:
        if one in self.open:
            one.incoming.restart()
            one.data = b""
            assert one.incoming.size == 0

    @rule(one=consumes(receives))
    def abandon(self, one: Receive) -> None:
        if one in self.open:
            self.open.remove(one)
            one.incoming.close()
            if one.key:
                self.left[one.key].add(one.data)

    @rule(target=waiting, one=consumes(receives))
    def seal(self, one: Receive) -> object:
        if one not in self.open:
            return multiple()
        self.open.remove(one)
        with one.incoming as incoming:
            sealed = incoming.seal(sha256=hashlib.sha256(one.data).hexdigest())
        assert sealed.size == len(one.data)
        return (sealed, one.data)

    @rule(one=consumes(receives))
    def seal_wrong_bytes(self, one: Receive) -> None:
        if one in self.open:
            self.open.remove(one)
            with one.incoming as incoming, pytest.raises(IntegrityError):
                incoming.seal(sha256="0" * 64)

    @rule(batch=st.lists(consumes(waiting), max_size=3))
    def publish(self, batch: list[tuple[Sealed, bytes]]) -> None:
        self.store.publish([sealed for sealed, _data in batch])
        self.model |= {sealed.sha256: data for sealed, data in batch}

    @rule(one=consumes(waiting))
    def discard(self, one: tuple[Sealed, bytes]) -> None:
        self.store.discard(one[0])

    @rule(data=contents)
    def put(self, data: bytes) -> None:
        self.model[self.store.put(data)] = data

    @rule(data=contents)
    def receive_by_git_id(self, data: bytes) -> None:
        with self.store.receive(git_size=len(data)) as incoming:
            incoming.write(data)
            sealed = incoming.seal(git_id=blob_id(data))
        self.store.publish([sealed])
        self.model[sealed.sha256] = data

    @rule(data=contents)
    def delete(self, data: bytes) -> None:
        name = hashlib.sha256(data).hexdigest()
        assert self.store.delete(name) == (self.model.pop(name, None) is not None)

    @rule(data=contents)
    def look(self, data: bytes) -> None:
        name = hashlib.sha256(data).hexdigest()
        assert self.store.has(name) == (name in self.model)
        if name not in self.model:
            with pytest.raises(NotFoundError):
                self.store.open(name)

    @precondition(lambda self: not self.open)
    @rule()
    def open_again(self) -> None:
        self.store = self.reopen(self.store)

    @invariant()
    def both_hold_the_same(self) -> None:
        if hasattr(self, "store"):
            assert {found.sha256: found.size for found in self.store} == {n: len(d) for n, d in self.model.items()}
            for name, data in self.model.items():
                assert self.store.read(name) == data

    def teardown(self) -> None:
        for one in self.open:
            one.incoming.close()


class LocalMachine(StoreMachine):
    def make(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return LocalStore(self.folder.name)

    def reopen(self, store: Store) -> Store:
        return LocalStore(self.folder.name)

    def teardown(self) -> None:
        super().teardown()
        self.store.sweep(0)  # type: ignore[attr-defined]
        left = [file.sha256 for file in self.store]
        assert sorted(left) == sorted(self.model)
        self.folder.cleanup()


class MemoryMachine(StoreMachine):
    def make(self) -> Store:
        return MemoryStore()


TestLocalStoreModel = LocalMachine.TestCase
TestLocalStoreModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestMemoryStoreModel = MemoryMachine.TestCase
TestMemoryStoreModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
