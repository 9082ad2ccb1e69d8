"""Ogg: pages with checksums that carry streams, one after another or side by side. Source: RFC 3533, RFC 7845, Vorbis I."""

import struct
from typing import NamedTuple

from tenuto.inspect.checksums import crc32_forward
from tenuto.inspect.findings import FormatError, Json, Report
from tenuto.inspect.source import Cursor, Source
from tenuto.inspect.wav import check_sound

_PAGE = struct.Struct("<4sBBqIIIB")
_BEGINS, _ENDS, _CONTINUES = 2, 4, 1
_SEARCH_BYTES = 64 << 10
_CRC_AT = 22
_OPUS_RATE_HZ = 48_000


class Page(NamedTuple):
    """The header of a page, and the whole page."""

    flags: int
    position: int
    serial: int
    number: int
    crc: int
    header_bytes: int
    data: bytes


class _Stream:
    """One stream within the file."""

    def __init__(self, codec: str, channels: int, rate_hz: int) -> None:
        self.codec, self.channels, self.rate_hz = codec, channels, rate_hz
        self.next_number = 1
        self.last_position = 0
        self.ended = False

    def facts(self) -> dict[str, Json]:
        """What it is."""
        rate = _OPUS_RATE_HZ if self.codec == "opus" else self.rate_hz
        duration_s = round(self.last_position / rate, 3) if rate else None
        return {"codec": self.codec, "channels": self.channels, "rate_hz": self.rate_hz, "duration_s": duration_s}


def inspect(source: Source, report: Report) -> None:
    """Walk from page to page, check each one's checksum and number, and that every stream comes to its end."""
    whole = report.spend(source.size)
    walk = _Walk(source if whole else source.window(0, min(source.size, _SEARCH_BYTES)), report, whole=whole)
    walk.run()
    walk.tell()


class _Walk:
    """The way through all pages."""

    def __init__(self, source: Source, report: Report, *, whole: bool) -> None:
        self._cursor, self._report, self._whole = Cursor(source), report, whole
        self._streams: list[_Stream] = []
        self._open: dict[int, _Stream] = {}
        self._pages = self._lost_bytes = 0
        self._wrong = self._missing = 0
        self._first_wrong = self._first_missing = 0

    def run(self) -> None:
        """Walk to the end."""
        while self._cursor.left and self._pages < self._report.limits.steps:
            if self._cursor.peek(4) != b"OggS":
                self._search()
                continue
            at = self._cursor.position
            page = self._page()
            if page is None:
                return
            self._pages += 1
            if _checksum(page.data) != page.crc:
                self._first_wrong = self._first_wrong if self._wrong else at
                self._wrong += 1
            else:
                self._take(page, at)

    def _page(self) -> Page | None:
        """The next page; None where only the beginning is looked at, and it ends outside of that."""
        header = self._cursor.peek(_PAGE.size)
        if len(header) < _PAGE.size:
            if not self._whole:
                return None
            raise FormatError("Truncated", "the last page is cut off")
        _, version, flags, position, serial, number, crc, segments = _PAGE.unpack(header)
        if version:
            raise FormatError("BadHeader", f"a page of version {version}")
        header_bytes = _PAGE.size + segments
        lacing = self._cursor.peek(header_bytes)[_PAGE.size :]
        size = header_bytes + sum(lacing)
        if size > self._cursor.left or len(lacing) < segments:
            if not self._whole:
                return None
            self._tell_losses()
            raise FormatError("Truncated", f"the last page has {self._cursor.left:,} of {size:,} bytes")
        return Page(flags, position, serial, number, crc, header_bytes, self._cursor.take(size))

    def _search(self) -> None:
        ahead = self._cursor.peek(_SEARCH_BYTES)
        at = ahead.find(b"OggS", 1)
        step = at if at > 0 else max(1, len(ahead) - 3)
        self._lost_bytes += step
        self._cursor.skip(step)

    def _take(self, page: Page, at: int) -> None:
        if page.flags & _BEGINS:
            stream = _identify(page.data[page.header_bytes :])
            if len(self._streams) < self._report.limits.listed:
                self._streams.append(stream)
            self._open[page.serial] = stream
            stream.next_number = page.number
        found = self._open.get(page.serial)
        if found is None or page.number != found.next_number:
            self._first_missing = self._first_missing if self._missing else at
            self._missing += 1
        if found is None:
            return
        found.next_number = page.number + 1
        found.last_position = max(found.last_position, page.position)
        if page.flags & _ENDS:
            found.ended = True
            del self._open[page.serial]

    def _tell_losses(self) -> None:
        report = self._report
        if self._wrong:
            report.add("BadChecksum", f"{self._wrong:,} pages are damaged, the first at {self._first_wrong:,}")
        if self._missing and not self._wrong:
            report.add("MissingPart", f"pages are missing before the one at {self._first_missing:,}")
        if self._lost_bytes:
            report.add("BadStructure", f"{self._lost_bytes:,} bytes between the pages belong to none")

    def tell(self) -> None:
        """Note what was found."""
        report = self._report
        self._tell_losses()
        for stream in self._streams:
            if stream.codec in {"vorbis", "opus", "flac"} and stream.channels + stream.rate_hz:
                check_sound(stream.channels, stream.rate_hz, report)
        if any(not stream.ended for stream in self._streams) and self._whole:
            report.add("Truncated", "a stream does not come to its end")
        if not self._streams:
            report.add("BadStructure", "it has no stream")
        report.fact(pages=self._pages, streams=[stream.facts() for stream in self._streams])


def _checksum(page: bytes) -> int:
    return crc32_forward(page[:_CRC_AT] + bytes(4) + page[_CRC_AT + 4 :])


def _identify(packet: bytes) -> _Stream:
    """The codec of a stream, by its first packet."""
    if packet.startswith(b"\x01vorbis") and len(packet) >= 16:
        return _Stream("vorbis", packet[11], int.from_bytes(packet[12:16], "little"))
    if packet.startswith(b"OpusHead") and len(packet) >= 16:
        return _Stream("opus", packet[9], int.from_bytes(packet[12:16], "little"))
    if packet.startswith(b"\x7fFLAC"):
        return _Stream("flac", 0, 0)
    known = {b"Speex   ": "speex", b"\x80theora": "theora", b"fishead\0": "skeleton"}
    return _Stream(next((name for start, name in known.items() if packet.startswith(start)), "unknown"), 0, 0)
