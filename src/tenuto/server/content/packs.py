"""Many small files in one request, for clients that ask for it (docs/formats/pack.md). Rights are those of resolve and LFS upload."""

import io
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import BinaryIO, NamedTuple, cast

import msgspec

from tenuto.core.errors import IntegrityError, NotFoundError, UsageError
from tenuto.core.ids import check_sha256
from tenuto.core.pack import (
    FILE_LIMIT_BYTES,
    MEDIA_TYPE,
    PACK_LIMIT_BYTES,
    PACK_LIMIT_FILES,
    Unpacker,
    frame_head,
    frame_size,
)
from tenuto.core.wire import REPO_COMMIT
from tenuto.server.content.commits import held_sizes
from tenuto.server.content.listing import is_file
from tenuto.server.content.lookup import open_large
from tenuto.server.git.objects import BlobFacts, GitReader
from tenuto.server.http.exchange import Answer, Call, FileBody, Sink, json_answer
from tenuto.server.http.passage import BLOCK_BYTES
from tenuto.server.hub import Parts
from tenuto.store.base import Sealed, fill_from


class PackRequest(msgspec.Struct, frozen=True):
    """The paths of the files to send, in this order."""

    paths: list[str]


class _File(NamedTuple):
    """A file of a pack that goes out. `fill` puts its bytes into memory of its size, and says how many it has, or that it has more."""

    path: str
    size: int
    fill: Callable[[memoryview], int]


def send(parts: Parts, call: Call) -> Answer:
    """A pack of files at a revision; raises NotFoundError (EntryNotFound), UsageError (BadRequest, TooLarge) before a byte is sent."""
    paths = call.json(PackRequest).paths
    if len(paths) > PACK_LIMIT_FILES:
        raise UsageError(f"a pack holds {PACK_LIMIT_FILES} files at most", code="TooLarge")
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        commit = git.resolve(call.params["rev"])
        files = _find(parts, git, commit.tree, paths)
    total = sum(frame_size(file.path, file.size) for file in files)
    if total > PACK_LIMIT_BYTES + FILE_LIMIT_BYTES:
        raise UsageError(f"a pack holds {PACK_LIMIT_BYTES} bytes at most", code="TooLarge")
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "private, no-cache", REPO_COMMIT: commit.oid}
    return Answer(200, headers, FileBody(lambda: cast("BinaryIO", _PackReader(files)), 0, total))


def _find(parts: Parts, git: GitReader, tree: str, paths: Sequence[str]) -> list[_File]:
    oids = _blobs(git, tree, paths)
    facts = git.blobs(oids)
    held = held_sizes(git.connection, git.repo_key, [blob.pointer.sha256 for blob in facts.values() if blob.pointer])
    bodies = {oid: git.body(oid) for oid in dict.fromkeys(oids) if not facts[oid].pointer}
    return [_file(parts, git.repo_key, path, facts[oid], held, bodies) for path, oid in zip(paths, oids, strict=True)]


def _blobs(git: GitReader, tree: str, paths: Sequence[str]) -> list[str]:
    """The blob under each path; files of one folder, one after the other as they usually come, cost one way to it."""
    oids = []
    for parent, group in groupby(paths, lambda path: path.rpartition("/")[0]):
        folder = git.find(tree, parent)
        items = git.tree(folder.oid) if folder and folder.is_tree else {}
        for path in group:
            item = items.get(path.rpartition("/")[2])
            if item is None or not is_file(item):
                raise NotFoundError(f"{path[:300]} does not exist at this commit", code="EntryNotFound")
            oids.append(item.oid)
    return oids


def _file(
    parts: Parts, repo_key: int, path: str, facts: BlobFacts, held: dict[str, int], bodies: dict[str, bytes]
) -> _File:
    if facts.true_size > FILE_LIMIT_BYTES:
        raise UsageError(f"{path[:300]} is too large for a pack", code="TooLarge")
    if facts.pointer is None:
        return _File(path, facts.size, partial(fill_from, io.BytesIO(bodies[facts.oid])))
    sha256, size = facts.pointer
    if held.get(sha256) != size:
        raise IntegrityError(f"the hub lacks the large object {sha256}", code="CorruptObject")

    def fill(view: memoryview) -> int:
        try:
            return parts.store.fill(sha256, view)
        except NotFoundError:
            with open_large(parts, repo_key, sha256) as file:
                return fill_from(file, view)

    return _File(path, size, fill)


class _PackReader(io.RawIOBase):
    """Reads a pack, some whole files at a time, into the same memory again and again: what was read is good until the next read."""

    def __init__(self, files: Sequence[_File]) -> None:
        self._files = list(reversed(files))
        self._room = bytearray()
        self._ready = memoryview(b"")

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset or whence:
            raise io.UnsupportedOperation("a pack is read from its start")
        return 0

    def read(self, size: int = -1) -> bytes:
        if not self._ready:
            self._ready = self._load()
        end = len(self._ready) if size < 0 else size
        piece, self._ready = self._ready[:end], self._ready[end:]
        return cast("bytes", piece)

    def _load(self) -> memoryview:
        """The next frames, about a block of them; the body ends short at a file that has another size, so that no reader takes it for whole."""
        batch: list[_File] = []
        size = 0
        while self._files and size < BLOCK_BYTES:
            batch.append(self._files.pop())
            size += frame_size(batch[-1].path, batch[-1].size)
        if size > len(self._room):
            self._room = bytearray(size)
        view, end = memoryview(self._room), 0
        for file in batch:
            head = frame_head(file.path, file.size)
            start = end + len(head)
            view[end:start] = head
            if file.fill(view[start : start + file.size]) != file.size:
                self._files.clear()
                break
            end = start + file.size
        return view[:end]


def receive(parts: Parts, call: Call) -> Sink:
    """Take in a pack of large objects, each named by its sha256."""
    return PackSink(parts, call.repo.key)


class PackSink(Sink):
    """Objects that become visible together, once the whole pack is here and each has the sha256 that it is named by."""

    def __init__(self, parts: Parts, repo_key: int) -> None:
        self.max_bytes = PACK_LIMIT_BYTES + 2 * FILE_LIMIT_BYTES
        self._parts, self._repo_key = parts, repo_key
        self._unpacker = Unpacker()
        self._sealed: list[Sealed] = []

    def write(self, data: bytes | memoryview) -> None:
        for name, content in self._unpacker.feed(data):
            if len(self._sealed) >= PACK_LIMIT_FILES:
                raise UsageError(f"a pack holds {PACK_LIMIT_FILES} files at most", code="TooLarge")
            self._sealed.append(self._parts.store.take_in(content, sha256=check_sha256(name)))

    def finish(self) -> Answer:
        self._unpacker.finish()
        self._parts.publisher.publish_all(self._repo_key, self._sealed, self._parts.now_ms())
        count = len(self._sealed)
        self._sealed.clear()
        return json_answer({"stored": count})

    def close(self) -> None:
        for sealed in self._sealed:
            self._parts.store.discard(sealed)
