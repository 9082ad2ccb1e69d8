"""The lines of the git wire protocol: packets, side bands, and the requests that clients of the versions 0, 1 and 2 send.

Source: gitprotocol-common(5), gitprotocol-pack(5), gitprotocol-v2(5), gitprotocol-capabilities(5).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import BinaryIO, NamedTuple

from tenuto.core.errors import UsageError
from tenuto.core.ids import check_sha1

PACKET_BYTES = 65520
ZERO_ID = "0" * 40
_NUMBER = re.compile(r"[0-9]{1,10}")
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")


class Mark(Enum):
    """Packets that hold nothing and mean something."""

    FLUSH = b"0000"
    DELIMITER = b"0001"
    RESPONSE_END = b"0002"


_MARKS = {mark.value: mark for mark in Mark}


def packet(data: bytes | str) -> bytes:
    """One packet; text gets a newline at its end."""
    body = data if isinstance(data, bytes) else f"{data}\n".encode()
    assert len(body) <= PACKET_BYTES - 4
    return b"%04x" % (len(body) + 4) + body


def read_packet(file: BinaryIO) -> bytes | Mark | None:
    """The next packet, None at the end of the file; raises UsageError (BadRequest)."""
    head = file.read(4)
    if not head:
        return None
    if head in _MARKS:
        return _MARKS[head]
    length = int(head, 16) if _LENGTH.fullmatch(head) else 0
    data = file.read(length - 4) if length >= 4 else b""
    if not 4 <= length <= PACKET_BYTES or len(data) != length - 4:
        raise UsageError("the request is not made of whole git packets")
    return data


def read_lines(file: BinaryIO) -> Iterator[str]:
    """The packets up to the next mark or the end, as text without the newline; raises UsageError (BadRequest)."""
    while isinstance(data := read_packet(file), bytes):
        try:
            yield data.decode().removesuffix("\n")
        except UnicodeDecodeError as error:
            raise UsageError("a line of the request is not UTF-8") from error


class Band:
    """Writes data as packets of side band 1; a `width` of 0 writes it as it is."""

    def __init__(self, write: Callable[[bytes], object], width: int) -> None:
        self._write, self._width = write, width
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        """Pass data on, in packets that are as long as the client takes them."""
        if not self._width:
            self._write(data)
            return
        self._held += data
        room = self._width - 5
        while len(self._held) >= room:
            self._write(packet(b"\1" + self._held[:room]))
            del self._held[:room]

    def close(self) -> None:
        """Write what is held back, and the end of all bands."""
        if self._width:
            if self._held:
                self._write(packet(b"\1" + self._held))
            self._write(Mark.FLUSH.value)


def band_width(capabilities: Iterable[str]) -> int:
    """How long the packets of a side band may be for this client; 0 if it wants none."""
    words = set(capabilities)
    return PACKET_BYTES if "side-band-64k" in words else 1000 if "side-band" in words else 0


class Depth(NamedTuple):
    """Where a shallow history ends: after some commits, at a time, or before what some refs reach."""

    commits: int = 0
    is_relative: bool = False
    since_s: int = 0
    excluded: tuple[str, ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Whether the history is to be cut at all."""
        return bool(self.commits or self.since_s or self.excluded)


class FetchRequest:
    """What a client has, wants, and can read. Ids are checked for their form only."""

    def __init__(self) -> None:
        self.wants: list[str] = []
        self.haves: list[str] = []
        self.shallow: list[str] = []
        self.depth = Depth()
        self.filter = ""
        self.capabilities: set[str] = set()
        self.done = False

    def take(self, line: str) -> None:
        """Read one line; raises UsageError (BadRequest)."""
        word, _, rest = line.partition(" ")
        match word:
            case "want":
                oid, *capabilities = rest.split(" ")
                self.wants.append(check_sha1(oid))
                self.capabilities.update(capabilities)
            case "have":
                self.haves.append(check_sha1(rest))
            case "shallow":
                self.shallow.append(check_sha1(rest))
            case "deepen":
                self.depth = self.depth._replace(commits=_number(rest))
            case "deepen-since":
                self.depth = self.depth._replace(since_s=_number(rest))
            case "deepen-not":
                self.depth = self.depth._replace(excluded=(*self.depth.excluded, rest))
            case "deepen-relative":
                self.depth = self.depth._replace(is_relative=True)
            case "filter":
                self.filter = rest
            case "done":
                self.done = True
            case _:
                self.capabilities.add(line)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a whole number")
    return int(text)


def read_fetch_v0(file: BinaryIO) -> FetchRequest:
    """The body of a fetch in the versions 0 and 1: wants, a flush, haves; raises UsageError (BadRequest)."""
    request = FetchRequest()
    for line in read_lines(file):
        request.take(line)
    if "deepen-relative" in request.capabilities:
        request.depth = request.depth._replace(is_relative=True)
    while (data := read_packet(file)) is not None:
        if isinstance(data, bytes):
            request.take(data.decode("ascii", "replace").removesuffix("\n"))
    return request


class Command(NamedTuple):
    """A command of version 2: its name, and the lines of its arguments."""

    name: str
    arguments: list[str]


def read_command(file: BinaryIO) -> Command | None:
    """The body of a request in version 2, None for an empty one; raises UsageError (BadRequest)."""
    name = ""
    while isinstance(data := read_packet(file), bytes):
        key, _, value = data.decode("utf-8", "replace").removesuffix("\n").partition("=")
        if key == "command":
            name = value
        if key == "object-format" and value != "sha1":
            raise UsageError("objects are named by their sha1 here")
    if not name:
        return None
    return Command(name, list(read_lines(file)) if data is Mark.DELIMITER else [])


class Update(NamedTuple):
    """A ref that a push moves; ZERO_ID stands for no object."""

    ref: str
    old: str
    new: str

    @property
    def is_delete(self) -> bool:
        """Whether the ref is to vanish."""
        return self.new == ZERO_ID


class PushRequest(NamedTuple):
    """The refs that a push moves, and what its client can read. The pack follows in the file."""

    updates: list[Update]
    capabilities: frozenset[str]


MAX_UPDATES = 10_000


def read_push(file: BinaryIO) -> PushRequest:
    """The commands of a push; the file is left where its pack begins. Raises UsageError (BadRequest, TooLarge)."""
    updates: list[Update] = []
    capabilities: frozenset[str] = frozenset()
    for line in read_lines(file):
        command, mark, words = line.partition("\0")
        if mark:
            capabilities = frozenset(words.split())
        if command.startswith("shallow "):
            continue  # what the client lacks is missed by the check of the objects, if the hub lacks it too
        old, _, rest = command.partition(" ")
        new, _, ref = rest.partition(" ")
        updates.append(Update(ref, check_sha1(old), check_sha1(new)))
        if len(updates) > MAX_UPDATES:
            raise UsageError(f"a push may move {MAX_UPDATES} refs at most", code="TooLarge")
    if len({update.ref for update in updates}) < len(updates):
        raise UsageError("a push may name each ref once")
    return PushRequest(updates, capabilities)
