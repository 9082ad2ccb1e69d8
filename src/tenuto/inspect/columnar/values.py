"""What stored values stand for: dates, decimals, texts; and whole rows of them, with lists and tables. Source: LogicalTypes.md."""

import contextlib
import datetime
import itertools
import struct
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from tenuto.inspect.columnar.encodings import Blob, Raw
from tenuto.inspect.columnar.pages import Entry
from tenuto.inspect.columnar.schema import OPTIONAL, REPEATED, Logical, Node, is_wrapped, list_item

MOST_LEAVES = 100
"""Of so many columns that hold values, at most, something is read."""
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  # times without a zone are shown without one
_JULIAN_DAY_OF_EPOCH = 2_440_588
_NANOSECONDS = {"ms": 1_000_000, "us": 1_000, "ns": 1}
_SECOND_NS, _DAY_NS = 10**9, 86_400 * 10**9
_MOST_DECIMAL_BYTES = 64


class Unread(NamedTuple):
    """Stands for a value that was not read."""


class Items(NamedTuple):
    """The first values of a list, and how many it has at least."""

    values: "list[Value]"
    total: int
    is_all: bool


Value: TypeAlias = "bool | int | float | str | Decimal | Blob | Items | dict[str, Value] | Unread | None"
Entries: TypeAlias = Mapping[int, list[Entry]]
"""The entries of columns, by their number, that belong to one value."""


def assemble(node: Node, entries: Entries) -> Value:
    """The value of a node, from the entries of those columns below it that were read."""
    if not entries:
        return Unread()
    if node.rule == REPEATED:
        return _items(_content(node, one) for one in _instances(node, entries))
    if node.rule == OPTIONAL and _first(entries).definition < node.definition:
        return None
    return _content(node, entries)


def _first(entries: Entries) -> Entry:
    return next(iter(entries.values()))[0]


def _content(node: Node, entries: Entries) -> Value:
    """The value of a node that is there."""
    if not node.below:
        raw = _first(entries).raw
        return None if raw is None else meaning(raw, node)
    item = list_item(node)
    if item is None:
        shown = itertools.takewhile(lambda child: child.leaves.start < MOST_LEAVES, node.below)
        return {child.name: assemble(child, _below(child, entries)) for child in shown}
    inner = _below(item, entries)
    if not inner:
        return Unread()
    wrapped = item.below[0] if is_wrapped(node, item) else None
    return _items(assemble(wrapped, one) if wrapped else _content(item, one) for one in _instances(item, inner))


def _items(values: Iterator[Value]) -> Items:
    found = list(values)
    return Items(found, len(found), is_all=True)


def _below(node: Node, entries: Entries) -> Entries:
    return {number: entries[number] for number in node.leaves if number in entries}


def _instances(node: Node, entries: Entries) -> Iterator[Entries]:
    """The entries of each item of a repeated node."""
    if _first(entries).definition < node.definition:
        return
    parts = [_parts(one, node.repetition) for one in entries.values()]
    for several in zip(*parts, strict=False):
        yield dict(zip(entries, several, strict=True))


def _parts(entries: list[Entry], repetition: int) -> Iterator[list[Entry]]:
    start = 0
    for number, entry in enumerate(entries):
        if number and entry.repetition <= repetition:
            yield entries[start:number]
            start = number
    yield entries[start:]


def meaning(raw: Raw, node: Node) -> Value:
    """What a stored value stands for."""
    if isinstance(raw, Blob):
        return _bytes_meaning(raw, node)
    if isinstance(raw, bool) or node.physical in {"FLOAT", "DOUBLE"}:
        return short_float(raw) if node.physical == "FLOAT" else raw
    return _whole_meaning(int(raw), node.logical)


def short_float(value: float) -> float:
    """The number with the fewest digits that is the same one in 32 bits."""
    layout = struct.Struct("<f")
    for digits in (6, 7, 8):
        found = float(f"{value:.{digits}g}")
        with contextlib.suppress(OverflowError):  # rounded up, the largest ones are none any more
            if layout.pack(found) == layout.pack(value):
                return found
    return float(f"{value:.9g}")


def _whole_meaning(value: int, logical: Logical) -> Value:
    match logical.word:
        case "integer" if not logical.is_signed and logical.bits in {8, 16, 32, 64}:
            return value & ((1 << logical.bits) - 1)
        case "decimal":
            return _decimal(value, logical)
        case "date":
            return _moment(value * _DAY_NS, "", is_utc=False).removesuffix(" 00:00:00")
        case "time":
            nanoseconds = value * _NANOSECONDS[logical.unit or "ns"]
            in_a_day = 0 <= nanoseconds < _DAY_NS
            return _moment(nanoseconds, logical.unit, is_utc=False).partition(" ")[2] if in_a_day else value
        case "timestamp":
            return _moment(value * _NANOSECONDS[logical.unit or "ns"], logical.unit, is_utc=logical.is_utc)
    return value


def _decimal(value: int, logical: Logical) -> Decimal:
    return Decimal(f"{value}e-{logical.scale}")  # exact, as sums of decimals are not


def _moment(nanoseconds: int, unit: str, *, is_utc: bool) -> str:
    """A time as ISO 8601 writes it; one that no calendar has, as what it is."""
    seconds, rest = divmod(nanoseconds, _SECOND_NS)
    try:
        shown = (_EPOCH + datetime.timedelta(seconds=seconds)).isoformat(sep=" ")
    except OverflowError:
        return f"{seconds:,} seconds from 1970"
    digits = {"ms": 3, "us": 6, "ns": 9}.get(unit, 0)
    fraction = f".{rest:09d}"[: digits + 1] if rest else ""
    return f"{shown}{fraction}{'+00:00' if is_utc else ''}"


def _bytes_meaning(raw: Blob, node: Node) -> Value:
    head = raw.head
    if node.physical == "INT96":
        nanoseconds, day = struct.unpack("<qi", head)
        return _moment((day - _JULIAN_DAY_OF_EPOCH) * _DAY_NS + nanoseconds, "ns", is_utc=False)
    match node.logical.word:
        case "string":
            shown = head.decode("utf-8", "replace")
            return shown if len(head) == raw.size_bytes else f"{shown.rstrip(chr(0xFFFD))}…"
        case "decimal" if raw.size_bytes <= _MOST_DECIMAL_BYTES:
            return _decimal(int.from_bytes(head, "big", signed=True), node.logical)
        case "uuid" if raw.size_bytes == 16:
            return str(uuid.UUID(bytes=head))
        case "float16" if raw.size_bytes == 2:
            return float(struct.unpack("<e", head)[0])
        case "interval" if raw.size_bytes == 12:
            months, days, milliseconds = struct.unpack("<III", head)
            return f"{months} months {days} days {milliseconds} ms"
    return raw
