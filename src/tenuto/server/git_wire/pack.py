"""A pack that came from outside: every object found, named by its true id, within fixed bounds. Nothing in it is believed.

The pack lies in a file. One pass reads its entries; objects that are given as differences are then rebuilt one by one into a second file.
In memory are the ids and places of all objects, and at most three bodies. Source: gitformat-pack(5). Oracles: git, dulwich.
"""

import hashlib
import os
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.core.gitobj import object_hasher, object_id
from tenuto.server.git_wire.delta import apply_delta, delta_sizes

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
OFFSET_DELTA, NAMED_DELTA = 6, 7
MAX_CHAIN = 4095
_BLOCK = 1 << 16
_WINDOW_BYTES = 1 << 15

Outside = Callable[[Iterable[str]], Mapping[str, tuple[str, bytes]]]
"""Kind and body of those of the named objects that the repo has: what a thin pack may build on."""


class PackLimits(NamedTuple):
    """How much a pack may hold. Objects above `object_bytes` are named and not kept."""

    object_bytes: int
    objects: int
    total_bytes: int


class Entry(NamedTuple):
    """Where the body of an object is: in the pack at `place`, or rebuilt at `place`; an object that is too large is nowhere."""

    kind: str
    size: int
    place: int
    is_rebuilt: bool = False
    is_kept: bool = True


class _Delta(NamedTuple):
    """An object given as the difference to another one; `place` and `size` are those of the difference."""

    place: int
    size: int
    start: int


class Pack:
    """The objects of a pack by id. Close it, or use it as a context manager."""

    def __init__(self, file: BinaryIO, start: int, limits: PackLimits, spool: str) -> None:
        self.entries: dict[str, Entry] = {}
        self._limits = limits
        self._left_bytes = limits.total_bytes
        self._rebuilt: BinaryIO = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115  # closed by `close`
        self._rebuilt_bytes = 0
        self._at: dict[int, tuple[str, Entry]] = {}  # whole objects by the place where their entry begins
        self._by_place: dict[int, list[_Delta]] = defaultdict(list)
        self._by_name: dict[str, list[_Delta]] = defaultdict(list)
        file.flush()
        self._file = file.fileno()
        self._start, self._end = start, max(file.seek(0, 2) - 20, start)
        self._window, self._window_start = b"", 0

    def read(self, outside: Outside) -> None:
        """Find all objects; raises IntegrityError (CorruptObject), UsageError (TooLarge, BadRequest)."""
        position, count = self._read_header()
        self._check_sum()
        for _ in range(count):
            position = self._read_entry(position)
        if position != self._end:
            raise _broken("bytes follow its last object")
        self._rebuild_all(outside)

    def body(self, oid: str) -> bytes:
        """The bytes of an object that was kept."""
        return self._body(self.entries[oid])

    def _body(self, entry: Entry) -> bytes:
        if not entry.is_rebuilt:
            return self._inflate(entry.place, entry.size)[0]
        self._rebuilt.seek(entry.place)
        return self._rebuilt.read(entry.size)

    def _bytes(self, start: int, stop: int) -> bytes:
        """Bytes of the pack, without its checksum; fewer where it ends. A window saves most reads of one pass."""
        stop = min(stop, self._end)
        if stop - start > _WINDOW_BYTES:
            return os.pread(self._file, stop - start, start)
        if not self._window_start <= start <= stop <= self._window_start + len(self._window):
            self._window, self._window_start = os.pread(self._file, _WINDOW_BYTES, start), start
        return self._window[start - self._window_start : max(stop, start) - self._window_start]

    def _read_header(self) -> tuple[int, int]:
        head = self._bytes(self._start, self._start + 12)
        version, count = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
        if len(head) < 12 or head[:4] != b"PACK" or version not in {2, 3} or self._end < self._start + 12:
            raise _broken("it does not begin as a pack")
        if count > self._limits.objects:
            raise _too_large(f"{count} objects, above the limit of {self._limits.objects}")
        return self._start + 12, count

    def _check_sum(self) -> None:
        hasher = hashlib.sha1(usedforsecurity=False)
        for position in range(self._start, self._end, 1 << 20):
            hasher.update(self._bytes(position, position + (1 << 20)))
        if hasher.digest() != os.pread(self._file, 20, self._end):
            raise _broken("its checksum is wrong: it was cut short or damaged")

    def _read_entry(self, start: int) -> int:
        """Take in the entry that begins at `start`, and return where the next one does."""
        position, number, size = self._read_type(start)
        if number in KINDS:
            return self._read_whole(start, position, KINDS[number], size)
        if number == OFFSET_DELTA:
            distance, place = self._read_distance(position)
            if not 0 < distance <= start - self._start:
                raise _broken("a difference builds on nothing")
            self._by_place[start - distance].append(_Delta(place, size, start))
        elif number == NAMED_DELTA:
            base, place = self._bytes(position, position + 20).hex(), position + 20
            self._by_name[base].append(_Delta(place, size, start))
        else:
            raise _broken(f"it holds an object of the unknown type {number}")
        return place + self._pass(place, size, None)

    def _read_type(self, position: int) -> tuple[int, int, int]:
        byte = self._byte(position)
        number, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & 0x80:
            position += 1
            byte = self._byte(position)
            size |= (byte & 0x7F) << shift
            shift += 7
            if shift > 60:
                raise _broken("an object has no believable size")
        return position + 1, number, size

    def _read_distance(self, position: int) -> tuple[int, int]:
        byte = self._byte(position)
        distance = byte & 0x7F
        while byte & 0x80:
            position += 1
            byte = self._byte(position)
            distance = (distance + 1) << 7 | byte & 0x7F
            if distance > self._end:
                raise _broken("a difference builds on nothing")
        return distance, position + 1

    def _byte(self, position: int) -> int:
        if position >= self._end:
            raise _broken("it ends in the middle of an object")
        return self._bytes(position, position + 1)[0]

    def _read_whole(self, start: int, place: int, kind: str, size: int) -> int:
        hasher = object_hasher(kind, size)
        taken = self._pass(place, size, hasher)
        entry = Entry(kind, size, place, is_kept=size <= self._limits.object_bytes)
        oid = hasher.hexdigest()
        self.entries.setdefault(oid, entry)
        self._at[start] = (oid, entry)
        return place + taken

    def _spend(self, size: int) -> None:
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise _too_large(f"more than {self._limits.total_bytes} bytes when unpacked")

    def _pass(self, place: int, size: int, hasher: "hashlib._Hash | None") -> int:
        """Inflate a stream of `size` bytes piece by piece, and return how many bytes of the pack it takes."""
        self._spend(size)
        if size <= _BLOCK:
            body, taken = self._inflate(place, size)
            if hasher:
                hasher.update(body)
            return taken
        found, taken = 0, 0
        for piece, so_far in self._pieces(place):
            found, taken = found + len(piece), so_far
            if found > size:
                break
            if hasher:
                hasher.update(piece)
        if found != size:
            raise _broken("an object has another size than it says")
        return taken

    def _pieces(self, place: int) -> Iterator[tuple[bytes, int]]:
        """The pieces of a stream, each with how many bytes of the pack were taken by then."""
        machine, position = zlib.decompressobj(), place
        held = b""
        while not machine.eof:
            if not held:
                held = self._bytes(position, position + _BLOCK)
                position += len(held)
            if not held:
                raise _broken("it ends in the middle of an object")
            piece = _inflated(machine, held, _BLOCK)
            held = machine.unconsumed_tail
            yield piece, position - place - _left_bytes(machine)

    def _inflate(self, place: int, size: int) -> tuple[bytes, int]:
        """A stream of `size` bytes as a whole, and how many bytes of the pack it takes."""
        machine = zlib.decompressobj()
        given = self._bytes(place, place + size + size // 512 + 64)
        body = _inflated(machine, given, size + 1)
        taken = len(given) - _left_bytes(machine)
        while not machine.eof and len(body) <= size:
            given = self._bytes(place + taken, place + taken + _BLOCK)
            if not given:
                raise _broken("it ends in the middle of an object")
            body += _inflated(machine, given, size + 1 - len(body))
            taken += len(given) - _left_bytes(machine)
        if len(body) != size:
            raise _broken("an object has another size than it says")
        return body, taken

    def _rebuild_all(self, outside: Outside) -> None:
        for start, (oid, entry) in self._at.items():
            self._rebuild_on(oid, entry, self._by_place.pop(start, []))
        self._at.clear()
        strangers = [name for name in self._by_name if name not in self.entries]
        for position in range(0, len(strangers), 50):
            for name, (kind, body) in outside(strangers[position : position + 50]).items():
                self._spend(len(body))
                self._rebuild_on(name, self._keep(kind, body), [])
        if self._by_name or self._by_place:
            raise _broken("a difference builds on an object that neither the pack nor this repo has")

    def _rebuild_on(self, oid: str, entry: Entry, deltas: list[_Delta]) -> None:
        """Rebuild what builds on an object, and what builds on that, and so on."""
        waiting = [(oid, entry, deltas, 0)]
        while waiting:
            oid, entry, deltas, length = waiting.pop()
            deltas = deltas + self._by_name.pop(oid, [])
            if not deltas:
                continue
            if length >= MAX_CHAIN:
                raise _too_large(f"a chain of more than {MAX_CHAIN} differences")
            if not entry.is_kept:
                raise self._oversize(entry.size)
            base = self._body(entry)
            for delta in deltas:
                made_oid, made = self._rebuild(entry.kind, base, delta)
                waiting.append((made_oid, made, self._by_place.pop(delta.start, []), length + 1))

    def _rebuild(self, kind: str, base: bytes, delta: _Delta) -> tuple[str, Entry]:
        if delta.size > 2 * self._limits.object_bytes:
            raise self._oversize(delta.size)
        data = self._inflate(delta.place, delta.size)[0]
        self._spend(len(base))  # work, not only space, is what a bomb is made of
        size = delta_sizes(data)[1]
        self._spend(size)
        if size > self._limits.object_bytes:
            raise self._oversize(size)
        body = apply_delta(base, data)
        oid, entry = object_id(kind, body), self._keep(kind, body)
        self.entries.setdefault(oid, entry)
        return oid, entry

    def _oversize(self, size: int) -> UsageError:
        return UsageError(
            f"it holds an object of {size} bytes, above the limit of {self._limits.object_bytes}",
            code="TooLarge",
            hint="large files belong to git-lfs: `git lfs migrate import` moves them there",
        )

    def _keep(self, kind: str, body: bytes) -> Entry:
        self._rebuilt.seek(self._rebuilt_bytes)
        self._rebuilt.write(body)
        entry = Entry(kind, len(body), self._rebuilt_bytes, is_rebuilt=True)
        self._rebuilt_bytes += len(body)
        return entry

    def close(self) -> None:
        """Release what was rebuilt."""
        self._rebuilt.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _inflated(machine: "zlib._Decompress", data: bytes, most: int) -> bytes:
    try:
        return machine.decompress(data, most)
    except zlib.error as error:
        raise _broken("an object cannot be inflated") from error


def _left_bytes(machine: "zlib._Decompress") -> int:
    """How much of what was given last is still to be used; after the end of a stream both rests may hold the same bytes."""
    return len(machine.unused_data) if machine.eof else len(machine.unconsumed_tail)


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(f"the pack cannot be read: {reason}", code="CorruptObject")


def _too_large(reason: str) -> UsageError:
    return UsageError(f"the pack is too large: {reason}", code="TooLarge", hint="push it in several steps")
