"""Files put together from chunks: any part of them, each chunk checked before a byte of it is given away."""

import io
import os
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.store.disk import disk_errors
from tenuto.store.xet.chunks import HEADER_BYTES, Decoder, is_plain, plain_header, read_header
from tenuto.store.xet.folder import XorbFolder
from tenuto.store.xet.hashes import chunk_hash
from tenuto.store.xet.seals import Seals, is_sealed, seal
from tenuto.store.xet.table import FileTable, XorbTable

FindXorb = Callable[[str], XorbTable]
_BATCH_BYTES = 2 << 20
_OPEN_XORBS = 8


class _Room:
    """Memory that is used again and again: to get it anew for each batch would cost as much as the work in it."""

    def __init__(self) -> None:
        self._all = bytearray()

    def of(self, size: int) -> memoryview:
        """This many bytes; what was given before is no longer its receiver's."""
        if len(self._all) < size:
            self._all = bytearray(size)
        return memoryview(self._all)[:size]


class _Chunks:
    """Reads chunks of xorbs; keeps the files open that were read last."""

    def __init__(self, folder: XorbFolder) -> None:
        self._folder = folder
        self._decoder = Decoder()
        self._files: OrderedDict[str, BinaryIO] = OrderedDict()
        self._stored, self._unpacked = _Room(), _Room()

    def read(self, name: str, xorb: XorbTable, first: int, last: int) -> memoryview:
        """The stored bytes of the chunks from `first` to `last` (exclusive), which stay until the next call."""
        data = self._stored.of(xorb.stored[last] - xorb.stored[first])
        if xorb.source is None:
            return self._fill(data, name, xorb, first, xorb.stored[first])
        at = 0
        for raw in self._slices(name, xorb, first, last):
            end = at + HEADER_BYTES + len(raw)
            data[at : at + HEADER_BYTES], data[at + HEADER_BYTES : end] = plain_header(len(raw)), raw
            at = end
        return data

    def _fill(self, data: memoryview, name: str, xorb: XorbTable, first: int, start: int) -> memoryview:
        """`data`, filled from what holds the bytes of the xorb, from the position `start` on."""
        file = self._file(name, xorb)
        with disk_errors(name):
            found = os.preadv(file.fileno(), [data], start)
        if found != len(data):
            raise _damaged(name, first, "it ends too early")
        return data

    def _slices(self, name: str, xorb: XorbTable, first: int, last: int) -> Iterator[memoryview]:
        """The bytes of each of these chunks, as they lie in the source of the xorb."""
        assert xorb.source is not None
        base = xorb.raw[first]
        data = self._unpacked.of(xorb.raw[last] - base)
        self._fill(data, name, xorb, first, xorb.source.start + base)
        for index in range(first, last):
            yield data[xorb.raw[index] - base : xorb.raw[index + 1] - base]

    def decode(self, name: str, xorb: XorbTable, first: int, last: int, *, checked: bool = True) -> list[memoryview]:
        """The bytes of each of these chunks; they stay until the next call."""
        if xorb.source is not None:
            slices = list(self._slices(name, xorb, first, last))
            for index, piece in enumerate(slices if checked else (), first):
                _check(name, xorb, index, piece)
            return slices
        data, raws = self.read(name, xorb, first, last), []
        base = xorb.raw[first]
        room = self._unpacked.of(xorb.raw[last] - base)
        for index, raw in enumerate(self.unpack(name, xorb, first, last, data, checked=checked), first):
            if isinstance(raw, memoryview) and raw.obj is data.obj:
                raws.append(raw)
                continue
            place = room[xorb.raw[index] - base : xorb.raw[index + 1] - base]
            place[:] = raw
            raws.append(place)
        return raws

    def unpack(
        self, name: str, xorb: XorbTable, first: int, last: int, data: memoryview, *, checked: bool = True
    ) -> Iterator[bytes | memoryview]:
        """The bytes of each of these chunks, whose stored bytes are `data`; each stays until the next one."""
        start = xorb.stored[first]
        for index in range(first, last):
            at, until = xorb.stored[index] - start, xorb.stored[index + 1] - start
            try:
                header = read_header(data[at : at + HEADER_BYTES])
                raw = self._decoder.decode(header, data[at + HEADER_BYTES : until])
            except UsageError as error:
                raise _damaged(name, index, error.message) from error
            if len(raw) != xorb.raw[index + 1] - xorb.raw[index] or header.stored != until - at - HEADER_BYTES:
                raise _damaged(name, index, f"it has {len(raw)} bytes, stored in {header.stored}")
            if checked:
                _check(name, xorb, index, raw)
            yield raw

    def vouch(self, name: str, xorb: XorbTable, first: int, last: int, data: memoryview, seals: bytearray) -> None:
        """`data` are stored bytes that hold these chunks; those that are sealed are not unpacked. Raises IntegrityError (CorruptObject)."""
        start = xorb.stored[first]
        for index in range(first, last):
            stored = data[xorb.stored[index] - start : xorb.stored[index + 1] - start]
            is_packed = not is_plain(stored)
            if is_packed and is_sealed(seals, index, stored):
                continue
            next(self.unpack(name, xorb, index, index + 1, stored))
            if is_packed:
                seal(seals, index, stored)

    def _file(self, name: str, xorb: XorbTable) -> BinaryIO:
        key = name if xorb.source is None else xorb.source.sha256
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = self._folder.open(name, xorb.source)
            if len(self._files) > _OPEN_XORBS:
                self._files.popitem(last=False)[1].close()
        return file

    def close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


class Assembled(io.RawIOBase):
    """A readable, seekable run of bytes that is loaded batch by batch; for one thread at a time."""

    def __init__(self, size: int, chunks: _Chunks) -> None:
        self._size, self._chunks = size, chunks
        self._position = 0
        self._ready: deque[memoryview] = deque()
        self._is_placed = False

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, counted from the start, from here or from the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        self._ready.clear()
        self._is_placed = False
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """That many bytes, or all that are left; fewer only at the end. Raises IntegrityError (CorruptObject), StorageError."""
        left = max(self._size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces: list[bytes] = []
        while wanted:
            pieces.append(b"".join(self.take(wanted)))
            wanted -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def take(self, most: int) -> list[memoryview]:
        """Up to that many bytes, as views that are good until the next call; empty only at the end.

        Raises IntegrityError (CorruptObject), StorageError.
        """
        wanted = min(most, self._size - self._position)
        if wanted > 0 and not self._ready:
            if not self._is_placed:
                self._place(self._position)
                self._is_placed = True
            self._load(min(wanted, _BATCH_BYTES))
        views = []
        while wanted > 0 and self._ready:
            view = self._ready.popleft()
            if len(view) > wanted:
                self._ready.appendleft(view[wanted:])
                view = view[:wanted]
            views.append(view)
            wanted -= len(view)
            self._position += len(view)
        return views

    @abstractmethod
    def _place(self, position: int) -> None:
        """Let the next batch begin at `position`."""

    @abstractmethod
    def _load(self, wanted: int) -> None:
        """Make the next batch ready, at least a byte of it, about `wanted` bytes."""

    def close(self) -> None:
        """Release what is held."""
        self._chunks.close()
        super().close()


class ChunkedFile(Assembled):
    """A file that is stored as terms.

    Reading raises IntegrityError (CorruptObject) where a chunk is not what it was. With `checked` False only its length is looked at,
    for callers who hash the whole file.
    """

    def __init__(self, table: FileTable, find_xorb: FindXorb, folder: XorbFolder, *, checked: bool = True) -> None:
        super().__init__(table.size, _Chunks(folder))
        self._table, self._find_xorb, self._checked = table, find_xorb, checked
        self._term = self._chunk = self._skip = 0

    def _place(self, position: int) -> None:
        table = self._table
        self._term = table.find(position)
        term = table.term(self._term)
        raw = self._find_xorb(term.xorb).raw
        offset = raw[term.start] + position - table.start(self._term)
        self._chunk = bisect_right(raw, offset) - 1
        self._skip = offset - raw[self._chunk]

    def _load(self, wanted: int) -> None:
        term = self._table.term(self._term)
        xorb = self._find_xorb(term.xorb)
        first = max(self._chunk, term.start)
        last = bisect_left(xorb.raw, xorb.raw[first] + self._skip + wanted, first + 1, term.end)
        raws = self._chunks.decode(term.xorb, xorb, first, last, checked=self._checked)
        raws[0] = raws[0][self._skip :]
        self._ready.extend(raws)
        self._skip, self._chunk = 0, last
        if last == term.end:
            self._term, self._chunk = self._term + 1, 0


class StoredXorb(Assembled):
    """A xorb as it is stored, for clients that unpack it themselves and check nothing: every chunk is checked before it is given away."""

    def __init__(self, name: str, xorb: XorbTable, folder: XorbFolder, seals: Seals) -> None:
        super().__init__(xorb.stored[-1], _Chunks(folder))
        self._seals = seals.of(name, xorb.chunks)
        self._name, self._xorb = name, xorb
        self._chunk = self._skip = 0

    def _place(self, position: int) -> None:
        self._chunk = bisect_right(self._xorb.stored, position) - 1
        self._skip = position - self._xorb.stored[self._chunk]

    def _load(self, wanted: int) -> None:
        xorb, first = self._xorb, self._chunk
        last = bisect_left(xorb.stored, xorb.stored[first] + self._skip + wanted, first + 1, xorb.chunks)
        data = self._chunks.read(self._name, xorb, first, last)
        self._chunks.vouch(self._name, xorb, first, last, data, self._seals)
        self._ready.append(data[self._skip :])
        self._skip, self._chunk = 0, last


def _check(name: str, xorb: XorbTable, index: int, raw: bytes | memoryview) -> None:
    if chunk_hash(raw) != xorb.chunk(index):
        raise _damaged(name, index, "its bytes have another hash")


def _damaged(name: str, index: int, reason: str) -> IntegrityError:
    return IntegrityError(f"chunk {index} of the stored xorb {name} is damaged: {reason}", code="CorruptObject")


class Part(NamedTuple):
    """Chunks `start` to `end` (exclusive) of a xorb, which make `length` bytes of the file."""

    xorb: str
    start: int
    end: int
    length: int


class Span(NamedTuple):
    """Chunks of a xorb that are fetched at once, and the stored bytes `first_byte` to `end_byte` (exclusive) that hold them."""

    start: int
    end: int
    first_byte: int
    end_byte: int


class Plan(NamedTuple):
    """How to put a part of a file together: drop `skip` bytes of the first part; spans by xorb, in order, apart from each other."""

    skip: int
    parts: list[Part]
    spans: dict[str, list[Span]]


def plan(table: FileTable, start: int, end: int, find_xorb: FindXorb) -> Plan:
    """The plan for bytes `start` to `end` (exclusive) of a file, `0 <= start < end <= size`; whole chunks, no more than needed."""
    parts: list[Part] = []
    by_xorb: dict[str, list[tuple[int, int]]] = {}
    skip = 0
    for index in range(table.find(start), table.find_last(end) + 1):
        term = table.term(index)
        raw = find_xorb(term.xorb).raw
        shift = table.start(index) - raw[term.start]  # from offsets in the xorb to positions in the file
        low, high = max(start - shift, raw[term.start]), min(end - shift, raw[term.end])
        first, last = bisect_right(raw, low, term.start) - 1, bisect_left(raw, high, term.start, term.end)
        if not parts:
            skip = low - raw[first]
        parts.append(Part(term.xorb, first, last, raw[last] - raw[first]))
        by_xorb.setdefault(term.xorb, []).append((first, last))
    return Plan(skip, parts, {name: _spans(find_xorb(name), ranges) for name, ranges in by_xorb.items()})


def _spans(xorb: XorbTable, ranges: list[tuple[int, int]]) -> list[Span]:
    merged: list[list[int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return [Span(start, end, xorb.stored[start], xorb.stored[end]) for start, end in merged]
