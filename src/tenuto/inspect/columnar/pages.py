"""The rows of one column in one row group: its pages one after another, as far as they are wanted. Source: parquet.thrift."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tenuto.inspect.columnar import encodings
from tenuto.inspect.columnar.effort import Effort, TooMuch
from tenuto.inspect.columnar.encodings import Physical, Raw, runs
from tenuto.inspect.columnar.footer import CODECS, MAGIC_BYTES, whole, word
from tenuto.inspect.columnar.packed import Reader, unpack
from tenuto.inspect.columnar.schema import Node
from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Cursor, Source, from_bytes
from tenuto.inspect.thrift import Thrift, read_structure

KEPT_ENTRIES = 16
_MOST_HEADER_BYTES, _MOST_HEADER_VALUES, _HEADER_BYTES_A_STEP = 1 << 20, 100, 64
_MOST_LEVEL_BYTES = 4 << 20
_STEPS_A_PAGE, _STEPS_AN_ENTRY = 50, 4
_DICTIONARY = 2
_PLAIN, _INDEXES, _RUNS, _DIFFERENCES, _LENGTHS_FIRST, _SHARED, _SPLIT = 0, (2, 8), 3, 5, 6, 7, 9


class Entry(NamedTuple):
    """A value of a row with its levels: what of the nesting is new with it, and how far down there is something."""

    repetition: int
    definition: int
    raw: Raw | None


@dataclass(slots=True)
class Row:
    """The first entries that one row has in a column, and how many it has."""

    entries: list[Entry] = field(default_factory=list)
    total: int = 0


class Chunk(NamedTuple):
    """Where a column lies, and how it is packed."""

    codec: str
    start: int
    size: int


class _Page(NamedTuple):
    """A page that is being read: its entries are levels first, then values."""

    repetitions: Iterator[int]
    definitions: Iterator[int]
    values: Reader
    entries: int
    encoding: int
    size_bytes: int


def find_chunk(facts: Mapping[int, Thrift]) -> Chunk:
    """Where the footer says that a column lies. Raises FormatError for what cannot be read."""
    told = facts.get(3)
    if facts.get(8) is not None or not isinstance(told, dict):
        raise FormatError("Encrypted", "it is encrypted")
    if facts.get(1) is not None:
        raise FormatError("NotAllChecked", "it lies in another file")
    starts = [whole(told.get(key)) for key in (9, 11) if told.get(key)]
    start, size = min(starts, default=0), whole(told.get(7))
    if start < MAGIC_BYTES or size < 0:
        raise FormatError("BadLength", f"it has {size:,} bytes at {start:,}")
    return Chunk(word(CODECS, told.get(4)), start, size)


class ChunkReader:
    """Reads the first rows of a column into `rows`."""

    def __init__(self, source: Source, chunk: Chunk, leaf: Node, effort: Effort) -> None:
        self.rows: list[Row] = []
        self._source = source.window(chunk.start, chunk.size)
        self._codec = chunk.codec
        self._leaf = leaf
        self._physical = Physical(leaf.physical, leaf.length)
        self._effort = effort
        self._dictionary: _Dictionary | None = None

    def read(self, wanted: int) -> None:
        """Read `wanted` rows, or all that there are. Raises FormatError; TooMuch, and what was read until then is in `rows`."""
        position = 0
        while position < self._source.size:
            self._effort.spend(_STEPS_A_PAGE)
            start = position
            header, position = read_structure(self._source, start, _MOST_HEADER_BYTES, _MOST_HEADER_VALUES)
            self._effort.spend((position - start) // _HEADER_BYTES_A_STEP)
            body = self._source.window(position, whole(header.get(3)))
            position += body.size
            if header.get(1) == _DICTIONARY:
                reader = unpack(body, self._codec, self._effort)
                self._dictionary = _Dictionary(reader, self._physical, _part(header, 7), self._effort)
            elif (page := self._page(header, body)) and self._read_page(page, wanted):
                return

    def _page(self, header: Mapping[int, Thrift], body: Source) -> _Page | None:
        """A page of values; None for any other one."""
        match header.get(1):
            case 0:
                return self._open(header, body)
            case 3:
                return self._open_2(header, body)
        return None

    def _open(self, header: Mapping[int, Thrift], body: Source) -> _Page:
        facts = _part(header, 5)
        for level, encoding in ((self._leaf.repetition, facts.get(4)), (self._leaf.definition, facts.get(3))):
            if level and encoding != _RUNS:
                raise FormatError("NotAllChecked", "its levels are written as no program does any more")
        values = unpack(body, self._codec, self._effort)
        repetitions = _levels(
            _with_length(values, self._effort) if self._leaf.repetition else None, self._leaf.repetition
        )
        definitions = _levels(
            _with_length(values, self._effort) if self._leaf.definition else None, self._leaf.definition
        )
        return _Page(repetitions, definitions, values, whole(facts.get(1)), whole(facts.get(2)), whole(header.get(2)))

    def _open_2(self, header: Mapping[int, Thrift], body: Source) -> _Page:
        facts = _part(header, 8)
        behind, first = whole(facts.get(5), 0), whole(facts.get(6), 0)
        values = body.window(first + behind, body.size - first - behind)
        packed = facts.get(7) is not False and self._codec != "UNCOMPRESSED"
        return _Page(
            _levels(Cursor(body.window(0, first)), self._leaf.repetition),
            _levels(Cursor(body.window(first, behind)), self._leaf.definition),
            unpack(values, self._codec if packed else "UNCOMPRESSED", self._effort),
            whole(facts.get(1)),
            whole(facts.get(4)),
            whole(header.get(2)) - first - behind,
        )

    def _read_page(self, page: _Page, wanted: int) -> bool:
        """Whether no further page is needed."""
        most = self._effort.left // _STEPS_AN_ENTRY
        levels, is_done = self._page_levels(page, wanted, most)
        count = sum(definition == self._leaf.definition for _, definition in levels)
        values = self._values(page, count) if count else iter(())
        for repetition, definition in levels:
            raw = _next(values) if definition == self._leaf.definition else None
            if repetition == 0:
                self.rows.append(Row())
            elif not self.rows:
                raise FormatError("BadStructure", "its first row has no beginning")
            row = self.rows[-1]
            row.total += 1
            if len(row.entries) < KEPT_ENTRIES:
                row.entries.append(Entry(repetition, definition, raw))
        if not is_done and len(levels) == most < page.entries:
            raise TooMuch
        return is_done

    def _page_levels(self, page: _Page, wanted: int, most: int) -> tuple[list[tuple[int, int]], bool]:
        """The levels of the wanted rows in a page, and whether the rows end with them."""
        found: list[tuple[int, int]] = []
        rows = len(self.rows)
        for repetition, definition in itertools.islice(_pairs(page), min(max(0, page.entries), most)):
            if repetition == 0:
                if rows == wanted:
                    return found, True
                rows += 1
            found.append((repetition, definition))
        self._effort.spend(len(found))
        return found, rows == wanted and not self._leaf.repetition

    def _values(self, page: _Page, count: int) -> Iterator[Raw]:
        """The first `count` values of a page."""
        values, kind, effort = page.values, self._physical.kind, self._effort
        if page.encoding == _PLAIN:
            return encodings.plain(values, self._physical, count, effort)
        if page.encoding in _INDEXES:
            return self._looked_up(values, count)
        if page.encoding == _RUNS and kind == "BOOLEAN":
            return map(bool, itertools.islice(runs(_with_length(values, effort), 1), count))
        if page.encoding == _DIFFERENCES and kind in {"INT32", "INT64"}:
            return iter(encodings.differences(values, count, effort, 32 if kind == "INT32" else 64))
        if page.encoding == _LENGTHS_FIRST and kind == "BYTE_ARRAY":
            return encodings.lengths_first(values, count, effort)
        if page.encoding == _SHARED and kind in {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}:
            return encodings.shared_beginnings(values, count, effort)
        if page.encoding == _SPLIT:
            return encodings.split_bytes(values, self._physical, count, page.size_bytes - values.position, effort)
        raise FormatError("NotAllChecked", f"it is written in a way (encoding {page.encoding}) that is not read here")

    def _looked_up(self, values: Reader, count: int) -> Iterator[Raw]:
        if self._dictionary is None:
            raise FormatError("BadStructure", "its values lie in a dictionary that is not there")
        width = values.take(1)[0]
        for index in itertools.islice(runs(values, width), count):
            self._effort.spend(1)
            yield self._dictionary.value(index)


class _Dictionary:
    """The values of a column that are told by their number; read as far as numbers go."""

    def __init__(self, reader: Reader, physical: Physical, facts: Mapping[int, Thrift], effort: Effort) -> None:
        self._rest = encodings.plain(reader, physical, whole(facts.get(1)), effort)
        self._known: list[Raw] = []

    def value(self, index: int) -> Raw:
        """The value with a number."""
        while len(self._known) <= index:
            self._known.append(_next(self._rest))
        return self._known[index]


def _pairs(page: _Page) -> Iterator[tuple[int, int]]:
    return zip(page.repetitions, page.definitions, strict=False)


def _levels(reader: Reader | None, most: int) -> Iterator[int]:
    """Levels from 0 to `most`, endless."""
    if reader is None or not most:
        return itertools.repeat(0)
    return runs(reader, most.bit_length())


def _with_length(reader: Reader, effort: Effort) -> Reader:
    """What is written with its length before it, apart from what follows."""
    length = int.from_bytes(reader.take(4), "little")
    if length > _MOST_LEVEL_BYTES:
        raise FormatError("NotAllChecked", f"{length:,} bytes of levels are more than is read")
    effort.spend(length // 256)
    return Cursor(from_bytes(reader.take(length)))


def _part(header: Mapping[int, Thrift], number: int) -> Mapping[int, Thrift]:
    part = header.get(number)
    if not isinstance(part, dict):
        raise FormatError("BadHeader", "a page does not say what it is")
    return part


def _next(values: Iterator[Raw]) -> Raw:
    try:
        return next(values)
    except StopIteration:
        raise FormatError("BadStructure", "it has fewer values than it tells of") from None
