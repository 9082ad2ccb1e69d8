"""The sha256 of files, computed from their stored chunks: while a block is hashed, the next one is unpacked beside it."""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tenuto.server.xet_xorbs import Xorbs
from tenuto.store.xet.table import FileTable

T = TypeVar("T")
_BLOCK_BYTES = 1 << 20


def sha256s(xorbs: Xorbs, tables: Sequence[FileTable], step_bytes: int) -> Generator[str, None, None]:
    """The sha256 of each file, in order; an empty text in between whenever that many bytes were hashed.

    That chunks are whole is not looked at, only their lengths: a right sha256 says the same. Raises IntegrityError (CorruptObject),
    StorageError.
    """
    hasher, done = hashlib.sha256(), 0
    for block in ahead(_blocks(xorbs, tables)):
        if not block:
            yield hasher.hexdigest()
            hasher = hashlib.sha256()
            continue
        hasher.update(block)
        done += len(block)
        if done >= step_bytes:
            done = 0
            yield ""


def _blocks(xorbs: Xorbs, tables: Sequence[FileTable]) -> Generator[bytes, None, None]:
    """The bytes of all files; an empty block ends each."""
    for table in tables:
        with xorbs.file(table, checked=False) as file:
            while data := file.read(_BLOCK_BYTES):
                yield data
        yield b""


def ahead(values: Generator[T, None, None]) -> Iterator[T]:
    """The same values, none of which is None; the next one is made in a thread of its own while the caller uses this one."""
    try:
        with ThreadPoolExecutor(1, "ahead") as pool:
            coming = pool.submit(next, values, None)
            while (value := coming.result()) is not None:
                coming = pool.submit(next, values, None)
                yield value
    finally:
        values.close()
