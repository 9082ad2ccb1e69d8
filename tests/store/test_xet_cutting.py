"""Bytes are cut where Xet clients cut them, and a xorb that is a slice of an object gives the same bytes as one of its own."""

import hashlib
import io
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.core.errors import IntegrityError
from tenuto.store.local import LocalStore
from tenuto.store.xet.assemble import ChunkedFile, StoredXorb
from tenuto.store.xet.cutting import LEAST_BYTES, Finder, cut_xorb
from tenuto.store.xet.folder import XorbFolder
from tenuto.store.xet.hashes import chunk_hash, file_hash, to_text
from tenuto.store.xet.seals import Seals
from tenuto.store.xet.table import FileTable, Slice, Term, XorbTable
from tenuto.store.xet.xorb import XorbReader
from tests.store.xet_build import make_xorb

COUNTED = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(31250))
LENGTHS = (30094, 27086, 12811, 111372, 121806, 9763, 38233, 24165, 72504, 64219, 131072, 131072, 88047, 36169, 10902, 9124, 81561)  # fmt: skip
FINDER = Finder()


def cut(content: bytes, start: int = 0) -> tuple[str, XorbTable]:
    return cut_xorb(io.BytesIO(content), Slice("0" * 64, len(content), start), FINDER)


def test_the_check_values_of_the_protocol() -> None:
    name, table = cut(COUNTED)
    assert tuple(table.lengths) == LENGTHS
    assert name == "7cb150946986b00f4a311337598bad927ca79e6ff2456379bf0734aee714cc07"
    assert to_text(file_hash(table.hashes, table.lengths)) == (
        "325c2ebc231bdb66b17c30b93150cf12b181b4193aa3f6032ec031eb532627e4"
    )
    whole = bytes(range(256)) * 1024
    assert cut(whole)[1].lengths == [131072, 131072]


def slow_cuts(content: bytes, gear: list[int]) -> list[int]:
    """Byte by byte, as the description says it."""
    found, start, rolling = [], 0, 0
    for place, byte in enumerate(content):
        rolling = (rolling * 2 + gear[byte]) % (1 << 64)
        size = place + 1 - start
        if size >= LEAST_BYTES and (size >= 131072 or rolling >> 48 == 0):
            found.append(place + 1)
            start, rolling = place + 1, 0
    return found if found and found[-1] == len(content) else [*found, len(content)]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 400_000), st.sampled_from([2, 16, 256]))
def test_the_same_cuts_as_byte_by_byte(seed: int, size: int, letters: int) -> None:
    from tenuto.store.xet.cutting import _GEAR

    content = bytes(byte % letters for byte in random.Random(seed).randbytes(size))
    assert list(cut(content)[1].raw[1:]) == slow_cuts(content, _GEAR.tolist())


@pytest.mark.parametrize("size", [1, 8191, 8192, 131072, 131073, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_sizes_around_the_bounds_of_chunks_and_blocks(size: int) -> None:
    for content in (bytes(size), random.Random(size).randbytes(size)):
        table = cut(content)[1]
        assert table.raw[-1] == size
        assert all(LEAST_BYTES <= length <= 131072 for length in table.lengths[:-1])
        assert [chunk_hash(content[a:b]) for a, b in pairwise(table.raw)] == [
            table.chunk(index) for index in range(table.chunks)
        ]


def test_the_cuts_of_a_file_are_found_from_any_of_them_on() -> None:
    content = random.Random(5).randbytes(3_000_000)
    whole = list(cut(content)[1].raw)
    for start in (whole[1], whole[20], whole[-2]):
        assert [start + end for end in cut(content, start)[1].raw] == [end for end in whole if end >= start]


def test_a_xorb_ends_before_it_is_too_long() -> None:
    content = bytes(66 << 20)
    first = cut(content)[1]
    assert first.raw[-1] == 64 << 20
    assert cut(content, 64 << 20)[1].raw[-1] == 2 << 20


@pytest.fixture
def sliced(tmp_path: Path) -> tuple[XorbFolder, LocalStore, str, XorbTable, bytes]:
    """A folder, its store, a xorb that is the middle of an object there, and its unpacked bytes."""
    store = LocalStore(str(tmp_path))
    content = random.Random(9).randbytes(2_500_000)
    sha256 = store.put(content)
    start = cut(content)[1].raw[3]
    with store.open(sha256) as file:
        name, table = cut_xorb(file, Slice(sha256, len(content), start), FINDER)
    return XorbFolder(store.root, store), store, name, table, content[start:]


def test_a_slice_gives_the_bytes_of_a_xorb_of_its_own(
    sliced: tuple[XorbFolder, LocalStore, str, XorbTable, bytes],
) -> None:
    folder, _, name, table, content = sliced
    own = make_xorb([content[a:b] for a, b in pairwise(table.raw)])
    assert (own.name, own.table()) == (name, table._replace(source=None))
    with StoredXorb(name, table, folder, Seals()) as reader:
        assert reader.read() == own.body
        for start in (0, 7, 8, 9, len(own.body) // 2, len(own.body) - 1):
            reader.seek(start)
            assert reader.read(100_000) == own.body[start : start + 100_000]
    taken = XorbReader()
    taken.feed(own.body)
    assert taken.finish(name) == own.table()


def test_a_file_of_slices_is_read_anywhere(sliced: tuple[XorbFolder, LocalStore, str, XorbTable, bytes]) -> None:
    folder, _, name, table, content = sliced
    terms = [(Term(name, 2, 9), table.raw[9] - table.raw[2]), (Term(name, 0, table.chunks), len(content))]
    expected = content[table.raw[2] : table.raw[9]] + content
    for checked in (True, False):
        with ChunkedFile(FileTable.of(terms), lambda _name: table, folder, checked=checked) as reader:
            assert reader.read() == expected
            for start in random.Random(1).sample(range(len(expected)), 20):
                reader.seek(start)
                assert reader.read(70_000) == expected[start : start + 70_000]


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_damage_of_the_object_is_found_before_a_byte_is_given_away(
    sliced: tuple[XorbFolder, LocalStore, str, XorbTable, bytes], harm: str
) -> None:
    folder, store, name, table, content = sliced
    assert table.source is not None
    place = Path(store.file(table.source.sha256))
    data = bytearray(place.read_bytes())
    place.unlink()
    if harm == "changed":
        data[table.source.start + 10] ^= 1
        place.write_bytes(data)
    elif harm == "cut":
        place.write_bytes(data[:-1])
    terms = FileTable.of([(Term(name, 0, table.chunks), len(content))])
    for reader in (
        StoredXorb(name, table, folder, Seals()),
        ChunkedFile(terms, lambda _name: table, folder),
    ):
        with reader, pytest.raises(IntegrityError) as caught:
            reader.read()
        assert caught.value.code == "CorruptObject"
    assert folder.has_source(table.source) == (harm == "changed")
