"""When the entries of a folder were last changed, looked for in a bounded part of the history."""

from collections.abc import Sequence
from itertools import accumulate

from sqlalchemy import bindparam, select

from tenuto.server.db import chunks
from tenuto.server.git.objects import CommitFacts, GitReader, Tree
from tenuto.server.schema import git_objects

_MOST_COMMITS = 400
_TREE_BYTES, _FEW = 6 << 20, 2
_SIZES = select(git_objects.c.oid, git_objects.c.size).where(
    git_objects.c.repo_id == bindparam("repo"), git_objects.c.oid.in_(bindparam("oids", expanding=True))
)


class Recent:
    """What a folder held at the last few hundred commits along first parents, and fewer where the folders on the way are wide.

    All is read at once, with a fixed number of questions to the database for each level; what is read after that is in memory.
    """

    def __init__(self, git: GitReader, head: CommitFacts, folder: str) -> None:
        self._line = git.history(head.oid, _MOST_COMMITS)
        ids: list[str | None] = [commit.tree for commit in self._line]
        held = _read(git, ids)
        for segment in folder.split("/") if folder else ():
            items = [tree.get(segment) for tree in held]
            held = _read(git, [item.oid if item and item.is_tree else None for item in items])
        self._held = held

    def last_changes(self, names: Sequence[str]) -> dict[str, CommitFacts]:
        """For each name in the folder the newest commit that gave it what it holds; what was changed before is left out."""
        found: dict[str, CommitFacts] = {}
        left = list(names)
        for index, (commit, held) in enumerate(zip(self._line, self._held, strict=False)):
            is_first = commit.parent is None
            before = self._held[index + 1] if index + 1 < len(self._held) else {} if is_first else None
            if before is None or not left:
                break
            if before is held:
                continue
            found |= dict.fromkeys((name for name in left if held.get(name) != before.get(name)), commit)
            left = [name for name in left if name not in found]
        return found


def _read(git: GitReader, ids: Sequence[str | None]) -> list[Tree]:
    """The trees of the first of these ids, as many as can be afforded; None stands for an empty one."""
    some = ids[: _affordable(git, ids)]
    trees = git.trees([oid for oid in dict.fromkeys(some) if oid])
    nothing: Tree = {}
    return [trees[oid] if oid else nothing for oid in some]


def _affordable(git: GitReader, ids: Sequence[str | None]) -> int:
    """How many of these trees, from the first on, are no more to read than a page is worth; two at least, to be compared."""
    wanted = [oid for oid in dict.fromkeys(ids) if oid]
    if len(wanted) <= _FEW:
        return len(ids)
    sizes: dict[str | None, int] = {}
    for some in chunks(wanted):
        sizes |= {row.oid: row.size for row in git.connection.execute(_SIZES, {"repo": git.repo_key, "oids": some})}
    costs = (sizes.pop(oid, 0) for oid in ids)  # each tree is read once
    return max(_FEW, sum(total <= _TREE_BYTES for total in accumulate(costs)))
