"""Many small files in one request, for clients that ask for it (docs/formats/pack.md). Rights are those of resolve and LFS upload."""

import io
from collections.abc import Callable, Iterator, Sequence
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
from tenuto.server.commits import held_sizes
from tenuto.server.exchange import Answer, Call, FileBody, Sink, json_answer
from tenuto.server.gitstore import BlobFacts, GitReader
from tenuto.server.hub import Parts
from tenuto.server.listing_api import is_file
from tenuto.server.lookup import open_large
from tenuto.store.base import Sealed


class PackRequest(msgspec.Struct, frozen=True):
    """The paths of the files to send, in this order."""

    paths: list[str]


class _File(NamedTuple):
    """A file of a pack that goes out."""

    path: str
    size: int
    read: Callable[[], bytes]


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
    oids = []
    for path in paths:
        item = git.find(tree, path)
        if item is None or not is_file(item):
            raise NotFoundError(f"{path[:300]} does not exist at this commit", code="EntryNotFound")
        oids.append(item.oid)
    facts = git.blobs(oids)
    held = held_sizes(git.connection, git.repo_key, [blob.pointer.sha256 for blob in facts.values() if blob.pointer])
    bodies = {oid: git.body(oid) for oid in dict.fromkeys(oids) if not facts[oid].pointer}
    return [_file(parts, git.repo_key, path, facts[oid], held, bodies) for path, oid in zip(paths, oids, strict=True)]


def _file(
    parts: Parts, repo_key: int, path: str, facts: BlobFacts, held: dict[str, int], bodies: dict[str, bytes]
) -> _File:
    if facts.true_size > FILE_LIMIT_BYTES:
        raise UsageError(f"{path[:300]} is too large for a pack", code="TooLarge")
    if facts.pointer is None:
        body = bodies[facts.oid]
        return _File(path, facts.size, lambda: body)
    sha256, size = facts.pointer
    if held.get(sha256) != size:
        raise IntegrityError(f"the hub lacks the large object {sha256}", code="CorruptObject")

    def read() -> bytes:
        with open_large(parts, repo_key, sha256) as file:
            return file.read(size + 1)

    return _File(path, size, read)


class _PackReader(io.RawIOBase):
    """Reads a pack in blocks: files are opened one after the other, as their turn comes."""

    def __init__(self, files: Sequence[_File]) -> None:
        self._frames = self._make(files)
        self._left = b""

    @staticmethod
    def _make(files: Sequence[_File]) -> Iterator[bytes]:
        for file in files:
            content = file.read()
            if len(content) != file.size:
                return  # the body ends short, so that no reader takes it for whole
            yield frame_head(file.path, file.size) + content

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset or whence:
            raise io.UnsupportedOperation("a pack is read from its start")
        return 0

    def read(self, size: int = -1) -> bytes:
        pieces, length = [self._left], len(self._left)
        while length < size and (frame := next(self._frames, None)) is not None:
            pieces.append(frame)
            length += len(frame)
        joined = b"".join(pieces)
        self._left = joined[size:]
        return joined[:size]


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
            with self._parts.store.receive() as incoming:
                incoming.write(content)
                self._sealed.append(incoming.seal(sha256=check_sha256(name), source="the pack"))

    def finish(self) -> Answer:
        self._unpacker.finish()
        self._parts.publisher.publish_all(self._repo_key, self._sealed, self._parts.now_ms())
        return json_answer({"stored": len(self._sealed)})

    def close(self) -> None:
        for sealed in self._sealed:
            self._parts.store.discard(sealed)
