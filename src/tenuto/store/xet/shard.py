"""Shards: files and xorbs announced by a client, and xorbs told to a client (xet-protocol section 6).

Read from a buffer, record by record: what a count claims is held against what is there before anything is made for it.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tenuto.core.errors import UsageError
from tenuto.store.xet.hashes import HASH_BYTES, ZERO, keyed_hash, to_text
from tenuto.store.xet.table import FileTable, Term, XorbTable
from tenuto.store.xet.xorb import MOST_CHUNKS

MOST_SHARD_BYTES = 66 << 20
RECORD_BYTES = 48
_TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
_VERSION, _FOOTER_VERSION, _FOOTER_BYTES = 2, 1, 200
_HEADER = struct.Struct("<32sQQ")
_RECORD = struct.Struct("<32sIIII")
_FOOTER = struct.Struct("<QQQ6Q32sQQ48xQQQQ")
_BOOKEND = b"\xff" * HASH_BYTES
_END = _RECORD.pack(_BOOKEND, 0, 0, 0, 0)
_HAS_PROOFS, _HAS_SHA256 = 1 << 31, 1 << 30


class FileBlock(NamedTuple):
    """A file as a client announces it. `proofs` holds one hash a term, empty if there are none; `sha256` is a claim, empty if there is none."""

    hash: str
    table: FileTable
    proofs: bytes
    sha256: str


class XorbBlock(NamedTuple):
    """A xorb as a client announces it: hashes of its chunks, with their offsets and lengths in bytes."""

    hash: str
    hashes: bytes
    places: list[tuple[int, int]]
    raw_bytes: int


def read_shard(buffer: memoryview) -> Iterator[FileBlock | XorbBlock]:
    """The blocks of a shard, one after the other. What follows the last bookend is not looked at.

    Raises UsageError (BadRequest), which says what is wrong.
    """
    if len(buffer) < RECORD_BYTES:
        raise UsageError("the shard is shorter than its header")
    tag, version, _footer_bytes = _HEADER.unpack_from(buffer)
    if tag != _TAG or version != _VERSION:
        raise UsageError("this is not a shard of version 2")
    records = _Records(buffer)
    yield from _read_files(records)
    yield from _read_xorbs(records)


class _Records:
    """The records of a shard, taken one after the other."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer, self._at = buffer, RECORD_BYTES

    def take(self, count: int, what: str) -> memoryview:
        end = self._at + count * RECORD_BYTES
        if end > len(self._buffer):
            raise UsageError(f"the shard ends where {count} records of {what} should be")
        taken = self._buffer[self._at : end]
        self._at = end
        return taken


def _read_files(records: _Records) -> Iterator[FileBlock]:
    while True:
        name, flags, count, _, _ = _RECORD.unpack(records.take(1, "a file"))
        if name == _BOOKEND:
            return
        table = FileTable.of(_terms(records.take(count, "terms")))
        proofs = records.take(count, "term hashes") if flags & _HAS_PROOFS else b""
        sha256 = bytes(records.take(1, "a sha256")[:HASH_BYTES]) if flags & _HAS_SHA256 else ZERO
        yield FileBlock(to_text(name), table, _heads(proofs), "" if sha256 == ZERO else to_text(sha256))


def _terms(block: memoryview) -> Iterator[tuple[Term, int]]:
    texts: dict[bytes, str] = {}
    for name, _, length, start, end in _RECORD.iter_unpack(block):
        if start >= end:
            raise UsageError(f"a term names chunks {start} to {end}, that is none")
        text = texts.get(name)
        if text is None:
            text = texts[name] = to_text(name)
        yield Term(text, start, end), length


def _heads(block: memoryview | bytes) -> bytes:
    return b"".join(block[at : at + HASH_BYTES] for at in range(0, len(block), RECORD_BYTES))


def _read_xorbs(records: _Records) -> Iterator[XorbBlock]:
    while True:
        name, _, count, raw_bytes, _ = _RECORD.unpack(records.take(1, "a xorb"))
        if name == _BOOKEND:
            return
        if count > MOST_CHUNKS:
            raise UsageError(f"the shard gives a xorb {count} chunks, more than it may have")
        block = records.take(count, "chunks")
        places = [(offset, length) for _, offset, length, _, _ in _RECORD.iter_unpack(block)]
        yield XorbBlock(to_text(name), _heads(block), places, raw_bytes)


class Telling(NamedTuple):
    """Under which key chunks are told, and for how long that is good. Times in seconds since 1970 UTC."""

    key: bytes
    created_s: int
    expires_s: int


class ToldXorb(NamedTuple):
    """The block of a xorb in an answer, and the bytes that it stands for."""

    block: bytes
    raw_bytes: int
    stored_bytes: int


def tell_xorb(name: bytes, table: XorbTable, key: bytes) -> ToldXorb:
    """The block that tells a client of a xorb. Hashes of chunks are keyed: who has a chunk knows it, nobody learns of others."""
    raw, stored = table.raw[-1], table.stored[-1]
    pieces = [_RECORD.pack(name, 0, table.chunks, raw, stored)]
    offsets = zip(range(table.chunks), table.raw, table.lengths, strict=False)
    pieces += [_RECORD.pack(keyed_hash(key, table.chunk(index)), at, length, 0, 0) for index, at, length in offsets]
    return ToldXorb(b"".join(pieces), raw, stored)


def tell(xorbs: Iterable[ToldXorb], telling: Telling) -> bytes:
    """A shard that tells a client of xorbs."""
    told = list(xorbs)
    head = _HEADER.pack(_TAG, _VERSION, _FOOTER_BYTES) + _END
    body = b"".join([head, *(one.block for one in told), _END])
    end, raw, stored = len(body), sum(one.raw_bytes for one in told), sum(one.stored_bytes for one in told)
    lookups = (end, 0) * 3  # zeros for these offsets make clients run out of memory
    footer = _FOOTER.pack(
        _FOOTER_VERSION, RECORD_BYTES, len(head), *lookups, telling.key, telling.created_s, telling.expires_s, stored, 0, raw, end
    )  # fmt: skip
    return body + footer
