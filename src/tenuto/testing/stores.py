"""Stores for tests: one in memory, and wrappers that fail, wait or remember, around any store.

A wrapper announces each call before it is passed on. Faults are values:

    full = StorageError("no room left", code="DiskFull")
    store = FaultyStore(MemoryStore(), [StoreFault("write", full, at=2), StoreFault("publish", first=stop_the_hub)])
"""

import hashlib
import io
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from tenuto.core.errors import NotFoundError
from tenuto.core.gitobj import blob_id
from tenuto.core.ids import check_sha256
from tenuto.store.base import Incoming, IncomingBlocks, Sealed, Store, StoredObject, check_key, check_seal


class MemoryStore(Store):
    """Objects in memory: a whole store, with every promise but that of lasting longer than the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}
        self._parts: dict[str, bytearray] = {}

    def has(self, sha256: str) -> bool:
        return check_sha256(sha256) in self._objects

    def size(self, sha256: str) -> int:
        return len(self._get(sha256))

    def open(self, sha256: str) -> BinaryIO:
        return io.BytesIO(self._get(sha256))

    def _get(self, sha256: str) -> bytes:
        try:
            return self._objects[check_sha256(sha256)]
        except KeyError as error:
            raise NotFoundError(f"object {sha256} is not in the store", code="ObjectNotFound") from error

    def receive(self, *, key: str | None = None, git_size: int | None = None) -> Incoming:
        if key is None:
            return _MemoryIncoming(self, None, bytearray(), git_size)
        with self._lock:
            left = self._parts.pop(check_key(key), bytearray())
        return _MemoryIncoming(self, key, left, git_size)

    def keep(self, key: str, data: bytearray) -> None:
        """Remember an interrupted receive; of two under one key the longer stays."""
        with self._lock:
            self._parts[key] = max(self._parts.get(key, data), data, key=len)

    def publish(self, sealed: Iterable[Sealed]) -> None:
        for one in sealed:
            assert isinstance(one.token, bytes)
            self._objects.setdefault(one.sha256, one.token)

    def discard(self, sealed: Sealed) -> None:
        """The bytes live in `sealed` itself: nothing is to be done."""

    def delete(self, sha256: str) -> bool:
        return self._objects.pop(check_sha256(sha256), None) is not None

    def __iter__(self) -> Iterator[StoredObject]:
        return iter([StoredObject(sha256, len(data)) for sha256, data in self._objects.copy().items()])


class _MemoryIncoming(Incoming):
    def __init__(self, store: MemoryStore, key: str | None, data: bytearray, git_size: int | None) -> None:
        self._store, self._key, self._data, self._git_size = store, key, data, git_size

    @property
    def size(self) -> int:  # type: ignore[override]  # read only here
        return len(self._data)

    def write(self, data: bytes | memoryview) -> None:
        self._data += data

    def restart(self) -> None:
        self._data.clear()

    def seal(self, *, sha256: str | None = None, git_id: str | None = None, source: str = "") -> Sealed:
        data = bytes(self._data)
        found = hashlib.sha256(data).hexdigest()
        self._data = bytearray()
        check_seal("sha256", sha256, found, source)
        check_seal("git id", git_id, "(not computed)" if self._git_size is None else blob_id(data), source)
        self._key = None
        return Sealed(found, len(data), data)

    def close(self) -> None:
        if self._key is not None and self._data:
            self._store.keep(self._key, self._data)
        self._key = None


class Call(NamedTuple):
    """A call of a store: the method, and what it is about (sha256, key, number of bytes written, or None)."""

    name: str
    about: object = None


class WatchedStore(Store):
    """Any store, with each call of it and of what it receives announced by `before` first."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @abstractmethod
    def before(self, call: Call) -> None:
        """What happens before `call` is passed on; if this raises, it is not."""

    def has(self, sha256: str) -> bool:
        self.before(Call("has", sha256))
        return self.store.has(sha256)

    def size(self, sha256: str) -> int:
        self.before(Call("size", sha256))
        return self.store.size(sha256)

    def open(self, sha256: str) -> BinaryIO:
        self.before(Call("open", sha256))
        return self.store.open(sha256)

    def receive(self, *, key: str | None = None, git_size: int | None = None) -> Incoming:
        self.before(Call("receive", key))
        return _WatchedIncoming(self.store.receive(key=key, git_size=git_size), self.before)

    def receive_blocks(self, key: str, size: int, block_bytes: int) -> IncomingBlocks | None:
        self.before(Call("receive", key))
        incoming = self.store.receive_blocks(key, size, block_bytes)
        return incoming and _WatchedBlocks(incoming, self.before)

    def publish(self, sealed: Iterable[Sealed]) -> None:
        batch = list(sealed)
        self.before(Call("publish", tuple(one.sha256 for one in batch)))
        self.store.publish(batch)

    def discard(self, sealed: Sealed) -> None:
        self.before(Call("discard", sealed.sha256))
        self.store.discard(sealed)

    def delete(self, sha256: str) -> bool:
        self.before(Call("delete", sha256))
        return self.store.delete(sha256)

    def __iter__(self) -> Iterator[StoredObject]:
        self.before(Call("iter"))
        return iter(self.store)


class _WatchedIncoming(Incoming):
    def __init__(self, incoming: Incoming, before: Callable[[Call], None]) -> None:
        self._incoming, self._before = incoming, before

    @property
    def size(self) -> int:  # type: ignore[override]  # read only here
        return self._incoming.size

    def write(self, data: bytes | memoryview) -> None:
        self._before(Call("write", len(data)))
        self._incoming.write(data)

    def restart(self) -> None:
        self._before(Call("restart"))
        self._incoming.restart()

    def seal(self, *, sha256: str | None = None, git_id: str | None = None, source: str = "") -> Sealed:
        self._before(Call("seal", sha256 or git_id))
        return self._incoming.seal(sha256=sha256, git_id=git_id, source=source)

    def close(self) -> None:
        self._incoming.close()


class _WatchedBlocks(IncomingBlocks):
    def __init__(self, incoming: IncomingBlocks, before: Callable[[Call], None]) -> None:
        self._incoming, self._before = incoming, before
        self.size, self.block_bytes = incoming.size, incoming.block_bytes

    @property
    def is_lost(self) -> bool:
        return self._incoming.is_lost

    def missing(self) -> list[int]:
        return self._incoming.missing()

    def write(self, position: int, data: bytes | memoryview) -> None:
        self._before(Call("write", len(data)))
        self._incoming.write(position, data)

    def complete(self, number: int) -> None:
        self._before(Call("complete", number))
        self._incoming.complete(number)

    def version(self, number: int) -> int:
        return self._incoming.version(number)

    def reopen(self, number: int) -> None:
        self._before(Call("reopen", number))
        self._incoming.reopen(number)

    def restart(self) -> None:
        self._before(Call("restart"))
        self._incoming.restart()

    def seal(self, *, sha256: str | None = None, source: str = "") -> Sealed:
        self._before(Call("seal", sha256))
        return self._incoming.seal(sha256=sha256, source=source)

    def close(self) -> None:
        self._incoming.close()


class StoreFault(NamedTuple):
    """What goes wrong: calls number `at` to `at + times - 1` of the method `call` run `first`, then raise `error` if there is one."""

    call: str
    error: Exception | None = None
    at: int = 1
    times: int = 1
    first: Callable[[], object] = lambda: None


class FaultyStore(WatchedStore):
    """A store that fails by script. Calls of one method are counted from 1, over all threads and objects."""

    def __init__(self, store: Store, script: Sequence[StoreFault]) -> None:
        super().__init__(store)
        self.script = list(script)
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def before(self, call: Call) -> None:
        with self._lock:
            number = self._counts[call.name] = self._counts.get(call.name, 0) + 1
        for fault in self.script:
            if fault.call == call.name and fault.at <= number < fault.at + fault.times:
                fault.first()
                if fault.error is not None:
                    raise fault.error


class SlowStore(WatchedStore):
    """A store whose calls wait: `delay` is called with each of them before it is passed on."""

    def __init__(self, store: Store, delay: Callable[[Call], object]) -> None:
        super().__init__(store)
        self._delay = delay

    def before(self, call: Call) -> None:
        self._delay(call)


class RecordingStore(WatchedStore):
    """A store that remembers its calls, in order, in `calls`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.calls: list[Call] = []

    def before(self, call: Call) -> None:
        self.calls.append(call)

    def names(self) -> list[str]:
        """The methods called, in order."""
        return [call.name for call in self.calls]
