"""The compact protocol of Thrift: structures as tables from field number to value. Source: thrift-compact-protocol.md of Apache Thrift."""

from typing import TypeAlias

from tenuto.inspect.findings import FormatError
from tenuto.inspect.protobuf import varint
from tenuto.inspect.source import Cursor

Thrift: TypeAlias = "bool | int | bytes | list[Thrift] | dict[int, Thrift]"

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY = 1, 2, 3, (4, 5, 6), 7, 8
_LISTS, _MAP, _STRUCT, _UUID = (9, 10), 11, 12, 13
_DEEPEST = 24
_KEPT_BYTES = 4_096


class ThriftReader:
    """Reads values one after another; gives up after so many values."""

    def __init__(self, cursor: Cursor, most_values: int) -> None:
        self._cursor = cursor
        self._left = most_values

    def structure(self, depth: int = 0) -> dict[int, Thrift]:
        """The next structure. Raises FormatError where there is none."""
        if depth > _DEEPEST:
            raise FormatError("BadStructure", "structures within structures without end")
        found: dict[int, Thrift] = {}
        number = 0
        while head := self._cursor.take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            found[number] = kind == _TRUE if kind in {_TRUE, _FALSE} else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Thrift:
        self._left -= 1
        if self._left < 0:
            raise FormatError("NotAllChecked", "it has more values than are looked at")
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._binary()
        if kind in _LISTS:
            return self._list(depth)
        if kind == _STRUCT:
            return self.structure(depth + 1)
        if kind in {_BYTE, _TRUE, _FALSE}:
            return self._cursor.take(1)[0]
        if kind in {_DOUBLE, _UUID}:
            return self._cursor.take(8 if kind == _DOUBLE else 16)
        if kind == _MAP:
            return self._map(depth)
        raise FormatError("BadStructure", f"a value has the unknown type {kind}")

    def _integer(self) -> int:
        value = varint(self._cursor)
        return value >> 1 ^ -(value & 1)

    def _binary(self) -> bytes:
        length = varint(self._cursor)
        kept = self._cursor.take(min(length, _KEPT_BYTES))
        self._cursor.skip(length - len(kept))
        return kept

    def _list(self, depth: int) -> list[Thrift]:
        if depth > _DEEPEST:
            raise FormatError("BadStructure", "lists within lists without end")
        head = self._cursor.take(1)[0]
        count = head >> 4 if head >> 4 < 15 else varint(self._cursor)
        if count > self._cursor.left:  # each value takes a byte at least
            raise FormatError("BadLength", f"a list of {count:,} values in {self._cursor.left:,} bytes")
        return [self._value(head & 15, depth + 1) for _ in range(count)]

    def _map(self, depth: int) -> list[Thrift]:
        count = varint(self._cursor)
        if not count:
            return []
        kinds = self._cursor.take(1)[0]
        if count > self._cursor.left:
            raise FormatError("BadLength", f"a table of {count:,} values in {self._cursor.left:,} bytes")
        if depth > _DEEPEST:
            raise FormatError("BadStructure", "tables within tables without end")
        return [self._value(kind, depth + 1) for _ in range(count) for kind in (kinds >> 4, kinds & 15)]
