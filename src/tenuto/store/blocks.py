"""An object on its way into a local store by blocks, in any order: docs/formats/store.md, "By blocks".

The file is as long as the object, with holes; behind it follows a map of the blocks that are complete. The sha256 follows the bytes from
the first one on, whichever thread writes: of memory where a write goes on from there, else out of the page cache, a bit at each write.
"""

import contextlib
import hashlib
import os
import struct
import threading
from collections.abc import Iterator

from tenuto.core.errors import InternalError, StorageError
from tenuto.store.base import IncomingBlocks, Sealed, check_seal
from tenuto.store.disk import EARLY_BYTES, disk_errors, start_writing
from tenuto.store.spool import open_spool_file, rename_sealed

_HEAD = struct.Struct("<8sQQ")
_MAGIC = b"tenutob1"
_VERSIONS = 255
_PIECE_BYTES = 256 << 10
_CATCH_UP = 4
"""How much more than it writes a thread hashes of what others wrote: enough to come up with them, and no long wait for anybody."""
_BEHIND_BYTES = 8 << 20
"""Who writes waits for whoever hashes, if so much is there to be hashed: all of it after the last byte would take longer."""
_sync = getattr(os, "fdatasync", os.fsync)  # not every system has the cheaper one


class BlockFile(IncomingBlocks):
    """A spool file with holes and a map, locked by its process; a second process that wants the same takes one of its own."""

    def __init__(self, spool: str, key: str, size: int, block_bytes: int) -> None:
        self.size, self.block_bytes = size, block_bytes
        self._count = max(-(-size // block_bytes), 1)
        self._hashing, self._losing = threading.Lock(), threading.Lock()
        self._is_lost = False
        self._buffer: memoryview | None = None
        self._sealed = False
        self._path, self._descriptor, self._keyed = open_spool_file(spool, key, "blocks")
        try:
            self._read_map()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _read_map(self) -> None:
        head = _HEAD.pack(_MAGIC, self.size, self.block_bytes)
        found = os.pread(self._descriptor, len(head) + self._count + 1, self.size)
        if found.startswith(head) and len(found) == len(head) + self._count:
            self._begin(bytearray(found[len(head) :]))
        else:
            self.restart()

    def restart(self) -> None:
        head, held = _HEAD.pack(_MAGIC, self.size, self.block_bytes), bytearray(self._count)
        self._begin(held)
        with self._or_lost():
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, head + held, self.size)

    def _begin(self, held: bytearray) -> None:
        self._held, self._versions = held, bytearray(held)
        self._ends: dict[int, int] = {}
        """Where the bytes end that are there from the start of a block on."""
        self._hasher, self._hashed = hashlib.sha256(), 0
        self._starts = [self._hasher.copy()]
        """The sha256 of what is before each block that it has come to."""

    @contextlib.contextmanager
    def _or_lost(self) -> Iterator[None]:
        """All is lost by a failure in here. The system forgets what it could not write, and says so once: a later sync succeeds."""
        self._check_not_lost()
        try:
            with disk_errors(self._path):
                yield
        except StorageError:
            self._lose()
            raise

    def _check_not_lost(self) -> None:
        if self._is_lost:
            raise StorageError("the disk lost bytes of this object on their way in", hint="send all of it again")

    def _lose(self) -> None:
        with self._losing:
            if not self._is_lost:
                self._is_lost = True
                with contextlib.suppress(OSError):
                    os.unlink(self._path)  # once: the name may be that of the next one then

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    def missing(self) -> list[int]:
        return [number for number in range(self._count) if not self.version(number)]

    def version(self, number: int) -> int:
        return 0 if self._is_lost else self._held[number]

    def reopen(self, number: int) -> None:
        self._check_not_lost()
        with self._hashing:
            if self._held[number]:
                self._held[number] = 0
                self._write_map(number)
            self._forget(number)

    def _forget(self, number: int) -> None:
        """Nothing of the block counts, nor was anything hashed from there on; the caller holds `_hashing`."""
        self._ends.pop(number, None)
        start = number * self.block_bytes
        if self._hashed > start:
            self._hasher, self._hashed = self._starts[number].copy(), start
            del self._starts[number + 1 :]

    def write(self, position: int, data: bytes | memoryview) -> None:
        self._check_not_lost()
        view = memoryview(data)
        touched = self._held[position // self.block_bytes : -(-(position + len(view)) // self.block_bytes)]
        if position < 0 or position + len(view) > self.size or any(touched):
            raise InternalError("bytes were written over a complete block")  # it may have been hashed by now
        for number, start, piece in self._cut(position, view):
            self._write_in(number, start, piece)
            self._follow(start, piece)

    def _cut(self, position: int, view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
        """Block, position and bytes of each piece that lies in one block."""
        while view:
            number = position // self.block_bytes
            length = (number + 1) * self.block_bytes - position
            yield number, position, view[:length]
            view, position = view[length:], position + length

    def _write_in(self, number: int, position: int, view: memoryview) -> None:
        end = self._ends.get(number, number * self.block_bytes)
        if position < end:
            with self._hashing:
                self._forget(number)
            end = number * self.block_bytes
        start = position
        with disk_errors(self._path):
            while view:
                count = os.pwrite(self._descriptor, view, position)
                view, position = view[count:], position + count
        if start == end:
            self._ends[number] = position
        if (begun := start - start % EARLY_BYTES) != position - position % EARLY_BYTES:
            with self._or_lost():
                start_writing(self._descriptor, begun, position - begun)

    def _follow(self, position: int, written: memoryview) -> None:
        """Hash what was just written, or catch up with it, unless another thread is at it and not far behind."""
        if self._hashing.acquire(blocking=self._there() - self._hashed > _BEHIND_BYTES):
            try:
                if self._hashed == position:
                    self._take(written)
                else:
                    self._hash_on(_CATCH_UP * len(written))
            finally:
                self._hashing.release()

    def _hash_on(self, most_bytes: int) -> None:
        """Hash what follows on what is hashed, as far as it is there; the caller holds `_hashing`."""
        buffer = self._buffer = self._buffer or memoryview(bytearray(_PIECE_BYTES))
        enough = self._hashed + most_bytes
        while left := min(self._there(), enough) - self._hashed:
            with disk_errors(self._path):
                count = os.preadv(self._descriptor, [buffer[:left]], self._hashed)
            assert count, "the file is as long as the object"
            self._take(buffer[:count])

    def _there(self) -> int:
        """Where the bytes end that are there from the one on that is to be hashed next, at most the end of its block."""
        number = self._hashed // self.block_bytes
        if self._hashed == self.size:
            return self.size
        if self._held[number]:
            return min((number + 1) * self.block_bytes, self.size)
        return self._ends.get(number, self._hashed)

    def _take(self, data: memoryview) -> None:
        """Count bytes of one block as hashed."""
        self._hasher.update(data)
        self._hashed += len(data)
        if self._hashed % self.block_bytes == 0:
            self._starts.append(self._hasher.copy())

    def complete(self, number: int) -> None:
        with self._or_lost():
            _sync(self._descriptor)  # before the map says so: a power cut must not make it a lie
        self._versions[number] = self._versions[number] % _VERSIONS + 1
        self._held[number] = self._versions[number]
        self._write_map(number)

    def _write_map(self, number: int) -> None:
        with self._or_lost():
            os.pwrite(self._descriptor, self._held[number : number + 1], self.size + _HEAD.size + number)

    def seal(self, *, sha256: str | None = None, source: str = "") -> Sealed:
        self._check_not_lost()
        with self._hashing:
            self._hash_on(self.size)
        assert self._hashed == self.size, "no block is missing"
        found = self._hasher.hexdigest()
        try:
            check_seal("sha256", sha256, found, source)
        except BaseException:
            self.restart()
            raise
        with self._or_lost():
            self._path = rename_sealed(self._path)  # out of reach, before the map goes
            os.ftruncate(self._descriptor, self.size)
            os.fchmod(self._descriptor, 0o444)
            self._sealed = True
            self.close()
        return Sealed(found, self.size, self._path)

    def close(self) -> None:
        if self._descriptor < 0:
            return
        try:
            if not self._sealed and not self._is_lost and not (self._keyed and any(self._held)):
                with disk_errors(self._path), contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
