"""An object on its way into a local store by blocks, in any order: docs/formats/store.md, "By blocks".

The file is as long as the object, with holes; behind it follows a map of the blocks that are complete. The sha256 is computed by
whichever thread completes a block, over the blocks from the first one on, while other threads go on writing.
"""

import contextlib
import hashlib
import os
import struct
import threading

from tenuto.core.errors import InternalError
from tenuto.store.base import IncomingBlocks, Sealed, check_seal
from tenuto.store.disk import BLOCK_BYTES, disk_errors
from tenuto.store.spool import open_spool_file, rename_sealed

_HEAD = struct.Struct("<8sQQ")
_MAGIC = b"tenutob1"
_HELD = b"\x01"
_sync = getattr(os, "fdatasync", os.fsync)  # not every system has the cheaper one


class BlockFile(IncomingBlocks):
    """A spool file with holes and a map, locked by its process; a second process that wants the same takes one of its own."""

    def __init__(self, spool: str, key: str, size: int, block_bytes: int) -> None:
        self.size, self.block_bytes = size, block_bytes
        self._lock, self._hashing = threading.Lock(), threading.Lock()
        self._sealed = False
        self._path, self._descriptor, self._keyed = open_spool_file(spool, key, "blocks")
        try:
            self._read_map()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _read_map(self) -> None:
        head, count = _HEAD.pack(_MAGIC, self.size, self.block_bytes), -(-self.size // self.block_bytes)
        found = os.pread(self._descriptor, len(head) + count + 1, self.size)
        if found.startswith(head) and len(found) == len(head) + count:
            self._begin(bytearray(found[len(head) :]))
        else:
            self.restart()

    def restart(self) -> None:
        head, held = _HEAD.pack(_MAGIC, self.size, self.block_bytes), bytearray(-(-self.size // self.block_bytes))
        with disk_errors(self._path):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, head + held, self.size)
        self._begin(held)

    def _begin(self, held: bytearray) -> None:
        self._held, self._hasher, self._hashed = held, hashlib.sha256(), 0

    def missing(self) -> list[int]:
        with self._lock:
            return [number for number, held in enumerate(self._held) if not held]

    def write(self, position: int, data: bytes | memoryview) -> None:
        view = memoryview(data)
        touched = self._held[position // self.block_bytes : -(-(position + len(view)) // self.block_bytes)]
        if position < 0 or position + len(view) > self.size or any(touched):
            raise InternalError("bytes were written over a complete block")  # it may have been hashed by now
        with disk_errors(self._path):
            while view:
                count = os.pwrite(self._descriptor, view, position)
                view, position = view[count:], position + count

    def complete(self, number: int) -> None:
        with disk_errors(self._path):
            _sync(self._descriptor)  # before the map says so: a power cut must not make it a lie
            os.pwrite(self._descriptor, _HELD, self.size + _HEAD.size + number)
        with self._lock:
            self._held[number] = 1
        if self._hashing.acquire(blocking=False):
            try:
                self._hash_on()
            finally:
                self._hashing.release()

    def _hash_on(self) -> None:
        """Hash every block that follows on what is hashed, as long as there is one; the caller holds `_hashing`."""
        buffer = memoryview(bytearray(min(BLOCK_BYTES, self.size)))
        while self._hashed < self.size and self._held[self._hashed // self.block_bytes]:
            end = min(self._hashed + self.block_bytes, self.size)
            while self._hashed < end:
                with disk_errors(self._path):
                    count = os.preadv(self._descriptor, [buffer[: end - self._hashed]], self._hashed)
                assert count, "the file is as long as the object"
                self._hasher.update(buffer[:count])
                self._hashed += count

    def seal(self, *, sha256: str | None = None, source: str = "") -> Sealed:
        with self._hashing:
            self._hash_on()
        assert self._hashed == self.size, "no block is missing"
        found = self._hasher.hexdigest()
        try:
            check_seal("sha256", sha256, found, source)
        except BaseException:
            self.restart()
            raise
        with disk_errors(self._path):
            self._path = rename_sealed(self._path)  # out of reach, before the map goes
            os.ftruncate(self._descriptor, self.size)
            os.fchmod(self._descriptor, 0o444)
        self._sealed = True
        self.close()
        return Sealed(found, self.size, self._path)

    def close(self) -> None:
        if self._descriptor < 0:
            return
        if not self._sealed and not (self._keyed and any(self._held)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        os.close(self._descriptor)
        self._descriptor = -1
