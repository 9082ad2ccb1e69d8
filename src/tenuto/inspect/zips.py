"""Zip: the directory at its end, the members it lists, and their bytes. Source: APPNOTE.TXT 6.3, sections 4.3 to 4.5."""

import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.members import Names, is_bomb
from tenuto.inspect.source import PIECE_BYTES, Cursor, Source
from tenuto.inspect.tensors import Span, check_count, check_spans

STORED, DEFLATED = 0, 8
_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT_BYTES = 65_535
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 1, 8, 1 << 11
_UNKNOWN_32 = 0xFFFFFFFF
_LONGEST_LINK_BYTES = 4_096


class Member(NamedTuple):
    """A member as the directory lists it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header_at: int
    mode: int
    raw_name: bytes


class Place(NamedTuple):
    """Where the directory lies, how many entries it is to have, and by how much all offsets are moved."""

    start: int
    size: int
    members: int
    shift: int


def read_directory(source: Source, report: Report) -> list[Member]:
    """The members that the directory lists. Raises FormatError where it cannot be read."""
    place = _find_directory(source, report)
    check_count(place.members, "members", report)
    cursor = Cursor(source.window(place.start, place.size))
    members = []
    while cursor.left:
        members.append(_entry(cursor, place.shift))
        check_count(len(members), "members", report)
    if len(members) != place.members:
        report.add("SizeMismatch", f"the directory lists {len(members):,} members and counts {place.members:,}")
    return members


def _find_directory(source: Source, report: Report) -> Place:
    tail_at = max(0, source.size - _END.size - _LONGEST_COMMENT_BYTES)
    tail = source.read(tail_at, source.size - tail_at)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise FormatError("Truncated", "the directory at its end is missing")
    end_at = tail_at + found
    _, disk, directory_disk, _, count, size, offset, comment_bytes = _END.unpack_from(tail, found)
    if disk != directory_disk:
        raise FormatError("BadValue", "it is one part of several")
    after = source.size - end_at - _END.size - comment_bytes
    if after:
        report.add("TrailingBytes" if after > 0 else "Truncated", f"the end is {after:,} bytes off")
    directory_end = end_at
    if end_at >= _END64_PLACE.size:
        magic, _, end64_at, _ = _END64_PLACE.unpack(source.read(end_at - _END64_PLACE.size, _END64_PLACE.size))
        if magic == b"PK\x06\x07":
            magic, _, _, _, _, _, _, count, size, offset = _END64.unpack(source.read(end64_at, _END64.size))
            if magic != b"PK\x06\x06":
                raise FormatError("BadStructure", "the large directory is not where it should be")
            directory_end = end64_at
    shift = directory_end - size - offset
    if shift < 0:
        raise FormatError(
            "BadLength", f"the directory of {size:,} bytes at {offset:,} does not fit before {directory_end:,}"
        )
    if shift:
        report.add("Unusual", f"{shift:,} bytes stand before the archive")
    return Place(offset + shift, size, count, shift)


def _entry(cursor: Cursor, shift: int) -> Member:
    fields = _ENTRY.unpack(cursor.take(_ENTRY.size))
    magic, made_by, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes, comment_bytes = fields[:13]
    mode, header_at = fields[15] >> 16, fields[16]
    if magic != b"PK\x01\x02":
        raise FormatError("BadStructure", "the directory holds something else than members")
    raw = cursor.take(name_bytes)
    extra = cursor.take(extra_bytes)
    cursor.skip(comment_bytes)
    size, packed, header_at = _large_values(extra, size, packed, header_at)
    name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
    is_unix = made_by >> 8 == 3
    return Member(name, flags, method, crc, packed, size, header_at + shift, mode if is_unix else 0, raw)


def _large_values(extra: bytes, *values: int) -> list[int]:
    """The values, those that need 64 bits taken from the extra field."""
    large = iter(())
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, position)
        if tag == 1:
            field = extra[position + 4 : position + 4 + length]
            large = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            break
        position += 4 + length
    return [next(large, value) if value == _UNKNOWN_32 else value for value in values]


def check_members(source: Source, members: Sequence[Member], report: Report) -> None:
    """Check names, kinds, sizes and places of all members, without unpacking any."""
    names = Names(report)
    spans = []
    for member in members:
        names.add(member.name)
        with report.part(member.name):
            _check_kind(source, member, names, report)
            start, data_at = _check_local(source, member)
            spans.append(Span(start, data_at + member.packed, member.name))
    check_spans(spans, source.size, report, gaps=False)
    packed, size = sum(one.packed for one in members), sum(one.size for one in members)
    if is_bomb(min(packed, source.size), size):
        report.add("Bomb", f"{size:,} bytes come out of {packed:,}")


def _check_kind(source: Source, member: Member, names: Names, report: Report) -> None:
    if member.flags & _ENCRYPTED:
        report.add("Encrypted", "it is encrypted")
    kind = stat.S_IFMT(member.mode)
    if kind == stat.S_IFLNK and not member.flags & _ENCRYPTED and member.size <= _LONGEST_LINK_BYTES:
        target = b"".join(unpack(source, member)).decode("utf-8", "backslashreplace")
        names.add_link(member.name, target)
    elif kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        report.add("SpecialFile", "it is neither file nor folder")


def _check_local(source: Source, member: Member) -> tuple[int, int]:
    """Where the member's own header and its bytes begin; raises FormatError where that header tells something else."""
    fields = _LOCAL.unpack(source.read(member.header_at, _LOCAL.size))
    magic, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = fields
    if magic != b"PK\x03\x04":
        raise FormatError("BadStructure", "its bytes are not where the directory says")
    raw = source.read(member.header_at + _LOCAL.size, name_bytes)
    extra = source.read(member.header_at + _LOCAL.size + name_bytes, extra_bytes)
    size, packed = _large_values(extra, size, packed)
    told = (raw, method, flags & _ENCRYPTED) == (member.raw_name, member.method, member.flags & _ENCRYPTED)
    sizes = (crc, packed, size) == (member.crc, member.packed, member.size)
    if not told or not (sizes or flags & _SIZES_FOLLOW):
        raise FormatError(
            "BadStructure", "its own header and the directory disagree on name, method, sizes or checksum"
        )
    return member.header_at, member.header_at + _LOCAL.size + name_bytes + extra_bytes


def packed_window(source: Source, member: Member) -> Source:
    """The member's bytes as they are stored."""
    _, data_at = _check_local(source, member)
    return source.window(data_at, member.packed)


def unpack(source: Source, member: Member, most_bytes: int | None = None) -> Iterator[bytes]:
    """The member's bytes, unpacked, in pieces of at most 1 MiB; with `most_bytes`, no more than about so many, and their end unchecked.

    Raises FormatError: where they are more or fewer than declared, differ from their checksum, or are encrypted or packed in another way.
    """
    if member.flags & _ENCRYPTED:
        raise FormatError("Encrypted", "it is encrypted")
    packed = packed_window(source, member)
    if most_bytes is not None and member.method == STORED:
        packed = packed.window(0, min(packed.size, most_bytes))
    crc = size = 0
    for piece in _inflate(packed, member.method):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        if size > member.size:
            raise FormatError("SizeMismatch", f"more than the declared {member.size:,} bytes come out")
        yield piece
        if most_bytes is not None and size >= most_bytes:
            return
    if most_bytes is not None:
        return
    if size < member.size:
        raise FormatError("SizeMismatch", f"{size:,} bytes come out, {member.size:,} are declared")
    if crc != member.crc:
        raise FormatError("BadChecksum", f"its CRC-32 is {crc:08x}, {member.crc:08x} is declared")


def _inflate(packed: Source, method: int) -> Iterator[bytes]:
    if method == STORED:
        yield from packed.pieces()
        return
    if method == DEFLATED:
        yield from inflate(packed, -zlib.MAX_WBITS)
        return
    raise FormatError("NotAllChecked", f"it is packed by method {method}, which is not unpacked here")


def inflate(packed: Source, window_bits: int, *, several: bool = False) -> Iterator[bytes]:
    """A deflate, zlib or gzip stream, or several one after another, unpacked in pieces of at most 1 MiB.

    Raises FormatError where it is broken or cut off.
    """
    machine = zlib.decompressobj(window_bits)
    try:
        for piece in packed.pieces():
            while piece:
                if machine.eof:
                    if not several or not piece.strip(b"\0"):
                        return
                    machine = zlib.decompressobj(window_bits)
                out = machine.decompress(piece, PIECE_BYTES)
                piece = machine.unused_data if machine.eof else machine.unconsumed_tail
                if out:
                    yield out
        if rest := machine.flush():
            yield rest
    except zlib.error as error:
        raise FormatError("BadStructure", f"it cannot be unpacked: {error}") from error
    if not machine.eof:
        raise FormatError("Truncated", "the packed bytes end too early")
