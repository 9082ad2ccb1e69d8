"""Checks what repos hold in the store: every large object -> its file, or its chunks -> their xorbs; by size, or by every byte."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, cast

from sqlalchemy import Connection, Select, select

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, TenutoError, UsageError
from tenuto.server.holdings.chunks import find_file, needed_sources
from tenuto.server.hub import Parts
from tenuto.server.schema import lfs_objects, repo_xorbs, xet_files, xorbs
from tenuto.server.upkeep.report import Counts, Damage, Depth, Fault
from tenuto.store.disk import BLOCK_BYTES
from tenuto.store.xet.hashes import MerkleTree, file_hash_of_root, merkle_root, to_text
from tenuto.store.xet.table import FileTable, XorbTable
from tenuto.store.xet.xorb import XorbReader

Progress = Callable[[int], None]
THREADS = 4


class _File(NamedTuple):
    """A file that one repo holds as chunks."""

    repo: int
    hash: str
    sha256: str
    size: int


class StoreCheck:
    """Looks through the store of one hub; adds to `damage` what it finds."""

    def __init__(self, parts: Parts, depth: Depth, counts: Counts, progress: Progress, damage: list[Damage]) -> None:
        self.damage = damage
        self._parts, self._depth, self._counts, self._progress = parts, depth, counts, progress
        self._holders: dict[str, list[tuple[int, int]]] = {}
        """Repo and claimed size for each large object."""
        self._chunked: dict[str, dict[int, int]] = {}
        """The repos that hold a large object as chunks, with the size that its terms have there."""
        self._rights: set[tuple[int, str]] = set()
        self._broken: dict[str, str] = {}
        """Xorbs that cannot be used, with the reason."""
        self._lost: set[str] = set()
        """Those of the slices whose object cannot be used."""
        self._victims: dict[str, set[tuple[int, str]]] = {}
        self._slices: dict[str, set[str]] = {}
        """The xorbs that have no file of their own, by the object that they are a part of."""
        self._source_sizes: dict[str, int] = {}
        self._files: list[_File] = []
        self._whole: list[str] = []
        self._sound: list[str] = []

    def run(self) -> None:
        """Look at the rows and the sizes of files, then at the bytes of those that the depth takes."""
        with self._parts.database.read() as connection:
            for repo, sha256, size in connection.execute(
                select(lfs_objects.c.repo_id, lfs_objects.c.sha256, lfs_objects.c.size)
            ):
                self._holders.setdefault(sha256, []).append((repo, size))
            self._rights = {
                (repo, name) for repo, name in connection.execute(select(repo_xorbs.c.repo_id, repo_xorbs.c.hash))
            }
            self._check_xorb_rows(connection)
            self._check_file_rows(connection)
        self._check_objects()
        self._check_sources()
        self._read_all()
        for name, reason in self._broken.items():
            fault: Fault = "missing" if reason.startswith("it is not in") else "damaged"
            self.damage.append(Damage(fault, "xorb", name, reason, self._users_of_xorb(name)))

    def _users_of_xorb(self, name: str) -> tuple[tuple[int, str], ...]:
        used = self._victims.get(name, set())
        return tuple(sorted(used | {(repo, "") for repo, held in self._rights if held == name and not used}))

    def _check_xorb_rows(self, connection: Connection) -> None:
        held = {name for _, name in self._rights}
        columns = (xorbs.c.hash, xorbs.c.stored_bytes, xorbs.c.raw_bytes, xorbs.c.chunks)
        source = (xorbs.c.source_sha256, xorbs.c.source_size)
        query = select(*columns, *source).order_by(xorbs.c.hash)
        for name, stored, raw, packed, sha256, size in connection.execute(query):
            if name not in held:
                continue  # left over from a deleted repo
            held.discard(name)
            self._counts.xorbs += 1
            reason = self._xorb_fault(name, stored, raw, packed, is_slice=sha256 is not None)
            if reason:
                self._broken[name] = reason
            elif sha256 is not None:
                self._slices.setdefault(sha256, set()).add(name)
                self._source_sizes[sha256] = size
            elif self._depth.takes(name):
                self._sound.append(name)
        for name in held:
            self._broken[name] = "it is not in the database: the row with its chunks is gone"

    def _xorb_fault(self, name: str, stored: int, raw: int, packed: bytes, *, is_slice: bool) -> str:
        """What is wrong with the row of a xorb or the size of its file, if it has one; empty if nothing is."""
        try:
            table = XorbTable.unpack(packed)
        except IntegrityError as error:
            return error.message
        if to_text(merkle_root(table.hashes, table.lengths)) != name:
            return "the row with its chunks makes another hash"
        if (table.stored[-1], table.raw[-1]) != (stored, raw):
            return "its row says other sizes than the table of its chunks"
        if is_slice:
            return ""
        try:
            size = os.stat(self._parts.xorbs.folder.file(name)).st_size
        except FileNotFoundError:
            return "it is not in the store"
        return "" if size == stored else f"its file has {size} bytes, its row says {stored}"

    def _check_file_rows(self, connection: Connection) -> None:
        columns = (xet_files.c.repo_id, xet_files.c.hash, xet_files.c.sha256, xet_files.c.size, xet_files.c.terms)
        for repo, name, sha256, size, packed in connection.execute(select(*columns)):
            file = _File(repo, name, sha256, size)
            self._counts.chunked_files += 1
            self._chunked.setdefault(sha256, {})[repo] = size
            reason = self._file_fault(file, packed)
            if reason:
                self.damage.append(Damage("damaged", "chunked file", name, reason, ((repo, sha256),)))

    def _file_fault(self, file: _File, packed: bytes) -> str:
        try:
            table = FileTable.unpack(packed)
        except IntegrityError as error:
            return error.message
        if table.size != file.size:
            return f"its row says {file.size} bytes, its terms make {table.size}"
        lacking = next((name for name in table.xorbs if (file.repo, name) not in self._rights), None)
        if lacking:
            return f"it needs the xorb {lacking}, which its repo does not hold"
        for name in table.xorbs:
            self._victims.setdefault(name, set()).add((file.repo, file.sha256))
        if any(name in self._broken for name in table.xorbs):
            return ""  # that is said of the xorb
        found = self._hash_of(table)
        if found != file.hash:
            return f"its terms make the file {found}" if found else "a term does not fit the xorb that it names"
        if self._depth.takes(file.sha256):
            self._files.append(file)
        return ""

    def _hash_of(self, table: FileTable) -> str:
        """The hash of the file that these terms make, empty if a term does not fit its xorb."""
        tree = MerkleTree()
        for index in range(table.terms):
            term = table.term(index)
            xorb = self._parts.xorbs.table(term.xorb)
            if not term.start < term.end <= xorb.chunks:
                return ""
            if xorb.raw[term.end] - xorb.raw[term.start] != table.ends[index] - table.start(index):
                return ""
            tree.add(xorb.hashes_of(term.start, term.end), xorb.lengths_of(term.start, term.end))
        return to_text(file_hash_of_root(tree.root()))

    def _check_objects(self) -> None:
        """Every large object lies in the store as a whole, or its repo has it as chunks."""
        for sha256, holders in self._holders.items():
            self._counts.large_objects += 1
            try:
                size: int | None = self._parts.store.size(sha256)
            except NotFoundError:
                size = None
            if size is not None and self._depth.takes(sha256):
                self._whole.append(sha256)
            if size is None and sha256 not in self._slices:
                chunked = self._chunked.get(sha256, {})
                without = [repo for repo, _ in holders if repo not in chunked]
                if without:
                    self._tell_object("missing", sha256, "it is not in the store", without)
                size = next(iter(chunked.values()), None)
            wrong = [(repo, claimed) for repo, claimed in holders if size is not None and claimed != size]
            if wrong:
                detail = f"its row says {wrong[0][1]} bytes, it has {size}"
                self._tell_object("wrong row", sha256, detail, [repo for repo, _ in wrong])

    def _check_sources(self) -> None:
        """Every object that xorbs are parts of lies in the store as a whole, whoever holds it."""
        for sha256, expected in self._source_sizes.items():
            try:
                size = self._parts.store.size(sha256)
            except NotFoundError:
                self._tell_source("missing", sha256, "it is not in the store")
                continue
            if size != expected:
                self._tell_source("damaged", sha256, f"it has {size} bytes, expected {expected}")
            elif sha256 not in self._holders and self._depth.takes(sha256):
                self._whole.append(sha256)

    def _tell_source(self, fault: Fault, sha256: str, detail: str) -> None:
        """The files that need a slice of it need not be looked at any more."""
        users = {(repo, sha256) for repo, _ in self._holders.get(sha256, ())}
        for name in self._slices.get(sha256, ()):
            users |= self._victims.get(name, set())
            self._lost.add(name)
        self.damage.append(Damage(fault, "large object", sha256, detail, tuple(sorted(users))))

    def _tell_object(self, fault: Fault, sha256: str, detail: str, holders: Iterable[int]) -> None:
        users = tuple((repo, sha256) for repo in holders)
        self.damage.append(Damage(fault, "large object", sha256, detail, users))

    def _read_all(self) -> None:
        with ThreadPoolExecutor(THREADS, "check") as pool:
            for name, reason in zip(self._sound, pool.map(self._read_xorb, self._sound), strict=True):
                if reason and self._is_held(select(repo_xorbs.c.hash).where(repo_xorbs.c.hash == name)):
                    self._broken[name] = reason
            for sha256, reason in zip(self._whole, pool.map(self._read_object, self._whole), strict=True):
                if reason and self._is_object_held(sha256):
                    self._tell_source("damaged", sha256, reason)
            files = list(self._usable_files())
            for file, reason in zip(files, pool.map(self._read_file, files), strict=True):
                held = select(xet_files.c.hash).where(xet_files.c.repo_id == file.repo, xet_files.c.hash == file.hash)
                if reason and self._is_held(held):
                    user = ((file.repo, file.sha256),)
                    self.damage.append(Damage("damaged", "chunked file", file.hash, reason, user))

    def _is_held(self, query: Select[tuple[str]]) -> bool:
        """Whether a repo still holds what was found damaged: it may have been deleted while it was read."""
        with self._parts.database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _is_object_held(self, sha256: str) -> bool:
        with self._parts.database.read() as connection:
            if needed_sources(connection, [sha256]):
                return True
        return self._is_held(select(lfs_objects.c.sha256).where(lfs_objects.c.sha256 == sha256))

    def _usable_files(self) -> Iterator[_File]:
        """The files whose xorbs are all whole; each content once."""
        spoilt = {user for name in {*self._broken, *self._lost} for user in self._victims.get(name, ())}
        seen: set[tuple[str, str]] = set()
        for file in self._files:
            if (file.repo, file.sha256) not in spoilt and (file.hash, file.sha256) not in seen:
                seen.add((file.hash, file.sha256))
                yield file

    def _read_xorb(self, name: str) -> str:
        """What is wrong with the stored bytes of a xorb; empty if nothing is."""
        reader = XorbReader()
        try:
            with self._parts.xorbs.folder.open(name) as file:
                for block in self._blocks(file):
                    reader.feed(block)
            return "" if reader.finish(name) == self._parts.xorbs.table(name) else "its chunks lie elsewhere than told"
        except (UsageError, IntegrityError, StorageError) as error:
            return error.message

    def _read_object(self, sha256: str) -> str:
        try:
            with self._parts.store.open(sha256) as file:
                found = self._sha256(file)
        except TenutoError as error:
            return error.message
        return "" if found == sha256 else f"its bytes have the sha256 {found}"

    def _read_file(self, file: _File) -> str:
        with self._parts.database.read() as connection:
            table = find_file(connection, file.repo, file.hash)
        if table is None:
            return "its row is gone"
        try:
            with self._parts.xorbs.file(table, checked=False) as opened:
                found = self._sha256(cast("BinaryIO", opened))
        except TenutoError as error:
            return error.message
        return "" if found == file.sha256 else f"its bytes have the sha256 {found}, its row says {file.sha256}"

    def _sha256(self, file: BinaryIO) -> str:
        hasher = hashlib.sha256()
        for block in self._blocks(file):
            hasher.update(block)
        return hasher.hexdigest()

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        while block := file.read(BLOCK_BYTES):
            self._progress(len(block))
            yield block
