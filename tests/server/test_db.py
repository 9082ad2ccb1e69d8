"""The database: its migrations, its transactions, its failures."""

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from tenuto.core.errors import StorageError, UnavailableError
from tenuto.server import db
from tenuto.server.db import Database, chunks
from tenuto.server.migrate import migrate
from tenuto.server.schema import metadata


@pytest.fixture
def database(tmp_path: Path):
    made = Database(f"sqlite:///{tmp_path / 'hub.sqlite3'}")
    migrate(made)
    yield made
    made.close()


def test_the_migrations_lead_to_the_tables_in_the_code(database: Database, tmp_path: Path) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.sqlite3'}")
    metadata.create_all(fresh)
    assert described(database.engine) == described(fresh)
    fresh.dispose()


def described(engine) -> dict[str, object]:
    """Columns, keys and constraints of all tables, with their names."""
    inspector = inspect(engine)
    return {
        table: (
            [(one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(table)],
            inspector.get_pk_constraint(table),
            sorted(map(str, inspector.get_foreign_keys(table))),
            sorted(map(str, inspector.get_unique_constraints(table))),
            sorted(map(str, inspector.get_indexes(table))),
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before = described(database.engine)
    migrate(database)
    assert described(database.engine) == before


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="9999") as caught:
        migrate(database)
    assert caught.value.hint


def add_user(connection, name: str) -> None:
    row = (name, name, False, 0)
    connection.exec_driver_sql("INSERT INTO users (name, name_key, is_admin, created_ms) VALUES (?, ?, ?, ?)", row)


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.exec_driver_sql("SELECT name FROM users").scalars())


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            add_user(connection, "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(database) == []
    with database.write() as connection:
        add_user(connection, "b")
    assert names(database) == ["b"]


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.read() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM users").scalar() == 0
        with database.write() as connection:
            add_user(connection, "a")
        assert reader.exec_driver_sql("SELECT count(*) FROM users").scalar() == 0
    assert names(database) == ["a"]


def test_many_writers_take_turns(database: Database) -> None:
    def write(number: int) -> None:
        with database.write() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM users").scalar()
            add_user(connection, f"{count}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 30


def test_the_settings_that_durability_and_keys_rest_on(database: Database) -> None:
    with database.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": db.BUSY_TIMEOUT_MS}


def test_a_full_disk_is_said_to_be_full(database: Database) -> None:
    def fill() -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(2000):
                add_user(connection, f"{number:090d}")

    with pytest.raises(StorageError) as caught:
        fill()
    assert caught.value.code == "DiskFull"
    assert names(database) == []


def test_a_database_that_another_process_keeps_busy_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 50)
    database = Database(f"sqlite:///{tmp_path / 'hub.sqlite3'}")
    migrate(database)
    other = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError) as caught, database.write():
        pass
    assert caught.value.code == "HubUnavailable"
    other.execute("ROLLBACK")
    other.close()
    with database.write() as connection:
        add_user(connection, "a")
    database.close()


def test_chunks_leave_nothing_out() -> None:
    values = [str(number) for number in range(1234)]
    assert [value for some in chunks(values) for value in some] == values
    assert list(chunks([])) == []
