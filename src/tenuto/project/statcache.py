"""What this working folder knows of itself: the hash of each file as last seen, and what was last synced.

It lies in `.tenuto/state.db`, belongs to this folder alone, and may be deleted: then files are read again, and a file that
differs from the hub counts as a conflict instead of an edit.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self, TypeVar

from tenuto.core.errors import StorageError
from tenuto.store.disk import disk_errors

_VERSION = 3
_OLDER = 2
_SCHEMA = f"""
DROP TABLE IF EXISTS files;
DROP TABLE IF EXISTS bases;
DROP TABLE IF EXISTS git_ids;
CREATE TABLE files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, sha256 TEXT NOT NULL,
    verified_at_s INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE bases (artifact TEXT PRIMARY KEY, digest TEXT NOT NULL, commit_id TEXT, source TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE git_ids (git_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_MIGRATION = f"""
ALTER TABLE files ADD COLUMN verified_at_s INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = {_VERSION};
"""
# SQLITE_ERROR is among them: our statements are fixed, so it means that the tables are not ours.
_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

T = TypeVar("T")


class Seen(NamedTuple):
    """A file as it was when it was hashed: path below the project, size in bytes, modification time, inode, sha256.

    `verified_at_s` is when its bytes were last read and found as locked, in seconds since 1970 UTC; 0 if nobody looked.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    verified_at_s: int = 0

    def matches(self, status: os.stat_result) -> bool:
        """Whether the file looks the same today, so that its hash can be believed without reading it."""
        return self.size == status.st_size and self.mtime_ns == status.st_mtime_ns and self.inode == status.st_ino


Row = tuple[str, int, int, int, str]
"""The first five fields of a Seen, where one object for each file would be too much: path, size, mtime_ns, inode, sha256."""


class Base(NamedTuple):
    """What an artifact was when folder and hub last agreed: the digest of its listing, the commit that held it, and which hub and repo."""

    digest: str
    commit: str | None
    source: str


class StateIndex:
    """The state index of one working folder. One transaction a verb; made anew if it is damaged.

    Every method raises StorageError (LocalFile, DiskFull) where the disk refuses.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode = 0
        with _storage_errors(path), disk_errors(path):
            try:
                self._database = self._open()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._renew()

    def _open(self) -> sqlite3.Connection:
        self._inode = _inode(self._path)
        try:
            return _connect(self._path)
        except _Unprepared:
            return _prepare(self._path)

    def _renew(self) -> None:
        """Replace the damaged database by an empty one, unless somebody has done so already; the old one is kept beside it."""
        with _alone(self._path):
            if _inode(self._path) == self._inode:
                os.replace(self._path, f"{self._path}.damaged")
        self._database = self._open()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` on the database, and once more on a new one if this one turns out to be damaged."""
        with _storage_errors(self._path), disk_errors(self._path):
            try:
                return work(self._database)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._database.close()
                self._renew()
                return work(self._database)

    def _change(self, statements: Iterable[tuple[str, list[tuple[object, ...]]]]) -> None:
        """Run statements, each for all its rows, in one transaction."""

        def work(database: sqlite3.Connection) -> None:
            with _transaction(database):
                for statement, rows in statements:
                    database.executemany(statement, rows)

        self._run(work)

    def files(self, folder: str) -> dict[str, Seen]:
        """Everything known at or below `folder`, by path."""
        return {row[0]: Seen(*row) for row in self._rows(", ".join(Seen._fields), folder)}

    def rows(self, folder: str) -> list[Row]:
        """Everything known at or below `folder`."""
        return self._rows("path, size, mtime_ns, inode, sha256", folder)

    def _rows(self, columns: str, folder: str) -> list[Any]:
        statement = f"SELECT {columns} FROM files WHERE path = ? OR (path >= ? AND path < ?)"  # noqa: S608 - fixed
        found = (folder, f"{folder}/", f"{folder}0")
        return self._run(lambda database: database.execute(statement, found).fetchall())

    def remember(self, seen: Iterable[Seen], gone: Iterable[str] = ()) -> None:
        """Record files as seen now, and forget those that are gone."""
        added: list[tuple[object, ...]] = list(seen)
        removed: list[tuple[object, ...]] = [(path,) for path in gone]
        if added or removed:
            self._change(
                [
                    ("DELETE FROM files WHERE path = ?", removed),
                    ("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", added),
                ]
            )

    def base(self, artifact: str) -> Base | None:
        """What was last synced under the artifact's name, if anything."""
        statement = "SELECT digest, commit_id, source FROM bases WHERE artifact = ?"
        row = self._run(lambda database: database.execute(statement, (artifact,)).fetchone())
        return Base(*row) if row else None

    def set_base(self, artifact: str, base: Base) -> None:
        """Record that folder and hub agree on this."""
        self._change([("INSERT OR REPLACE INTO bases VALUES (?, ?, ?, ?)", [(artifact, *base)])])

    def sha256_of(self, git_ids: Iterable[str]) -> dict[str, str]:
        """The sha256 of contents known by git id; unknown ones are left out."""
        found: dict[str, str] = {}
        wanted = list(git_ids)
        for start in range(0, len(wanted), 500):
            page = wanted[start : start + 500]
            statement = f"SELECT git_id, sha256 FROM git_ids WHERE git_id IN ({','.join('?' * len(page))})"  # noqa: S608 - marks only
            found |= self._run(lambda database, sql=statement, ids=page: dict(database.execute(sql, ids)))  # type: ignore[misc]
        return found

    def remember_git_ids(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Record that a git id and a sha256 name the same bytes."""
        rows: list[tuple[object, ...]] = list(pairs)
        if rows:
            self._change([("INSERT OR REPLACE INTO git_ids VALUES (?, ?)", rows)])


class _Unprepared(Exception):  # noqa: N818 - not a failure: the file is new, or of another version
    """The database does not have our tables yet."""


def _connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        if database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise _Unprepared
        database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        database.close()
        raise
    return database


def _prepare(path: str) -> sqlite3.Connection:
    """Make the tables, once, whoever else tries: SQLite cannot switch to WAL while others are at it."""
    with _alone(path):
        with contextlib.suppress(_Unprepared):
            return _connect(path)
        with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            older = database.execute("PRAGMA user_version").fetchone()[0] == _OLDER
            database.executescript(f"BEGIN IMMEDIATE;{_MIGRATION if older else _SCHEMA}COMMIT;")
        return _connect(path)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Be the only one that makes or replaces the database."""
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a damaged database has rolled back by itself
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


@contextlib.contextmanager
def _storage_errors(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise StorageError(
            f"{path}: {error}",
            code="DiskFull" if full else "LocalFile",
            hint="free some space, then run the command again" if full else "check the folder and its rights",
        ) from error
