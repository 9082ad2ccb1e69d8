"""Writes a pack as it is sent. Source: gitformat-pack(5)."""

import hashlib
import zlib
from collections.abc import Callable

from tenuto.server.git_wire.pack import KINDS, NAMED_DELTA, OFFSET_DELTA

_NUMBERS = {kind: number for number, kind in KINDS.items()}
_LEVEL = 1
_SAMPLE_BYTES = 8192


class PackWriter:
    """Passes a pack of `count` objects to `write`, piece by piece."""

    def __init__(self, write: Callable[[bytes], None], count: int) -> None:
        self._write = write
        self._left = count
        self._hasher = hashlib.sha1(usedforsecurity=False)
        self._place = 0
        self._put(b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big"))

    def add(self, kind: str, body: bytes) -> int:
        """Write a whole object, and return where it begins."""
        return self._add(_NUMBERS[kind], len(body), b"", body)

    def add_delta(self, delta: bytes, base: str, place: int | None) -> int:
        """Write a difference to the object `base`, which begins at `place` or is only named; return where it begins."""
        if place is None:
            return self._add(NAMED_DELTA, len(delta), bytes.fromhex(base), delta)
        return self._add(OFFSET_DELTA, len(delta), _distance(self._place - place), delta)

    def _add(self, number: int, size: int, base: bytes, body: bytes) -> int:
        assert self._left > 0, "more objects than were announced"
        self._left -= 1
        place = self._place
        self._put(_head(number, size) + base + zlib.compress(body, _level(body)))
        return place

    def finish(self) -> None:
        """Write the checksum; all objects must be written."""
        assert self._left == 0, "fewer objects than were announced"
        self._write(self._hasher.digest())

    def _put(self, data: bytes) -> None:
        self._hasher.update(data)
        self._place += len(data)
        self._write(data)


def _level(body: bytes) -> int:
    """How hard to compress: a long body whose middle does not shrink is stored as it is, which is ten times as fast."""
    if len(body) < 8 * _SAMPLE_BYTES:
        return _LEVEL
    middle = len(body) // 2
    shrunk = len(zlib.compress(body[middle : middle + _SAMPLE_BYTES], _LEVEL))
    return _LEVEL if shrunk < _SAMPLE_BYTES * 95 // 100 else 0


def _head(number: int, size: int) -> bytes:
    coded = bytearray()
    byte = number << 4 | size & 15
    size >>= 4
    while size:
        coded.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    coded.append(byte)
    return bytes(coded)


def _distance(number: int) -> bytes:
    coded = [number & 0x7F]
    number >>= 7
    while number:
        number -= 1
        coded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(reversed(coded))
