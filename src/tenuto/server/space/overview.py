"""The storage overview of one repo, as of one moment."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from heapq import nsmallest
from typing import TypeVar

from sqlalchemy import Connection

from tenuto.core.space import DaySpace, FileSpace, Overview, Quota, RefSpace, Totals, VersionSpace
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Repo
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS
from tenuto.server.quota import Usage, limits_on
from tenuto.server.quota.totals import DAY_MS, Day, over_time
from tenuto.server.space.claims import Claims, claim_refs, claim_versions, own_contents, paths_of
from tenuto.server.space.contents import Content, Contents, read_contents
from tenuto.server.space.history import History, read_history
from tenuto.store.base import Store

_TITLE_CHARACTERS = 200
Space = TypeVar("Space", FileSpace, VersionSpace, RefSpace)


def read_overview(connection: Connection, store: Store, repo: Repo, most: int, now_ms: int) -> Overview:
    """What uses the space of `repo`, with at most `most` files, versions and refs, in the order that `Overview` tells."""
    history = read_history(connection, repo.key)
    contents = read_contents(connection, repo.key, store, history.objects)
    files, versions = list_files(history, contents), list_versions(history, contents)
    claims = claim_refs(history)
    refs = list_refs(history, contents, claims)
    needed = contents.needed_by([*claims.owner, *claims.shared])
    days, totals = over_time(connection, repo.key)
    return Overview(
        repo=str(repo.id),
        totals=_totals(totals),
        held=contents.disk_bytes(map(Content, contents.disk)),
        freed=contents.freed_bytes(map(Content, contents.disk)),
        pending=contents.disk_bytes(map(Content, contents.disk.keys() - needed)),
        quotas=list_quotas(connection, repo.key),
        file_count=len(files),
        version_count=len(versions),
        ref_count=len(refs),
        files=_first(files, most, lambda one: (-one.held, one.path)),
        versions=_first(versions, most, lambda one: (-max(one.added, one.freed), one.commit)),
        refs=_first(refs, most, lambda one: (-one.freed, -one.size, one.ref)),
        days=list_days(days, totals, now_ms),
    )


def _first(found: list[Space], most: int, order: Callable[[Space], tuple[int | str, ...]]) -> list[Space]:
    return nsmallest(most, found, key=order)


def list_quotas(connection: Connection, repo_key: int) -> list[Quota]:
    """The limits that a repo falls under."""
    found = limits_on(connection, repo_key)
    return [Quota(one.name, one.is_account, one.allowed_bytes, one.used_bytes) for one in found]


def list_days(days: Iterable[Day], now: Usage, now_ms: int) -> list[DaySpace]:
    """What a repo held at the end of each day on which it changed, and what it holds now."""
    found = {day.number: day.usage for day in days} | {now_ms // DAY_MS: now}
    return [DaySpace(_day(number), _totals(one)) for number, one in sorted(found.items())]


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).date().isoformat()


def _totals(found: Usage) -> Totals:
    return Totals(found.counted_bytes, found.file_bytes, found.object_bytes, found.xorb_bytes, found.history_bytes)


def list_files(history: History, contents: Contents) -> list[FileSpace]:
    """Every path that any version has, or had."""
    paths = paths_of(history, (history.commits[oid].tree for oid in history.reachable()))
    claims: Claims[str] = Claims()
    for path, blobs in paths.items():
        claims.claim(blobs, path)
    alone = own_contents(contents, claims)
    shown = _shown(history)
    return [
        FileSpace(
            path,
            len(blobs),
            shown.get(path),
            contents.disk_bytes(contents.needed_by(blobs)),
            contents.freed_bytes(alone.get(path, ())),
            contents.counted_bytes(alone.get(path, ())),
        )
        for path, blobs in paths.items()
    ]


def _shown(history: History) -> dict[str, int]:
    """The sizes of the files at the head of the branch `main`."""
    heads = [ref.commit for ref in history.refs if ref.name == HEADS + DEFAULT_BRANCH and ref.commit in history.commits]
    found = paths_of(history, [history.commits[oid].tree for oid in heads])
    sizes = history.file_sizes()
    return {path: sizes.get(oid, 0) for path, (oid,) in found.items()}


def list_versions(history: History, contents: Contents) -> list[VersionSpace]:
    """Every commit that a ref leads to, or that a pull request was merged by."""
    commits = history.reachable()
    alone = own_contents(contents, claim_versions(history, commits))
    seen: set[str] = set()
    older: set[Content] = set()
    found = []
    for oid in commits:
        commit = history.commits[oid]
        added = contents.needed_by(_new_blobs(history, commit.tree, seen)) - older
        older |= added
        own = alone.get(oid, ())
        title = commit.message.partition("\n")[0][:_TITLE_CHARACTERS]
        freed, returned = contents.freed_bytes(own), contents.counted_bytes(own)
        found.append(
            VersionSpace(oid, title, timestamp_text(commit.time_ms), contents.disk_bytes(added), freed, returned)
        )
    return found


def _new_blobs(history: History, root: str, seen: set[str]) -> set[str]:
    """The blobs of a tree that are in none of the trees that were seen before."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        oid = waiting.pop()
        if oid in seen:
            continue
        seen.add(oid)
        for item in [one for one in history.tree(oid) if one.oid not in seen]:
            if item.is_tree:
                waiting.append(item.oid)
            else:
                found.add(item.oid)
    seen |= found
    return found


def list_refs(history: History, contents: Contents, claims: Claims[str]) -> list[RefSpace]:
    """Every ref, from what each claims."""
    alone = own_contents(contents, claims)
    sizes = history.file_sizes()
    found = []
    for ref in history.refs:
        own = alone.get(ref.name, ())
        commit = history.commits.get(ref.commit)
        size = _tree_bytes(history, commit.tree, sizes) if commit else 0
        found.append(RefSpace(ref.name, ref.commit, size, contents.freed_bytes(own), contents.counted_bytes(own)))
    return found


def _tree_bytes(history: History, root: str, known: dict[str, int]) -> int:
    """The sizes of all files of a tree together; `known` are those of blobs, and of the trees that were asked for before."""
    waiting = [root]
    while waiting:
        oid = waiting[-1]
        items = history.tree(oid)
        below = [item.oid for item in items if item.is_tree and item.oid not in known]
        if below:
            waiting += below
            continue
        known[oid] = sum([known.get(item.oid, 0) for item in items])
        waiting.pop()
    return known[root]
