"""Which commit last changed a path."""

import itertools
from collections.abc import Iterator, Sequence

from tenuto.server.git.objects import CommitFacts, GitReader

_BATCH = 200


class _Wanted:
    """A place whose last commit is looked for, if `path` is not empty, and the places below it."""

    __slots__ = ("below", "path")

    def __init__(self) -> None:
        self.path = ""
        self.below: dict[str, _Wanted] = {}


def last_commits(git: GitReader, head: CommitFacts, paths: Sequence[str]) -> dict[str, CommitFacts]:
    """For each path that exists at `head`: the newest commit, along first parents, that gave it what it holds."""
    found: dict[str, CommitFacts] = {}
    wanted = _places(paths)
    for commit, parent in _line(git, head):
        if not wanted.below:
            break
        _settle(git, commit, commit.tree, parent.tree if parent else None, wanted, found)
    return found


def _places(paths: Sequence[str]) -> _Wanted:
    root = _Wanted()
    for path in paths:
        place = root
        for segment in path.split("/"):
            place = place.below.setdefault(segment, _Wanted())
        place.path = path
    return root


def _settle(
    git: GitReader, commit: CommitFacts, new: str, old: str | None, wanted: _Wanted, found: dict[str, CommitFacts]
) -> None:
    """All that is wanted and differs between the trees `new`, which has it, and `old` is found in `commit`, and wanted no more.

    Folders that are the same in both are not looked into.
    """
    if new == old:
        return
    here, there = git.tree(new), git.tree(old) if old else {}
    for name, place in list(wanted.below.items()):
        item, before = here[name], there.get(name)
        if item == before:
            continue
        if place.path:
            found[place.path] = commit
            place.path = ""
        if place.below:
            _settle(git, commit, item.oid, before.oid if before and before.is_tree else None, place, found)
        if not place.below:
            del wanted.below[name]


def _line(git: GitReader, head: CommitFacts) -> Iterator[tuple[CommitFacts, CommitFacts | None]]:
    """Commits with their first parents, newest first; the last one has None."""
    start = head.oid
    while True:
        line = git.history(start, _BATCH)
        git.trees([commit.tree for commit in line])
        yield from itertools.pairwise(line)
        if len(line) < _BATCH:
            yield line[-1], None
            return
        start = line[-1].oid
