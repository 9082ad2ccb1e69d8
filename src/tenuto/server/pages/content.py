"""What lies under a path of a repo, for those who may read it: its facts, and its bytes as a source that is read in pieces."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import BinaryIO, NamedTuple, cast

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.core.gitobj import TreeItem
from tenuto.inspect.source import Source
from tenuto.server.content.commits import held_sizes
from tenuto.server.content.listing import is_file
from tenuto.server.content.lookup import open_large
from tenuto.server.git.objects import BlobFacts, CommitFacts, GitReader, Tree
from tenuto.server.git.trees import Walk
from tenuto.server.holdings.chunks import held_tables
from tenuto.server.hub import Parts

_MOST_FOLDERS, _DEEPEST = 1000, 4


class File(NamedTuple):
    """A file at a commit."""

    path: str
    blob: BlobFacts

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def ending(self) -> str:
        """What stands behind the last dot of its name, in lower case; empty if there is none."""
        return self.name.rpartition(".")[2].lower() if "." in self.name else ""

    @property
    def size(self) -> int:
        """Bytes of the file as a user sees it."""
        return self.blob.true_size


def find_file(git: GitReader, commit: CommitFacts, path: str) -> File | None:
    """The file under `path`, or None if there is no file."""
    item = git.find(commit.tree, path)
    return File(path, git.blob(item.oid)) if item is not None and is_file(item) and path else None


def first_items(git: GitReader, root: str, most: int) -> tuple[list[tuple[str, TreeItem]], bool]:
    """The files among the first `most` items below a tree, with their paths, and whether these are all files.

    Folders are read level by level, down to a depth; none of them costs a question of its own.
    """
    folders: dict[str, Tree] = {}
    level = [root]
    for _ in range(_DEEPEST):
        wanted = [oid for oid in dict.fromkeys(level) if oid not in folders][: _MOST_FOLDERS - len(folders)]
        read = git.trees(wanted) if wanted else {}
        folders |= read
        level = [item.oid for oid in wanted for item in read[oid].values() if item.is_tree]
    walk = Walk(lambda oids: {oid: folders.get(oid, {}) for oid in oids}, recursive=True)
    walked = list(islice(walk.entries(root), most + 1))
    is_all = len(walked) <= most and all(item.oid in folders for _, item in walked if item.is_tree)
    return [(path, item) for path, item in walked[:most] if is_file(item)], is_all


def files_among(git: GitReader, items: "list[tuple[str, TreeItem]]") -> dict[str, File]:
    """The files among these items, by path; asked for in one go."""
    blobs = git.blobs(item.oid for _, item in items if is_file(item))
    return {path: File(path, blobs[item.oid]) for path, item in items if item.oid in blobs}


class Shelf:
    """Opens files of one repo. Small ones are read through the database; of a large one the repo must hold the object."""

    def __init__(self, parts: Parts, git: GitReader) -> None:
        self._parts, self._git = parts, git

    @contextlib.contextmanager
    def source(self, file: File) -> Iterator[Source]:
        """The bytes of a file, read where they lie. Raises NotFoundError (EntryNotFound), IntegrityError (CorruptObject)."""
        with self._open(file) as body:
            yield _source(body, file)

    def sources(self, files: Sequence[File]) -> Iterator[tuple[File, AbstractContextManager[Source]]]:
        """The same of each of these files, in any order, each good until the next one; in three statements, however many there are."""
        small: dict[str, list[File]] = {}
        for file in files:
            if file.blob.pointer is None:
                small.setdefault(file.blob.oid, []).append(file)
        for oid, body in self._git.bodies(list(small)):
            for file in small.pop(oid):
                yield file, contextlib.nullcontext(_source(io.BytesIO(body), file))
        lost = [file for files in small.values() for file in files]
        yield from ((file, self.source(file)) for file in lost)
        yield from self._large([file for file in files if file.blob.pointer])

    def _large(self, files: Sequence[File]) -> Iterator[tuple[File, AbstractContextManager[Source]]]:
        parts, git = self._parts, self._git
        found = held_tables(
            git.connection, git.repo_key, {one.blob.pointer.sha256 for one in files if one.blob.pointer}
        )
        cut = {sha256: table for sha256, (_, table) in found.items() if table and not parts.store.has(sha256)}
        if cut:
            parts.xorbs.read_ends(git.connection, cut.values())

        def find(sha256: str) -> BinaryIO:
            return cast("BinaryIO", parts.xorbs.file(cut[sha256])) if sha256 in cut else _open_whole(parts, sha256)

        sizes = {sha256: size for sha256, (size, _) in found.items()}
        for file in files:
            yield file, _held_source(file, sizes, find)

    def head(self, file: File, limit: int) -> bytes:
        """The first bytes of a file."""
        with self.source(file) as source:
            return source.head(limit)

    def _open(self, file: File) -> BinaryIO:
        pointer = file.blob.pointer
        if pointer is None:
            return io.BytesIO(self._git.body(file.blob.oid))
        held = held_sizes(self._git.connection, self._git.repo_key, [pointer.sha256])
        return _open_held(file, held, lambda sha256: open_large(self._parts, self._git.repo_key, sha256))


def _open_held(file: File, held: Mapping[str, int], find: Callable[[str], BinaryIO]) -> BinaryIO:
    """The bytes of a large file; `held` are the sizes of those objects that the repo holds."""
    pointer = file.blob.pointer
    if pointer is None or held.get(pointer.sha256) != pointer.size:
        raise NotFoundError(f"the bytes of {file.path[:200]} are not here", code="EntryNotFound")
    return find(pointer.sha256)


def _open_whole(parts: Parts, sha256: str) -> BinaryIO:
    try:
        return parts.store.open(sha256)
    except NotFoundError as error:
        raise IntegrityError(f"the hub lacks the large object {sha256}", code="CorruptObject") from error


@contextlib.contextmanager
def _held_source(file: File, held: Mapping[str, int], find: Callable[[str], BinaryIO]) -> Iterator[Source]:
    with _open_held(file, held, find) as body:
        yield _source(body, file)


def _source(body: BinaryIO, file: File) -> Source:
    def read_at(offset: int, length: int) -> bytes:
        body.seek(offset)
        return body.read(length)

    return Source(read_at, 0, file.size)
