"""Pages as they were before they were packed, unpacked only as far as they are read.

Source: Compression.md of parquet-format, format_description.txt of snappy, lz4_Block_format.md of lz4.
"""

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tenuto.inspect.columnar.effort import Effort
from tenuto.inspect.findings import FormatError
from tenuto.inspect.protobuf import varint
from tenuto.inspect.source import Cursor, Source
from tenuto.inspect.stream import Stream

Reader: TypeAlias = Cursor | Stream
"""Bytes that are taken or passed over one after another."""

_PIECE_BYTES = 1 << 12
_WINDOW_BYTES = 1 << 16
_WINDOW_LOG = 25  # what is written with more than 32 MiB to look back into is not unpacked
_BYTES_A_STEP, _STEPS_A_CALL = 256, 8
_ZSTD = ("compression.zstd", "backports.zstd")


def unpack(source: Source, codec: str, effort: Effort) -> Reader:
    """The content of a page. Raises FormatError for a codec that is not read here; that and TooMuch while it is read."""
    if codec == "UNCOMPRESSED":
        return Cursor(source)
    if codec not in _CODECS:
        raise FormatError("NotAllChecked", f"it is packed with {codec}, which is not unpacked here")
    return Stream(_counted(_CODECS[codec](source, effort), effort))


def _counted(pieces: Iterator[bytes], effort: Effort) -> Iterator[bytes]:
    for piece in pieces:
        effort.spend(1 + len(piece) // _BYTES_A_STEP)
        yield piece


def _gzip(source: Source, effort: Effort) -> Iterator[bytes]:
    cursor, machine = Cursor(source), zlib.decompressobj(zlib.MAX_WBITS | 32)
    while not machine.eof:
        effort.spend(_STEPS_A_CALL)
        packed = machine.unconsumed_tail or cursor.take(min(_PIECE_BYTES, cursor.left))
        try:
            piece = machine.decompress(packed, _PIECE_BYTES)
        except zlib.error as error:
            raise FormatError("BadStructure", f"it cannot be unpacked: {error}") from error
        if piece:
            yield piece
        elif not packed and not machine.eof:
            raise FormatError("Truncated", "it ends before it is unpacked")


def _zstd(source: Source, effort: Effort) -> Iterator[bytes]:
    """One frame after another."""
    zstd = _zstd_library()
    options = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    cursor = Cursor(source)
    while cursor.left:
        frame = zstd.ZstdDecompressor(options=options)
        while not frame.eof:
            effort.spend(_STEPS_A_CALL)
            if frame.needs_input and not cursor.left:
                raise FormatError("Truncated", "it ends before it is unpacked")
            packed = cursor.take(min(_PIECE_BYTES, cursor.left)) if frame.needs_input else b""
            try:
                piece = frame.decompress(packed, _PIECE_BYTES)
            except zstd.ZstdError as error:
                raise FormatError("BadStructure", f"it cannot be unpacked: {error}") from error
            if piece:
                yield piece
        cursor.position -= len(frame.unused_data)


def _zstd_library() -> Any:
    """The module of Python 3.14, or the same one for those before it."""
    for name in _ZSTD:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise FormatError("NotAllChecked", "it is packed with ZSTD: to see it, install backports.zstd, or Python 3.14")


class _Window:
    """What was unpacked last, as far as copies may go back."""

    def __init__(self, effort: Effort) -> None:
        self._data = bytearray()
        self._told = 0
        self._effort = effort

    def literal(self, cursor: Cursor, length: int) -> Iterator[bytes]:
        """Take bytes as they are; yields what became ready."""
        while length:
            step = min(length, _PIECE_BYTES)
            self._data += cursor.take(step)
            length -= step
            yield from self._ready()

    def copy(self, offset: int, length: int) -> Iterator[bytes]:
        """Take bytes once more that came `offset` before; yields what became ready."""
        data = self._data
        if not 0 < offset <= len(data):
            raise FormatError("BadStructure", f"it goes back by {offset:,} bytes, and {len(data):,} are kept")
        while length:
            step = min(length, _PIECE_BYTES)
            part = data[len(data) - offset : len(data) - offset + step]
            data += part if len(part) == step else (part * (step // offset + 1))[:step]
            length -= step
            yield from self._ready()

    def rest(self) -> bytes:
        """What was not yielded yet."""
        piece = bytes(self._data[self._told :])
        del self._data[:-_WINDOW_BYTES]
        self._told = len(self._data)
        return piece

    def _ready(self) -> Iterator[bytes]:
        self._effort.spend(1)
        if len(self._data) - self._told >= _PIECE_BYTES:
            yield self.rest()


def _snappy(source: Source, effort: Effort) -> Iterator[bytes]:
    cursor, window = Cursor(source), _Window(effort)
    varint(cursor)
    while cursor.left:
        tag = cursor.take(1)[0]
        kind, number = tag & 3, tag >> 2
        if kind == 0:
            more = number - 59
            yield from window.literal(cursor, (_little(cursor, more) if more > 0 else number) + 1)
        elif kind == 1:
            yield from window.copy(tag >> 5 << 8 | _little(cursor, 1), 4 + (number & 7))
        else:
            yield from window.copy(_little(cursor, 2 if kind == 2 else 4), number + 1)
    yield window.rest()


def _lz4(source: Source, effort: Effort) -> Iterator[bytes]:
    cursor, window = Cursor(source), _Window(effort)
    while cursor.left:
        token = cursor.take(1)[0]
        yield from window.literal(cursor, _lz4_length(cursor, token >> 4, effort))
        if cursor.left:  # the last sequence is literals only
            offset = _little(cursor, 2)
            yield from window.copy(offset, 4 + _lz4_length(cursor, token & 15, effort))
    yield window.rest()


def _lz4_length(cursor: Cursor, length: int, effort: Effort) -> int:
    more = 255 if length == 15 else 0
    while more == 255:
        effort.spend(1)
        more = cursor.take(1)[0]
        length += more
    return length


def _little(cursor: Cursor, size: int) -> int:
    return int.from_bytes(cursor.take(size), "little")


_CODECS: dict[str, Callable[[Source, Effort], Iterator[bytes]]] = {
    "GZIP": _gzip,
    "LZ4_RAW": _lz4,
    "SNAPPY": _snappy,
    "ZSTD": _zstd,
}
