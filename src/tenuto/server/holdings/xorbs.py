"""The xorbs of a hub: bytes in a folder, tables in rows, the tables read last in memory."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress

from sqlalchemy import Connection

from tenuto.core.errors import IntegrityError
from tenuto.server.db import Database
from tenuto.server.git.unneeded import spare
from tenuto.server.holdings.chunks import (
    Scope,
    Stored,
    check_generation,
    drop_unheld_xorbs,
    find_file_by_sha256,
    find_stored,
    held_files,
    held_slices,
    hold_xorb,
    keep_xorb_table,
    write_for_repo,
    xorb_table,
    xorb_tables,
)
from tenuto.server.quota import guard
from tenuto.store.xet.assemble import ChunkedFile, StoredXorb
from tenuto.store.xet.folder import IncomingXorb, XorbFolder
from tenuto.store.xet.hashes import from_text
from tenuto.store.xet.seals import Seals
from tenuto.store.xet.shard import ToldXorb, tell_xorb
from tenuto.store.xet.table import FileTable, Slice, XorbTable

_CACHED_CHUNKS = 400_000  # 40 bytes each
_BLOCK_BYTES = 1 << 20
_CACHED_TOLD = 256  # about 50 kB each


class Xorbs:
    """Safe for use from many threads. Never asks the database while the caller's own connection would be needed for it."""

    def __init__(self, database: Database, folder: XorbFolder) -> None:
        self.folder = folder
        self._database = database
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, XorbTable] = OrderedDict()
        self._cached_chunks = 0
        self._replaced = 0
        self._seals = Seals()
        self._told: OrderedDict[tuple[str, bytes], ToldXorb] = OrderedDict()

    def table(self, name: str) -> XorbTable:
        """The chunks of a xorb that is known to be stored; raises IntegrityError (CorruptObject) if it is not."""
        with self._lock:
            table = self._tables.get(name)
            if table is not None:
                self._tables.move_to_end(name)
                return table
            replaced = self._replaced
        with self._database.read() as connection:
            table = xorb_table(connection, name)
        if table is None:
            raise IntegrityError(f"the hub lacks the table of the xorb {name}", code="CorruptObject")
        self._keep(name, table, replaced)
        return table

    def _keep(self, name: str, table: XorbTable, replaced: int) -> None:
        with self._lock:
            if replaced != self._replaced:
                return  # it may be that of the bytes that were here before
            self._forget(name)
            self._tables[name] = table
            self._cached_chunks += table.chunks
            while self._cached_chunks > _CACHED_CHUNKS:
                self._forget(next(iter(self._tables)))

    def _forget(self, name: str) -> None:
        table = self._tables.pop(name, None)
        if table is not None:
            self._cached_chunks -= table.chunks

    def publish(self, scope: Scope, name: str, table: XorbTable, sealed: IncomingXorb, now_ms: int) -> bool:
        """A sealed xorb is stored and its repo holds it; whether it did not before.

        Where all bytes are here already, they stay: offsets in them have been told.

        Raises StorageError (QuotaExceeded and others), NotFoundError (RepoNotFound), ConflictError if the repo dropped data meanwhile.
        """
        # The bytes appear inside the transaction: nobody can find them unheld, and drop them, before the row is there.
        with write_for_repo(self._database) as connection:
            check_generation(connection, scope)
            spare(connection, scope.repo_key, [name])
            is_lacking = bool(self.lacking(connection, [name]))
            with guard(connection, scope.repo_key, now_ms):
                if is_lacking:
                    keep_xorb_table(connection, name, table)
                is_new = hold_xorb(self._database, connection, scope.repo_key, name, now_ms)
            if is_lacking:
                self.folder.publish(name, sealed)
        if is_lacking:
            self._forget_replaced(name)
        return is_new

    def add_slice(self, name: str, table: XorbTable) -> None:
        """A xorb that is a part of a stored object is known from now on; no repo holds it yet. One that is stored already stays as it is."""
        with self._database.write() as connection:
            if not self.lacking(connection, [name]):
                return
            keep_xorb_table(connection, name, table)
        self._forget_replaced(name)

    def detach(self, sha256s: Iterable[str]) -> int:
        """Where repos need some slices of these objects, these have files of their own now, and the object may go; the bytes that takes.

        Objects that are needed as a whole, or are damaged, stay as they are. Raises StorageError.
        """
        with self._database.read() as connection:
            names = held_slices(connection, sha256s)
        taken = 0
        for name in names:
            with suppress(IntegrityError):
                taken += self._detach(name)
        return taken

    def _detach(self, name: str) -> int:
        with self.stored(name) as stored, self.folder.receive() as incoming:
            while views := stored.take(_BLOCK_BYTES):
                for view in views:
                    incoming.write(view)
            table = incoming.seal(name)
            with self._database.write() as connection:
                self.folder.publish(name, incoming)
                keep_xorb_table(connection, name, table)
        self._forget_replaced(name)
        return table.stored[-1]

    def _forget_replaced(self, name: str) -> None:
        with self._lock:
            self._replaced += 1
            self._forget(name)
            self._told = OrderedDict((key, told) for key, told in self._told.items() if key[0] != name)

    def lacking(self, connection: Connection, names: Iterable[str]) -> set[str]:
        """Which of these xorbs are to be sent again: no row tells of them, or their file has not as many bytes. None is read."""
        asked = set(names)
        known = find_stored(connection, asked)
        here = {source: self.folder.has_source(source) for source in {one.source for one in known.values()} if source}
        return {name for name in asked if name not in known or not self._is_here(name, known[name], here)}

    def _is_here(self, name: str, stored: Stored, here: Mapping[Slice, bool]) -> bool:
        return here[stored.source] if stored.source else self.folder.size(name) == stored.bytes

    def usable(self, connection: Connection, repo_key: int, names: Iterable[str]) -> dict[str, str]:
        """The sha256 of those of these files that a repo holds and no xorb of which is lacking, by the hash of their chunks."""
        found: dict[str, str] = {}
        seen: set[str] = set()
        lacking: set[str] = set()
        for file in held_files(connection, repo_key, names):
            new = set(file.xorbs) - seen
            if new:
                seen |= new
                lacking |= self.lacking(connection, new)
            if lacking.isdisjoint(file.xorbs):
                found[file.hash] = file.sha256
        return found

    def told(self, name: str, key: bytes) -> ToldXorb:
        """What clients are told of a xorb that is known to be stored; the chunks are named under `key`."""
        with self._lock:
            found = self._told.get((name, key))
        if found is None:
            found = tell_xorb(from_text(name), self.table(name), key)
            with self._lock:
                self._told[name, key] = found
                while len(self._told) > _CACHED_TOLD:
                    self._told.popitem(last=False)
        return found

    def file(self, table: FileTable, *, checked: bool = True) -> ChunkedFile:
        """The bytes of a file."""
        return ChunkedFile(table, self.table, self.folder, checked=checked)

    def stored(self, name: str) -> StoredXorb:
        """The bytes of a xorb as they are stored."""
        return StoredXorb(name, self.table(name), self.folder, self._seals)

    def open(self, repo_key: int, sha256: str) -> ChunkedFile:
        """The bytes of a file that a repo holds as chunks; raises IntegrityError (CorruptObject) if it holds none of them."""
        with self._database.read() as connection:
            table = find_file_by_sha256(connection, repo_key, sha256)
        if table is None:
            raise IntegrityError(f"the hub lacks the large object {sha256}", code="CorruptObject")
        return self.file(table)

    def read_ends(self, connection: Connection, files: Iterable[FileTable]) -> None:
        """The tables of the xorbs in which these files begin and end are in memory, so that nobody asks for each of them."""
        with self._lock:
            replaced, known = self._replaced, set(self._tables)
        ends = {one.xorbs[one.which[at]] for one in files if one.terms for at in (0, -1)}
        for name, table in xorb_tables(connection, ends - known):
            self._keep(name, table, replaced)

    def free(self, names: Iterable[str]) -> int:
        """Remove the bytes of those of these xorbs that no repo holds; how many bytes that were."""
        with self._database.write() as connection:
            gone = drop_unheld_xorbs(connection, names)
            freed = sum(self.folder.delete(name) for name in gone)
        with self._lock:
            for name in gone:
                self._forget(name)
        return freed
