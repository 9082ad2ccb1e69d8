"""How numbers and texts are written in pages: bits, runs, differences, one after another. Source: Encodings.md of parquet-format."""

import struct
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from tenuto.inspect.columnar.effort import Effort
from tenuto.inspect.columnar.packed import Reader
from tenuto.inspect.findings import FormatError
from tenuto.inspect.protobuf import varint

KEPT_BYTES = 512
_MOST_BITS = 64
_MOST_MINIBLOCKS, _MOST_BLOCK_VALUES = 1 << 10, 1 << 16
_LONGEST_TEXT_BYTES = 1 << 16
_MOST_SPLIT_BYTES = 8 << 20
_READ_AHEAD_BYTES = 1 << 16
_LAYOUTS = {
    "INT32": struct.Struct("<i"),
    "INT64": struct.Struct("<q"),
    "FLOAT": struct.Struct("<f"),
    "DOUBLE": struct.Struct("<d"),
}


class Blob(NamedTuple):
    """The beginning of some bytes, and how many they are."""

    head: bytes
    size_bytes: int


Raw: TypeAlias = bool | int | float | Blob
"""A value as it is stored."""


class Physical(NamedTuple):
    """How values are stored; a length counts for those that all have the same one."""

    kind: str
    length: int


def runs(reader: Reader, width: int) -> Iterator[int]:
    """Small numbers, each of `width` bits: the same one many times, or eight packed together; endless, until the bytes end."""
    if width > 32:
        raise FormatError("BadStructure", f"numbers of {width} bits")
    while True:
        head = varint(reader)
        if head < 2:
            raise FormatError("BadStructure", "a run of nothing")
        if head & 1:
            for _ in range(head >> 1):
                yield from unpack_bits(reader.take(width), width, 8)
        else:
            value = int.from_bytes(reader.take((width + 7) // 8), "little")
            for _ in range(head >> 1):
                yield value


def unpack_bits(data: bytes, width: int, count: int) -> list[int]:
    """The first numbers of so many bits each; eight of them take whole bytes."""
    mask = (1 << width) - 1
    found: list[int] = []
    for start in range(0, (count + 7) // 8 * width, width or 1):
        packed = int.from_bytes(data[start : start + width], "little")
        found += [packed >> number * width & mask for number in range(8)]
    return found[:count] if width else [0] * count


def plain(reader: Reader, physical: Physical, count: int, effort: Effort) -> Iterator[Raw]:
    """Values one after another."""
    kind = physical.kind
    if kind == "BOOLEAN":
        yield from _bits(reader, count)
    elif kind in _LAYOUTS:
        layout = _LAYOUTS[kind]
        for _ in range(count):
            effort.spend(1)
            yield layout.unpack(reader.take(layout.size))[0]
    elif kind == "BYTE_ARRAY":
        for _ in range(count):
            yield blob(reader, int.from_bytes(reader.take(4), "little"), effort)
    elif kind in {"FIXED_LEN_BYTE_ARRAY", "INT96"}:
        for _ in range(count):
            yield blob(reader, 12 if kind == "INT96" else physical.length, effort)
    else:
        raise FormatError("BadStructure", f"its values have the unknown {kind or 'type'}")


def _bits(reader: Reader, count: int) -> Iterator[bool]:
    while count > 0:
        for bit in unpack_bits(reader.take(1), 1, min(8, count)):
            yield bool(bit)
        count -= 8


def blob(reader: Reader, size: int, effort: Effort) -> Blob:
    """The next bytes, of which the first ones are kept."""
    effort.spend(2 + min(size, _READ_AHEAD_BYTES) // 256)
    head = reader.take(min(size, KEPT_BYTES))
    reader.skip(size - len(head))
    return Blob(head, size)


def differences(reader: Reader, count: int, effort: Effort, bits: int = 64) -> list[int]:
    """The first `count` of numbers that are written as differences; the reader stands behind all of them afterwards."""
    block, miniblocks, total, value = varint(reader), varint(reader), varint(reader), _zigzag(reader)
    if not 0 < miniblocks <= _MOST_MINIBLOCKS or not 0 < block <= _MOST_BLOCK_VALUES or block % (8 * miniblocks):
        raise FormatError("BadStructure", f"blocks of {block:,} numbers in {miniblocks:,} parts")
    each, found, left = block // miniblocks, [value], total - 1
    while left > 0:
        least = _zigzag(reader)
        for width in reader.take(miniblocks):
            effort.spend(1)
            if left <= 0:
                break
            if width > _MOST_BITS:
                raise FormatError("BadStructure", f"numbers of {width} bits")
            wanted = min(each, left, count - len(found))
            if wanted > 0:
                effort.spend(wanted)
                for step in unpack_bits(reader.take(each * width // 8), width, wanted):
                    found.append(_signed(found[-1] + least + step, bits))
            else:
                reader.skip(each * width // 8)
            left -= each
    return found[: min(count, total)]


def _zigzag(reader: Reader) -> int:
    value = varint(reader)
    return value >> 1 ^ -(value & 1)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def lengths_first(reader: Reader, count: int, effort: Effort) -> Iterator[Blob]:
    """Texts behind each other, with all of their lengths before the first."""
    for length in differences(reader, count, effort):
        yield blob(reader, _length(length), effort)


def shared_beginnings(reader: Reader, count: int, effort: Effort) -> Iterator[Blob]:
    """Texts of which each is told by how much of the one before it begins with, and what follows then."""
    shared = differences(reader, count, effort)
    lengths = differences(reader, count, effort)
    before = b""
    for kept, length in zip(shared, lengths, strict=False):
        if not 0 <= kept <= len(before) or kept + _length(length) > _LONGEST_TEXT_BYTES:
            raise FormatError("NotAllChecked", "its texts are longer than is read, or share more than they have")
        effort.spend(2 + (kept + length) // 256)
        before = before[:kept] + reader.take(length)
        yield Blob(before[:KEPT_BYTES], len(before))


def _length(length: int) -> int:
    if length < 0:
        raise FormatError("BadLength", f"a text of {length:,} bytes")
    return length


def split_bytes(reader: Reader, physical: Physical, count: int, size_bytes: int, effort: Effort) -> Iterator[Raw]:
    """Numbers whose first bytes come first, then all second ones, and so on; in all, `size_bytes`."""
    layout = _LAYOUTS.get(physical.kind)
    width = layout.size if layout else max(1, physical.length)
    if not 0 <= size_bytes <= _MOST_SPLIT_BYTES:
        raise FormatError("NotAllChecked", f"numbers in pieces over {size_bytes:,} bytes are not put together")
    effort.spend(size_bytes // 256)
    present = size_bytes // width
    data = reader.take(present * width)
    for number in range(min(count, present)):
        effort.spend(1)
        one = data[number::present]
        yield layout.unpack(one)[0] if layout else Blob(one[:KEPT_BYTES], width)
