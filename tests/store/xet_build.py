"""Xorbs and shards as a client makes them, written from the description of the formats; the program itself only reads them."""

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

import lz4.frame

from tenuto.store.xet import hashes
from tenuto.store.xet.table import FileTable, Term, XorbTable

TAG = b"HFRepoMetaData\0" + bytes([85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169])
BOOKEND = b"\xff" * 32 + bytes(16)


def group_bytes(raw: bytes) -> bytes:
    return b"".join(raw[place::4] for place in range(4))


def frame(raw: bytes, **settings) -> bytes:
    return lz4.frame.compress(raw, **{"store_size": False, "block_linked": False, **settings})


def header(stored: int, scheme: int, raw: int, version: int = 0) -> bytes:
    return bytes([version]) + stored.to_bytes(3, "little") + bytes([scheme]) + raw.to_bytes(3, "little")


def chunk(raw: bytes, scheme: int = 0) -> bytes:
    stored = (raw, frame(raw), frame(group_bytes(raw)))[scheme] if raw or not scheme else b""
    return header(len(stored), scheme, len(raw)) + stored


class Xorb(NamedTuple):
    """A xorb with the raw bytes of its chunks."""

    name: str
    body: bytes
    raws: list[bytes]
    hashes: bytes

    def part(self, start: int, end: int) -> bytes:
        return b"".join(self.raws[start:end])

    def hashes_of(self, start: int, end: int) -> bytes:
        return self.hashes[32 * start : 32 * end]

    def table(self) -> XorbTable:
        from array import array
        from itertools import accumulate

        ends, at = [0], 0
        while at < len(self.body):
            at += 8 + int.from_bytes(self.body[at + 1 : at + 4], "little")
            ends.append(at)
        return XorbTable(self.hashes, array("I", accumulate(map(len, self.raws), initial=0)), array("I", ends))


def make_xorb(raws: Sequence[bytes], scheme: int | Sequence[int] = 0) -> Xorb:
    schemes = [scheme] * len(raws) if isinstance(scheme, int) else scheme
    named = b"".join(hashes.chunk_hash(raw) for raw in raws)
    name = hashes.to_text(hashes.merkle_root(named, [len(raw) for raw in raws]))
    return Xorb(name, b"".join(chunk(raw, one) for raw, one in zip(raws, schemes, strict=True)), list(raws), named)


def record(head: bytes, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> bytes:
    return struct.pack("<32sIIII", head, a, b, c, d)


class File(NamedTuple):
    """A file made of ranges of xorbs."""

    parts: list[tuple[Xorb, int, int]]

    @property
    def content(self) -> bytes:
        return b"".join(xorb.part(start, end) for xorb, start, end in self.parts)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def name(self) -> str:
        named = b"".join(xorb.hashes_of(start, end) for xorb, start, end in self.parts)
        lengths = [len(raw) for xorb, start, end in self.parts for raw in xorb.raws[start:end]]
        return hashes.to_text(hashes.file_hash(named, lengths))

    def table(self) -> FileTable:
        return FileTable.of((Term(x.name, start, end), len(x.part(start, end))) for x, start, end in self.parts)


def file_block(file: File, *, name: str = "", sha256: str = "", proofs: bool = True) -> bytes:
    flags = (1 << 31 if proofs else 0) | 1 << 30
    blocks = [record(hashes.from_text(name or file.name), flags, len(file.parts))]
    for xorb, start, end in file.parts:
        blocks.append(record(hashes.from_text(xorb.name), 0, len(xorb.part(start, end)), start, end))
    if proofs:
        blocks += [record(hashes.term_hash(xorb.hashes_of(start, end))) for xorb, start, end in file.parts]
    blocks.append(record(hashes.from_text(sha256 or (file.sha256 if file.parts else "0" * 64))))
    return b"".join(blocks)


def xorb_block(xorb: Xorb) -> bytes:
    total = sum(map(len, xorb.raws))
    blocks, at = [record(hashes.from_text(xorb.name), 0, len(xorb.raws), total, 0)], 0
    for index, raw in enumerate(xorb.raws):
        blocks.append(record(xorb.hashes_of(index, index + 1), at, len(raw)))
        at += len(raw)
    return b"".join(blocks)


def shard(files: Sequence[bytes], xorbs: Sequence[bytes] = ()) -> bytes:
    return struct.pack("<32sQQ", TAG, 2, 0) + b"".join([*files, BOOKEND, *xorbs, BOOKEND])
