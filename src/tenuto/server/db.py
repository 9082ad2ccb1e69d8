"""The database: a pool of readers, one writer at a time. Nothing but SQLite is special-cased here, and only here."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from tenuto.core.errors import StorageError, UnavailableError
from tenuto.server.known import Known, Watch
from tenuto.store.disk import disk_errors, sync_filesystem

BUSY_TIMEOUT_MS = 30_000
CHUNK_ROWS = 500
"""How many values one `IN (…)` holds where work is done for each of them, and others wait for its end."""
READ_ROWS = 5_000 if sqlite3.sqlite_version_info >= (3, 32) else CHUNK_ROWS
"""The same where facts are read. Older libraries take 999 values at most."""


class Database:
    """Opened once per process; safe for use from many threads."""

    def __init__(self, url: str, *, connections: int = 16) -> None:
        self.engine: Engine = create_engine(url, pool_size=connections, max_overflow=4)
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = threading.Lock()
        self._watch = Watch(self.engine.url.database or "") if self._is_sqlite else None
        if self._is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot: everything read inside belongs to one moment. Raises UnavailableError, StorageError."""
        with _database_errors(), self.engine.connect() as connection:
            yield connection

    def known(self) -> Known:
        """What was read before and still holds; never anything that was changed before this call, by whomever."""
        return self._watch.known() if self._watch else Known()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, begun as a writer; committed and on the disk when the block ends, undone if it raises.

        Raises UnavailableError (HubUnavailable) if no turn came, StorageError (DiskFull, LocalFile).
        """
        with _database_errors(), self._turn(), self.engine.connect() as connection:
            connection = connection.execution_options(immediate=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # SQLite lets writers wait by polling, which starves some; threads of this process queue up here instead.
        if not self._is_sqlite:
            yield
            return
        if not self._writer.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise _busy()
        try:
            yield
        finally:
            self._writer.release()

    def insert_new(self, table: Table) -> Insert:
        """An INSERT that leaves rows alone whose key exists."""
        if self._is_sqlite:
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()

    def faults(self, *, thorough: bool) -> list[str]:
        """What the database says of its own damage; with `thorough`, indexes are compared with their tables."""
        if not self._is_sqlite:
            return []
        with self.read() as connection:
            pragma = "integrity_check" if thorough else "quick_check"
            lines = [str(row[0]) for row in connection.exec_driver_sql(f"PRAGMA {pragma}")]
            lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [line for line in lines if line != "ok"] + [
            f"row {row[1]} of the table {row[0]} belongs to a row of {row[2]} that is gone" for row in lost
        ]

    def copy_to(self, path: str) -> None:
        """Write all of it, as of one moment, to a new file, durably. Others read and write meanwhile.

        Raises UnavailableError (NotSupported) if this is no SQLite, StorageError.
        """
        if not self._is_sqlite:
            raise UnavailableError("only a SQLite database is copied", code="NotSupported", hint="use pg_dump")
        with _database_errors(), disk_errors(path):
            source = self.engine.raw_connection()
            target = sqlite3.connect(path)
            try:
                assert isinstance(source.driver_connection, sqlite3.Connection)
                source.driver_connection.backup(target)  # in one step: it cannot be overtaken
                target.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error as error:
                raise StorageError(f"the database cannot be copied: {error}") from error
            finally:
                target.close()
                source.close()
            sync_filesystem(os.path.dirname(path), [path])

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()
        if self._watch:
            self._watch.close()


def is_writing(connection: Connection) -> bool:
    """Whether a connection is that of a `write`: what it reads must be there now, not in some memory."""
    return bool(connection.get_execution_options().get("immediate", False))


def chunks(values: Sequence[str], rows: int = CHUNK_ROWS) -> Iterator[Sequence[str]]:
    """`values` in pieces that fit one `IN (…)`."""
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if is_writing(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:  # it can fail in no way that would need a translation, and every read begins so
        connection.connection.cursor().execute("BEGIN")


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "locked" in text or "busy" in text:
            raise _busy() from error
        code = "DiskFull" if "full" in text else "LocalFile"
        raise StorageError(f"the database of the hub refused: {text}", code=code) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:
            raise
        raise StorageError(
            f"the database of the hub cannot be used: {error.orig}", hint="restore it from a backup"
        ) from error


def _busy() -> UnavailableError:
    return UnavailableError("the database of the hub is busy", code="HubUnavailable", hint="try again in a moment")
