"""Which objects of the store this project has read, and how each looked then: docs/decisions/0018-what-is-read-before-it-is-laid-out.md.

It lies in `.tenuto/objects.db`, and is no more than a memory: without it, or where it is damaged, objects are read again.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, links INTEGER NOT NULL, read_at_s INTEGER NOT NULL
) WITHOUT ROWID
"""
BELIEVED_S = 30 * 86_400
"""What was read longer ago is read again: a disk that rots changes no time stamp."""
RACY_NS = 50_000_000
"""A file that changed so shortly before it was looked at may change again under the same time."""
_PAGE = 500
_LOOKED_UP = 4 * _PAGE
_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

T = TypeVar("T")


class Known(NamedTuple):
    """An object as it looked when it was last found sound: size in bytes, times, inode, number of names, and when it was read."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    links: int
    read_at_s: int

    def is_same(self, status: os.stat_result) -> bool:
        """Whether it is the same file, with no write since that kept its time."""
        return self.size == status.st_size and self.mtime_ns == status.st_mtime_ns and self.inode == status.st_ino

    def is_untouched(self, status: os.stat_result) -> bool:
        """The same, and nothing else happened to it but that it got or lost a name."""
        return self.is_same(status) and (self.ctime_ns == status.st_ctime_ns or self.links != status.st_nlink)


_AS_KNOWN: Callable[[Iterable[object]], Known] = partial(tuple.__new__, Known)
"""Makes one without a call in Python, of which there would be one for each object."""


class ObjectIndex:
    """The index of one project, for one verb. Nothing here fails: what cannot be read or kept is not known."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._known: dict[str, Known] = {}
        self._changed: dict[str, Known] = {}

    def load(self, names: Collection[str]) -> None:
        """Bring to mind what is known of these objects."""
        wanted = [name for name in names if name not in self._known]
        if wanted and os.path.exists(self._path):
            found = self._run(lambda database: list(_select(database, wanted))) or []
            self._known |= {known.sha256: known for known in found}

    def believes(self, name: str, status: os.stat_result) -> bool:
        """Whether an object that looks like this is still what it was when it was read."""
        known = self._known.get(name)
        age_s = self._clock() - known.read_at_s if known else BELIEVED_S
        return known is not None and 0 <= age_s < BELIEVED_S and known.is_untouched(status)

    def found_sound(self, name: str, status: os.stat_result, looked_at_s: float) -> None:
        """An object was read and has its name; it looked like this before that."""
        self._keep(name, status, looked_at_s, int(looked_at_s))

    def laid_out(self, objects: Iterable[tuple[str, os.stat_result]]) -> None:
        """Sound objects were laid out, by which they may have got a name, and look like this now."""
        now_s = self._clock()
        for name, status in objects:
            known = self._known.get(name)
            if known is None or known.is_same(status):
                self._keep(name, status, now_s, known.read_at_s if known else int(now_s))

    def _keep(self, name: str, status: os.stat_result, looked_at_s: float, read_at_s: int) -> None:
        mtime_ns = status.st_mtime_ns
        if mtime_ns < looked_at_s * 1e9 - RACY_NS:
            look = (name, status.st_size, mtime_ns, status.st_ino, status.st_ctime_ns, status.st_nlink, read_at_s)
            self._changed[name] = self._known[name] = _AS_KNOWN(look)

    def save(self) -> None:
        """Keep what was learned for the next verb."""
        changed, self._changed = self._changed, {}
        if changed:
            self._run(lambda database: self._write(database, [changed[name] for name in sorted(changed)]))

    def _write(self, database: sqlite3.Connection, rows: list[Known]) -> None:
        database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("DELETE FROM objects WHERE read_at_s < ?", (self._clock() - BELIEVED_S,))

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` gives; None where the index cannot be used. A damaged one is removed."""
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=5)) as database, database:
                database.execute("PRAGMA synchronous = OFF")  # a lost row costs a read, and no more
                database.execute(_SCHEMA)
                return work(database)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
        return None


def _select(database: sqlite3.Connection, names: Sequence[str]) -> Iterator[Known]:
    """The rows of these names. For many of them, all rows are read: that is faster than to look up each."""
    if len(names) > _LOOKED_UP:
        wanted = frozenset(names)
        yield from (_AS_KNOWN(row) for row in database.execute("SELECT * FROM objects") if row[0] in wanted)
        return
    for start in range(0, len(names), _PAGE):
        page = names[start : start + _PAGE]
        statement = f"SELECT * FROM objects WHERE sha256 IN ({','.join('?' * len(page))})"  # noqa: S608 - marks only
        yield from (_AS_KNOWN(row) for row in database.execute(statement, page))
