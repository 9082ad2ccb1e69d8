"""Bring a database to the tables of `schema.py`."""

import os

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from tenuto.core.errors import StorageError
from tenuto.server.db import Database


def migrate(database: Database) -> None:
    """Apply every migration that is lacking, all in one transaction.

    Raises StorageError (LocalFile) if the database was made by a newer version.
    """
    config = migration_config()
    with database.write() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if current is not None and current not in known:
            raise StorageError(
                f"the database of the hub has version {current}, which this version of Tenuto does not know",
                hint="start the newer version of Tenuto that wrote it",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def migration_config() -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
