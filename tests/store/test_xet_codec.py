"""Hashes, chunks, xorbs: the check values of the protocol, and parsers that survive whatever comes."""

import contextlib
import hashlib
import itertools
import random
import struct
import tracemalloc

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.store.xet import hashes
from tenuto.store.xet.chunks import HEADER_BYTES, MOST_RAW_BYTES, ChunkHeader, Decoder, read_header
from tenuto.store.xet.table import XorbTable
from tenuto.store.xet.xorb import MOST_CHUNKS, XorbReader
from tests.store.xet_build import Xorb, chunk, frame, group_bytes, header, make_xorb

A = b"xet"
B = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(31250))
C = bytes(range(256)) * 1024
B_LENGTHS = [30094, 27086, 12811, 111372, 121806, 9763, 38233, 24165, 72504, 64219, 131072, 131072, 88047, 36169]
B_LENGTHS += [10902, 9124, 81561]
CHECKS = {
    "A": (
        [A],
        "af9566833e03687c53e851d0881e7a28b3a6329141cfb2f491c0aee9933d1da9",
        "23675d85f1849a54f6e2b8521896e3890dabad6ad8be3b81fb1784b7277ee4a4",
        "29c6f7bae673954a22d331a6fa6eef3222da133d4cf20e25b8ad1ae9cf47f24e",
        11,
    ),
    "B": (
        [B[end - length : end] for length, end in zip(B_LENGTHS, itertools.accumulate(B_LENGTHS), strict=True)],
        "7cb150946986b00f4a311337598bad927ca79e6ff2456379bf0734aee714cc07",
        "325c2ebc231bdb66b17c30b93150cf12b181b4193aa3f6032ec031eb532627e4",
        "8277352fa0b9128be18d55d949c85aa62979a01e3dbc3bdff49e157641993fda",
        1_000_136,
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_check_values_of_the_protocol(name: str) -> None:
    raws, xorb_name, file_name, proof, body_bytes = CHECKS[name]
    xorb = make_xorb(raws)
    assert (xorb.name, len(xorb.body)) == (xorb_name, body_bytes)
    assert hashes.to_text(hashes.file_hash(xorb.hashes, [len(raw) for raw in raws])) == file_name
    assert hashes.to_text(hashes.term_hash(xorb.hashes)) == proof


def test_the_check_values_of_equal_chunks() -> None:
    half = C[:131072]
    one = hashes.chunk_hash(half)
    assert make_xorb([half]).name == "098aa7e18453d6e5182c43d9e97b41337ae351f11cb336e7b0f5c50c0b7d19a7"
    file_name = hashes.to_text(hashes.file_hash(one + one, [131072, 131072]))
    assert file_name == "4af615289511169db9c0198cb8172fb66d2416f8aef808ba88da4c5cc16219fd"
    assert hashes.to_text(hashes.term_hash(one)) == "868647510664eef8f2f5fb3c35cfc8f605711782d18c08a04d9d72d72c71b11a"


def test_the_check_values_of_single_hashes() -> None:
    one = hashes.chunk_hash(A)
    assert one.hex() == "7c68033e836695af287a1e88d051e853f4b2cf419132a6b3a91d3d93e9aec091"
    keyed = hashes.keyed_hash(bytes(range(32)), one)
    assert hashes.to_text(keyed) == "4f7dcf4b1b869b4b5485afe8a4bd9b566c3fe7431d3250c52f1035e86baad3d6"
    stored = "640b37c4f89302c6ac3c67bdd84ebcf593c6560c638831f821db19089c70fb8a"
    assert hashes.to_text(bytes.fromhex(stored)) == hashlib.sha256(A).hexdigest()
    first = hashes.chunk_hash(B[: B_LENGTHS[0]])
    assert hashes.to_text(first) == "023bdba9015110e266373e050029d4420c3681d9e329a13662c65f326662bbd9"


def slow_root(leaves: list[tuple[bytes, int]]) -> bytes:
    """Section 4 of the protocol, word by word."""
    key = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
    while len(leaves) > 1:
        groups, rest = [], leaves
        while rest:
            take = len(rest)
            if take > 2:
                take = min(9, take)
                cuts = [k for k in range(2, take) if struct.unpack("<4Q", rest[k][0])[3] % 4 == 0]
                take = cuts[0] + 1 if cuts else take
            groups.append(rest[:take])
            rest = rest[take:]
        leaves = []
        for group in groups:
            lines = [
                "{:016x}{:016x}{:016x}{:016x} : {}\n".format(*struct.unpack("<4Q", one), length)
                for one, length in group
            ]
            leaves.append((blake3("".join(lines).encode(), key=key).digest(), sum(length for _, length in group)))
    return leaves[0][0] if leaves else bytes(32)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 8, 9, 10, 11, 18, 100, 4095, 4096, 4097, 9000])
def test_a_root_is_the_same_however_its_chunks_come(count: int) -> None:
    rng = random.Random(count)
    leaves = [(rng.randbytes(32), rng.randrange(1, MOST_RAW_BYTES + 1)) for _ in range(count)]
    packed, lengths = b"".join(one for one, _ in leaves), [length for _, length in leaves]
    tree, at = hashes.MerkleTree(), 0
    while at < count:
        more = rng.randrange(1, 3000)
        tree.add(packed[32 * at : 32 * (at + more)], lengths[at : at + more])
        at += more
    assert tree.root() == hashes.merkle_root(packed, lengths) == slow_root(leaves)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=50), st.integers(0, 50))
def test_texts_and_marked_hashes(many: list[bytes], zeros: int) -> None:
    many = [one[:24] + b"\0\0" + one[26:] if index == zeros else one for index, one in enumerate(many)]
    packed = b"".join(many)
    text = hashes.to_text(packed)
    assert hashes.from_text(text) == packed
    assert [text[64 * k : 64 * k + 64] for k in range(len(many))] == [hashes.to_text(one) for one in many]
    marked = [k for k, one in enumerate(many) if struct.unpack("<4Q", one)[3] % 1024 == 0]
    assert hashes.find_marked(packed) == marked == [k for k, one in enumerate(many) if hashes.is_marked(one)]


@pytest.mark.parametrize("text", ["", "ab", "AB" * 32, "g" * 64, "../" + "a" * 61, "\u0663" * 64, "a" * 64 + "\n"])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        hashes.check_hash(text)


def read(body: bytes, name: str, sizes: list[int] | None = None) -> XorbTable:
    reader, at = XorbReader(), 0
    for size in itertools.cycle(sizes or [1 << 20]):
        reader.feed(body[at : at + size])
        at += size
        if at >= len(body):
            return reader.finish(name)
    raise AssertionError


RAW_LISTS = st.lists(st.binary(min_size=1, max_size=300).map(lambda raw: raw * 7), min_size=1, max_size=12)


@given(RAW_LISTS, st.data())
def test_a_xorb_is_read_whatever_the_pieces_it_comes_in(raws: list[bytes], data: st.DataObject) -> None:
    xorb = make_xorb(raws, data.draw(st.lists(st.integers(0, 2), min_size=len(raws), max_size=len(raws))))
    table = read(xorb.body, xorb.name, data.draw(st.lists(st.integers(1, 700), min_size=1, max_size=5)))
    assert table == xorb.table()
    assert XorbTable.unpack(table.pack()) == table


@given(st.binary(max_size=600), st.integers(1, 100))
def test_arbitrary_bytes_are_refused(body: bytes, size: int) -> None:
    with pytest.raises((UsageError, IntegrityError)):
        read(body, "0" * 64, [size])


XORB = make_xorb([random.Random(7).randbytes(900), b"abcd" * 500, bytes(range(256)) * 9, b"x"], [0, 1, 2, 0])


@given(st.integers(0, len(XORB.body) - 1), st.integers(1, 255))
def test_no_byte_of_a_xorb_can_be_changed(position: int, change: int) -> None:
    changed = bytearray(XORB.body)
    changed[position] ^= change
    try:
        table = read(bytes(changed), XORB.name)
    except (UsageError, IntegrityError):
        return
    # A frame has some spare bits: whoever flips them packs the same bytes in another way.
    assert table.hashes == XORB.hashes


@given(st.integers(0, len(XORB.body) - 1))
def test_a_cut_xorb_is_refused(length: int) -> None:
    with pytest.raises((UsageError, IntegrityError)):
        read(XORB.body[:length], XORB.name)


def test_another_name_is_refused_with_both() -> None:
    with pytest.raises(IntegrityError, match=f"{XORB.name}.*{'1' * 64}"):
        read(XORB.body, "1" * 64)


def test_a_footer_of_old_clients_is_cut_off() -> None:
    for tail in (b"XETBLOB\1" + b"anything" * 99, b"XETBLOB\0"):
        assert read(XORB.body + tail, XORB.name, [11]) == XORB.table()
    reader = XorbReader()
    reader.feed(XORB.body + b"XETBLOB\1" + b"z" * 50)
    assert reader.stored_bytes == len(XORB.body)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (header(3, 0, 3, version=1), "version 1"),
        (header(3, 3, 3), "scheme 3"),
        (header(0, 0, 0), "0 bytes"),
        (header(10, 1, 0), "0 bytes"),
        (header(0, 1, 10), "stored in 0"),
        (header(1 << 23, 0, 1 << 23), "more or less"),
        (header(100, 1, MOST_RAW_BYTES + 1), "more or less"),
        (header((256 << 10) + 1, 1, 100), "more or less"),
        (header(4, 0, 5), "not packed"),
    ],
)
def test_a_header_that_no_chunk_has_is_refused_before_its_bytes_come(head: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        XorbReader().feed(head)


@pytest.mark.parametrize("scheme", [1, 2])
@pytest.mark.parametrize(
    "settings", [{}, {"block_linked": True}, {"store_size": True, "content_checksum": True, "block_checksum": True}]
)
def test_any_valid_frame_is_unpacked(scheme: int, settings: dict[str, bool]) -> None:
    for size in (1, 2, 3, 4, 5, 1001, MOST_RAW_BYTES):
        raw = (bytes(range(256)) * 513)[:size]
        stored = frame(group_bytes(raw) if scheme == 2 else raw, **settings)
        assert Decoder().decode(ChunkHeader(len(stored), scheme, size), memoryview(stored)) == raw


SKIPPED = struct.pack("<II", 0x184D2A5F, 100) + bytes(100)


@pytest.mark.parametrize(
    "stored",
    [
        SKIPPED,
        SKIPPED[:-1],
        SKIPPED + frame(b"raw" * 99),
        frame(b"raw" * 99) + SKIPPED,
        frame(b"raw") + frame(b"raw" * 98),
        frame(b"raw" * 99) + b"\0",
        struct.pack("<I", 0x184C2102) + bytes(50),
    ],
)
def test_what_is_not_one_frame_is_refused(stored: bytes) -> None:
    with pytest.raises(UsageError):
        Decoder().decode(ChunkHeader(len(stored), 1, 297), memoryview(stored))


def hand_made(flags: int, rest: bytes, blocks: list[bytes]) -> list[bytes]:
    """A frame with every checksum that its header may have: one of them is right."""
    body = b"".join(struct.pack("<I", len(block)) + block for block in blocks) + bytes(4)
    head = struct.pack("<IBB", 0x184D2204, flags, 0x40) + rest
    return [head + bytes([checksum]) + body for checksum in range(256)]


LITERALS = b"\x60abcdef"
BEFORE_THE_START = b"\x1fa\xff\x00\x01\x50abcde"
"""One byte, then 20 bytes from 255 bytes before: there is nothing."""


@pytest.mark.parametrize(
    "flags", [0x40, 0x60, 0x41, 0x61]
)  # blocks that build on each other, or not; with a dictionary, or not
def test_blocks_that_build_on_a_dictionary_are_no_way_to_bytes_of_others(flags: int) -> None:
    decoder, rest = Decoder(), bytes([1, 2, 3, 4]) if flags & 1 else b""
    decoder.decode(ChunkHeader(0, 1, 3000), memoryview(frame(b"secret" * 500)))
    found = set()
    for stored in hand_made(flags, rest, [LITERALS]):
        with contextlib.suppress(UsageError):
            found.add(bytes(decoder.decode(ChunkHeader(len(stored), 1, 6), memoryview(stored))))
    assert found == {b"abcdef"}
    for stored in [*hand_made(flags, rest, [BEFORE_THE_START]), *hand_made(flags, rest, [LITERALS, BEFORE_THE_START])]:
        for size in (25, 26, 31, 32):
            with pytest.raises(UsageError):
                decoder.decode(ChunkHeader(len(stored), 1, size), memoryview(stored))


def test_a_decoder_goes_on_after_what_it_refused() -> None:
    decoder, good = Decoder(), frame(b"good" * 9)
    for bad in (
        b"",
        b"nonsense",
        good[:-5],
        good[:10],
        good + b"more",
        good + good,
        frame(b"short"),
        frame(b"long" * 99),
    ):
        with pytest.raises(UsageError):
            decoder.decode(ChunkHeader(len(bad), 1, 36), memoryview(bad))
        assert decoder.decode(ChunkHeader(len(good), 1, 36), memoryview(good)) == b"good" * 9


@given(st.binary(max_size=400), st.integers(1, 2), st.integers(1, MOST_RAW_BYTES))
def test_no_stored_bytes_break_the_decoder(stored: bytes, scheme: int, size: int) -> None:
    for data in (stored, frame(b"")[:7] + stored):
        with contextlib.suppress(UsageError):
            assert len(Decoder().decode(ChunkHeader(len(data), scheme, size), memoryview(data))) == size


def test_a_bomb_makes_no_more_bytes_than_its_header_claims() -> None:
    bomb = frame(bytes(60 << 20))
    assert len(bomb) < 256 << 10
    tracemalloc.start()
    for claimed in (1, 100, MOST_RAW_BYTES):
        reader = XorbReader()
        with pytest.raises(UsageError, match="does not unpack"):
            reader.feed(header(len(bomb), 1, claimed) + bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_xorb_unpacks_to_64_mib_at_most_and_has_8192_chunks_at_most() -> None:
    reader, zeros = XorbReader(), chunk(bytes(MOST_RAW_BYTES), 1)
    for _ in range(512):
        reader.feed(zeros)
    with pytest.raises(UsageError, match="67108864"):
        reader.feed(chunk(b"x"))
    reader = XorbReader()
    reader.feed(chunk(b"x") * MOST_CHUNKS)
    with pytest.raises(UsageError, match="8192"):
        reader.feed(chunk(b"x"))


def test_what_is_held_of_a_xorb_that_arrives_stays_small() -> None:
    reader, body = XorbReader(), chunk(random.Random(1).randbytes(MOST_RAW_BYTES)) * 64
    tracemalloc.start()
    for at in range(0, len(body), 65536):
        reader.feed(body[at : at + 65536])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@given(st.binary(max_size=HEADER_BYTES))
def test_headers_never_crash(data: bytes) -> None:
    try:
        found = read_header(data)
    except UsageError:
        return
    assert header(found.stored, found.scheme, found.raw) == data.ljust(HEADER_BYTES, b"\0")


@given(st.binary(max_size=200))
def test_a_damaged_table_is_named(packed: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert XorbTable.unpack(packed).pack() == packed


def test_the_samples_are_what_clients_send() -> None:
    assert isinstance(XORB, Xorb)
    assert read(XORB.body, XORB.name).chunks == 4
