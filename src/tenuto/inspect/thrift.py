"""The compact protocol of Thrift: structures as tables from field number to value. Source: thrift-compact-protocol.md of Apache Thrift."""

from collections.abc import Iterator
from typing import TypeAlias

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source

Thrift: TypeAlias = "bool | int | bytes | list[Thrift] | dict[int, Thrift]"

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY = 1, 2, 3, (4, 5, 6), 7, 8
_LISTS, _MAP, _STRUCT, _UUID = (9, 10), 11, 12, 13
_WIDTHS = {_TRUE: 1, _FALSE: 1, _BYTE: 1, _DOUBLE: 8, _UUID: 16}
_DEEPEST = 24
_LONGEST_VARINT_BYTES = 10
_KEPT_BYTES = 4_096
_FIRST_BYTES = 1 << 10


class ThriftReader:
    """Reads values one after another; gives up after so many values. Of a text, the first `kept_bytes` are kept."""

    def __init__(self, data: bytes, most_values: int, kept_bytes: int = _KEPT_BYTES) -> None:
        self.position = 0
        self._data = data
        self._left = most_values
        self._kept_bytes = kept_bytes

    def structure(self, depth: int = 0) -> dict[int, Thrift]:
        """The next structure. Raises FormatError where there is none."""
        return {number: self.value(kind, depth) for number, kind in self.fields(depth)}

    def fields(self, depth: int = 0) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of the next structure. Whoever gets one reads or skips its value before going on."""
        if depth > _DEEPEST:
            raise FormatError("BadStructure", "structures within structures without end")
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 15

    def elements(self) -> tuple[int, int]:
        """How many values the next list has, and of which kind; they follow."""
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        self._check_count(count, "list")
        return count, head & 15

    def value(self, kind: int, depth: int = 0) -> Thrift:
        """The value of the field that was told last, or of an element that is a structure."""
        return kind == _TRUE if kind in {_TRUE, _FALSE} else self._element(kind, depth)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Go behind the value of the field that was told last, or an element that is a structure."""
        if kind not in {_TRUE, _FALSE}:
            self._skip_element(kind, depth)

    def _element(self, kind: int, depth: int) -> Thrift:
        self._spend()
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._binary()
        if kind in _LISTS:
            self._check_depth(depth)
            count, kind = self.elements()
            return [self._element(kind, depth + 1) for _ in range(count)]
        if kind == _STRUCT:
            return self.structure(depth + 1)
        if kind == _MAP:
            return self._map(depth)
        found = self._take(self._width(kind))
        return found[0] if len(found) == 1 else found

    def _skip_element(self, kind: int, depth: int) -> None:
        self._spend()
        if kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind == _STRUCT:
            for _, inner in self.fields(depth + 1):
                self.skip(inner, depth + 1)
        elif kind in _LISTS:
            self._check_depth(depth)
            count, inner = self.elements()
            for _ in range(count):
                self._skip_element(inner, depth + 1)
        elif kind == _MAP:
            self._map(depth)
        else:
            self._skip(self._width(kind))

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise FormatError("NotAllChecked", "it has more values than are looked at")

    def _width(self, kind: int) -> int:
        if kind not in _WIDTHS:
            raise FormatError("BadStructure", f"a value has the unknown type {kind}")
        return _WIDTHS[kind]

    def _check_depth(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise FormatError("BadStructure", "lists within lists without end")

    def _check_count(self, count: int, what: str) -> None:
        left = len(self._data) - self.position
        if count > left:  # each value takes a byte at least
            raise FormatError("BadLength", f"a {what} of {count:,} values in {left:,} bytes")

    def _map(self, depth: int) -> list[Thrift]:
        count = self._varint()
        if not count:
            return []
        kinds = self._byte()
        self._check_count(count, "table")
        self._check_depth(depth)
        return [self._element(kind, depth + 1) for _ in range(count) for kind in (kinds >> 4, kinds & 15)]

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _binary(self) -> bytes:
        length = self._varint()
        start = self.position
        self._skip(length)
        return self._data[start : start + min(length, self._kept_bytes)]

    def _varint(self) -> int:
        byte = self._byte()
        if byte < 0x80:
            return byte
        value = byte & 0x7F
        for number in range(1, _LONGEST_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << 7 * number
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF
        raise FormatError("BadStructure", "a number without end")

    def _byte(self) -> int:
        try:
            byte = self._data[self.position]
        except IndexError:
            raise self._ends(1) from None
        self.position += 1
        return byte

    def _take(self, length: int) -> bytes:
        start = self.position
        self._skip(length)
        return self._data[start : start + length]

    def _skip(self, length: int) -> None:
        if length > len(self._data) - self.position:
            raise self._ends(length)
        self.position += length

    def _ends(self, length: int) -> FormatError:
        left = len(self._data) - self.position
        return FormatError("Truncated", f"{length:,} bytes are wanted at {self.position:,}, and {left:,} are left")


def read_structure(source: Source, offset: int, most_bytes: int, most_values: int) -> tuple[dict[int, Thrift], int]:
    """The structure at a place of a source, and where it ends; as few bytes are read as it takes, and `most_bytes` at most."""
    length = _FIRST_BYTES
    while True:
        data = source.read(offset, min(length, most_bytes, source.size - offset))
        reader = ThriftReader(data, most_values)
        try:
            return reader.structure(), offset + reader.position
        except FormatError as error:
            if len(data) < length or error.code not in {"Truncated", "BadLength"}:
                raise
        length *= 32
