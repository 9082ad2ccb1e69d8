"""What this working folder knows of itself: the hash of each file as last seen, and what was last synced.

It lies in `.tenuto/state.db`, belongs to this folder alone, and may be deleted: then files are read again, and a file that
differs from the hub counts as a conflict instead of an edit.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bases (artifact TEXT PRIMARY KEY, digest TEXT NOT NULL, commit_id TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS git_ids (git_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_VERSION = 1


class Seen(NamedTuple):
    """A file as it was when it was hashed: path below the project, size in bytes, modification time, inode, sha256."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str

    def matches(self, status: os.stat_result) -> bool:
        """Whether the file looks the same today, so that its hash can be believed without reading it."""
        return self.size == status.st_size and self.mtime_ns == status.st_mtime_ns and self.inode == status.st_ino


class Base(NamedTuple):
    """What an artifact was when folder and hub last agreed: the digest of its listing, and the commit that held it."""

    digest: str
    commit: str | None


class StateIndex:
    """The state index of one working folder. One transaction a verb; made anew if it is damaged."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._database = self._open()
        except sqlite3.DatabaseError:
            os.replace(path, f"{path}.damaged")
            self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            if database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                database.executescript(
                    "DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS bases; DROP TABLE IF EXISTS git_ids;" + _SCHEMA
                )
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def files(self, folder: str) -> dict[str, Seen]:
        """Everything known at or below `folder`, by path."""
        rows = self._database.execute(
            "SELECT path, size, mtime_ns, inode, sha256 FROM files WHERE path = ? OR (path >= ? AND path < ?)",
            (folder, f"{folder}/", f"{folder}0"),
        )
        return {row[0]: Seen(*row) for row in rows}

    def remember(self, seen: Iterable[Seen], gone: Iterable[str] = ()) -> None:
        """Record files as seen now, and forget those that are gone."""
        added, removed = list(seen), [(path,) for path in gone]
        if not added and not removed:
            return
        with self._transaction():
            self._database.executemany("DELETE FROM files WHERE path = ?", removed)
            self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", added)

    def base(self, artifact: str) -> Base | None:
        """What was last synced under the artifact's name, if anything."""
        row = self._database.execute("SELECT digest, commit_id FROM bases WHERE artifact = ?", (artifact,)).fetchone()
        return Base(*row) if row else None

    def set_base(self, artifact: str, base: Base) -> None:
        """Record that folder and hub agree on this."""
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO bases VALUES (?, ?, ?)", (artifact, base.digest, base.commit)
            )

    def sha256_of(self, git_ids: Iterable[str]) -> dict[str, str]:
        """The sha256 of contents known by git id; unknown ones are left out."""
        found: dict[str, str] = {}
        wanted = list(git_ids)
        for start in range(0, len(wanted), 500):
            page = wanted[start : start + 500]
            marks = ",".join("?" * len(page))
            found |= dict(self._database.execute(f"SELECT git_id, sha256 FROM git_ids WHERE git_id IN ({marks})", page))  # noqa: S608 - marks only
        return found

    def remember_git_ids(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Record that a git id and a sha256 name the same bytes."""
        rows = list(pairs)
        if rows:
            with self._transaction():
                self._database.executemany("INSERT OR REPLACE INTO git_ids VALUES (?, ?)", rows)
