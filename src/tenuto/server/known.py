"""What was read from the database since it last changed. Whoever commits, in this process or another one, makes all of it unknown."""

import sqlite3
import threading
from collections.abc import Hashable
from typing import Any

_CAPACITY_BYTES = 32 << 20
_ENTRY_BYTES = 1000
SMALL_BYTES = 1 << 16
"""Bodies up to this size are worth knowing."""


class Known:
    """Facts that were read from one version of the database, or a later one; safe for use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newer: dict[Hashable, Any] = {}
        self._older: dict[Hashable, Any] = {}
        self._newer_bytes = 0

    def get(self, key: Hashable) -> Any:
        """What is known under `key`, or None."""
        value = self._newer.get(key)
        return self._older.get(key) if value is None else value

    def keep(self, key: Hashable, value: object, size_bytes: int = 0) -> None:
        """Know `value`, which was read after this was handed out. When there is no room, the older half is dropped."""
        cost = _ENTRY_BYTES + size_bytes
        if cost > _CAPACITY_BYTES // 4:
            return
        with self._lock:
            if self._newer_bytes + cost > _CAPACITY_BYTES // 2:
                self._newer, self._older, self._newer_bytes = {}, self._newer, 0
            self._newer[key] = value
            self._newer_bytes += cost


class Watch:
    """Looks from a connection of its own, which never writes, whether any other one has committed to a SQLite database.

    See https://www.sqlite.org/pragma.html#pragma_data_version.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._version: object = None
        self._known = Known()

    def known(self) -> Known:
        """What holds at this moment. A change that was committed before this call is never missed."""
        with self._lock:
            try:
                version = self._look()
            except sqlite3.Error:  # whoever wants to read will meet it as well, and tells
                return Known()
            if version != self._version:
                self._version, self._known = version, Known()
            return self._known

    def _look(self) -> object:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        return self._connection.execute("PRAGMA data_version").fetchall()

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
