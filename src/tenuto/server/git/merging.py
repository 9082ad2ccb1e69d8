"""What changed between two trees, where two branches parted, and what their merge is."""

import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tenuto.core.gitobj import TreeItem, parse_commit
from tenuto.server.git.objects import CommitFacts, GitReader, Tree
from tenuto.server.git.trees import TreeEditor

_OURS, _THEIRS = 1, 2


class Change(NamedTuple):
    """What a path held and holds; None stands for nothing."""

    old: TreeItem | None
    new: TreeItem | None


def changes(git: GitReader, old: str, new: str) -> dict[str, Change]:
    """The files that differ between two trees, by path. Folders that are the same are not read."""
    return {path: files for path, change in walk_changes(git, old, new) if (files := files_of(change))}


def files_of(change: Change) -> Change | None:
    """What of a change are files; None if neither side is one."""
    files = Change(*(None if item is None or item.is_tree else item for item in change))
    return files if files.old or files.new else None


def walk_changes(git: GitReader, old: str | None, new: str | None, prefix: str = "") -> Iterator[tuple[str, Change]]:
    """What differs between two trees, files and folders, a folder before what is in it. Folders are read when it is their turn."""
    if old == new:
        return
    trees = git.trees([oid for oid in (old, new) if oid])
    before: Tree = trees[old] if old else {}
    after: Tree = trees[new] if new else {}
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        yield prefix + name, Change(was, now)
        folders = [item.oid if item and item.is_tree else None for item in (was, now)]
        yield from walk_changes(git, folders[0], folders[1], f"{prefix}{name}/")


def merge_base(git: GitReader, ours: str, theirs: str) -> str | None:
    """The newest commit that both have in their past, or None. Reads no further back than that."""
    marks: dict[str, int] = {}
    queue: list[tuple[int, str]] = []

    def visit(oid: str, mark: int) -> None:
        facts = git.find_commit(oid)
        if facts and marks.get(oid, 0) | mark != marks.get(oid, 0):
            marks[oid] = marks.get(oid, 0) | mark
            heapq.heappush(queue, (-facts.time_ms, oid))

    visit(ours, _OURS)
    visit(theirs, _THEIRS)
    while queue:
        _, oid = heapq.heappop(queue)
        if marks[oid] == _OURS | _THEIRS:
            return oid
        for parent in parse_commit(git.body(oid)).parents:
            visit(parent, marks[oid])
    return None


class Merge(NamedTuple):
    """What both sides changed since they parted. Paths in `conflicts` were changed by both, and not alike."""

    theirs: Mapping[str, Change]
    conflicts: tuple[str, ...]


def compare_sides(git: GitReader, ours: CommitFacts, theirs: CommitFacts, base: CommitFacts) -> Merge:
    """The changes of `theirs` since `base`, and which of them `ours` stands in the way of."""
    wanted, made = changes(git, base.tree, theirs.tree), changes(git, base.tree, ours.tree)
    conflicts = {path for path in wanted if path in made and made[path].new != wanted[path].new}
    added = {path for path, change in wanted.items() if change.new}
    conflicts |= {path for path in added if _is_blocked(path, made)}
    conflicts |= {path for path in made if made[path].new and _is_blocked(path, wanted)}
    return Merge(wanted, tuple(sorted(conflicts)))


def _is_blocked(path: str, others: Mapping[str, Change]) -> bool:
    """Whether the other side has put a file where a folder of `path` must be."""
    folder = path.rpartition("/")[0]
    while folder:
        if folder in others and others[folder].new:
            return True
        folder = folder.rpartition("/")[0]
    return False


def apply(git: GitReader, editor: TreeEditor, merge: Merge, ours: CommitFacts) -> None:
    """Bring the changes of a merge without conflicts into the tree under the editor, which is that of `ours`."""
    for path, change in merge.theirs.items():
        if change.new is None and git.find(ours.tree, path):
            editor.delete_file(path)
    for path, change in merge.theirs.items():
        if change.new is not None:
            editor.put(path, change.new.mode, change.new.oid)
