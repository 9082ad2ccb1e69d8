"""Which objects a client lacks: first which commits, then which trees and blobs they need that nothing it has holds already."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tenuto.core.errors import UsageError
from tenuto.core.gitobj import parse_commit
from tenuto.server.git_wire.delta import TREE_ITEM
from tenuto.server.git_wire.protocol import Depth
from tenuto.server.git_wire.rows import GitRows, Graph

_TREE_MODE = b"40000"
_EDGE_TIPS = 64
_TOGETHER = 100
_FILTER = re.compile(r"blob:none|(blob:limit)=(\d{1,12})([kmg]?)|(tree):(\d{1,5})")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Filter(NamedTuple):
    """What a partial clone leaves out: blobs of `blob_bytes` and more, and what lies `tree_depth` or more below the root."""

    blob_bytes: int | None = None
    tree_depth: int | None = None


def read_filter(text: str) -> Filter:
    """A filter as a client writes it; raises UsageError (BadRequest)."""
    if not text:
        return Filter()
    match = _FILTER.fullmatch(text)
    if match is None:
        raise UsageError(
            f"this hub does not know the filter {text[:80]!r}", hint="use blob:none, blob:limit=N or tree:N"
        )
    if match[4]:
        return Filter(tree_depth=int(match[5]))
    return Filter(blob_bytes=int(match[2]) * _UNITS[match[3]] if match[1] else 0)


class History(NamedTuple):
    """The commits that a client lacks, newest first, those that it has and that touch them, and where its history ends now."""

    commits: list[str]
    edges: list[str]
    shallow: list[str]
    unshallow: list[str]


def reaches_all(graph: Graph, wants: Iterable[str], commons: Iterable[str]) -> bool:
    """Whether every wanted commit has one of `commons` among itself and its ancestors."""
    children: dict[str, list[str]] = {}
    for oid, node in graph.items():
        for parent in node.parents:
            children.setdefault(parent, []).append(oid)
    reached = _walk((oid for oid in commons if oid in graph), lambda oid: children.get(oid, ()))
    return all(oid in reached for oid in wants)


def _walk(starts: Iterable[str], following: Callable[[str], Iterable[str]]) -> dict[str, None]:
    """Everything that can be reached, each thing once, in the order of discovery."""
    found = dict.fromkeys(starts)
    waiting = list(found)
    while waiting:
        for oid in following(waiting.pop()):
            if oid not in found:
                found[oid] = None
                waiting.append(oid)
    return found


class Wanted(NamedTuple):
    """Commits that are wanted, those that client and hub both have, and where the client's history ends."""

    wants: list[str]
    commons: list[str]
    shallow: list[str]
    depth: Depth


def select_history(rows: GitRows, wanted: Wanted, excluded: list[str]) -> History:
    """Which commits to send. `excluded` are commits whose ancestors the client does not want (`deepen-not`)."""
    is_cut = wanted.depth.is_wanted or wanted.shallow
    graph = rows.graph(wanted.wants, () if is_cut else wanted.commons[:500])
    has = set(wanted.commons)
    if wanted.commons and (is_cut or any(not node.parents for oid, node in graph.items() if oid not in has)):
        # The walk went past what the client has, so that must be known in full.
        graph = rows.graph([*wanted.wants, *wanted.commons])
        client_end = set(wanted.shallow)
        has = set(_walk(wanted.commons, lambda oid: () if oid in client_end else graph[oid].parents))
    kept = _kept(graph, wanted, has, set(rows.graph(excluded)) if excluded else set())
    ends = _ends(graph, kept) if wanted.depth.is_wanted else set()
    before = set(wanted.shallow)
    commits = sorted(kept - has, key=lambda oid: (-graph[oid].time_ms, oid))
    lacking = kept - has
    touching = {parent for oid in commits for parent in graph[oid].parents} & has
    if is_cut:
        touching |= {oid for oid in has if oid in graph and not lacking.isdisjoint(graph[oid].parents)}
    edges = dict.fromkeys([*sorted(touching), *wanted.commons[:_EDGE_TIPS]])
    unshallow = sorted((before & kept) - ends) if wanted.depth.is_wanted else []
    return History(commits, list(edges), sorted(ends - before), unshallow)


def _kept(graph: Graph, wanted: Wanted, has: set[str], excluded: set[str]) -> set[str]:
    """The commits that the client's history shall have."""
    depth, wants = wanted.depth, [oid for oid in wanted.wants if oid in graph]
    if not depth.is_wanted:
        client_end = set(wanted.shallow)
        return set(_walk(wants, lambda oid: () if oid in client_end or oid in has else _inside(graph, oid)))
    if depth.commits and depth.is_relative:
        return has | _levels(graph, [oid for oid in wanted.shallow if oid in graph], depth.commits + 1)
    if depth.commits:
        return _levels(graph, wants, depth.commits)

    def is_in(oid: str) -> bool:
        return graph[oid].time_ms >= depth.since_s * 1000 and oid not in excluded

    return set(_walk(wants, lambda oid: filter(is_in, _inside(graph, oid))))


def _inside(graph: Graph, oid: str) -> list[str]:
    return [parent for parent in graph[oid].parents if parent in graph]


def _levels(graph: Graph, starts: list[str], count: int) -> set[str]:
    found, level = set(starts), set(starts)
    while level and count > 1:
        level = {parent for oid in level for parent in _inside(graph, oid)} - found
        found |= level
        count -= 1
    return found


def _ends(graph: Graph, kept: set[str]) -> set[str]:
    return {oid for oid in kept if not kept.issuperset(graph[oid].parents)}


class Objects:
    """Trees and blobs to send, found tree by tree. `bases` names for a tree an earlier one of the same folder."""

    def __init__(self, rows: GitRows, what: Filter) -> None:
        self.trees: list[str] = []
        self.blobs: list[str] = []
        self.bases: dict[str, str] = {}
        self._rows, self._filter = rows, what
        self._seen: set[bytes] = set()
        self._blobs: list[bytes] = []
        self._latest: dict[bytes, str] = {}

    @property
    def is_partial(self) -> bool:
        """Whether something is left out on purpose."""
        return self._filter != Filter()

    def leave_out(self, commits: list[str]) -> None:
        """Take what these commits hold as being there already."""
        self._visit(commits, is_sent=False)

    def add(self, commits: list[str], trees: Iterable[str], blobs: Iterable[str]) -> None:
        """Send what these commits and trees hold, newest commit first, and these blobs, whatever the filter says."""
        self._visit(commits, is_sent=True)
        self._visit_roots([bytes.fromhex(oid) for oid in trees], is_sent=True)
        self.blobs = self._filtered()
        known = set(self.blobs)
        self.blobs += [oid for oid in dict.fromkeys(blobs) if oid not in known]

    def _visit(self, commits: list[str], *, is_sent: bool) -> None:
        for start in range(0, len(commits), _TOGETHER):
            some = commits[start : start + _TOGETHER]
            roots = [bytes.fromhex(parse_commit(body).tree) for _, _, body in self._rows.bodies(some)]
            self._visit_roots(roots, is_sent=is_sent)

    def _visit_roots(self, roots: list[bytes], *, is_sent: bool) -> None:
        """Walk what was not seen before below some roots, level by level."""
        level = {root: b"" for root in roots if root not in self._seen}
        depth = 0
        while level and not (is_sent and self._filter.tree_depth is not None and depth >= self._filter.tree_depth):
            self._seen.update(level)
            below: dict[bytes, bytes] = {}
            for oid, body in self._tree_bodies(level):
                path = level[bytes.fromhex(oid)]
                self._note(oid, path, is_sent)
                self._look_into(body, path, below, depth, is_sent)
            level, depth = below, depth + 1

    def _tree_bodies(self, level: dict[bytes, bytes]) -> Iterator[tuple[str, bytes]]:
        return ((oid, body) for oid, _, body in self._rows.bodies([oid.hex() for oid in level]))

    def _note(self, oid: str, path: bytes, is_sent: bool) -> None:
        if is_sent:
            self.trees.append(oid)
            if path in self._latest:
                self.bases[oid] = self._latest[path]
        self._latest[path] = oid

    def _look_into(self, body: bytes, path: bytes, below: dict[bytes, bytes], depth: int, is_sent: bool) -> None:
        seen = self._seen
        limit = self._filter.tree_depth
        for mode, name, oid in TREE_ITEM.findall(body):
            if oid in seen:
                continue
            if mode == _TREE_MODE:
                below.setdefault(oid, path + b"/" + name)
            elif not (is_sent and limit is not None and depth + 1 >= limit):
                seen.add(oid)
                if is_sent:
                    self._blobs.append(oid)

    def _filtered(self) -> list[str]:
        oids = [oid.hex() for oid in self._blobs]
        limit = self._filter.blob_bytes
        if limit is None:
            return oids
        return [oid for oid, one in self._rows.kinds(oids).items() if one.size < limit] if limit else []
