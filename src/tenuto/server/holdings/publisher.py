"""Makes uploaded objects visible. Uploads that finish at the same time share one wait for the disk and one transaction."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError as RowRefused

from tenuto.core.errors import InternalError, NotFoundError, StorageError, TenutoError, UnavailableError
from tenuto.server.db import Database, chunks
from tenuto.server.git.unneeded import spare
from tenuto.server.holdings import uncut
from tenuto.server.holdings.chunks import needed_sources
from tenuto.server.quota import guard
from tenuto.server.schema import lfs_objects
from tenuto.store.base import Sealed, Store


class _CollectedError(Exception):
    """An object is not in the store, so that no repo may begin to hold it."""


class _Upload:
    """Objects that come together and wait for their turn: the repo holds all of them afterwards, or none of them is kept for it."""

    def __init__(self, repo_key: int, sealed: Sequence[Sealed], now_ms: int, *, is_stored: bool = False) -> None:
        self.repo_key, self.sealed, self.now_ms, self.is_stored = repo_key, sealed, now_ms, is_stored
        self.names = [one.sha256 for one in sealed]
        self.done = threading.Event()
        self.error: Exception | None = None
        self.is_published = False

    def rows(self) -> list[dict[str, object]]:
        key = {"repo_id": self.repo_key, "created_ms": self.now_ms}
        return [{**key, "sha256": one.sha256, "size": one.size} for one in self.sealed]

    def long(self, from_bytes: int) -> list[str]:
        return [one.sha256 for one in self.sealed if one.size >= from_bytes]


class Publisher:
    """The first thread that comes works for all that come while it is busy. What has `cut_from` bytes or more is noted as uncut."""

    def __init__(self, database: Database, store: Store, cut_from: int) -> None:
        self._database, self._store, self._cut_from = database, store, cut_from
        self._lock = threading.Lock()
        self._waiting: list[_Upload] = []
        self._busy = False

    def publish(self, repo_key: int, sealed: Sealed, now_ms: int) -> None:
        """The object is in the store, durable, and the repo holds it.

        Raises StorageError (QuotaExceeded and others), NotFoundError (RepoNotFound), UnavailableError: the database is busy, or somebody
        deleted the object meanwhile. If it is in the store still, `hold` may be asked later.
        """
        self.publish_all(repo_key, [sealed], now_ms)

    def hold(self, repo_key: int, stored: Sealed, now_ms: int) -> None:
        """The repo holds an object that `publish` brought into the store and no further. Raises as that does."""
        self._wait_for(_Upload(repo_key, [stored], now_ms, is_stored=True))

    def publish_all(self, repo_key: int, sealed: Sequence[Sealed], now_ms: int) -> None:
        """The same for several objects: all of them, or none."""
        if sealed:
            self._wait_for(_Upload(repo_key, sealed, now_ms))

    def _wait_for(self, upload: _Upload) -> None:
        with self._lock:
            self._waiting.append(upload)
            leads = not self._busy
            self._busy = True
        if leads:
            self._work()
        upload.done.wait()
        if upload.error is not None:
            raise upload.error
        if not upload.is_published:
            raise InternalError(f"object {upload.names[0]} could not be published")

    def _work(self) -> None:
        try:
            while batch := self._take():
                self._settle(batch)
        except BaseException:
            for upload in self._take():  # a bug, or the end of the process: nobody may wait for ever
                upload.done.set()
            self._busy = False
            raise

    def _take(self) -> list[_Upload]:
        with self._lock:
            batch, self._waiting = self._waiting, []
            self._busy = bool(batch)
            return batch

    def _settle(self, batch: Sequence[_Upload]) -> None:
        try:
            self._store.publish([one for upload in batch if not upload.is_stored for one in upload.sealed])
            self._add_rows(batch)
        except (TenutoError, OSError) as error:
            for upload in batch:
                if not upload.is_published:
                    upload.error = upload.error or error
        finally:
            for upload in batch:
                upload.done.set()

    def _add_rows(self, batch: Sequence[_Upload]) -> None:
        if self._refusal(batch) is None:
            for upload in batch:
                upload.is_published = True
            return
        for upload in batch:  # which one was it?
            upload.error = self._refusal([upload])
            upload.is_published = upload.error is None
        self._drop_unheld([name for upload in batch if upload.error for name in upload.names])

    def _refusal(self, batch: Sequence[_Upload]) -> TenutoError | None:
        """Why these rows cannot be; None if they are."""
        try:
            self._insert(batch)
        except RowRefused:  # a repo was deleted meanwhile
            return NotFoundError("Repository not found", code="RepoNotFound")
        except _CollectedError:
            return UnavailableError("an object was deleted meanwhile", code="HubUnavailable", hint="send it again")
        except StorageError as error:
            if error.code != "QuotaExceeded":
                raise
            return error
        return None

    def _insert(self, batch: Sequence[_Upload]) -> None:
        with self._database.write() as connection, ExitStack() as guards:
            for repo_key in {upload.repo_key for upload in batch}:
                guards.enter_context(guard(connection, repo_key, batch[0].now_ms))
            rows = [row for upload in batch for row in upload.rows()]
            connection.execute(self._database.insert_new(lfs_objects), rows)
            for upload in batch:
                spare(connection, upload.repo_key, upload.names)
                long = upload.long(self._cut_from)
                uncut.add(self._database, connection, upload.repo_key, long, upload.now_ms)
            # An object that was here already may have been deleted just before its row was there to keep it.
            if not all(self._store.has(name) for upload in batch for name in upload.names):
                raise _CollectedError

    def _drop_unheld(self, names: Sequence[str]) -> None:
        """Remove the bytes that nobody holds; nobody begins to hold them meanwhile."""
        with self._database.write() as connection:
            for some in chunks(names):
                held = connection.execute(select(lfs_objects.c.sha256).where(lfs_objects.c.sha256.in_(some))).scalars()
                for name in {*some} - {*held} - needed_sources(connection, some):
                    self._store.delete(name)
