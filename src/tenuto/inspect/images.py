"""PNG and JPEG: chunks and segments from the first to the last. Source: PNG specification, third edition; ITU-T T.81."""

import struct
import zlib

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Cursor, Source

_CHUNK = struct.Struct(">I4s")
_SIZE = struct.Struct(">II")
_LENGTH = struct.Struct(">H")
_LARGEST_CHUNK_BYTES = (1 << 31) - 1
_PNG_START_BYTES = 8
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def inspect_png(source: Source, report: Report) -> None:
    """Check every chunk's checksum up to the end."""
    cursor = Cursor(source, _PNG_START_BYTES)
    for number in range(report.limits.items):
        length, name = _CHUNK.unpack(cursor.take(_CHUNK.size))
        if length > _LARGEST_CHUNK_BYTES:
            raise FormatError("BadLength", f"a chunk of {length:,} bytes")
        start = cursor.position
        cursor.skip(length)
        told = int.from_bytes(cursor.take(4), "big")
        if report.spend(length):
            crc = zlib.crc32(name)
            for piece in source.pieces(start, length):
                crc = zlib.crc32(piece, crc)
            if crc != told:
                report.add("BadChecksum", f"the chunk at {start - _CHUNK.size:,} differs from its checksum")
        if number == 0:
            if name != b"IHDR" or length < _SIZE.size:
                raise FormatError("BadHeader", "it does not begin with its size")
            width, height = _SIZE.unpack(source.read(start, _SIZE.size))
            report.fact(width=width, height=height)
        if name == b"IEND":
            if cursor.left:
                report.add("TrailingBytes", f"{cursor.left:,} bytes follow the end")
            return
    raise FormatError("NotAllChecked", "it has more chunks than are looked at")


def inspect_jpeg(source: Source, report: Report) -> None:
    """Walk over the segments up to the picture itself, and look for the mark at the end."""
    cursor = Cursor(source, 2)
    for _ in range(report.limits.items):
        mark, kind = cursor.take(2)
        if mark != 0xFF:
            raise FormatError("BadStructure", f"no segment begins at {cursor.position - 2:,}")
        if kind in _ALONE:
            continue
        if kind == 0xFF:
            cursor.position -= 1
            continue
        if kind == _END:
            raise FormatError("Truncated", "it ends before the picture")
        length = cursor.number(_LENGTH)
        if length < 2:
            raise FormatError("BadLength", f"a segment of {length} bytes")
        segment = cursor.peek(min(length - 2, 8))
        cursor.skip(length - 2)
        if kind in _FRAMES and len(segment) >= 5:
            height, width = struct.unpack(">HH", segment[1:5])
            report.fact(width=width, height=height)
        if kind == _SCAN:
            break
    tail = source.read(max(0, source.size - 4_096), min(4_096, source.size))
    if b"\xff\xd9" not in tail:
        report.add("Truncated", "the mark at the end of the picture is missing")
