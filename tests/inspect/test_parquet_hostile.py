"""Parquet files that lie: whatever they declare, a look ends soon, holds little, and says in words what is wrong."""

import gzip
import io
import random
import struct
import tracemalloc
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.inspect.columnar.rows import Head, read_head
from tenuto.inspect.columnar.texts import value_text
from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import from_bytes

Fields = dict[int, "int | bytes | bool | list | Fields"]

INT64, DOUBLE, BYTES = 2, 5, 6
GZIP, SNAPPY, ZSTD, LZ4 = 2, 1, 6, 7


def number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def zigzag(value: int) -> bytes:
    return number((value << 1 ^ value >> 63) & (1 << 64) - 1)


def structure(fields: Fields) -> bytes:
    """Fields as the compact protocol of Thrift has them."""
    return b"".join(bytes([kind(value)]) + zigzag(key) + content(value) for key, value in fields.items()) + b"\0"


def kind(value: object) -> int:
    if isinstance(value, bool):
        return 1 if value else 2
    return {int: 6, bytes: 8, list: 9, dict: 12}[type(value)]


def content(value: object) -> bytes:
    match value:
        case bool():
            return b""
        case int():
            return zigzag(value)
        case bytes():
            return number(len(value)) + value
        case list():
            return (
                bytes([0xF0 | (kind(value[0]) if value else 12)]) + number(len(value)) + b"".join(map(content, value))
            )
        case dict():
            return structure(value)
    raise TypeError(value)


def column(codec: int = 0, start: int = 4, size: int = 100, **more: int) -> Fields:
    """What a footer tells of a column."""
    return {2: 0, 3: {4: codec, 5: 9, 6: 9, 7: size, 9: start}} | {int(key[1:]): value for key, value in more.items()}


def file(body: bytes, *chunks: Fields, physical: int = INT64, schema: list[Fields] | None = None) -> bytes:
    """A file with one row group of nine rows."""
    plain: list[Fields] = [{4: b"root", 5: 1}, {1: physical, 3: 0, 4: b"a"}]
    group = {1: list(chunks) or [column()], 2: 9, 3: 9}
    footer = structure({1: 1, 2: plain if schema is None else schema, 3: 9, 4: [group], 6: b"a test"})
    return b"PAR1" + body + footer + struct.pack("<I", len(footer)) + b"PAR1"


def page(
    content: bytes, *, values: int = 9, encoding: int = 0, size: int | None = None, unpacked: int = 1 << 20
) -> bytes:
    facts: Fields = {1: values, 2: encoding, 3: 3, 4: 3}
    return structure({1: 0, 2: unpacked, 3: len(content) if size is None else size, 5: facts}) + content


def one_page(content: bytes, physical: int = INT64, codec: int = 0, **more: int) -> bytes:
    body = page(content, **more)
    return file(body, column(codec, size=len(body)), physical=physical)


def look(data: bytes, **more: int) -> Head:
    """The head of a file, and that all of its values can be told."""
    found = read_head(from_bytes(data), rows=20, columns=30, **more)
    for one in found.columns:
        assert all(len(value_text(value)) < 100_000 for value in one.values)
    return found


def fault(data: bytes) -> str:
    """What is said of the first column, or of the file."""
    try:
        return look(data).columns[0].fault
    except FormatError as error:
        return error.detail


def snappy_literal(data: bytes) -> bytes:
    return bytes([0xFC]) + struct.pack("<I", len(data) - 1) + data


HEAVY = structure({1: 0, 2: 1, 3: 0, 5: {1: 0, 2: 0, 3: 3, 4: 3}, **dict.fromkeys(range(20, 500), 1)})
"""The header of a page, with far more in it than any has."""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (one_page(struct.pack("<9q", *range(9))), ""),
        (one_page(struct.pack("<8q", *range(8))), "8 bytes are wanted"),
        (one_page(b"", values=2**31), "8 bytes are wanted"),
        (one_page(b"", values=-5), "it has fewer rows than the footer says"),
        (one_page(b"", size=-7), "a part of -7 bytes"),
        (one_page(b"", size=1 << 40), "ends outside"),
        (one_page(b"", encoding=77), "encoding 77"),
        (one_page(b"\x01\x03", encoding=8), "a dictionary that is not there"),
        (one_page(b"\xff\xff\xff\xff", BYTES), "512 bytes are wanted"),
        (one_page(number(1 << 40) + number(1) + number(9) + b"\0", encoding=5), "blocks of"),
        (one_page(number(128) + number(0) + number(9) + b"\0", encoding=5), "blocks of"),
        (one_page(number(128) + number(4) + number(9) + b"\0\0\xff\xff\xff\xff", encoding=5), "numbers of 255 bits"),
        (one_page(b"junk", codec=GZIP), "it cannot be unpacked"),
        (one_page(b"junk", codec=ZSTD), "it cannot be unpacked"),
        (one_page(b"", codec=GZIP), "it ends before it is unpacked"),
        (one_page(b"\x09\xfe\x09\x09", codec=SNAPPY), "it goes back by"),
        (one_page(b"\x04abcd\xff\xff", codec=LZ4), "it goes back by"),
        (one_page(b"", codec=4), "BROTLI, which is not unpacked here"),
        (one_page(b"", codec=99), "type 99, which is not unpacked here"),
        (file(b"", column(start=1 << 50)), "ends outside"),
        (file(b"", column(start=-9)), "it has 100 bytes at -9"),
        (file(b"", column(size=-1)), "it has -1 bytes at 4"),
        (file(b"", column(f8=1)), "it is encrypted"),
        (file(b"", column(f1=1)), "it lies in another file"),
        (file(b"", {2: 0}), "it is encrypted"),
        (file(b"", schema=[]), "names no columns"),
        (file(b"", schema=[{4: b"root", 5: 2**31}, {1: INT64, 4: b"a"}]), "without end"),
        (file(b"", schema=[{4: b"root", 5: 1}, *[{4: b"a", 5: 1}] * 50]), "without end"),
        (file(b"", schema=[{4: b"root", 5: 1}, {4: b"a", 5: 2**60}, {1: INT64, 4: b"a"}]), "without end"),
        (file(b"", schema=[{4: b"root", 5: 1}, *[{1: INT64, 4: b"a"}] * 3]), "belong to none"),
        (file(b"", schema=[{4: b"root", 5: 1}, {1: 7, 2: 1 << 30, 4: b"a"}]), "values of 1,073,741,824 bytes"),
        (
            file(b"", schema=[{4: b"root", 5: 60_000}, *[{4: b"a"}] * 60_000]),
            "60,001 things where 50,000 are looked at",
        ),
        (file(HEAVY, column(size=len(HEAVY))), "more values than are looked at"),
        (b"PARE" + bytes(100), "encrypted"),
        (b"PAR1" + bytes(100), "the footer at its end is missing"),
        (b"PAR1\xff\xff\xff\x7fPAR1", "the footer is to have"),
        (b"PAR1", "bytes are wanted"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, said: str) -> None:
    assert said in fault(data)
    assert (said == "") == (fault(data) == "")


ZEROS = bytes(1 << 20)


def gzip_bomb(mebibytes: int) -> bytes:
    machine = zlib.compressobj(9, wbits=31)
    return b"".join(machine.compress(ZEROS) for _ in range(mebibytes)) + machine.flush()


@pytest.mark.parametrize(
    ("physical", "codec", "packed"),
    [
        (BYTES, GZIP, gzip.compress(struct.pack("<I", 0xFFFFFFF0)) + gzip_bomb(1)),
        (BYTES, GZIP, gzip_bomb(256)),
        (INT64, GZIP, gzip_bomb(256)),
        (BYTES, SNAPPY, number(1 << 32) + snappy_literal(struct.pack("<I", 0xFFFFFFF0)) + b"\xfe\x01\x00" * 3_000_000),
        (BYTES, LZ4, b"\x4f\xf0\xff\xff\xff\x01\x00" + b"\xff" * 2_000_000 + b"\x00"),
    ],
)
def test_what_unpacks_without_end_is_not_unpacked(physical: int, codec: int, packed: bytes) -> None:
    data = one_page(packed, physical, codec, values=1 << 30)
    tracemalloc.start()
    try:
        look(data, steps=30_000)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", [2, 3, 5, 6, 7, 8, 9])
def test_pages_of_nothing_but_zeros_or_ones(encoding: int) -> None:
    for byte in (b"\0", b"\1", b"\x7f", b"\xff"):
        for physical in (INT64, DOUBLE, BYTES, 0, 3, 7):
            look(one_page(byte * 200_000, physical, values=1 << 30, encoding=encoding))


@pytest.mark.parametrize(
    "data",
    [
        one_page(bytes.fromhex("28b52ffd2000010000") * 1000, codec=ZSTD),
        one_page(bytes.fromhex("1f8b08000000000000ff") + bytes.fromhex("000000ffff") * 400_000, codec=GZIP),
        one_page(number(8192) + number(1024) + number(1 << 40) + (b"\0" + bytes(1024)) * 100, BYTES, encoding=6),
        one_page(struct.pack("<I", 3 << 20) + bytes(3 << 20), 0, encoding=3),
        one_page(bytes(4 << 20), encoding=9, unpacked=4 << 20),
    ],
    ids=["empty frames", "empty blocks", "differences of no bits", "levels", "split bytes"],
)
def test_what_gives_nothing_costs_something(data: bytes) -> None:
    assert "more work" in look(data, steps=3_000).columns[0].fault


def test_a_struct_of_very_many_fields_is_cut() -> None:
    schema: list[Fields] = [
        {4: b"root", 5: 1},
        {3: 0, 4: b"s", 5: 5000},
        *[{1: INT64, 4: b"x%d" % name} for name in range(5000)],
    ]
    body = page(struct.pack("<9q", *range(9)))
    (found,) = look(file(body, *[column(size=len(body))] * 5000, schema=schema)).columns
    assert isinstance(found.values[0], dict)
    assert len(found.values[0]) == 100


def test_lists_without_end_are_not_walked() -> None:
    """Two levels, each told as one run of a thousand million entries."""
    level = number(1_000_000_000 << 1) + b"\1"
    levels = struct.pack("<I", len(level)) + level
    body = page(levels + levels + bytes(1 << 20), values=1_000_000_000)
    first = page(struct.pack("<I", 2) + b"\2\0" + struct.pack("<I", 2) + b"\2\1" + bytes(8), values=1)
    schema: list[Fields] = [{4: b"root", 5: 1}, {1: INT64, 3: 2, 4: b"a"}]
    found = look(file(first + body, column(size=len(first + body)), schema=schema))
    assert "more than" in value_text(found.columns[0].values[0])
    assert "no beginning" in fault(file(body, column(size=len(body)), schema=schema))


def test_very_many_columns_row_groups_and_pages() -> None:
    schema: list[Fields] = [{4: b"root", 5: 10_000}, *[{1: INT64, 4: b"x" * 50}] * 10_000]
    found = look(file(b"", *[column(start=1 << 50)] * 10_000, schema=schema))
    assert (found.column_count, len(found.columns)) == (10_000, 30)
    empty = page(b"", values=0) * 50_000
    assert "more work" in fault(file(empty, column(size=len(empty))))
    table, out = pa.table({"a": list(range(1000))}), io.BytesIO()
    pq.write_table(table, out, row_group_size=1)
    found = look(out.getvalue())
    assert (found.columns[0].values, found.group_count) == (list(range(20)), 1000)


def sample() -> list[bytes]:
    made = []
    chance = random.Random(5)
    rows = [
        {
            "s": {"bytes": chance.randbytes(90), "path": f"{row}.wav"},
            "l": [row] * (row % 4),
            "t": "x" * row,
            "i": row,
            "b": row % 2 == 0,
        }
        for row in range(30)
    ]
    for codec in ("none", "snappy", "gzip", "zstd", "lz4"):
        for version in ("1.0", "2.0"):
            out = io.BytesIO()
            pq.write_table(
                pa.Table.from_pylist(rows), out, compression=codec, data_page_version=version, store_schema=False
            )
            made.append(out.getvalue())
    return made


SAMPLES = sample()


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_whatever_is_changed_in_a_file_there_is_a_head_or_a_word(data: bytes, changes: list[tuple[float, int]]) -> None:
    changed = bytearray(data)
    for place, byte in changes:
        changed[min(int(place * len(data)), len(data) - 1)] = byte
    fault(bytes(changed))


@given(st.sampled_from(SAMPLES), st.integers(0, 3000))
def test_a_file_that_was_cut_is_said_to_be(data: bytes, left: int) -> None:
    assert fault(data[: min(left, len(data) - 1)])


@pytest.mark.parametrize("scale", [True, False])
def test_a_scale_that_is_no_number(scale: bool) -> None:
    schema: list[Fields] = [{4: b"root", 5: 1}, {1: INT64, 3: 0, 4: b"a", 6: 5, 7: scale, 8: 9}]
    body = page(struct.pack("<9q", *range(9)), unpacked=72)
    found = look(file(body, column(size=len(body)), schema=schema))
    assert [str(value) for value in found.columns[0].values] == [str(number) for number in range(9)]
