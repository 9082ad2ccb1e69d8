"""The first rows of a Parquet file are those that Arrow reads, whatever they hold and however they are written."""

import datetime
import io
import random
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.inspect.columnar import packed
from tenuto.inspect.columnar.encodings import KEPT_BYTES, Blob
from tenuto.inspect.columnar.rows import Head, read_head
from tenuto.inspect.columnar.texts import value_text
from tenuto.inspect.columnar.values import Items, Value
from tenuto.inspect.source import Source, from_bytes

ROWS = 20
CODECS = ["none", "snappy", "gzip", "zstd", "lz4"]
UNITS = {"ms": 3, "us": 6, "ns": 9}


def written(table: pa.Table, **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def head(content: bytes, rows: int = ROWS, columns: int = 30, **more: int) -> Head:
    return read_head(from_bytes(content), rows=rows, columns=columns, **more)


def told(value: Value) -> object:
    """A value of ours in the words of Python."""
    match value:
        case Items():
            assert value.is_all
            return [told(one) for one in value.values]
        case dict():
            return {name: told(one) for name, one in value.items()}
    return value


def meant(value: object, kind: pa.DataType) -> object:
    """A value of Arrow, as we tell of it."""
    if value is None:
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [meant(one, kind.value_type) for one in value]
    if pa.types.is_map(kind):
        return [{"key": meant(key, kind.key_type), "value": meant(one, kind.item_type)} for key, one in value]
    if pa.types.is_struct(kind):
        return {field.name: meant(value[field.name], field.type) for field in kind}
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return Blob(value[:KEPT_BYTES], len(value))
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return moment(value, kind)
    if pa.types.is_float32(kind):
        return float(str(np.float32(value)))
    return value.isoformat() if isinstance(value, datetime.date) else value


def moment(value: datetime.datetime | datetime.time, kind: pa.TimestampType) -> str:
    """As ISO 8601 has it, with as many digits as the unit has."""
    fraction = f".{value.microsecond:06d}000"[: UNITS[kind.unit] + 1] if value.microsecond else ""
    text = str(value.replace(tzinfo=None, microsecond=0))
    return f"{text}{fraction}{'+00:00' if pa.types.is_timestamp(kind) and kind.tz else ''}"


def compare(table: pa.Table, found: Head, rows: int = ROWS) -> None:
    assert (found.rows, found.column_count) == (table.num_rows, table.num_columns)
    for column, field, values in zip(found.columns, table.schema, table.columns, strict=True):
        assert column.fault == ""
        assert column.name == field.name
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        expected = [meant(one, kind) for one in values.slice(0, rows).to_pylist()]
        got = [told(one) for one in column.values]
        assert repr(got) == repr(expected)  # a number that is none is no other one


FLAT: list[tuple[pa.DataType, st.SearchStrategy[object]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint16(), st.integers(0, 2**16 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32, allow_subnormal=False)),
    (pa.float64(), st.floats()),
    (pa.string(), st.text(max_size=30)),
    (pa.large_string(), st.sampled_from(["", "a", "b" * 20])),
    (pa.binary(), st.binary(max_size=40)),
    (pa.binary(5), st.binary(min_size=5, max_size=5)),
    (pa.date32(), st.dates()),
    (pa.time32("ms"), st.times().map(lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000))),
    (pa.timestamp("ms"), st.datetimes().map(lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000))),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(datetime.UTC))),
    (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    (pa.decimal128(38, 10), st.decimals(-(10**20), 10**20, places=10)),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["owl", "wren", "robin"])),
]


def nested(inner: tuple[pa.DataType, st.SearchStrategy[object]]) -> list[tuple[pa.DataType, st.SearchStrategy[object]]]:
    kind, values = inner
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    values = st.none() | values
    return [
        (pa.list_(kind), st.lists(values, max_size=2)),
        (pa.struct([("x", kind), ("y", pa.int32())]), st.fixed_dictionaries({"x": values, "y": st.integers(0, 9)})),
        (
            pa.map_(pa.string(), kind),
            st.dictionaries(st.text(max_size=3), values, max_size=2).map(lambda one: list(one.items())),
        ),
    ]


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, list[object]]:
    one = draw(st.sampled_from(FLAT))
    for _ in range(draw(st.integers(0, 3))):
        one = draw(st.sampled_from(nested(one)))
    values = st.none() | one[1] if draw(st.booleans()) else one[1]
    return one[0], draw(st.lists(values, max_size=30))


@given(
    columns(),
    st.sampled_from(CODECS),
    st.sampled_from(["1.0", "2.0"]),
    st.booleans(),
    st.sampled_from([16, 1 << 20]),
    st.sampled_from([1, 7, 1000]),
)
def test_what_is_shown_is_what_arrow_reads(
    column: tuple[pa.DataType, list[object]], codec: str, version: str, dictionary: bool, page: int, group: int
) -> None:
    kind, values = column
    table = pa.table({"a": pa.array(values, kind)})
    content = written(
        table,
        compression=codec,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=page,
        write_batch_size=3,
        row_group_size=group,
    )
    compare(table, head(content))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("DELTA_BINARY_PACKED", pa.array([(-3) ** (number % 40) for number in range(5000)], pa.int64())),
        ("DELTA_BINARY_PACKED", pa.array([2**31 - 1, -(2**31), None] * 500, pa.int32())),
        ("DELTA_LENGTH_BYTE_ARRAY", pa.array([None, "", "owl", "wren" * 9] * 300)),
        ("DELTA_BYTE_ARRAY", pa.array([f"clips/{number:06d}.flac" for number in range(3000)])),
        ("BYTE_STREAM_SPLIT", pa.array([number / 7 for number in range(900)], pa.float64())),
        ("BYTE_STREAM_SPLIT", pa.array([None, 1.5, 2.25] * 300, pa.float32())),
        ("RLE", pa.array([True] * 900 + [False] * 3 + [None])),
        ("PLAIN", pa.array([[1.5] * 768] * 30, pa.list_(pa.float32()))),
    ],
    ids=lambda one: one if isinstance(one, str) else str(one.type),
)
def test_ways_to_write_numbers_and_texts(encoding: str, values: pa.Array, codec: str, version: str) -> None:
    table = pa.table({"a": values})
    chosen = encoding if not pa.types.is_list(values.type) else None
    content = written(
        table,
        compression=codec,
        data_page_version=version,
        use_dictionary=False,
        column_encoding={"a": chosen} if chosen else None,
    )
    found = head(content)
    if pa.types.is_list(values.type):
        assert [value_text(one) for one in found.columns[0].values] == [f"[{'1.5, ' * 8}…] 768 items"] * ROWS
    else:
        compare(table, found)


def test_recordings_in_a_table_are_passed_over_and_not_read() -> None:
    noise = random.Random(1).randbytes(300_000)
    sounds = [{"bytes": noise[number:], "path": f"{number}.wav"} for number in range(40)]
    table = pa.table({"audio": sounds, "label": [number % 2 for number in range(40)]})
    for codec in CODECS:
        content = written(table, compression=codec, use_dictionary=["label"])
        read: list[int] = []

        def read_at(offset: int, length: int, content: bytes = content, read: list[int] = read) -> bytes:
            read.append(length)
            return content[offset : offset + length]

        found = read_head(Source(read_at, 0, len(content)), rows=ROWS, columns=30)
        texts = [value_text(one) for one in found.columns[0].values]
        assert texts == [f"{number}.wav, 300 kB" for number in range(ROWS)], codec
        assert sum(read) < (2_000_000 if codec == "none" else 7_000_000), codec


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_ZSTD", ("none.such",))
    found = head(written(pa.table({"a": [1], "b": [2]}), compression={"a": "zstd", "b": "gzip"}))
    assert "install backports.zstd" in found.columns[0].fault
    assert found.columns[1].values == [2]


def test_texts_of_values() -> None:
    table = pa.table(
        {
            "label": pa.array([0, 1, None, 7]),
            "labels": [[1], [], None, [0, 1]],
            "text": ["a", 'say "b"', None, "x" * 2000],
            "many": [list(range(100))] * 4,
            "deep": [{"a": [{"b": "c"}], "d": None}] * 4,
            "price": pa.array([Decimal("1.50")] * 4),
            "nothing": pa.nulls(4),
        }
    )
    found = {one.name: one for one in head(written(table)).columns}
    names = ["owl", "wren"]
    assert [value_text(one, names) for one in found["label"].values] == ["owl (0)", "wren (1)", "null", "7"]
    assert [value_text(one, names) for one in found["labels"].values] == [
        "[wren (1)]",
        "[]",
        "null",
        "[owl (0), wren (1)]",
    ]
    assert [value_text(one) for one in found["text"].values][:3] == ["a", 'say "b"', "null"]
    assert value_text(found["text"].values[3]) == "x" * KEPT_BYTES + "…"
    assert value_text(found["many"].values[0]) == "[0, 1, 2, 3, 4, 5, 6, 7, …] 100 items"
    assert value_text(found["deep"].values[0]) == '{a: [{b: "c"}], d: null}'
    assert (value_text(found["price"].values[0]), found["price"].is_number) == ("1.50", True)
    assert [one.type for one in found.values()] == [
        *("int64", "list of int64", "string", "list of int64", "struct of a, d", "decimal", "null"),
    ]


def test_wide_and_tall_tables_are_cut() -> None:
    table = pa.table({f"column_{number}": list(range(500)) for number in range(200)})
    found = head(written(table, row_group_size=3), columns=30)
    assert (found.rows, found.column_count, len(found.columns)) == (500, 200, 30)
    assert all(one.values == list(range(ROWS)) for one in found.columns)


def test_a_list_without_end_is_cut() -> None:
    table = pa.table({"a": [list(range(200_000)), [1]], "b": ["x", "y"]})
    found = head(written(table, use_dictionary=False))
    assert "more than" in value_text(found.columns[0].values[0])
    assert found.columns[1].values == ["x", "y"]
