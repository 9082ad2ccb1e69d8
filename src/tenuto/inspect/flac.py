"""FLAC: metadata blocks, then frames with checksums. Source: RFC 9639."""

import re
from typing import NamedTuple

from tenuto.inspect.checksums import crc8, crc16
from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Source
from tenuto.inspect.wav import check_sound

_STREAMINFO_BYTES = 34
_MOST_METADATA_BLOCKS = 1_024
_LONGEST_HEADER_BYTES = 16
_SLACK_BYTES = 4_096
_ID3V1_BYTES = 128
_MOST_BROKEN = 100
_LARGEST_BLOCK = 65_535
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_KINDS = ("STREAMINFO", "PADDING", "APPLICATION", "SEEKTABLE", "VORBIS_COMMENT", "CUESHEET", "PICTURE")


class StreamInfo(NamedTuple):
    """What the first block says of the whole."""

    largest_block: int
    largest_frame_bytes: int
    rate_hz: int
    channels: int
    bits: int
    samples: int
    md5: str


def inspect(source: Source, report: Report) -> None:
    """Check the metadata, then every frame by its checksum, and count the samples."""
    info, start = _metadata(source, report)
    check_sound(info.channels, info.rate_hz, report)
    duration_s = round(info.samples / info.rate_hz, 6) if info.rate_hz and info.samples else None
    report.fact(
        channels=info.channels,
        rate_hz=info.rate_hz,
        bits=info.bits,
        samples=info.samples,
        duration_s=duration_s,
        pcm_md5=info.md5 if info.md5.strip("0") else None,
    )
    if report.spend(source.size - start):
        _walk(source, start, info, report)


def _metadata(source: Source, report: Report) -> tuple[StreamInfo, int]:
    position, last = 4, False
    info = None
    kinds = []
    while not last:
        head = source.read(position, 4)
        last, kind, length = head[0] >= 0x80, head[0] & 0x7F, int.from_bytes(head[1:], "big")
        position += 4
        if position + length > source.size:
            raise FormatError("Truncated", f"a metadata block of {length:,} bytes reaches beyond the end")
        if kind == 0 and info is None and length >= _STREAMINFO_BYTES:
            info = _stream_info(source.read(position, _STREAMINFO_BYTES))
        kinds.append(_KINDS[kind] if kind < len(_KINDS) else f"type {kind}")
        if len(kinds) > _MOST_METADATA_BLOCKS:
            raise FormatError("BadStructure", "metadata without end")
        position += length
    if info is None or kinds[0] != "STREAMINFO":
        raise FormatError("BadHeader", "it does not begin with a STREAMINFO block")
    report.fact(metadata_blocks=kinds, metadata_bytes=position)
    return info, position


def _stream_info(block: bytes) -> StreamInfo:
    packed = int.from_bytes(block[10:18], "big")
    return StreamInfo(
        largest_block=int.from_bytes(block[2:4], "big"),
        largest_frame_bytes=int.from_bytes(block[7:10], "big"),
        rate_hz=packed >> 44,
        channels=(packed >> 41 & 7) + 1,
        bits=(packed >> 36 & 31) + 1,
        samples=packed & (1 << 36) - 1,
        md5=block[18:34].hex(),
    )


def _walk(source: Source, start: int, info: StreamInfo, report: Report) -> None:
    most = (info.largest_block or _LARGEST_BLOCK) * info.channels * (info.bits + 1) // 8 + _SLACK_BYTES
    position, samples, frames = start, 0, 0
    broken: list[int] = []
    while position < source.size and frames < report.limits.steps:
        data = source.read(position, min(most + _LONGEST_HEADER_BYTES, source.size - position))
        if data[:3] == b"TAG" and len(data) == _ID3V1_BYTES:
            break
        found_samples = _header(data, 0)
        at_end = position + len(data) == source.size
        length, is_right = _length(data, at_end=at_end) if found_samples else (_next(data), False)
        frames += 1
        samples += found_samples or 0
        if not is_right:
            broken.append(position)
            if len(broken) == _MOST_BROKEN:
                report.add(
                    "BadChecksum",
                    f"{_MOST_BROKEN} frames are damaged, the first at {broken[0]:,}; the rest was not read",
                )
                return
        position += length
    if broken:
        report.add("BadChecksum", f"{len(broken):,} frames are damaged, the first at {broken[0]:,}")
    report.fact(frames=frames)
    if info.samples and samples != info.samples:
        code = "Truncated" if samples < info.samples else "SizeMismatch"
        report.add(code, f"{info.samples:,} samples are declared, the frames have {samples:,}")


def _length(data: bytes, *, at_end: bool) -> tuple[int, bool]:
    """Where the frame that `data` begins with ends, and whether its checksum is right: the whole of it sums up to 0."""
    crc = done = 0
    for found in _SYNC.finditer(data, 2):
        if _header(data, found.start()):
            crc = crc16(data[done : found.start()], crc)
            done = found.start()
            if crc == 0:
                return done, True
    if at_end:
        for end in {len(data), len(data) - _ID3V1_BYTES if data[-_ID3V1_BYTES:].startswith(b"TAG") else len(data)}:
            if crc16(data[:end]) == 0:
                return end, True
    return _next(data), False


def _next(data: bytes) -> int:
    """Where the next frame header is, or the end of what was read."""
    for found in _SYNC.finditer(data, 1):
        if _header(data, found.start()):
            return found.start()
    return max(1, len(data) - _LONGEST_HEADER_BYTES) if len(data) > _SLACK_BYTES else len(data)


def _header(data: bytes, at: int) -> int | None:
    """How many samples the frame has whose header begins here, if one does."""
    head = data[at : at + _LONGEST_HEADER_BYTES]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    if block_code == 0 or rate_code == 15 or head[3] >> 4 > 10 or head[3] >> 1 & 7 == 3:
        return None
    number_bytes = _number_bytes(head[4])
    block_bytes = {6: 1, 7: 2}.get(block_code, 0)
    end = 4 + number_bytes + block_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not number_bytes or end >= len(head) or crc8(head[:end]) != head[end]:
        return None
    written = int.from_bytes(head[4 + number_bytes : 4 + number_bytes + block_bytes], "big") + 1
    return written if block_bytes else _block_samples(block_code)


def _number_bytes(first: int) -> int:
    """How many bytes a number takes whose first byte this is, written as in UTF-8; 0 if it is none."""
    if first < 0x80:
        return 1
    ones = 8 - (~first & 0xFF).bit_length()
    return ones if 2 <= ones <= 7 else 0


def _block_samples(code: int) -> int:
    if code == 1:
        return 192
    return 576 << code - 2 if code <= 5 else 256 << code - 8
