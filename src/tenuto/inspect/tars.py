"""tar: headers of 512 bytes, each before its member, in the old, GNU and pax forms. Source: POSIX.1-2017, pax; GNU tar manual."""

import posixpath
from collections import Counter
from typing import NamedTuple, Protocol

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.members import Names
from tenuto.inspect.source import Cursor, Source

_BLOCK_BYTES = 512
_LONGEST_TEXT_BYTES = 1 << 20
_FILES = frozenset({0, ord("0"), ord("7")})  # 0 as before there was a mark; 7 is to be read as 0
_HARD_LINK, _SOFT_LINK, _FOLDER = ord("1"), ord("2"), ord("5")
_LONG_NAME, _LONG_LINK, _PAX, _PAX_ALL = ord("L"), ord("K"), ord("x"), ord("g")
_SPARSE = ord("S")
_WORDS = {_PAX_ALL: "pax header", _PAX: "pax header", _LONG_NAME: "long name", _LONG_LINK: "long link"}


class Reader(Protocol):
    """What a tar is read from."""

    position: int

    def peek(self, length: int) -> bytes:
        """The next bytes, at most `length`."""

    def take(self, length: int) -> bytes:
        """The next bytes, exactly."""

    def skip(self, length: int) -> None:
        """Move on."""


class Header(NamedTuple):
    """A member as its header tells it."""

    name: str
    kind: int
    size: int
    link: str


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is a tar: it says so, or, being older than that, its first header has the right checksum."""
    block = head[:_BLOCK_BYTES]
    return block[257:262] == b"ustar" or (len(block) == _BLOCK_BYTES and _has_checksum(block))


def inspect(source: Source, report: Report) -> None:
    """Walk over all members; of their bytes, only the length is checked: a tar has no checksum for them."""
    cursor = Cursor(source)
    walk_tar(cursor, report)
    rest = source.size - cursor.position
    if rest and not report.spend(rest):
        return
    if any(piece.strip(b"\0") for piece in source.pieces(cursor.position)):
        report.add("TrailingBytes", f"{rest:,} bytes follow the end")


def walk_tar(reader: Reader, report: Report) -> None:
    """Walk over all members up to the two empty blocks at the end. Raises FormatError where it breaks off."""
    tally = _Tally(report)
    try:
        _walk(reader, tally, report)
    finally:
        tally.tell()


def _walk(reader: Reader, tally: "_Tally", report: Report) -> None:
    override: dict[str, str] = {}
    for _ in range(report.limits.steps):
        if not reader.peek(1):
            report.add("Truncated", "the empty blocks at its end are missing")
            return
        block = reader.take(_BLOCK_BYTES)
        if not block.strip(b"\0"):
            return
        header = _header(block, reader.position - _BLOCK_BYTES)
        if header.kind in _WORDS:
            override |= _read_override(reader, header)
            continue
        header = _overridden(header, override)
        override = {}
        tally.add(header)
        reader.skip(header.size + -header.size % _BLOCK_BYTES)
    report.add("Bomb", f"more than {report.limits.steps:,} members")


def _header(block: bytes, at: int) -> Header:
    if not _has_checksum(block):
        raise FormatError("BadChecksum", f"the header at {at:,} differs from its checksum")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    kind = block[156]
    size = 0 if kind in {_HARD_LINK, _SOFT_LINK, _FOLDER, *b"346"} else _number(block[124:136], at)
    if kind == _SPARSE:
        raise FormatError("NotAllChecked", f"{name} is stored with holes, in a way that is not read here")
    return Header(name, kind, size, _text(block[157:257]))


def _has_checksum(block: bytes) -> bool:
    told = block[148:156].strip(b"\0 ")
    summed = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return bool(told) and all(digit in b"01234567" for digit in told) and int(told, 8) == summed


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _number(field: bytes, at: int) -> int:
    """A size: octal digits, or binary where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(0x80 << 88)
        if field[0] & 0x40 or value >= 1 << 63:
            raise FormatError("BadLength", f"the header at {at:,} declares an absurd size")
        return value
    digits = field.strip(b"\0 ")
    if digits and not all(digit in b"01234567" for digit in digits):
        raise FormatError("BadHeader", f"the header at {at:,} declares the size {digits!r}")
    return int(digits or b"0", 8)


def _read_override(reader: Reader, header: Header) -> dict[str, str]:
    """What a header without member says of the next one."""
    what = _WORDS[header.kind]
    if header.size > _LONGEST_TEXT_BYTES:
        raise FormatError("BadLength", f"a {what} of {header.size:,} bytes")
    data = reader.take(header.size)
    reader.skip(-header.size % _BLOCK_BYTES)
    if header.kind == _LONG_NAME:
        return {"path": _text(data)}
    if header.kind == _LONG_LINK:
        return {"linkpath": _text(data)}
    return {} if header.kind == _PAX_ALL else _pax_records(data)


def _pax_records(data: bytes) -> dict[str, str]:
    """Records `length key=value newline`."""
    found = {}
    while data:
        digits, _, _ = data[:20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        if not len(digits) < length <= len(data):
            raise FormatError("BadStructure", "a record of a pax header has no proper length")
        key, _, value = data[len(digits) + 1 : length].rstrip(b"\n").partition(b"=")
        found[key.decode("utf-8", "backslashreplace")] = value.decode("utf-8", "backslashreplace")
        data = data[length:]
    return found


def _overridden(header: Header, override: dict[str, str]) -> Header:
    size = override.get("size", "")
    if len(size) > 19:
        raise FormatError("BadLength", f"{header.name} declares a size of {len(size)} digits")
    return header._replace(
        name=override.get("path", header.name),
        link=override.get("linkpath", header.link),
        size=int(size) if size.isascii() and size.isdigit() else header.size,
    )


class _Tally:
    """Counts and checks the members of a tar."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._names = Names(report)
        self._listed: list[str] = []
        self._endings = Counter[str]()
        self._members = self._bytes = 0

    def add(self, header: Header) -> None:
        """Check one member."""
        self._members += 1
        self._bytes += header.size
        if len(self._listed) < self._report.limits.listed:
            self._listed.append(header.name)
        self._names.add(header.name)
        if header.kind in {_SOFT_LINK, _HARD_LINK}:
            self._names.add_link(header.name, header.link, hard=header.kind == _HARD_LINK)
        elif header.kind in _FILES:
            ending = posixpath.basename(header.name).partition(".")[2]
            if len(self._endings) < self._report.limits.listed:
                self._endings[ending] += 1
        elif header.kind != _FOLDER:
            with self._report.part(header.name):
                self._report.add("SpecialFile", f"it is neither file, folder nor link: type {chr(header.kind)!r}")

    def tell(self) -> None:
        """Note what was counted."""
        self._report.fact(
            members=self._members,
            unpacked_bytes=self._bytes,
            files_by_ending=dict(self._endings.most_common(20)),
            member_list=self._listed,
        )
