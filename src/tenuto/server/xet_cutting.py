"""Large objects that came whole are cut into chunks afterwards, so that their next version costs what is new in it (decision 19)."""

import threading
from collections.abc import Callable

from sqlalchemy import select

from tenuto.core.errors import IntegrityError, StorageError, TenutoError, UnavailableError
from tenuto.server import uncut
from tenuto.server.hub import Parts
from tenuto.server.schema import xorbs
from tenuto.server.uncut import Uncut
from tenuto.server.xet_digests import sha256s
from tenuto.server.xet_rows import (
    NewFile,
    Scope,
    add_files,
    asked_chunks,
    file_hashes,
    generation,
    hold_xorb,
    write_for_repo,
)
from tenuto.store.xet.hashes import MerkleTree, file_hash_of_root, to_text
from tenuto.store.xet.table import FileTable, Slice, Term

LOOK_S = 1.0
"""How often it is looked whether there is something to cut."""
AGAIN_S = 60.0
YIELD_S = 0.1
"""For so long whoever is being answered has the hub for himself, after each MiB; cutting one takes about 5 ms."""
_STEP_BYTES = 16 << 20


class _StoppedError(Exception):
    """The hub stops; what is done so far is kept."""


class Cutter:
    """Cuts one object after the other, the newest first, in a thread of its own; `is_busy` says whether somebody waits for an answer.

    Safe to kill: each xorb is a row as soon as it is cut, and a repo holds the file in the one transaction that also takes it off the list.
    """

    def __init__(self, parts: Parts, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._parts, self._is_busy = parts, is_busy
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work beside the requests."""
        self._thread = threading.Thread(target=self._work, name="cutter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing is being cut any more; safe to call twice."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _work(self) -> None:
        wait_s = LOOK_S
        while not self._stopping.wait(wait_s):
            wait_s = LOOK_S
            try:
                self.run()
            except _StoppedError:
                return
            except TenutoError as error:  # the database is busy, the disk is full
                self._parts.log.write("cutting", self._parts.now_ms(), message=error.message)
                wait_s = AGAIN_S

    def run(self) -> int:
        """Cut all that is listed; how many objects that were. Raises UnavailableError, StorageError."""
        count = 0
        while one := self._next():
            try:
                file = self._cut(one)
            except (UnavailableError, StorageError):
                raise
            except TenutoError as error:  # it is damaged, and stays whole: a check tells of it
                self._parts.log.write("cutting", self._parts.now_ms(), message=error.message, sha256=one.sha256)
                file = None
            count += self._settle(one, file)
        return count

    def _next(self) -> Uncut | None:
        with self._parts.database.read() as connection:
            return uncut.newest(connection)

    def _cut(self, one: Uncut) -> NewFile | None:
        """The file that the chunks of an object make; None if the repo holds it as chunks already.

        Raises IntegrityError (CorruptObject, HashMismatch), NotFoundError (ObjectNotFound), StorageError.
        """
        parts = self._parts
        with parts.database.read() as connection:
            known = file_hashes(connection, one.repo_key, [one.sha256]).values()
            if parts.xorbs.usable(connection, one.repo_key, known):
                return None
        table = FileTable.of(self._terms(one))
        for found in sha256s(parts.xorbs, [table], _STEP_BYTES, checked=True):
            self._pause()
            if found and found != one.sha256:
                raise IntegrityError(f"the stored object {one.sha256} has the sha256 {found}")
        return _file(parts, one.sha256, table)

    def _terms(self, one: Uncut) -> list[tuple[Term, int]]:
        from tenuto.store.xet.cutting import Finder, cut_xorb  # only who has something to cut waits for numpy

        xorbs, terms, finder, at = self._parts.xorbs, [], Finder(), 0
        with self._parts.store.open(one.sha256) as file:
            while at < one.size:
                source = Slice(one.sha256, one.size, at)
                name = self._known(source)
                if name is None:
                    name, cut = cut_xorb(file, source, finder, self._pause)
                    xorbs.add_slice(name, cut)
                table = xorbs.table(name)
                terms.append((Term(name, 0, table.chunks), table.raw[-1]))
                at += table.raw[-1]
        return terms

    def _known(self, source: Slice) -> str | None:
        """The xorb that is this slice, if somebody who was stopped, or another repo, had it cut."""
        here = (xorbs.c.source_sha256 == source.sha256) & (xorbs.c.source_start == source.start)
        with self._parts.database.read() as connection:
            return connection.execute(select(xorbs.c.hash).where(here).limit(1)).scalar()

    def _settle(self, one: Uncut, file: NewFile | None) -> bool:
        """The repo holds the file and the object is off the list, or a collection took a xorb away meanwhile, and it is cut again."""
        parts = self._parts
        with write_for_repo(parts.database) as connection:
            if file and parts.xorbs.lacking(connection, file.table.xorbs):
                return False
            is_listed = uncut.remove(connection, one.repo_key, one.sha256)
            if file and is_listed:  # else the repo dropped it meanwhile
                now_ms = parts.now_ms()
                for name in file.table.xorbs:
                    hold_xorb(parts.database, connection, one.repo_key, name, now_ms)
                scope = Scope(one.repo_key, generation(connection, one.repo_key))
                add_files(parts.database, connection, scope, [file], now_ms)
        return is_listed

    def _pause(self) -> None:
        if self._stopping.wait(YIELD_S if self._is_busy() else 0):
            raise _StoppedError


def _file(parts: Parts, sha256: str, table: FileTable) -> NewFile:
    tree, hints = MerkleTree(), dict[str, int]()
    for index in range(table.terms):
        xorb = parts.xorbs.table(table.term(index).xorb)
        tree.add(xorb.hashes, xorb.lengths)
        for chunk in asked_chunks(xorb.hashes, is_first=index == 0):
            hints.setdefault(chunk, index)
    return NewFile(to_text(file_hash_of_root(tree.root())), sha256, table, hints)
