"""Large objects that came whole are cut into chunks afterwards, so that their next version costs what is new in it (decision 19)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import select

from tenuto.core.errors import IntegrityError, StorageError, TenutoError, UnavailableError
from tenuto.server.chore import Chore
from tenuto.server.holdings import uncut
from tenuto.server.holdings.chunks import (
    NewFile,
    Scope,
    add_files,
    asked_chunks,
    file_hashes,
    find_stored,
    generation,
    hold_xorb,
    write_for_repo,
    xorb_table,
)
from tenuto.server.holdings.uncut import Uncut
from tenuto.server.hub import Parts
from tenuto.server.schema import xorbs
from tenuto.server.xet.digests import sha256s
from tenuto.store.disk import disk_errors
from tenuto.store.xet.hashes import MerkleTree, file_hash_of_root, to_text
from tenuto.store.xet.table import FileTable, Slice, Term, XorbTable

LOOK_S = 1.0
"""How often it is looked whether there is something to cut."""
AGAIN_S = 60.0
LONGEST_S = 6 * 3600.0
"""How long an object waits whose disk does not answer: at first the one, twice as long each time, at last the other."""
YIELD_S = 0.1
"""For so long whoever is being answered has the hub for himself, after each MiB; cutting one takes about 5 ms."""
_STEP_BYTES = 16 << 20


class _OvertakenError(Exception):
    """Something else comes first; what is done so far is kept."""


class _Wait(NamedTuple):
    """Until when an object waits, in milliseconds since 1970 UTC, and how many seconds that is."""

    until_ms: int
    wait_s: float


class Cutter(Chore):
    """Cuts one object after the other, the newest first; `is_busy` says whether somebody waits for an answer.

    An object that cannot be read now is tried again later, and holds up no other; a damaged one is left as it is, for a check to tell of.
    Safe to kill: each xorb is a row as soon as it is cut, and a repo holds the file in the one transaction that also takes it off the list.
    """

    name = "cutting"
    every_s, again_s = LOOK_S, AGAIN_S

    def __init__(self, parts: Parts, is_busy: Callable[[], bool] = lambda: False) -> None:
        super().__init__(parts)
        self._is_busy = is_busy
        self._waiting: dict[tuple[int, str], _Wait] = {}

    def run(self) -> int:
        """Cut all that is listed, but what waits for its disk; how many objects that were. Raises UnavailableError, StorageError."""
        count = 0
        while one := self._next():
            try:
                count += self._settle(one, self._cut(one))
            except _OvertakenError:
                continue
            except StorageError as error:
                if error.code == "DiskFull":  # that is no fault of this one
                    raise
                self._tell(one, error)
                self._postpone(one)
            except UnavailableError:
                raise
            except TenutoError as error:  # it is damaged, and stays whole: a check tells of it
                self._tell(one, error)
                count += self._settle(one, None)
        return count

    def _next(self) -> Uncut | None:
        now_ms = self.parts.now_ms()
        waiting = [key for key, wait in self._waiting.items() if wait.until_ms > now_ms]
        with self.parts.database.read() as connection:
            return uncut.newest(connection, waiting)

    def _tell(self, one: Uncut, error: TenutoError) -> None:
        self.parts.log.write("cutting", self.parts.now_ms(), message=error.message, sha256=one.sha256)

    def _postpone(self, one: Uncut) -> None:
        before = self._waiting.get((one.repo_key, one.sha256))
        wait_s = min(2 * before.wait_s, LONGEST_S) if before else AGAIN_S
        self._waiting[one.repo_key, one.sha256] = _Wait(self.parts.now_ms() + int(wait_s * 1000), wait_s)

    def _cut(self, one: Uncut) -> NewFile | None:
        """The file that the chunks of an object make; None if the repo holds it as chunks already.

        Raises IntegrityError (CorruptObject, HashMismatch), NotFoundError (ObjectNotFound), StorageError.
        """
        parts = self.parts
        with parts.database.read() as connection:
            known = file_hashes(connection, one.repo_key, [one.sha256]).values()
            if parts.xorbs.usable(connection, one.repo_key, known):
                return None
        size = parts.store.size(one.sha256)
        if size != one.size:
            detail = f"the stored object {one.sha256} has {size} bytes, expected {one.size}"
            raise IntegrityError(detail, code="CorruptObject")
        tree, hints, terms = MerkleTree(), dict[str, int](), list[tuple[Term, int]]()
        for name, xorb in self._xorbs_of(one):
            tree.add(xorb.hashes, xorb.lengths)
            for chunk in asked_chunks(xorb.hashes, is_first=not terms):
                hints.setdefault(chunk, len(terms))
            terms.append((Term(name, 0, xorb.chunks), xorb.raw[-1]))
        table = FileTable.of(terms)
        self._check(one, table)
        return NewFile(to_text(file_hash_of_root(tree.root())), one.sha256, table, hints)

    def _xorbs_of(self, one: Uncut) -> Iterator[tuple[str, XorbTable]]:
        """Name and table of each xorb that is a part of an object, in order. What is newer goes first after each of them."""
        from tenuto.store.xet.cutting import Finder, cut_xorb  # only who has something to cut waits for numpy

        finder, at = Finder(), 0
        with disk_errors(one.sha256), self.parts.store.open(one.sha256) as file:
            while at < one.size:
                source = Slice(one.sha256, one.size, at)
                found = self._known(source)
                if found is None:
                    found = cut_xorb(file, source, finder, self._pause)
                    self.parts.xorbs.add_slice(*found)
                    if self._next() != one:
                        raise _OvertakenError
                yield found
                at += found[1].raw[-1]

    def _known(self, source: Slice) -> tuple[str, XorbTable] | None:
        """The xorb that is this slice, if somebody who was stopped, or another repo, had it cut."""
        is_same = (xorbs.c.source_sha256 == source.sha256) & (xorbs.c.source_size == source.size)
        here = is_same & (xorbs.c.source_start == source.start)
        with self.parts.database.read() as connection:
            name = connection.execute(select(xorbs.c.hash).where(here).limit(1)).scalar()
            table = None if name is None else xorb_table(connection, name)
        return None if name is None or table is None else (name, table)

    def _check(self, one: Uncut, table: FileTable) -> None:
        """Read through its chunks, the object has its sha256."""
        try:
            for found in sha256s(self.parts.xorbs, [table], _STEP_BYTES, checked=True):
                self._pause()
                if found and found != one.sha256:
                    raise IntegrityError(f"the stored object {one.sha256} has the sha256 {found}")
        except IntegrityError as error:
            with self.parts.database.read() as connection:
                names = set(table.xorbs)
                if find_stored(connection, names).keys() != names:  # a collection took what no repo holds yet
                    raise _OvertakenError from error
            raise

    def _settle(self, one: Uncut, file: NewFile | None) -> bool:
        """The repo holds the file and the object is off the list, or a collection took a xorb away meanwhile, and it is cut again."""
        parts = self.parts
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
        self._waiting.pop((one.repo_key, one.sha256), None)
        return is_listed

    def _pause(self) -> None:
        self.pause(YIELD_S if self._is_busy() else 0)
