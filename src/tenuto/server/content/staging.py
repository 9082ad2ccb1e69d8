"""Blobs of a commit on their way in: in memory while they are few, then rows that no tree names yet, and that do no harm if none ever does.

Under a quota they wait in a file instead: what is refused leaves nothing behind that would be counted.
"""

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from tenuto.server.git.objects import ObjectRow, add_objects
from tenuto.server.hub import Parts
from tenuto.server.quota import is_limited

STAGE_BYTES = 16 << 20
_ROW_BYTES = 200
_HEAD_BYTES = 8


class Stage:
    """The blobs of one commit to one repo. Close it, or use it as a context manager."""

    def __init__(self, parts: Parts, repo_key: int) -> None:
        self._parts, self._repo_key = parts, repo_key
        self._rows: list[ObjectRow] = []
        self._bytes = 0
        self._file: BinaryIO | None = None

    def add(self, row: ObjectRow) -> None:
        """Take in a blob."""
        self._rows.append(row)
        self._bytes += int(str(row["size"])) + _ROW_BYTES
        if self._bytes > STAGE_BYTES:
            self._put_away()
            self._rows, self._bytes = [], 0

    def _put_away(self) -> None:
        if self._file is None and not self._is_limited():
            with self._parts.database.write() as connection:
                add_objects(self._parts.database, connection, self._rows)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._parts.spool)  # noqa: SIM115  # closed by `close`
        packed = msgspec.msgpack.encode(self._rows)
        self._file.write(len(packed).to_bytes(_HEAD_BYTES, "big") + packed)

    def _is_limited(self) -> bool:
        with self._parts.database.read() as connection:
            return is_limited(connection, self._repo_key)

    def batches(self) -> Iterator[list[ObjectRow]]:
        """What is not a row yet, in batches."""
        if self._file is not None:
            self._file.seek(0)
            while head := self._file.read(_HEAD_BYTES):
                packed = self._file.read(int.from_bytes(head, "big"))
                yield msgspec.msgpack.decode(packed, type=list[ObjectRow])
        yield self._rows

    def close(self) -> None:
        """Drop what was not used."""
        if self._file is not None:
            self._file.close()
