"""Shards: read as clients of all ages write them, told as clients expect them, refused where they are not what they claim."""

import contextlib
import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.store.xet import hashes
from tenuto.store.xet.shard import FileBlock, Telling, XorbBlock, read_shard, tell, tell_xorb
from tenuto.store.xet.table import FileTable, Term
from tests.store.xet_build import BOOKEND, File, file_block, make_xorb, record, shard, xorb_block

XORBS = [make_xorb([random.Random(seed * 100 + k).randbytes(50 + k) for k in range(5)]) for seed in range(3)]
FILES = [
    File([(XORBS[0], 0, 5)]),
    File([(XORBS[1], 1, 3), (XORBS[0], 0, 2), (XORBS[1], 2, 5)]),
    File([(XORBS[2], 4, 5)] * 3),
    File([]),
]
GOOD = shard([file_block(one) for one in FILES], [xorb_block(one) for one in XORBS])


def blocks(data: bytes) -> tuple[list[FileBlock], list[XorbBlock]]:
    found = list(read_shard(memoryview(data)))
    return [b for b in found if isinstance(b, FileBlock)], [b for b in found if isinstance(b, XorbBlock)]


def test_a_shard_says_what_was_written() -> None:
    files, xorbs = blocks(GOOD)
    assert [one.hash for one in files] == [one.name for one in FILES]
    assert [one.table for one in files] == [one.table() for one in FILES]
    assert [one.sha256 for one in files] == [one.sha256 if one.parts else "" for one in FILES]
    assert files[1].proofs == b"".join(hashes.term_hash(x.hashes_of(a, b)) for x, a, b in FILES[1].parts)
    assert files[3] == FileBlock("0" * 64, FileTable.of([]), b"", "")
    for found, xorb in zip(xorbs, XORBS, strict=True):
        table = xorb.table()
        places = list(zip(table.raw, table.lengths, strict=False))
        assert found == XorbBlock(xorb.name, xorb.hashes, places, table.raw[-1])


def test_what_old_clients_append_is_not_looked_at() -> None:
    assert blocks(GOOD + b"lookup tables" * 40) == blocks(GOOD)
    assert blocks(GOOD[:40] + struct.pack("<Q", 200) + GOOD[48:]) == blocks(GOOD)


@given(st.binary(max_size=500))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for body in (data, GOOD[:48] + data):
        try:
            blocks(body)
        except UsageError:
            continue
        assert body.startswith(GOOD[:48] + b"\xff" * 32)


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_shard_is_refused(length: int) -> None:
    with pytest.raises(UsageError):
        blocks(GOOD[:length])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_changed_shards_never_crash_the_reader(position: int, change: int) -> None:
    changed = bytearray(GOOD)
    changed[position] ^= change
    with contextlib.suppress(UsageError):
        blocks(bytes(changed))


@pytest.mark.parametrize(
    "body",
    [
        shard([record(b"f" * 32, 0xC0000000, 0xFFFFFFFF)]),
        shard([record(b"f" * 32, 0, 0xFFFFFFF0)]),
        shard([], [record(b"x" * 32, 0, 0xFFFFFFFF, 0, 0)]),
        shard([], [record(b"x" * 32, 0, 8193, 0, 0), *[record(b"c" * 32)] * 8193]),
    ],
    ids=["terms and proofs", "terms", "chunks", "more chunks than a xorb has"],
)
def test_a_count_is_held_against_what_is_there(body: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UsageError):
        blocks(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


TERMS = st.tuples(st.integers(0, 2), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(st.lists(TERMS, max_size=30), st.data())
def test_tables_of_files_find_every_byte_and_survive_packing(rows: list[tuple[int, ...]], data: st.DataObject) -> None:
    table = FileTable.of((Term(XORBS[which].name, start, end), length) for which, start, end, length in rows)
    assert FileTable.unpack(table.pack()) == table
    assert [table.term(k) for k in range(table.terms)] == [Term(XORBS[w].name, s, e) for w, s, e, _ in rows]
    assert table.size == sum(length for *_, length in rows)
    assert table.find(table.size) == table.terms
    if table.size:
        position = data.draw(st.integers(0, table.size - 1))
        place = table.find(position)
        assert table.start(place) <= position < table.ends[place]
        last = table.find_last(position + 1)
        assert table.start(last) < position + 1 <= table.ends[last]


def test_packed_tables_are_laid_out_as_their_format_says() -> None:
    first, second = XORBS[0], XORBS[1]
    sizes = [len(first.part(1, 4)), len(second.part(0, 5)), len(first.part(0, 1))]
    packed = struct.pack("<I", 2) + hashes.from_text(first.name + second.name)
    packed += struct.pack("<3I3I3I", 0, 1, 0, 1, 0, 0, 4, 5, 1)
    packed += struct.pack("<3Q", sizes[0], sizes[0] + sizes[1], sum(sizes))
    assert File([(first, 1, 4), (second, 0, 5), (first, 0, 1)]).table().pack() == packed
    ends = [sum(len(raw) for raw in first.raws[: k + 1]) for k in range(5)]
    stored = [end + 8 * (k + 1) for k, end in enumerate(ends)]
    assert first.table().pack() == first.hashes + struct.pack("<5I5I", *ends, *stored)


@given(st.binary(max_size=300))
def test_a_damaged_table_is_named(packed: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert FileTable.unpack(packed).pack() == packed


def test_what_is_told_can_be_read_and_names_no_chunk() -> None:
    telling = Telling(bytes(range(32)), 1_700_000_000, 1_800_000_000)
    body = tell([tell_xorb(hashes.from_text(x.name), x.table(), telling.key) for x in XORBS], telling)
    assert body[48:96] == BOOKEND
    files, xorbs = blocks(body)
    assert not files
    assert [one.hash for one in xorbs] == [one.name for one in XORBS]
    for found, xorb in zip(xorbs, XORBS, strict=True):
        keyed = [hashes.keyed_hash(telling.key, xorb.hashes_of(k, k + 1)) for k in range(5)]
        assert found.hashes == b"".join(keyed)
        assert found.places == list(zip(xorb.table().raw, xorb.table().lengths, strict=False))
    assert not any(xorb.hashes_of(k, k + 1) in body for xorb in XORBS for k in range(5))


def test_the_footer_of_what_is_told_has_its_fields_where_clients_look() -> None:
    telling = Telling(b"k" * 32, 7, 9)
    body = tell([tell_xorb(hashes.from_text(x.name), x.table(), telling.key) for x in XORBS], telling)
    end = len(body) - 200
    assert struct.unpack_from("<Q", body, 40) == (200,)
    assert struct.unpack_from("<9Q", body, end) == (1, 48, 96, end, 0, end, 0, end, 0)
    assert body[end + 72 : end + 104] == telling.key
    assert struct.unpack_from("<2Q", body, end + 104) == (7, 9)
    assert body[end + 120 : end + 168] == bytes(48)
    raw, stored = sum(x.table().raw[-1] for x in XORBS), sum(len(x.body) for x in XORBS)
    assert struct.unpack_from("<4Q", body, end + 168) == (stored, 0, raw, end)
