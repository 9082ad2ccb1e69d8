"""The wire format of protocol buffers, field by field. Source: the encoding page of the protocol buffers documentation."""

from collections.abc import Iterator
from typing import NamedTuple

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Cursor, Source
from tenuto.inspect.stream import Stream

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT_BYTES = 10


class Field(NamedTuple):
    """A field of a message: its number, and either a whole number or where its bytes lie."""

    number: int
    kind: int
    value: int
    data: Source | None

    def text(self, most_bytes: int = 1_000) -> str:
        """Its bytes as text, the beginning of a long one."""
        return self.data.head(most_bytes).decode("utf-8", "replace") if self.data else ""


def fields(source: Source) -> Iterator[Field]:
    """The fields of one message, in their order; raises FormatError where it is none. No bytes are read but tags and lengths."""
    cursor = Cursor(source)
    while cursor.left:
        tag = varint(cursor)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise FormatError("BadStructure", "a field has the number 0")
        if kind == VARINT:
            yield Field(number, kind, varint(cursor), None)
        elif kind == BYTES:
            length = varint(cursor)
            at = cursor.position
            cursor.skip(length)
            yield Field(number, kind, length, source.window(at, length))
        elif kind in {FIXED64, FIXED32}:
            size = 8 if kind == FIXED64 else 4
            yield Field(number, kind, int.from_bytes(cursor.take(size), "little"), None)
        else:
            raise FormatError("BadStructure", f"a field has the unknown type {kind}")


def varint(cursor: Cursor | Stream) -> int:
    """A whole number of 64 bits at most, seven bits a byte."""
    value = 0
    for number in range(_LONGEST_VARINT_BYTES):
        byte = cursor.take(1)[0]
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF
    raise FormatError("BadStructure", "a number without end")
