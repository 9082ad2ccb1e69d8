"""Chunks as they lie in a xorb: a header of 8 bytes, then the bytes, packed or not (xet-protocol section 5.1). The only door to lz4."""

from typing import NamedTuple

import lz4.frame  # type: ignore[import-untyped]

from tenuto.core.errors import UsageError

HEADER_BYTES = 8
MOST_RAW_BYTES = 128 << 10
MOST_STORED_BYTES = 256 << 10
_PLAIN, _LZ4, _GROUPED_LZ4 = 0, 1, 2


class ChunkHeader(NamedTuple):
    """How a chunk is stored: bytes behind the header, scheme, bytes once it is unpacked."""

    stored: int
    scheme: int
    raw: int


def read_header(data: bytes | memoryview) -> ChunkHeader:
    """The header in the first 8 bytes. Raises UsageError (BadRequest) for one that no chunk can have: nothing of it need be kept."""
    word = int.from_bytes(data[:HEADER_BYTES], "little")
    version, stored, scheme, raw = word & 0xFF, word >> 8 & 0xFFFFFF, word >> 32 & 0xFF, word >> 40
    if version != 0 or scheme > _GROUPED_LZ4:
        raise UsageError(f"a chunk has version {version} and scheme {scheme}, which do not exist")
    if not 1 <= raw <= MOST_RAW_BYTES or not 1 <= stored <= MOST_STORED_BYTES:
        raise UsageError(f"a chunk claims {raw} bytes, stored in {stored}: more or less than a chunk may have")
    if scheme == _PLAIN and stored != raw:
        raise UsageError(f"a chunk that is not packed claims {raw} bytes, stored in {stored}")
    return ChunkHeader(stored, scheme, raw)


def plain_header(size: int) -> bytes:
    """The header of a chunk of `size` bytes that is not packed."""
    return (size << 8 | _PLAIN << 32 | size << 40).to_bytes(HEADER_BYTES, "little")


def is_plain(stored: memoryview) -> bool:
    """Whether a chunk, whose header comes first, is not packed."""
    return stored[4] == _PLAIN


class Decoder:
    """Unpacks chunks; for one thread at a time. Never makes more bytes than a header claims."""

    def __init__(self) -> None:
        self._frames = lz4.frame.LZ4FrameDecompressor()
        self._room = bytearray(MOST_RAW_BYTES)

    def decode(self, header: ChunkHeader, stored: memoryview) -> bytes | memoryview:
        """The bytes of a chunk, which stay until the next call.

        Raises UsageError (BadRequest) if they cannot be unpacked or are not as many as claimed.
        """
        if header.scheme == _PLAIN:
            return stored
        raw = self._unpack(stored, header.raw)
        return raw if header.scheme == _LZ4 else self._ungrouped(raw)

    def _unpack(self, stored: memoryview, size: int) -> bytes:
        frames = self._frames
        frames.reset()
        try:
            raw: bytes = frames.decompress(stored, max_length=size + 1)
        except RuntimeError as error:
            raise UsageError("a chunk cannot be unpacked: it is no LZ4 frame") from error
        if len(raw) != size or not frames.eof or frames.unused_data:
            raise UsageError(f"a chunk does not unpack to the {size} bytes that it claims")
        return raw

    def _ungrouped(self, data: bytes) -> memoryview:
        """Bytes whose positions were sorted by their remainder modulo 4, put back in order."""
        size, start = len(data), 0
        for group in range(4):
            end = start + (size - group + 3) // 4
            self._room[group:size:4] = data[start:end]
            start = end
        return memoryview(self._room)[:size]
