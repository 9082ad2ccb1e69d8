"""Which objects of a push may enter a repo: all that its tips need, and nothing else; each one checked as `git fsck --strict` does, and more.

The repo then has the whole of what every object of it names. That is why a check may stop at objects that are there already.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.core.gitobj import (
    EXECUTABLE_MODE,
    FILE_MODE,
    LINK_MODE,
    MAX_POINTER_BYTES,
    TREE_MODE,
    Commit,
    parse_commit,
    parse_pointer,
)
from tenuto.core.paths import MAX_PATH_BYTES
from tenuto.server.content.commits import check_commit_path, held_sizes
from tenuto.server.git_wire.delta import TREE_ITEM
from tenuto.server.git_wire.pack import Pack
from tenuto.server.git_wire.rows import GitRows
from tenuto.server.hub import MIB, Limits

COMMIT_BYTES = 1 << 20
_LAST_SECOND = 253_402_300_799  # the year 9999 ends
_SUBMODULE_MODE = 0o160000
_IDENTITY = rb"[^<>\n\0]* <[^<>\n\0]*> (0|[1-9][0-9]{0,11}) [+-][0-9]{4}"
_REST = rb"(?:[^\n\0]+\n)*(?:\n[^\0]*)?"
_COMMIT = re.compile(
    rb"tree [0-9a-f]{40}\n(?:parent [0-9a-f]{40}\n)*author " + _IDENTITY + rb"\ncommitter " + _IDENTITY + rb"\n" + _REST
)
_TAG = re.compile(rb"object ([0-9a-f]{40})\ntype (commit|tag)\ntag [^\n\0]+\n(?:tagger " + _IDENTITY + rb"\n)?" + _REST)


class Shape(NamedTuple):
    """What a tree holds directly: how many files, the longest of their names in bytes, and its folders by length of name."""

    files: int
    longest: int
    folders: tuple[tuple[int, str], ...]


class Measure(NamedTuple):
    """What lies below a tree in all: how many files, and the longest path in bytes."""

    files: int
    longest: int


class Passed:
    """Objects that may enter. Trees come after those in them, commits after their parents."""

    def __init__(self) -> None:
        self.blobs: dict[str, None] = {}
        self.trees: dict[str, None] = {}
        self.commits: dict[str, Commit] = {}
        self.tags: dict[str, None] = {}
        self.anchors: dict[str, str] = {}
        """What the repo must have already, by kind."""
        self.pointers: dict[str, int] = {}
        """The LFS objects that the blobs stand for, with their sizes."""

    def add(self, other: "Passed") -> None:
        """Take over all of another."""
        self.blobs.update(other.blobs)
        self.trees.update(other.trees)
        self.commits.update(other.commits)
        self.tags.update(other.tags)
        self.anchors.update(other.anchors)
        self.pointers.update(other.pointers)


class Inspector:
    """Looks through a pack on behalf of one repo."""

    def __init__(self, connection: Connection, repo_key: int, pack: Pack, limits: Limits) -> None:
        self.passed = Passed()
        self._connection, self._repo = connection, repo_key
        self._rows = GitRows(connection, repo_key)
        self._pack, self._limits = pack, limits
        self._measures: dict[str, Measure] = {}

    def admit(self, target: str) -> str:
        """All that `target`, a commit or a tag, needs may enter or is there; the commit that it stands for.

        Raises TenutoError: why it may not. Then nothing of it was taken over.
        """
        inspection = _Inspection(self._rows, self._pack, self.passed)
        commit = inspection.take_tags(target)
        inspection.take_commits(commit)
        inspection.take_trees()
        inspection.check_anchors()
        self._check_blobs(inspection)
        self._check_measures(inspection)
        self.passed.add(inspection.found)
        return commit

    def _check_blobs(self, inspection: "_Inspection") -> None:
        """Large files are in LFS, and what pointers stand for is here."""
        pointers = {}
        for oid in inspection.found.blobs:
            entry = self._pack.entries[oid]
            if entry.size > self._limits.large_file:
                raise UsageError(
                    f"{inspection.path(oid)!r} has {entry.size} bytes: files above {self._limits.large_file // MIB} MiB "
                    "belong to git-lfs (see `git lfs migrate import`)",
                    code="TooLarge",
                )
            pointer = parse_pointer(self._pack.body(oid)) if entry.size <= MAX_POINTER_BYTES else None
            if pointer:
                pointers[oid] = pointer
        held = held_sizes(self._connection, self._repo, [pointer.sha256 for pointer in pointers.values()])
        for oid, pointer in pointers.items():
            if held.get(pointer.sha256) != pointer.size:
                raise UsageError(
                    f"{inspection.path(oid)!r} points to the LFS object {pointer.sha256} of {pointer.size} bytes, which "
                    "this repo does not hold (send it with `git lfs push --all`, then push again)"
                )
        inspection.found.pointers = {pointer.sha256: pointer.size for pointer in pointers.values()}

    def _check_measures(self, inspection: "_Inspection") -> None:
        """No tree is deeper or wider than the hub can list."""
        shapes = inspection.shapes
        shapes.update(self._stored_shapes(oid for shape in shapes.values() for _, oid in shape.folders))
        for oid in inspection.found.trees:
            measure = self._measure(oid, shapes)
            if measure.longest > MAX_PATH_BYTES:
                raise UsageError(f"a path in the tree {oid} is longer than {MAX_PATH_BYTES} bytes", code="BadPath")
            if measure.files > self._limits.tree_files:
                raise UsageError(f"the tree {oid} has more than {self._limits.tree_files} files", code="TooLarge")

    def _stored_shapes(self, oids: Iterable[str]) -> dict[str, Shape]:
        """The shapes of trees that the repo has, and of all below them."""
        shapes: dict[str, Shape] = {}
        level = {oid for oid in oids if oid not in self._measures and oid not in self._pack.entries}
        while level:
            below: set[str] = set()
            for oid, _, body in self._rows.bodies(sorted(level)):
                shapes[oid] = _shape(TREE_ITEM.findall(body))
                below.update(child for _, child in shapes[oid].folders)
            level = below - shapes.keys() - self._measures.keys()
        return shapes

    def _measure(self, root: str, shapes: dict[str, Shape]) -> Measure:
        waiting = [root]
        while waiting:
            oid = waiting[-1]
            if oid in self._measures:
                waiting.pop()
                continue
            shape = shapes[oid]
            lacking = [child for _, child in shape.folders if child not in self._measures]
            if lacking:
                waiting += lacking
                continue
            below = [(length, self._measures[child]) for length, child in shape.folders]
            files = shape.files + sum(one.files for _, one in below)
            longest = max([shape.longest, *(length + 1 + one.longest for length, one in below)])
            self._measures[oid] = Measure(files, longest)
        return self._measures[root]


class _Inspection:
    """What one tip needs, beside what has passed before."""

    def __init__(self, rows: GitRows, pack: Pack, before: Passed) -> None:
        self.found = Passed()
        self.shapes: dict[str, Shape] = {}
        self._rows, self._pack, self._before = rows, pack, before
        self._places: dict[str, tuple[str, str]] = {}
        self._checked: set[bytes] = set()

    def path(self, oid: str) -> str:
        """A path under which a blob or tree was met."""
        names: list[str] = []
        while oid in self._places:
            oid, name = self._places[oid]
            names.append(name)
        return "/".join(reversed(names))

    def take_tags(self, target: str) -> str:
        """Follow tag objects to their commit."""
        oid, kind = target, self._kind(target)
        while kind == "tag":
            if oid in self._pack.entries:
                self.found.tags[oid] = None
                body = self._body(oid, "tag")
            else:
                self._need(oid, "tag")
                body = next(self._rows.bodies([oid]))[2]
            match = _TAG.fullmatch(body)
            if match is None:
                raise _broken("tag", oid)
            oid, kind = match[1].decode(), match[2].decode()
        # Nothing enters before what it names.
        self.found.tags = dict.fromkeys(reversed(self.found.tags))
        if kind != "commit":
            raise UsageError(f"{target} is a {kind}: a branch or tag stands for a commit")
        return oid

    def _kind(self, oid: str) -> str:
        if oid in self._pack.entries:
            return self._pack.entries[oid].kind
        found = self._rows.kinds([oid])
        if oid not in found:
            raise _lacking("object", oid)
        return found[oid].kind

    def _body(self, oid: str, kind: str) -> bytes:
        entry = self._pack.entries[oid]
        if entry.kind != kind:
            raise IntegrityError(f"{oid} is a {entry.kind}, where a {kind} must be", code="CorruptObject")
        if not entry.is_kept or (kind != "tree" and entry.size > COMMIT_BYTES):
            raise UsageError(f"the {kind} {oid} has {entry.size} bytes, which is too many", code="TooLarge")
        return self._pack.body(oid)

    def _need(self, oid: str, kind: str) -> None:
        known = self.found.anchors.setdefault(oid, kind)
        if known != kind:
            raise IntegrityError(f"{oid} cannot be a {known} and a {kind}", code="CorruptObject")

    def take_commits(self, tip: str) -> None:
        """All new commits are read; those after which others build come first."""
        waiting: list[tuple[str, Commit | None]] = [(tip, None)]
        seen: set[str] = set()
        while waiting:
            oid, commit = waiting.pop()
            if commit is not None:
                self.found.commits[oid] = commit
            elif oid not in self._pack.entries:
                self._need(oid, "commit")
            elif oid not in seen and oid not in self._before.commits:
                seen.add(oid)
                commit = _read_commit(oid, self._body(oid, "commit"))
                waiting.append((oid, commit))
                waiting += [(parent, None) for parent in commit.parents]

    def take_trees(self) -> None:
        """The trees of all new commits are read, and the blobs in them are known."""
        for commit in self.found.commits.values():
            self._take_tree(commit.tree)

    def _take_tree(self, root: str) -> None:
        waiting = [(root, False)]
        while waiting:
            oid, is_done = waiting.pop()
            if is_done:
                self.found.trees[oid] = None
            elif oid not in self._pack.entries:
                self._need(oid, "tree")
            elif oid not in self.shapes and oid not in self._before.trees:
                self.shapes[oid] = _shape(self._items(oid))
                waiting.append((oid, True))
                waiting += [(child, False) for _, child in self.shapes[oid].folders]

    def _items(self, tree: str) -> Iterator[tuple[bytes, bytes, bytes]]:
        """The items of a new tree, each one checked; blobs are taken in."""
        body, position = self._body(tree, "tree"), 0
        last, names = b"", set()
        for match in TREE_ITEM.finditer(body):
            mode, name, oid = match.groups()
            order = name + b"/" if mode == b"40000" else name
            if match.start() != position or order <= last or name in names:
                raise _broken("tree", tree)
            position, last = match.end(), order
            names.add(name)
            if match[0] not in self._checked:
                self._check_item(tree, mode, name, oid.hex())
                self._checked.add(match[0])
            yield mode, name, oid
        if position != len(body):
            raise _broken("tree", tree)

    def _check_item(self, tree: str, mode: bytes, name: bytes, oid: str) -> None:
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"the name {name!r} in {self.path(tree)!r} is not UTF-8", code="BadPath") from error
        if "/" in text:
            raise _broken("tree", tree)
        try:
            check_commit_path(text)
        except UsageError:
            check_commit_path(_joined(self.path(tree), text))  # says the same of the whole path
            raise
        self._places.setdefault(oid, (tree, text))
        number = int(mode, 8)
        if mode != b"%o" % number or number not in {FILE_MODE, EXECUTABLE_MODE, TREE_MODE}:
            raise _strange_mode(self.path(tree), text, number)
        if number != TREE_MODE:
            self._take_blob(oid)

    def _take_blob(self, oid: str) -> None:
        if oid not in self._pack.entries:
            self._need(oid, "blob")
        elif self._pack.entries[oid].kind != "blob":
            raise IntegrityError(f"{self.path(oid)!r} is no file", code="CorruptObject")
        elif oid not in self._before.blobs:
            self.found.blobs[oid] = None

    def check_anchors(self) -> None:
        """What the pack does not bring is in this repo, and is what it is taken for."""
        kinds = self._rows.kinds(self.found.anchors)
        for oid, kind in self.found.anchors.items():
            if oid not in kinds:
                raise _lacking(kind, oid)
            if kinds[oid].kind != kind:
                raise IntegrityError(f"{oid} is a {kinds[oid].kind}, where a {kind} must be", code="CorruptObject")


def _read_commit(oid: str, body: bytes) -> Commit:
    match = _COMMIT.fullmatch(body)
    if match is None:
        raise _broken("commit", oid)
    if max(int(match[1]), int(match[2])) > _LAST_SECOND:
        raise UsageError(f"the commit {oid} is dated after the year 9999")
    return parse_commit(body)


def _shape(items: Iterable[tuple[bytes, bytes, bytes]]) -> Shape:
    files, longest = 0, 0
    folders = []
    for mode, name, oid in items:
        if mode == b"40000":
            folders.append((len(name), oid.hex()))
        else:
            files += 1
            longest = max(longest, len(name))
    return Shape(files, longest, tuple(folders))


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _strange_mode(folder: str, name: str, mode: int) -> UsageError:
    what = {LINK_MODE: "a symbolic link", _SUBMODULE_MODE: "a submodule"}.get(mode, f"of the mode {mode:o}")
    return UsageError(f"{_joined(folder, name)!r} is {what}: this hub keeps files and folders only", code="BadPath")


def _broken(kind: str, oid: str) -> IntegrityError:
    return IntegrityError(
        f"the {kind} {oid} is not one that git would write (see `git fsck --strict`)", code="CorruptObject"
    )


def _lacking(kind: str, oid: str) -> IntegrityError:
    return IntegrityError(f"neither the pack nor this repo has the {kind} {oid}", code="CorruptObject")
