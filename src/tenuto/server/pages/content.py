"""What lies under a path of a repo, for those who may read it: its facts, and its bytes as a source that is read in pieces."""

import contextlib
import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tenuto.core.errors import NotFoundError
from tenuto.core.gitobj import TreeItem
from tenuto.inspect.source import Source
from tenuto.server.commits import held_sizes
from tenuto.server.gitstore import BlobFacts, CommitFacts, GitReader
from tenuto.server.hub import Parts
from tenuto.server.listing_api import is_file
from tenuto.server.lookup import open_large


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

            def read_at(offset: int, length: int) -> bytes:
                body.seek(offset)
                return body.read(length)

            yield Source(read_at, 0, file.size)

    def head(self, file: File, limit: int) -> bytes:
        """The first bytes of a file."""
        with self.source(file) as source:
            return source.head(limit)

    def _open(self, file: File) -> BinaryIO:
        if file.blob.pointer is None:
            return io.BytesIO(self._git.body(file.blob.oid))
        self._check_held(file)
        return open_large(self._parts, self._git.repo_key, file.blob.pointer.sha256)

    def _check_held(self, file: File) -> None:
        pointer = file.blob.pointer
        held = held_sizes(self._git.connection, self._git.repo_key, [pointer.sha256] if pointer else [])
        if pointer and held.get(pointer.sha256) != pointer.size:
            raise NotFoundError(f"the bytes of {file.path[:200]} are not here", code="EntryNotFound")
