"""The footer of a Parquet file: its columns, where the first rows lie, and what the file says of itself. Source: parquet.thrift."""

from collections.abc import Sequence
from typing import NamedTuple

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source
from tenuto.inspect.thrift import Thrift, ThriftReader

MAGIC_BYTES = 4
KINDS = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")
_LENGTH_BYTES = 4
_MOST_FOOTER_BYTES = 16 << 20
_MOST_VALUES = 500_000
_KEPT_BYTES = 1 << 20
_MOST_GROUPS = 50
_SCHEMA, _ROWS, _GROUPS, _METADATA, _MADE_BY = 2, 3, 4, 5, 6
_MOST = {_SCHEMA: 50_000, _METADATA: 1_000}


class Group(NamedTuple):
    """Rows that lie together, and their first columns as the footer tells of them."""

    rows: int
    chunks: list[dict[int, Thrift]]
    chunk_count: int


class Footer(NamedTuple):
    """What a file says of itself. `groups` are the first ones; what stands behind very many of them may be missing."""

    schema: list[dict[int, Thrift]]
    rows: int
    groups: list[Group]
    group_count: int
    metadata: dict[str, str]
    made_by: str


def find_footer(source: Source, most_bytes: int) -> tuple[int, int]:
    """Where the footer begins, and its length. Raises FormatError."""
    if source.head(MAGIC_BYTES) == b"PARE":
        raise FormatError("Encrypted", "its footer is encrypted")
    end = source.size - _LENGTH_BYTES - MAGIC_BYTES
    tail = source.read(end, _LENGTH_BYTES + MAGIC_BYTES)
    if tail[_LENGTH_BYTES:] != b"PAR1":
        raise FormatError("Truncated", "the footer at its end is missing")
    length = int.from_bytes(tail[:_LENGTH_BYTES], "little")
    if length > end - MAGIC_BYTES:
        raise FormatError("BadLength", f"the footer is to have {length:,} bytes")
    if length > most_bytes:
        raise FormatError("NotAllChecked", f"a footer of {length:,} bytes is more than is read")
    return end - length, length


def read_footer(source: Source, *, rows: int, columns: int) -> Footer:
    """What the footer says, with the row groups of the first `rows` rows, and in these the first `columns` columns.

    Raises FormatError if the columns cannot be known, and for an encrypted footer.
    """
    start, length = find_footer(source, _MOST_FOOTER_BYTES)
    reader = ThriftReader(source.read(start, length), _MOST_VALUES, _KEPT_BYTES)
    found: dict[int, Thrift] = {}
    groups: list[Group] = []
    group_count = 0
    try:
        for number, kind in reader.fields():
            if number == _GROUPS:
                group_count, kind = reader.elements()
                _read_groups(reader, group_count, kind, groups, rows, columns)
            elif number in _MOST:
                found[number] = _read_list(reader, _MOST[number])
            elif number in {_ROWS, _MADE_BY}:
                found[number] = reader.value(kind)
            else:
                reader.skip(kind)
    except FormatError as error:
        if error.code != "NotAllChecked" or not groups:
            raise
    return Footer(
        structures(found.get(_SCHEMA)),
        whole(found.get(_ROWS)),
        groups,
        group_count,
        {text(one.get(1)): text(one.get(2)) for one in structures(found.get(_METADATA))},
        text(found.get(_MADE_BY)),
    )


def _read_list(reader: ThriftReader, most: int) -> list[Thrift]:
    """Structures in a list, of which there may be so many."""
    count, kind = reader.elements()
    if count > most:
        raise FormatError("NotAllChecked", f"it tells of {count:,} things where {most:,} are looked at")
    return [reader.value(kind) for _ in range(count)]


def _read_groups(reader: ThriftReader, count: int, kind: int, groups: list[Group], rows: int, columns: int) -> None:
    """The groups that hold the first rows; the others are passed over."""
    for _ in range(count):
        if rows <= 0 or len(groups) == _MOST_GROUPS:
            reader.skip(kind)
            continue
        groups.append(_read_group(reader, columns))
        rows -= max(0, groups[-1].rows)


def _read_group(reader: ThriftReader, columns: int) -> Group:
    chunks: list[Thrift] = []
    chunk_count = rows = 0
    for number, kind in reader.fields(1):
        if number == 1:
            chunk_count, kind = reader.elements()
            chunks = [reader.value(kind, 2) for _ in range(min(chunk_count, columns))]
            for _ in range(chunk_count - len(chunks)):
                reader.skip(kind, 2)
        elif number == 3:
            rows = whole(reader.value(kind, 1))
        else:
            reader.skip(kind, 1)
    return Group(rows, structures(chunks), chunk_count)


def structures(value: "Thrift | None") -> list[dict[int, Thrift]]:
    """The structures of a list; nothing for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def whole(value: "Thrift | None", missing: int = -1) -> int:
    """A whole number; true and false are none."""
    return value if type(value) is int else missing


def text(value: "Thrift | None") -> str:
    """A text; empty for anything else."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def word(words: Sequence[str], value: "Thrift | None") -> str:
    """The word that a number stands for."""
    number = whole(value)
    return words[number] if 0 <= number < len(words) else "group" if value is None else f"type {number}"
