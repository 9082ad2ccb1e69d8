"""Trees: apply changes to them, and walk them in pages. Nothing here knows of a database."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.gitobj import EMPTY_TREE, TREE_MODE, TreeItem, encode_tree, object_id
from tenuto.server.git.objects import Load, Tree

_READ_AHEAD = 64


class NewTree(NamedTuple):
    """A tree object that a change brings about."""

    oid: str
    body: bytes


class _Folder:
    """A folder under change; its items are read when they are needed."""

    __slots__ = ("changed", "items", "oid")

    def __init__(self, oid: str | None) -> None:
        self.oid = oid or EMPTY_TREE
        self.items: dict[str, TreeItem | _Folder] | None = None if oid else {}
        self.changed = oid is None


_Names: TypeAlias = "dict[str, _Names]"


class TreeEditor:
    """A tree with changes applied in order. Clashes of a file and a folder are refused, empty folders vanish."""

    def __init__(self, root: str, load: Load) -> None:
        self._load = load
        self._root = _Folder(root)

    def prefetch(self, paths: Iterable[str]) -> None:
        """Read all folders on the way to `paths`, level by level instead of one by one."""
        wanted: _Names = {}
        for parent in {path.rpartition("/")[0] for path in paths}:
            place = wanted
            for segment in parent.split("/") if parent else ():
                place = place.setdefault(segment, {})
        level = [(self._root, wanted)]
        while level:
            self._open([folder for folder, _ in level])
            below = [(_items(folder).get(name), further) for folder, names in level for name, further in names.items()]
            level = [(child, further) for child, further in below if isinstance(child, _Folder)]

    def put(self, path: str, mode: int, oid: str) -> None:
        """Let `path` be a file. Raises UsageError (BadPath) if a folder is there, or a file where a folder must be."""
        *folders, name = path.split("/")
        way = [self._root]
        for segment in folders:
            self._open([way[-1]])
            child = _items(way[-1]).get(segment)
            if child is None:
                child = _items(way[-1])[segment] = _Folder(None)
            if not isinstance(child, _Folder):
                raise _clash(path, f"{segment!r} is a file")
            way.append(child)
        self._open([way[-1]])
        if isinstance(_items(way[-1]).get(name), _Folder):
            raise _clash(path, "it is a folder")
        _items(way[-1])[name] = TreeItem(name, mode, oid)
        for folder in way:
            folder.changed = True

    def delete_file(self, path: str) -> None:
        """Remove a file; raises NotFoundError (EntryNotFound)."""
        self._delete(path, folder=False)

    def delete_folder(self, path: str) -> None:
        """Remove a folder with all that is in it; raises NotFoundError (EntryNotFound)."""
        self._delete(path, folder=True)

    def find(self, path: str) -> TreeItem | None:
        """The file under `path` as it stands now, or None."""
        *folders, name = path.split("/")
        place = self._root
        for segment in folders:
            self._open([place])
            child = _items(place).get(segment)
            if not isinstance(child, _Folder):
                return None
            place = child
        self._open([place])
        item = _items(place).get(name)
        return item if isinstance(item, TreeItem) else None

    def _delete(self, path: str, *, folder: bool) -> None:
        *folders, name = path.split("/")
        way = [self._root]
        for segment in folders:
            self._open([way[-1]])
            child = _items(way[-1]).get(segment)
            if not isinstance(child, _Folder):
                raise _no_entry(path)
            way.append(child)
        self._open([way[-1]])
        if isinstance(_items(way[-1]).get(name), _Folder) is not folder or name not in _items(way[-1]):
            raise _no_entry(path)
        del _items(way[-1])[name]
        for place in way:
            place.changed = True
        for parent, child, segment in reversed(list(zip(way, way[1:], folders, strict=False))):
            if not child.items:
                del _items(parent)[segment]

    def _open(self, folders: list[_Folder]) -> None:
        closed = [folder for folder in folders if folder.items is None]
        if closed:
            trees = self._load([folder.oid for folder in closed])
            for folder in closed:
                folder.items = {
                    name: _Folder(item.oid) if item.is_tree else item for name, item in trees[folder.oid].items()
                }

    def write(self) -> tuple[str, list[NewTree]]:
        """The id of the changed tree, and the objects that it needs beside those that were there; the deepest come first."""
        made: list[NewTree] = []
        return self._write(self._root, made), made

    def _write(self, folder: _Folder, made: list[NewTree]) -> str:
        if not folder.changed:
            return folder.oid
        items = [
            TreeItem(name, TREE_MODE, self._write(item, made)) if isinstance(item, _Folder) else item
            for name, item in _items(folder).items()
        ]
        body = encode_tree(items)
        oid = object_id("tree", body)
        made.append(NewTree(oid, body))
        return oid


def _items(folder: _Folder) -> "dict[str, TreeItem | _Folder]":
    assert folder.items is not None
    return folder.items


def _clash(path: str, reason: str) -> UsageError:
    return UsageError(
        f"path {path!r} cannot be a file: {reason}",
        code="BadPath",
        hint="delete what is there in the same commit, first",
    )


def _no_entry(path: str) -> NotFoundError:
    return NotFoundError(f"A file with this name doesn't exist: {path}", code="EntryNotFound")


class Walk:
    """The entries below a folder, in git's order, folders before what is in them; `after` continues behind that path."""

    def __init__(self, load: Load, *, recursive: bool) -> None:
        self._load, self._recursive = load, recursive

    def entries(self, oid: str, prefix: str = "", after: str = "") -> Iterator[tuple[str, TreeItem]]:
        """Pairs of full path and item of the tree `oid`, which lies under `prefix`; both `prefix` and `after` without slashes around."""
        rest = after.removeprefix(prefix + "/" if prefix else "").split("/") if after else []
        yield from self._walk(self._load([oid])[oid], f"{prefix}/" if prefix else "", rest)

    def _walk(self, tree: Tree, prefix: str, after: list[str]) -> Iterator[tuple[str, TreeItem]]:
        items = iter(tree.values())
        if after:
            passed = next((item for item in items if item.name == after[0]), None)
            if passed is not None and passed.is_tree and self._recursive:
                yield from self._walk(self._load([passed.oid])[passed.oid], f"{prefix}{passed.name}/", after[1:])
        ready: dict[str, Tree] = {}
        left = list(items)
        for index, item in enumerate(left):
            yield prefix + item.name, item
            if not (item.is_tree and self._recursive):
                continue
            if item.oid not in ready:
                coming = (further.oid for further in left[index:] if further.is_tree)
                ready = self._load(list(islice(coming, _READ_AHEAD)))
            yield from self._walk(ready[item.oid], f"{prefix}{item.name}/", [])
