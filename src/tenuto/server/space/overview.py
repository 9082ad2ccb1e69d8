"""The storage overview of one repo, as of one moment."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from tenuto.core.gitobj import EMPTY_TREE
from tenuto.core.space import DaySpace, FileSpace, Overview, Quota, RefSpace, Totals, VersionSpace
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Repo
from tenuto.server.gitstore import DEFAULT_BRANCH, HEADS, GitCache, GitReader
from tenuto.server.quota import Usage, limits_on, usage
from tenuto.server.quota.totals import DAY_MS, days
from tenuto.server.space.claims import Claims, Graph, claim_refs, claim_versions, own_contents, paths_of, read_graph
from tenuto.server.space.contents import Content, Contents, read_contents
from tenuto.store.base import Store

_TITLE_CHARACTERS = 200
_CACHED_ITEMS = 500_000
"""Of all trees of the past, read several times; they drive none of those that others read from the memory of the hub."""


def read_overview(connection: Connection, store: Store, repo: Repo, most: int, now_ms: int) -> Overview:
    """What uses the space of `repo`, with at most `most` files, versions and refs: those first that free the most."""
    git = GitReader(connection, repo.key, GitCache(_CACHED_ITEMS))
    graph, contents = read_graph(git), read_contents(connection, repo.key, store)
    files = list_files(git, graph, contents)
    versions = list_versions(git, graph, contents)
    refs, needed = _refs(git, graph, contents)
    totals = usage(connection, repo.key)
    return Overview(
        repo=str(repo.id),
        totals=_totals(totals),
        held=contents.disk_bytes(contents.costs),
        freed=contents.freed_bytes(contents.costs),
        pending=contents.disk_bytes(contents.costs.keys() - needed),
        quotas=list_quotas(connection, repo.key),
        file_count=len(files),
        version_count=len(versions),
        files=sorted(files, key=lambda one: (-one.held, one.path))[:most],
        versions=sorted(versions, key=lambda one: (-max(one.added, one.freed), one.commit))[:most],
        refs=sorted(refs, key=lambda one: (-one.freed, one.ref))[:most],
        days=list_days(connection, repo.key, totals, now_ms),
    )


def list_quotas(connection: Connection, repo_key: int) -> list[Quota]:
    """The limits that a repo falls under."""
    found = limits_on(connection, repo_key)
    return [Quota(one.name, one.is_account, one.allowed_bytes, one.used_bytes) for one in found]


def list_days(connection: Connection, repo_key: int, now: Usage, now_ms: int) -> list[DaySpace]:
    """What a repo held at the end of each day on which it changed, and what it holds now."""
    found = {day.number: day.usage for day in days(connection, repo_key)}
    found[now_ms // DAY_MS] = now
    return [DaySpace(_day(number), _totals(one)) for number, one in sorted(found.items())]


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).date().isoformat()


def _totals(found: Usage) -> Totals:
    return Totals(found.counted_bytes, found.file_bytes, found.object_bytes, found.xorb_bytes, found.history_bytes)


def list_files(git: GitReader, graph: Graph, contents: Contents) -> list[FileSpace]:
    """Every path that any version has, or had."""
    paths = paths_of(git, (graph.commits[oid].tree for oid in graph.reachable()))
    claims: Claims[str] = Claims()
    for path, blobs in paths.items():
        for oid in blobs:
            claims.claim(oid, path)
    alone = own_contents(contents, claims)
    shown = _shown(git, graph, contents)
    return [
        FileSpace(
            path,
            len(blobs),
            shown.get(path),
            contents.disk_bytes({one for oid in blobs for one in contents.blobs.get(oid, ())}),
            contents.freed_bytes(alone.get(path, ())),
            contents.counted_bytes(alone.get(path, ())),
        )
        for path, blobs in paths.items()
    ]


def _shown(git: GitReader, graph: Graph, contents: Contents) -> dict[str, int]:
    """The sizes of the files at the head of the branch `main`."""
    heads = [ref.commit for ref in graph.refs if ref.name == HEADS + DEFAULT_BRANCH]
    found = paths_of(git, [graph.commits[oid].tree for oid in heads])
    return {path: contents.sizes.get(oid, 0) for path, (oid,) in found.items()}


def list_versions(git: GitReader, graph: Graph, contents: Contents) -> list[VersionSpace]:
    """Every commit that a ref leads to."""
    alone = own_contents(contents, claim_versions(git, graph))
    seen: set[str] = set()
    found = []
    for oid in graph.reachable():
        commit = graph.commits[oid]
        added = {one for blob in _new_blobs(git, commit.tree, seen) for one in contents.blobs.get(blob, ())}
        found.append((commit, added))
    older: set[Content] = set()
    spaces = []
    for commit, needed in found:
        title = commit.message.partition("\n")[0][:_TITLE_CHARACTERS]
        time, own = timestamp_text(commit.time_ms), alone.get(commit.oid, set())
        added_bytes = contents.disk_bytes(needed - older)
        older |= needed
        spaces.append(
            VersionSpace(commit.oid, title, time, added_bytes, contents.freed_bytes(own), contents.counted_bytes(own))
        )
    return spaces


def _new_blobs(git: GitReader, root: str, seen: set[str]) -> set[str]:
    """The blobs of a tree that are in none of the trees that were seen before."""
    found: set[str] = set()
    waiting = [root]
    while waiting := [oid for oid in dict.fromkeys(waiting) if oid not in seen]:
        seen.update(waiting)
        items = [item for tree in git.trees(waiting).values() for item in tree.values()]
        found.update(item.oid for item in items if not item.is_tree and item.oid not in seen)
        waiting = [item.oid for item in items if item.is_tree]
    seen |= found
    return found


def _refs(git: GitReader, graph: Graph, contents: Contents) -> tuple[list[RefSpace], set[Content]]:
    """Every ref, and all contents that any of them needs."""
    claims = claim_refs(git, graph)
    alone = own_contents(contents, claims)
    needed = {one for oid in claims.owner for one in contents.blobs.get(str(oid), (Content("git", str(oid)),))}
    sizes: dict[str, int] = {EMPTY_TREE: 0}
    found = []
    for ref in graph.refs:
        own = alone.get(ref.name, set())
        size = (
            _tree_bytes(git, graph.commits[ref.commit].tree, contents.sizes, sizes)
            if ref.commit in graph.commits
            else 0
        )
        found.append(RefSpace(ref.name, ref.commit, size, contents.freed_bytes(own), contents.counted_bytes(own)))
    return found, needed


def _tree_bytes(git: GitReader, root: str, blobs: Mapping[str, int], known: dict[str, int]) -> int:
    """The sizes of all files of a tree together; those of each tree below are kept in `known`."""
    ordered: list[str] = []
    waiting: Sequence[str] = [root]
    while waiting := [oid for oid in dict.fromkeys(waiting) if oid not in known]:
        ordered += waiting
        waiting = [item.oid for tree in git.trees(waiting).values() for item in tree.values() if item.is_tree]
    for oid in reversed(ordered):
        known[oid] = sum(_item_bytes(git, oid, blobs, known))
    return known[root]


def _item_bytes(git: GitReader, tree: str, blobs: Mapping[str, int], known: Mapping[str, int]) -> Iterable[int]:
    for item in git.tree(tree).values():
        yield known[item.oid] if item.is_tree else blobs.get(item.oid, 0)
