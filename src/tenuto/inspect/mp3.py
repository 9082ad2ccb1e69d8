"""MP3: ID3 tags around frames that each tell their own length. Source: ISO 11172-3 and 13818-3; id3v2.4.0-structure."""

import struct
from typing import NamedTuple

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Cursor, Source

_HEADER_BYTES, _ID3_HEADER_BYTES, _ID3V1_BYTES = 4, 10, 128
_LARGE_TAG_BYTES = 16 << 20
_SEARCH_BYTES = 64 << 10
_MOST_LOST_BYTES = 16 << 20
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_1, _LAYER_3, _MONO = 3, 1, 3
_COUNT_FLAG = 1


class Frame(NamedTuple):
    """A frame header of layer III."""

    size: int
    samples: int
    rate_hz: int
    channels: int
    side_bytes: int


def frame_at(head: bytes) -> Frame | None:
    """The frame of layer III whose header this is, if it is one."""
    if len(head) < _HEADER_BYTES or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    speed, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version not in _RATES_HZ or layer != _LAYER_3 or rate == 3 or not 0 < speed < 15:
        return None
    first = version == _MPEG_1
    rate_hz = _RATES_HZ[version][rate]
    samples = 1_152 if first else 576
    size = samples // 8 * (_KBPS_1 if first else _KBPS_2)[speed] * 1_000 // rate_hz + padding
    mono = head[3] >> 6 == _MONO
    side_bytes = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(size, samples, rate_hz, 1 if mono else 2, side_bytes)


def begins_with_frames(head: bytes) -> bool:
    """Whether the bytes begin with a frame and, as far as they go, a second one behind it."""
    frame = frame_at(head)
    if frame is None:
        return False
    return frame.size + _HEADER_BYTES > len(head) or frame_at(head[frame.size :]) is not None


def inspect(source: Source, report: Report) -> None:
    """Walk from frame to frame and compare their number with what the first one declares."""
    cursor = Cursor(source)
    _skip_tag(cursor, report)
    if not report.spend(cursor.left):
        return
    walk = _Walk(cursor, report)
    walk.run()
    walk.tell()


def _skip_tag(cursor: Cursor, report: Report) -> None:
    while (head := cursor.peek(_ID3_HEADER_BYTES))[:3] == b"ID3" and len(head) == _ID3_HEADER_BYTES:
        if any(byte & 0x80 for byte in head[6:]):
            raise FormatError("BadLength", "the ID3 tag has no proper size")
        size = _ID3_HEADER_BYTES + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        size += _ID3_HEADER_BYTES if head[5] & 0x10 else 0
        if size > _LARGE_TAG_BYTES:
            report.add("Unusual", f"the ID3 tag has {size:,} bytes")
        report.fact(id3_bytes=size)
        cursor.skip(size)


class _Walk:
    """The way through all frames."""

    def __init__(self, cursor: Cursor, report: Report) -> None:
        self._cursor, self._report = cursor, report
        self._frames = self._samples = self._lost_bytes = 0
        self._first: Frame | None = None
        self._declared: int | None = None
        self._rates: set[int] = set()

    def run(self) -> None:
        """Walk to the end."""
        cursor = self._cursor
        while cursor.left and self._frames < self._report.limits.steps:
            frame = frame_at(cursor.peek(_HEADER_BYTES))
            if frame is None:
                if self._is_end():
                    return
                self._search()
                continue
            if frame.size > cursor.left:
                self._report.add("Truncated", f"the last frame has {cursor.left:,} of {frame.size:,} bytes")
                return
            if self._first is None:
                self._first = frame
                self._declared = _declared_frames(cursor.peek(frame.size), frame)
            self._frames += 1
            self._samples += frame.samples
            self._rates.add(frame.rate_hz)
            cursor.skip(frame.size)

    def _is_end(self) -> bool:
        left = self._cursor.left
        ahead = self._cursor.peek(32)
        if ahead.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")):
            return self._frames > 0
        return self._frames > 0 and left <= _SEARCH_BYTES and not self._cursor.peek(left).strip(b"\0")

    def _search(self) -> None:
        """Go on to the next place where frames begin."""
        ahead = self._cursor.peek(_SEARCH_BYTES)
        at = ahead.find(b"\xff", 1)
        while at >= 0 and not begins_with_frames(ahead[at : at + 4_096]):
            at = ahead.find(b"\xff", at + 1)
        step = at if at >= 0 else max(1, len(ahead) - _HEADER_BYTES)
        self._lost_bytes += step
        if self._lost_bytes > _MOST_LOST_BYTES:
            raise FormatError("BadStructure", f"more than {_MOST_LOST_BYTES:,} bytes belong to no frame")
        self._cursor.skip(step)

    def tell(self) -> None:
        """Note what was found."""
        report, first = self._report, self._first
        if first is None:
            raise FormatError("BadStructure", "it has no frame of MP3")
        report.fact(
            channels=first.channels,
            rate_hz=first.rate_hz,
            frames=self._frames,
            duration_s=round(self._samples / first.rate_hz, 3),
        )
        if self._lost_bytes:
            report.add("BadStructure", f"{self._lost_bytes:,} bytes between the frames belong to none")
        if len(self._rates) > 1:
            report.add("Unusual", f"its rates are {', '.join(f'{rate:,} Hz' for rate in sorted(self._rates))}")
        if self._declared is not None and self._frames - 1 < self._declared:
            report.add("Truncated", f"{self._declared:,} frames are declared, {self._frames - 1:,} are there")


def _declared_frames(data: bytes, frame: Frame) -> int | None:
    """How many frames follow, where the first one is there only to say so."""
    at = _HEADER_BYTES + frame.side_bytes
    if data[at : at + 4] in {b"Xing", b"Info"} and len(data) >= at + 12:
        flags, count = struct.unpack_from(">II", data, at + 4)
        return count if flags & _COUNT_FLAG else None
    if data[36:40] == b"VBRI" and len(data) >= 54:
        return int.from_bytes(data[50:54], "big")
    return None
