"""The database: a pool of readers, one writer at a time. Nothing but SQLite is special-cased here, and only here."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from tenuto.core.errors import StorageError, UnavailableError

BUSY_TIMEOUT_MS = 30_000
CHUNK_ROWS = 500
"""How many values one `IN (…)` holds."""


class Database:
    """Opened once per process; safe for use from many threads."""

    def __init__(self, url: str, *, connections: int = 16) -> None:
        self.engine: Engine = create_engine(url, pool_size=connections, max_overflow=4)
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = threading.Lock()
        if self._is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot: everything read inside belongs to one moment. Raises UnavailableError, StorageError."""
        with _database_errors(), self.engine.connect() as connection:
            yield connection

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

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def is_writing(connection: Connection) -> bool:
    """Whether a connection is that of a `write`: what it reads must be there now, not in some memory."""
    return bool(connection.get_execution_options().get("immediate", False))


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """`values` in pieces that fit one `IN (…)`."""
    for start in range(0, len(values), CHUNK_ROWS):
        yield values[start : start + CHUNK_ROWS]


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing(connection) else "BEGIN")


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
