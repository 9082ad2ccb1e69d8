"""Which commit last changed a path."""

import itertools
from collections.abc import Iterator, Sequence

from tenuto.server.gitstore import CommitFacts, GitReader

_BATCH = 200


def last_commits(git: GitReader, head: CommitFacts, paths: Sequence[str]) -> dict[str, CommitFacts]:
    """For each path that exists at `head`: the newest commit, along first parents, that gave it what it holds."""
    found: dict[str, CommitFacts] = {}
    pending = set(paths)
    for commit, parent in _line(git, head):
        if not pending:
            break
        if parent is not None and parent.tree == commit.tree:
            continue
        changed = {path for path in pending if parent is None or _differs(git, commit, parent, path)}
        found.update(dict.fromkeys(changed, commit))
        pending -= changed
    return found


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


def _differs(git: GitReader, commit: CommitFacts, parent: CommitFacts, path: str) -> bool:
    """Whether `path` holds something else in both; looks no deeper than the first folder that is the same."""
    here, there = commit.tree, parent.tree
    for segment in path.split("/"):
        if here == there:
            return False
        new, old = git.tree(here).get(segment), git.tree(there).get(segment)
        if new is None or old is None or new.mode != old.mode:
            return True
        here, there = new.oid, old.oid
    return here != there
