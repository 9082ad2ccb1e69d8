"""Makes uploaded objects visible. Uploads that finish at the same time share one wait for the disk and one transaction."""

import threading
from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError as RowRefused

from tenuto.core.errors import InternalError, NotFoundError, TenutoError, UnavailableError
from tenuto.server import uncut
from tenuto.server.db import Database
from tenuto.server.schema import lfs_objects
from tenuto.server.unneeded import spare
from tenuto.store.base import Sealed, Store


class _Entry:
    """One object that waits for its turn."""

    def __init__(self, repo_key: int, sealed: Sealed, now_ms: int) -> None:
        self.sealed, self.repo_key = sealed, repo_key
        self.now_ms = now_ms
        self.row = {"repo_id": repo_key, "sha256": sealed.sha256, "size": sealed.size, "created_ms": now_ms}
        self.done = threading.Event()
        self.error: Exception | None = None
        self.is_published = False


class Publisher:
    """The first thread that comes works for all that come while it is busy. What has `cut_from` bytes or more is noted as uncut."""

    def __init__(self, database: Database, store: Store, cut_from: int) -> None:
        self._database, self._store, self._cut_from = database, store, cut_from
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._busy = False

    def publish(self, repo_key: int, sealed: Sealed, now_ms: int) -> None:
        """The object is in the store, durable, and the repo holds it. Raises StorageError, NotFoundError (RepoNotFound)."""
        self.publish_all(repo_key, [sealed], now_ms)

    def publish_all(self, repo_key: int, sealed: Sequence[Sealed], now_ms: int) -> None:
        """The same for several objects, with one wait for all of them."""
        entries = [_Entry(repo_key, one, now_ms) for one in sealed]
        with self._lock:
            self._waiting.extend(entries)
            leads = bool(entries) and not self._busy
            self._busy = self._busy or leads
        if leads:
            self._work()
        for entry in entries:
            entry.done.wait()
            if entry.error is not None:
                raise entry.error
            if not entry.is_published:
                raise InternalError(f"object {entry.sealed.sha256} could not be published")

    def _work(self) -> None:
        try:
            while batch := self._take():
                self._settle(batch)
        except BaseException:
            for entry in self._take():  # a bug, or the end of the process: nobody may wait for ever
                entry.done.set()
            self._busy = False
            raise

    def _take(self) -> list[_Entry]:
        with self._lock:
            batch, self._waiting = self._waiting, []
            self._busy = bool(batch)
            return batch

    def _settle(self, batch: Sequence[_Entry]) -> None:
        try:
            self._store.publish([entry.sealed for entry in batch])
            self._add_rows(batch)
            for entry in batch:
                entry.is_published = entry.error is None
        except (TenutoError, OSError) as error:
            for entry in batch:
                entry.error = error
        finally:
            for entry in batch:
                entry.done.set()

    def _add_rows(self, batch: Sequence[_Entry]) -> None:
        try:
            self._insert(batch)
        except RowRefused:  # a repo was deleted meanwhile; which one?
            for entry in batch:
                try:
                    self._insert([entry])
                except RowRefused:
                    entry.error = NotFoundError("Repository not found", code="RepoNotFound")

    def _insert(self, batch: Sequence[_Entry]) -> None:
        with self._database.write() as connection:
            connection.execute(self._database.insert_new(lfs_objects), [entry.row for entry in batch])
            for repo_key in {entry.repo_key for entry in batch}:
                own = [one for one in batch if one.repo_key == repo_key]
                spare(connection, repo_key, [one.sealed.sha256 for one in own])
                long = [one.sealed.sha256 for one in own if one.sealed.size >= self._cut_from]
                uncut.add(self._database, connection, repo_key, long, own[0].now_ms)
            # An object that was here already may have been deleted just before its row was there to keep it.
            if not all(self._store.has(entry.sealed.sha256) for entry in batch):
                raise UnavailableError("an object was deleted meanwhile", code="HubUnavailable", hint="send it again")
