"""`tenuto hub backup` and `restore` (docs/formats/backup.md): snapshots of the database, and one store of what all of them hold."""

import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import msgspec

from tenuto.core.errors import ConflictError, IntegrityError, NotFoundError, UsageError
from tenuto.server.audit import Deed, command_line, record
from tenuto.server.db import Database
from tenuto.server.migrate import migrate
from tenuto.server.upkeep.copy import Copied, Copier, Lack, Progress, read_needs
from tenuto.server.upkeep.trash import one_at_a_time
from tenuto.store.disk import disk_errors, hash_file, replace_file, sync_filesystem
from tenuto.store.local import LocalStore

DATABASE = "hub.sqlite3"
FACTS = "snapshot.json"
FORMAT = 1
_SNAPSHOT = re.compile(r"\d{8}T\d{6}-\d{3}Z")
_ATTEMPTS = 5


class Facts(msgspec.Struct, frozen=True):
    """What a snapshot says of itself; times in milliseconds since 1970 UTC."""

    format: int
    made_ms: int
    database_sha256: str
    database_bytes: int
    objects: int
    xorbs: int
    store_bytes: int
    lacking: list[Lack]


class BackupReport(msgspec.Struct, frozen=True):
    """The outcome of a backup."""

    snapshot: str
    facts: Facts
    copied: Copied


class RestoreReport(msgspec.Struct, frozen=True):
    """The outcome of a restore; without `restored` there is no hub yet, since something was lacking."""

    snapshot: str
    restored: bool
    copied: Copied
    lacking: list[Lack]


def back_up(
    database: Database, data_dir: str, target: str, now_ms: int, progress: Progress = lambda _bytes: None
) -> BackupReport:
    """A new snapshot in `target` of the hub as it was at one moment; others use the hub meanwhile.

    What is missing or damaged in the hub is listed in the snapshot. Raises UsageError (BadCommand), LockedError, StorageError.
    """
    target = os.path.abspath(os.path.expanduser(target))
    _check_apart(data_dir, target)
    with disk_errors(target):
        os.makedirs(os.path.join(target, "snapshots"), mode=0o700, exist_ok=True)
    with one_at_a_time(data_dir), one_at_a_time(target):
        _clean(target)
        return _Backup(database, data_dir, target, now_ms, progress).run()


def _check_apart(data_dir: str, target: str) -> None:
    places = [os.path.realpath(place) for place in (data_dir, target)]
    if os.path.commonpath(places) in places:
        raise UsageError(f"{target} and the hub in {data_dir} must not lie in one another", code="BadCommand")


def _clean(target: str) -> None:
    """Remove what a backup left that was killed; nobody else works here."""
    LocalStore(target).sweep(0)
    folder = os.path.join(target, "snapshots")
    with disk_errors(folder):
        for name in os.listdir(folder):
            if name.startswith("new-"):
                shutil.rmtree(os.path.join(folder, name))


class _Backup:
    def __init__(self, database: Database, data_dir: str, target: str, now_ms: int, progress: Progress) -> None:
        self._database, self._now_ms = database, now_ms
        self._folder = os.path.join(target, "snapshots")
        self._copier = Copier(LocalStore(data_dir), LocalStore(target), progress)

    def run(self) -> BackupReport:
        spare = os.path.join(self._folder, f"new-{secrets.token_hex(8)}")
        with disk_errors(spare):
            os.mkdir(spare, 0o700)
        file = os.path.join(spare, DATABASE)
        lacking: list[Lack] = []
        for _ in range(_ATTEMPTS):
            before, lacking = lacking, self._take(file)
            if not lacking or lacking == before:
                break  # what lacks twice was not deleted by an owner between the copy of the database and that of the bytes
        facts = self._describe(file, lacking)
        replace_file(os.path.join(spare, FACTS), msgspec.json.format(msgspec.json.encode(facts), indent=2), 0o600)
        name = self._name()
        with disk_errors(self._folder):
            os.rename(spare, os.path.join(self._folder, name))
            sync_filesystem(self._folder, [self._folder])
        return BackupReport(name, facts, self._copier.copied)

    def _take(self, file: str) -> list[Lack]:
        """Copy the database, then what it needs: a row is older than its bytes are."""
        with disk_errors(file):
            if os.path.exists(file):
                os.unlink(file)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._database.copy_to(file)
        return self._copier.run(read_needs(file))

    def _describe(self, file: str, lacking: list[Lack]) -> Facts:
        needs = read_needs(file)
        with disk_errors(file):
            sha256, size = hash_file(file)
        objects = len(needs.objects.keys() - needs.chunked)
        return Facts(FORMAT, self._now_ms, sha256, size, objects, len(needs.xorbs), needs.total_bytes, lacking)

    def _name(self) -> str:
        moment = datetime.fromtimestamp(self._now_ms / 1000, UTC)
        name = f"{moment:%Y%m%dT%H%M%S}-{self._now_ms % 1000:03d}Z"
        if os.path.exists(os.path.join(self._folder, name)):
            raise ConflictError(f"there is a snapshot {name} already", code="Exists", hint="try again")
        return name


def list_snapshots(source: str) -> list[str]:
    """The snapshots in a backup, oldest first. Raises NotFoundError if it is none."""
    folder = os.path.join(os.path.expanduser(source), "snapshots")
    with disk_errors(folder):
        names = os.listdir(folder) if os.path.isdir(folder) else []
    found = sorted(name for name in names if _SNAPSHOT.fullmatch(name))
    if not found:
        raise NotFoundError(f"there is no backup of a hub in {source}", hint="name the folder that `hub backup` wrote")
    return found


def restore(
    source: str,
    data_dir: str,
    now_ms: int,
    *,
    snapshot: str | None = None,
    partial: bool = False,
    progress: Progress = lambda _bytes: None,
) -> RestoreReport:
    """A hub in `data_dir` as it was when the snapshot, else the last one, was made; every byte is checked on its way.

    If something is lacking, the hub is not put in place unless `partial`. May be run again after an interruption. Links, and what
    clients remember, are of no use if they are newer than the snapshot.

    Raises ConflictError (Exists) if there is a hub, NotFoundError, IntegrityError for a damaged database, StorageError.
    """
    source, data_dir = (os.path.abspath(os.path.expanduser(place)) for place in (source, data_dir))
    _check_apart(data_dir, source)
    names = list_snapshots(source)
    name = snapshot or names[-1]
    if name not in names:
        raise NotFoundError(f"there is no snapshot {name} in {source}", hint=f"the last one is {names[-1]}")
    final = os.path.join(data_dir, DATABASE)
    with disk_errors(data_dir):
        os.makedirs(data_dir, mode=0o700, exist_ok=True)
    with one_at_a_time(data_dir):
        if os.path.exists(final):
            raise ConflictError(
                f"there is a hub in {data_dir} already", code="Exists", hint="restore to another folder"
            )
        with _database_copy(os.path.join(source, "snapshots", name), data_dir, now_ms) as file:
            copier = Copier(LocalStore(source), LocalStore(data_dir), progress, is_careful=True)
            lacking = copier.run(read_needs(file))
            if lacking and not partial:
                return RestoreReport(name, False, copier.copied, lacking)
            _begin_anew(file, now_ms)
            with disk_errors(final):
                _remove([os.path.join(data_dir, "secret")])  # links name ids that are given out again
                os.rename(file, final)
                sync_filesystem(data_dir, [data_dir])
    return RestoreReport(name, True, copier.copied, lacking)


@contextmanager
def _database_copy(snapshot: str, data_dir: str, now_ms: int) -> Iterator[str]:
    """A checked copy of the database of a snapshot, with the tables of this version, whose audit log tells of the restore.

    It is gone afterwards if it was not renamed.
    """
    source, file = os.path.join(snapshot, DATABASE), os.path.join(data_dir, "restoring.sqlite3")
    facts = read_facts(snapshot)
    leftovers = [file, *(f"{file}-{end}" for end in ("wal", "shm", "journal"))]
    try:
        with disk_errors(file):
            _remove(leftovers)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            shutil.copyfile(source, file)
            sha256, _ = hash_file(file)
        if sha256 != facts.database_sha256:
            raise IntegrityError(
                f"the database of the snapshot has the sha256 {sha256}, expected {facts.database_sha256}",
                hint="restore another snapshot with --snapshot",
            )
        database = Database(f"sqlite:///{file}", connections=1)
        try:
            migrate(database)
            with database.write() as connection:
                taken = {"snapshot": os.path.basename(snapshot)}
                record(connection, command_line(), Deed.HUB_RESTORE, now_ms, facts=taken)
        finally:
            database.close()
        yield file
    finally:
        with disk_errors(file):
            _remove(leftovers)


def _remove(files: list[str]) -> None:
    for file in files:
        if os.path.exists(file):
            os.unlink(file)


def read_facts(snapshot: str) -> Facts:
    """What the snapshot in a folder says of itself. Raises IntegrityError, UsageError for a newer format, StorageError."""
    path = os.path.join(snapshot, FACTS)
    with disk_errors(path), open(path, "rb") as file:
        content = file.read()
    try:
        facts = msgspec.json.decode(content, type=Facts)
    except msgspec.DecodeError as error:
        raise IntegrityError(
            f"{path} cannot be read: {error}", hint="restore another snapshot with --snapshot"
        ) from error
    if facts.format > FORMAT:
        raise UsageError(f"{path} has the format {facts.format}", hint="restore it with a newer version of Tenuto")
    return facts


def _begin_anew(file: str, now_ms: int) -> None:
    """No client may rely on what it was told after the snapshot was made: addresses of chunks move on, lists of the unneeded are empty.

    The generation is taken from the clock, so that it is none that the lost hub has used.
    """
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM unneeded")
        connection.execute("DELETE FROM xet_scopes")
        connection.execute("INSERT INTO xet_scopes (repo_id, generation) SELECT id, ? FROM repos", (now_ms // 1000,))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with disk_errors(file):
        sync_filesystem(os.path.dirname(file), [file])
