"""Answers a fetch: which commits both sides have, where a shallow history ends, and the pack. Versions 0, 1 and 2.

Source: gitprotocol-pack(5), gitprotocol-v2(5). The pack goes to a file first, so that a slow client holds no snapshot of the database.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO

from tenuto.core.errors import NotFoundError
from tenuto.server.git.objects import HEADS, TAGS, GitReader
from tenuto.server.git_wire.delta import tree_delta
from tenuto.server.git_wire.protocol import PACKET_BYTES, Band, FetchRequest, Mark, band_width, packet
from tenuto.server.git_wire.rows import GitRows
from tenuto.server.git_wire.select import History, Objects, Wanted, reaches_all, read_filter, select_history
from tenuto.server.git_wire.write import PackWriter

_SMALLEST_DELTA_BYTES = 512
_LONGEST_CHAIN = 50
_BASES_BYTES = 32 << 20


class Fetch:
    """One request of a client that wants objects; what it names is looked for in this repo only."""

    def __init__(self, git: GitReader, request: FetchRequest) -> None:
        self._rows, self._refs = GitRows(git.connection, git.repo_key), git.refs()
        self._request = request
        self._commits: list[str] = []
        self._tags: list[str] = []
        self._trees: list[str] = []
        self._blobs: list[str] = []
        self._filter = read_filter(request.filter)
        self._sort_wants()
        self._commons = self._rows.commons(request.haves)

    def _sort_wants(self) -> None:
        """Tell commits from tags, trees and blobs. Raises NotFoundError (ObjectNotFound)."""
        kinds = self._rows.kinds(self._request.wants)
        places = {"commit": self._commits, "tree": self._trees, "blob": self._blobs}
        for oid in self._request.wants:
            if oid not in kinds:
                raise NotFoundError(f"upload-pack: not our ref {oid}", code="ObjectNotFound")
            if kinds[oid].kind == "tag":
                self._commits.append(self._add_tags(oid))
            else:
                places[kinds[oid].kind].append(oid)

    def _add_tags(self, oid: str) -> str:
        """Send a tag object, and those between it and its commit; the commit."""
        kind = "tag"
        while kind == "tag":
            self._tags.append(oid)
            body = next(self._rows.bodies([oid]))[2]
            lines = body.split(b"\n", 2)
            oid, kind = lines[0].removeprefix(b"object ").decode(), lines[1].removeprefix(b"type ").decode()
        return oid

    def answer_v0(self, out: BinaryIO) -> None:
        """Write what a client of version 0 or 1 gets."""
        request = self._request
        history = None
        if request.depth.is_wanted:
            history = self._history()
            out.write(b"".join(packet(line) for line in _shallow_lines(history)) + Mark.FLUSH.value)
        detailed = "multi_ack_detailed" in request.capabilities
        if detailed:
            out.writelines(packet(f"ACK {oid} common") for oid in self._commons)
        elif self._commons:
            out.write(packet(f"ACK {self._commons[0]}"))
        if not request.done:
            if detailed and self._is_ready():
                out.write(packet(f"ACK {self._commons[-1]} ready"))
            if request.haves and (detailed or not self._commons):
                out.write(packet("NAK"))
            return
        if not self._commons:
            out.write(packet("NAK"))
        elif detailed:
            out.write(packet(f"ACK {self._commons[-1]}"))
        self._write_pack(out, history or self._history(), band_width(request.capabilities))

    def answer_v2(self, out: BinaryIO) -> None:
        """Write what a client of version 2 gets."""
        request = self._request
        if not request.done:
            out.write(packet("acknowledgments"))
            out.writelines(packet(f"ACK {oid}") for oid in self._commons)
            if not self._commons:
                out.write(packet("NAK"))
            if "wait-for-done" in request.capabilities or not self._is_ready():
                out.write(Mark.FLUSH.value)
                return
            out.write(packet("ready") + Mark.DELIMITER.value)
        history = self._history()
        if request.depth.is_wanted:
            out.write(packet("shallow-info"))
            out.write(b"".join(packet(line) for line in _shallow_lines(history)) + Mark.DELIMITER.value)
        out.write(packet("packfile"))
        self._write_pack(out, history, PACKET_BYTES)

    def _is_ready(self) -> bool:
        """Whether more of what the client has would make the pack no smaller."""
        graph = self._rows.graph(self._commits, self._commons[:500])
        return bool(self._commons) and reaches_all(graph, self._commits, self._commons)

    def _history(self) -> History:
        request = self._request
        wanted = Wanted(self._commits, self._commons, request.shallow, request.depth)
        return select_history(self._rows, wanted, [self._ref_commit(name) for name in request.depth.excluded])

    def _ref_commit(self, name: str) -> str:
        by_name = {ref.name: ref.commit for ref in self._refs}
        for full in (name, HEADS + name, TAGS + name):
            if full in by_name:
                return by_name[full]
        raise NotFoundError(f"there is no ref {name[:250]}", code="RevisionNotFound")

    def _write_pack(self, out: BinaryIO, history: History, width: int) -> None:
        request = self._request
        if "include-tag" in request.capabilities:
            self._include_tags(set(history.commits))
        objects = Objects(self._rows, self._filter)
        objects.leave_out(history.edges)
        objects.add(history.commits, self._trees, self._blobs)
        plain = list(dict.fromkeys([*history.commits, *self._tags]))
        band = Band(out.write, width)
        writer = PackWriter(band.write, len(plain) + len(objects.trees) + len(objects.blobs))
        for _, kind, body in self._rows.bodies(plain):
            writer.add(kind, body)
        _Trees(self._rows, writer, objects, request.capabilities).write()
        for _, kind, body in self._rows.bodies(objects.blobs):
            writer.add(kind, body)
        writer.finish()
        band.close()

    def _include_tags(self, commits: set[str]) -> None:
        for ref in self._refs:
            if ref.target != ref.commit and ref.commit in commits and ref.target not in self._tags:
                self._add_tags(ref.target)


def _shallow_lines(history: History) -> Iterator[str]:
    yield from (f"shallow {oid}" for oid in history.shallow)
    yield from (f"unshallow {oid}" for oid in history.unshallow)


class _Trees:
    """Writes the trees of a pack, most of them as differences to another tree of the same folder."""

    def __init__(self, rows: GitRows, writer: PackWriter, objects: Objects, capabilities: set[str]) -> None:
        may_thin = "thin-pack" in capabilities and not objects.is_partial  # a partial clone may lack any tree
        self._rows, self._writer, self._objects = rows, writer, objects
        self._may_offset, self._may_thin = "ofs-delta" in capabilities, may_thin
        self._bases: OrderedDict[str, bytes] = OrderedDict()
        self._bases_bytes = 0
        self._places: dict[str, int] = {}
        self._lengths: dict[str, int] = {}

    def write(self) -> None:
        """All trees are in the pack."""
        for oid, kind, body in self._rows.bodies(self._objects.trees):
            place = self._write_delta(oid, body)
            self._places[oid] = self._writer.add(kind, body) if place is None else place
            if len(body) >= _SMALLEST_DELTA_BYTES:
                self._remember(oid, body)

    def _write_delta(self, oid: str, body: bytes) -> int | None:
        """Where the difference begins; None if there is nothing to gain."""
        base_oid = self._objects.bases.get(oid)
        if base_oid is None or len(body) < _SMALLEST_DELTA_BYTES or self._lengths.get(base_oid, 0) >= _LONGEST_CHAIN:
            return None
        place = self._places.get(base_oid)
        if place is None and not self._may_thin:
            return None
        base = self._base(base_oid)
        delta = tree_delta(base, body)
        if len(delta) > len(body) // 2:
            return None
        self._lengths[oid] = self._lengths.get(base_oid, 0) + 1
        return self._writer.add_delta(delta, base_oid, place if self._may_offset else None)

    def _base(self, oid: str) -> bytes:
        if oid not in self._bases:
            self._remember(oid, next(self._rows.bodies([oid]))[2])
        self._bases.move_to_end(oid)
        return self._bases[oid]

    def _remember(self, oid: str, body: bytes) -> None:
        if oid not in self._bases:
            self._bases[oid] = body
            self._bases_bytes += len(body)
        while self._bases_bytes > _BASES_BYTES and len(self._bases) > 1:
            self._bases_bytes -= len(self._bases.popitem(last=False)[1])
