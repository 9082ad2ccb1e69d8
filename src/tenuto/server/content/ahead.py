"""Which files of a folder will be asked for next, told from those that were. Files and requests are not known here."""

import sys
from bisect import bisect_left
from collections import defaultdict
from functools import cached_property

from tenuto.core.gitobj import TreeItem
from tenuto.server.git.objects import Tree

ITEM_BYTES = 80
"""What a folder costs in memory for each of its items."""
_GROWTH = 4
_DISORDER = 16


class _Run:
    """A place in a row that is read from front to back, by several readers at once, who come a little out of order."""

    __slots__ = ("_asked", "_begun", "taken")

    def __init__(self) -> None:
        self._begun = self._asked = 0
        self.taken = 0
        """Where those places end that were handed out last."""

    def claim(self, index: int, most: int) -> int:
        """How many places behind `index` are worth reading along: the more, the longer the run is; 0 if this is no run."""
        if self._asked - _DISORDER <= index < self.taken:  # somebody else is reading it just now
            return 0
        if not self.taken <= index <= self.taken + _DISORDER:
            self._begun, self._asked, self.taken = index, index, index + 1
            return 0
        count = min(most, _GROWTH * (1 + self.taken - self._begun))
        self._asked, self.taken = index, index + 1 + count
        return count


class Folder:
    """A folder while its files are asked for; safe for use from many threads, at worst something is read twice."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._facts = _Run()
        self._bodies: defaultdict[str, _Run] = defaultdict(_Run)

    @cached_property
    def _names(self) -> list[str]:
        # The order of git among files, which is that of their characters.
        return [name for name, item in self._tree.items() if not item.is_tree]

    def next_facts(self, name: str, most: int) -> list[TreeItem]:
        """The files behind `name` to look up along with it, if files are asked for in order; each is handed out once, at most `most`."""
        return self._next(name, self._facts, most)

    def next_bodies(self, name: str, kind: str, most: int) -> list[TreeItem]:
        """The same for reading them; only those whose facts were handed out. Each `kind` of files has a run of its own."""
        return self._next(name, self._bodies[kind], most, self._facts.taken)

    def _next(self, name: str, run: _Run, most: int, end: int = sys.maxsize) -> list[TreeItem]:
        index = bisect_left(self._names, name)
        if self._names[index : index + 1] != [name]:
            return []
        behind = index + 1
        most = min(most, end - behind)
        count = run.claim(index, most) if most > 0 else 0
        return [self._tree[one] for one in self._names[behind : behind + count]]
