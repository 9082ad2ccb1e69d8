"""Which stored bytes are known to hold which chunk: to check them again, they need not be unpacked again."""

import threading
from collections import OrderedDict

from tenuto.store.xet.hashes import HASH_BYTES, stored_hash

_MOST_CHUNKS = 400_000


class Seals:
    """The hash of the stored bytes of each chunk that was unpacked and found to be what it is called.

    The same bytes unpack to the same chunk: so a chunk whose stored bytes have the hash that is known here is as good as unpacked and hashed.
    In memory only, 32 bytes a chunk; what was not used for long is forgotten. Safe for use from many threads.
    """

    def __init__(self, most_chunks: int = _MOST_CHUNKS) -> None:
        self._most_chunks = most_chunks
        self._lock = threading.Lock()
        self._by_xorb: OrderedDict[str, bytearray] = OrderedDict()
        self._chunks = 0

    def of(self, xorb: str, chunks: int) -> bytearray:
        """The hashes for one xorb, one behind the other; zeros where none is known. Whoever has them may fill them in."""
        with self._lock:
            known = self._by_xorb.get(xorb)
            if known is None:
                known = self._by_xorb[xorb] = bytearray(HASH_BYTES * chunks)
                self._chunks += chunks
                while self._chunks > self._most_chunks and len(self._by_xorb) > 1:
                    self._chunks -= len(self._by_xorb.popitem(last=False)[1]) // HASH_BYTES
            else:
                self._by_xorb.move_to_end(xorb)
            return known


def is_sealed(seals: bytearray, index: int, stored: memoryview) -> bool:
    """Whether these are the stored bytes that are known for a chunk."""
    known = seals[HASH_BYTES * index : HASH_BYTES * (index + 1)]
    return any(known) and stored_hash(stored) == known


def seal(seals: bytearray, index: int, stored: memoryview) -> None:
    """From now on these are known as the stored bytes of a chunk: the caller unpacked them and saw that they are."""
    seals[HASH_BYTES * index : HASH_BYTES * (index + 1)] = stored_hash(stored)
