"""What every store promises. The conformance suite in `tenuto.testing.store_suite` checks it.

Nothing counts until it is verified: bytes are *received* into a spool, *sealed* (their sha256 is now known, and is the
expected one), and *published* under that name. A reader sees a whole object or none.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.store.disk import disk_errors

_KEY = re.compile(r"[A-Za-z0-9-]{1,128}")


class StoredObject(NamedTuple):
    """An object that a store holds: sha256 and size in bytes."""

    sha256: str
    size: int


class Sealed(NamedTuple):
    """Received bytes, complete and hashed, not yet published. `token` is the store's own business."""

    sha256: str
    size: int
    token: object


class Incoming(ABC):
    """An object on its way in. Use as a context manager: leaving it unsealed drops the bytes, or keeps them to resume by key."""

    size: int
    """Bytes taken in so far; more than 0 at the start if an interrupted receive with the same key is resumed."""

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Take in more bytes. Raises StorageError (DiskFull, LocalFile); then `size` says how many were taken in after all."""

    @abstractmethod
    def restart(self) -> None:
        """Forget everything taken in so far, as when a source cannot continue where the last one stopped."""

    @abstractmethod
    def seal(self, *, sha256: str | None = None, git_id: str | None = None, source: str = "") -> Sealed:
        """Close the object. If `sha256` or `git_id` is given, the bytes must have it; `git_id` needs a receive with `git_size`.

        Raises IntegrityError (HashMismatch), which names both hashes and `source`; the bytes are gone then, as after `restart`.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held; an unsealed object is dropped, or kept if it has a key."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class IncomingBlocks(ABC):
    """An object on its way in by blocks, in any order and from many threads at once, each block from one of them.

    Use as a context manager. It is `size` bytes long and cut every `block_bytes`; one of no bytes has one block. Leaving it unsealed
    keeps what is complete, to go on by key.

    A disk that fails may take along what was complete. Then `is_lost`, no block counts, and whatever is asked raises StorageError:
    the object is to be received anew.
    """

    size: int
    block_bytes: int

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Whether the disk failed so that no block counts any more."""

    @abstractmethod
    def missing(self) -> list[int]:
        """The numbers of the blocks that are not complete, in order; at the start, all but those of an interrupted receive."""

    @abstractmethod
    def write(self, position: int, data: bytes | memoryview) -> None:
        """Take in bytes at a position. Raises StorageError (DiskFull, LocalFile)."""

    @abstractmethod
    def complete(self, number: int) -> None:
        """Every byte of the block has been written: from now on it outlives the process, and the machine. Raises StorageError."""

    @abstractmethod
    def version(self, number: int) -> int:
        """Which bytes the block holds: from 1 to 255, another number after it was reopened and completed, 0 while it is not complete."""

    @abstractmethod
    def reopen(self, number: int) -> None:
        """The block is missing, complete or not: it is to be written from its start. Raises StorageError."""

    @abstractmethod
    def restart(self) -> None:
        """Forget every block."""

    @abstractmethod
    def seal(self, *, sha256: str | None = None, source: str = "") -> Sealed:
        """Close the object, none of whose blocks is missing.

        Raises IntegrityError (HashMismatch) as `Incoming.seal` does; the bytes are gone then, as after `restart`.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held; no other thread may be at it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Store(ABC):
    """Objects by sha256. Safe for use from many threads and processes at once.

    Every method that takes a sha256 raises UsageError (BadRequest) if it is not 64 lowercase hex digits.
    """

    @abstractmethod
    def has(self, sha256: str) -> bool:
        """Whether the object is here, whole; no bytes are read."""

    @abstractmethod
    def size(self, sha256: str) -> int:
        """Its size in bytes; raises NotFoundError (ObjectNotFound)."""

    @abstractmethod
    def open(self, sha256: str) -> BinaryIO:
        """Its bytes, readable and seekable; raises NotFoundError (ObjectNotFound)."""

    def fill(self, sha256: str, view: memoryview) -> int:
        """Fill `view` with the first bytes of the object. Returns how many it has, or one more than fit if there are more.

        Raises NotFoundError (ObjectNotFound).
        """
        with self.open(sha256) as file:
            return fill_from(file, view)

    @abstractmethod
    def receive(self, *, key: str | None = None, git_size: int | None = None) -> Incoming:
        """Begin to take in an object.

        Bytes received under a `key` (1 to 128 letters, digits, '-') survive an interruption, and a later receive with that key
        may go on from them; two at once never mix. With `git_size` the git blob id is computed too, for bytes known by that id
        and size only. Raises UsageError (BadRequest) for a key of another form.
        """

    def take_in(self, data: bytes, *, sha256: str | None = None, git_id: str | None = None) -> Sealed:
        """Take in a whole object that is in memory. Raises IntegrityError (HashMismatch) if it is not what is expected."""
        with self.receive(git_size=None if git_id is None else len(data)) as incoming:
            incoming.write(data)
            return incoming.seal(sha256=sha256, git_id=git_id)

    def receive_blocks(self, key: str, size: int, block_bytes: int) -> IncomingBlocks | None:
        """Begin to take in an object of known size by blocks, or go on by `key`; None if this store takes objects from their start only."""
        check_key(key)
        return None

    @abstractmethod
    def publish(self, sealed: Iterable[Sealed]) -> None:
        """Make sealed objects visible and durable, all with one wait for the disk. One that is here already stays as it is."""

    @abstractmethod
    def discard(self, sealed: Sealed) -> None:
        """Drop a sealed object that shall not be published."""

    @abstractmethod
    def delete(self, sha256: str) -> bool:
        """Remove the object; whether it was here."""

    @abstractmethod
    def __iter__(self) -> Iterator[StoredObject]:
        """Every object, in no order; objects published or deleted meanwhile may or may not appear."""

    def put(self, data: bytes) -> str:
        """Store `data` and return its sha256."""
        sealed = self.take_in(data)
        self.publish([sealed])
        return sealed.sha256

    def read(self, sha256: str) -> bytes:
        """The whole object, checked against its name.

        Raises NotFoundError (ObjectNotFound), IntegrityError (CorruptObject).
        """
        import hashlib

        with self.open(sha256) as file, disk_errors(sha256):
            data = file.read()
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise corrupt_object(sha256, found)
        return data


def fill_from(file: BinaryIO, view: memoryview) -> int:
    """Fill `view` from a file. Returns how many bytes it has from where it stands, or one more than fit if there are more."""
    content = file.read(len(view) + 1)
    view[: len(content)] = content[: len(view)]
    return len(content)


def corrupt_object(sha256: str, found: str) -> IntegrityError:
    """The error for stored bytes that no longer have their name."""
    return IntegrityError(
        f"stored object {sha256} is damaged: its bytes have the sha256 {found}",
        code="CorruptObject",
        hint="run `tenuto repair` to fetch it again",
    )


def check_key(key: str) -> str:
    """Return `key` if it may name an interrupted receive; raises UsageError (BadRequest) before any path is built of it."""
    if not _KEY.fullmatch(key):
        raise UsageError(f"{key[:80]!r} is not a key of a receive: 1 to 128 letters, digits or '-'")
    return key


def check_seal(kind: str, expected: str | None, found: str, source: str) -> None:
    """Raise IntegrityError (HashMismatch) with both hashes and the source unless `found` is `expected` or nothing was expected."""
    if expected is not None and expected != found:
        raise IntegrityError(
            f"bytes{' from ' + source if source else ''} have the {kind} {found}, expected {expected}",
            code="HashMismatch",
            hint="nothing was stored; try again, or use another source",
        )
