"""Copies what repos hold from one store to another, each object and xorb checked against its name on the way."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

import msgspec

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, UsageError
from tenuto.store.base import Sealed
from tenuto.store.disk import BLOCK_BYTES
from tenuto.store.local import LocalStore
from tenuto.store.xet.folder import XorbFolder

_BATCH_FILES, _BATCH_BYTES = 500, 256 << 20
Progress = Callable[[int], None]


class Needs(NamedTuple):
    """What a database says is in the store, with sizes in bytes: objects, xorbs, and large objects that need not be there as a whole."""

    objects: Mapping[str, int]
    xorbs: Mapping[str, int]
    chunked: frozenset[str]

    @property
    def total_bytes(self) -> int:
        """Bytes of all that must be in the store."""
        whole = sum(size for name, size in self.objects.items() if name not in self.chunked)
        return whole + sum(self.xorbs.values())


def read_needs(file: str) -> Needs:
    """What the database in a file needs. Raises StorageError."""
    try:
        with closing(sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True)) as connection:
            objects = dict(connection.execute("SELECT sha256, max(size) FROM lfs_objects GROUP BY sha256"))
            held = "FROM xorbs WHERE hash IN (SELECT hash FROM repo_xorbs) AND source_sha256 IS"
            xorbs = dict(connection.execute(f"SELECT hash, stored_bytes {held} NULL"))
            sources = dict(connection.execute(f"SELECT source_sha256, source_size {held} NOT NULL"))
            # Whole for one repo and in chunks for another one: then it must be here as a whole.
            chunked = connection.execute(
                "SELECT sha256 FROM lfs_objects EXCEPT SELECT l.sha256 FROM lfs_objects l LEFT JOIN xet_files x "
                "ON x.repo_id = l.repo_id AND x.sha256 = l.sha256 WHERE x.sha256 IS NULL"
            )
            return Needs({**objects, **sources}, xorbs, frozenset(name for (name,) in chunked) - sources.keys())
    except sqlite3.Error as error:
        raise StorageError(f"the database {file} cannot be read: {error}") from error


class Lack(msgspec.Struct, frozen=True):
    """Something that was not copied, and why: it is missing or damaged where it was to come from."""

    kind: str
    name: str
    detail: str


class Copied(msgspec.Struct):
    """How much was copied, and how much was there already."""

    files: int = 0
    bytes: int = 0
    there: int = 0


class Copier:
    """Fills a store from another one. With `is_careful`, what is there already is read and checked, and replaced if it is damaged."""

    def __init__(self, source: LocalStore, target: LocalStore, progress: Progress, *, is_careful: bool = False) -> None:
        self.copied = Copied()
        self._source, self._target = source, target
        self._from, self._to = XorbFolder(source.root), XorbFolder(target.root)
        self._progress, self._is_careful = progress, is_careful

    def run(self, needs: Needs) -> list[Lack]:
        """Copy what is needed and not there; what cannot be had. Raises StorageError."""
        self.copied.there = 0
        lacks: list[Lack] = []
        batch: list[Sealed] = []
        try:
            for name, size in sorted(needs.objects.items()):
                self._take(lacks, needs, batch, name, size)
                if len(batch) >= _BATCH_FILES or sum(one.size for one in batch) >= _BATCH_BYTES:
                    self._publish(batch)
            self._publish(batch)
        finally:
            for one in batch:
                self._target.discard(one)
        for name, size in sorted(needs.xorbs.items()):
            try:
                self._copy_xorb(name, size)
            except (IntegrityError, UsageError) as error:
                lacks.append(Lack("xorb", name, error.message))
        return lacks

    def _publish(self, batch: list[Sealed]) -> None:
        self._target.publish(batch)
        batch.clear()

    def _take(self, lacks: list[Lack], needs: Needs, batch: list[Sealed], name: str, size: int) -> None:
        try:
            if self._has_object(name, size):
                self.copied.there += 1
                return
            with self._source.open(name) as file, self._target.receive() as incoming:
                for block in self._blocks(file):
                    incoming.write(block)
                batch.append(incoming.seal(sha256=name, source=self._source.root))
        except NotFoundError:
            if name not in needs.chunked:
                lacks.append(Lack("large object", name, "it is not in the store"))
        except IntegrityError as error:
            lacks.append(Lack("large object", name, error.message))
        else:
            self.copied.files += 1
            self.copied.bytes += batch[-1].size

    def _has_object(self, name: str, size: int) -> bool:
        """Whether the target has it, whole; what is there and is not whole is removed."""
        if not self._target.has(name):
            return False
        if self._target.size(name) == size and not self._is_careful:
            return True
        try:
            with self._target.open(name) as file, self._target.receive() as incoming:
                for block in self._blocks(file):
                    incoming.write(block)
                self._target.discard(incoming.seal(sha256=name))
        except IntegrityError:
            self._target.delete(name)
            return False
        return True

    def _copy_xorb(self, name: str, size: int) -> None:
        file = self._to.file(name)
        if os.path.exists(file) and os.stat(file).st_size == size and not self._is_careful:
            self.copied.there += 1
            return
        if os.path.exists(file) and self._is_whole_xorb(name, size):
            self.copied.there += 1
            return
        with self._from.open(name) as opened, self._to.receive() as incoming:
            for block in self._blocks(opened):
                incoming.write(block)
            table = incoming.seal(name)
            if table.stored[-1] != size:
                raise IntegrityError(f"the xorb {name} has {table.stored[-1]} bytes, its row says {size}")
            self._to.publish(name, incoming)
        self.copied.files += 1
        self.copied.bytes += size

    def _is_whole_xorb(self, name: str, size: int) -> bool:
        try:
            with self._to.open(name) as opened, self._to.receive() as incoming:
                for block in self._blocks(opened):
                    incoming.write(block)
                return incoming.seal(name).stored[-1] == size
        except (IntegrityError, UsageError):
            return False

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        while block := file.read(BLOCK_BYTES):
            self._progress(len(block))
            yield block
