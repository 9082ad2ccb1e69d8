"""Where the chunks of a xorb lie, and of which chunks a file consists; in memory, and packed for a database (docs/formats/xet.md)."""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from tenuto.core.errors import IntegrityError
from tenuto.store.xet.hashes import HASH_BYTES, from_text, to_text

_ROW_BYTES = HASH_BYTES + 4 + 4
_COUNT_BYTES = 4
_TERM_BYTES = 4 + 4 + 4 + 8


class Slice(NamedTuple):
    """A part of an object: from `start` on, as long as it says elsewhere. Sizes in bytes."""

    sha256: str
    size: int
    start: int


class XorbTable(NamedTuple):
    """The chunks of one xorb. `raw` and `stored` hold n + 1 offsets: of each chunk in the unpacked and in the stored bytes, and the end.

    A xorb with a `source` need not lie anywhere: its unpacked bytes are a part of that object, and its stored bytes are these with headers.
    """

    hashes: bytes
    raw: "array[int]"
    stored: "array[int]"
    source: Slice | None = None

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return len(self.raw) - 1

    @property
    def lengths(self) -> list[int]:
        """The bytes of each chunk."""
        return self.lengths_of(0, self.chunks)

    def lengths_of(self, start: int, end: int) -> list[int]:
        """The bytes of each chunk from `start` to `end` (exclusive)."""
        return [after - before for before, after in pairwise(self.raw[start : end + 1])]

    def hashes_of(self, start: int, end: int) -> bytes:
        """The hashes of the chunks from `start` to `end` (exclusive)."""
        return self.hashes[HASH_BYTES * start : HASH_BYTES * end]

    def chunk(self, index: int) -> bytes:
        """The hash of a chunk."""
        return self.hashes_of(index, index + 1)

    def pack(self) -> bytes:
        """The form that is kept: hashes, ends in the unpacked bytes, ends in the stored bytes."""
        return self.hashes + _bytes_of(self.raw[1:]) + _bytes_of(self.stored[1:])

    @classmethod
    def unpack(cls, packed: bytes, source: Slice | None = None) -> "XorbTable":
        """Read what `pack` made; raises IntegrityError (CorruptObject)."""
        count, rest = divmod(len(packed), _ROW_BYTES)
        if rest or not count:
            raise IntegrityError("the table of a xorb is damaged", code="CorruptObject")
        raw_at, stored_at = HASH_BYTES * count, (HASH_BYTES + 4) * count
        raw, stored = _numbers("I", bytes(4) + packed[raw_at:stored_at]), _numbers("I", bytes(4) + packed[stored_at:])
        return cls(packed[:raw_at], raw, stored, source)


class Term(NamedTuple):
    """Chunks `start` to `end` (exclusive) of a xorb, which is named by the text of its hash."""

    xorb: str
    start: int
    end: int


class FileTable(NamedTuple):
    """The terms of one file, in order. `ends` holds the end of each term in the bytes of the file."""

    xorbs: tuple[str, ...]
    which: "array[int]"
    starts: "array[int]"
    stops: "array[int]"
    ends: "array[int]"

    @classmethod
    def of(cls, terms: Iterable[tuple[Term, int]]) -> "FileTable":
        """The table of terms with their lengths in bytes."""
        places: dict[str, int] = {}
        which, starts, stops, ends = array("I"), array("I"), array("I"), array("Q")
        size = 0
        for (xorb, start, end), length in terms:
            which.append(places.setdefault(xorb, len(places)))
            starts.append(start)
            stops.append(end)
            size += length
            ends.append(size)
        return cls(tuple(places), which, starts, stops, ends)

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.ends[-1] if self.ends else 0

    @property
    def terms(self) -> int:
        """The number of terms."""
        return len(self.ends)

    def term(self, index: int) -> Term:
        """A term by its place."""
        return Term(self.xorbs[self.which[index]], self.starts[index], self.stops[index])

    def start(self, index: int) -> int:
        """Where a term begins in the file, in bytes."""
        return self.ends[index - 1] if index else 0

    def find(self, position: int) -> int:
        """The term that holds the byte at `position`; the number of terms if the file is not that long."""
        return bisect_right(self.ends, position)

    def find_last(self, end: int) -> int:
        """The term that holds the byte before `end`, which is more than 0 and at most the size."""
        return bisect_left(self.ends, end)

    def pack(self) -> bytes:
        """The form that is kept: number of xorbs, their hashes, then which, starts, stops and ends of the terms."""
        head = len(self.xorbs).to_bytes(_COUNT_BYTES, "little") + from_text("".join(self.xorbs))
        return head + b"".join(map(_bytes_of, (self.which, self.starts, self.stops, self.ends)))

    @classmethod
    def unpack(cls, packed: bytes) -> "FileTable":
        """Read what `pack` made; raises IntegrityError (CorruptObject)."""
        head = _COUNT_BYTES + HASH_BYTES * int.from_bytes(packed[:_COUNT_BYTES], "little")
        count, rest = divmod(len(packed) - head, _TERM_BYTES)
        if rest or count < 0 or len(packed) < _COUNT_BYTES:
            raise IntegrityError("the table of a file is damaged", code="CorruptObject")
        texts = to_text(packed[_COUNT_BYTES:head])
        xorbs = tuple(texts[at : at + 64] for at in range(0, len(texts), 64))
        small, ends = _numbers("I", packed[head : head + 12 * count]), _numbers("Q", packed[head + 12 * count :])
        return cls(xorbs, small[:count], small[count : 2 * count], small[2 * count :], ends)


def _numbers(kind: str, data: bytes) -> "array[int]":
    numbers = array(kind, data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _bytes_of(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
