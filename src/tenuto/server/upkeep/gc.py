"""`tenuto hub gc`: remove what no ref of any repo needs, after a wait, and over a trash (decision 12). Safe while the hub serves."""

import os
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, delete, select

from tenuto.core.errors import IntegrityError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import Repo
from tenuto.server.audit import Deed, command_line, record
from tenuto.server.db import chunks
from tenuto.server.holdings.chunks import needed_sources
from tenuto.server.hub import Parts
from tenuto.server.quota import note_day, usage
from tenuto.server.repos.rows import find_repo_by_key
from tenuto.server.schema import lfs_objects, repo_xorbs, repos, xorbs
from tenuto.server.upkeep.graph import Litter
from tenuto.server.upkeep.rows import BATCH_ROWS, CLIENTS_REMEMBER_S, Verdict, apply, git_bytes, judge
from tenuto.server.upkeep.trash import Batch, Shelf, Trash, one_at_a_time
from tenuto.store.local import LocalStore
from tenuto.store.xet.folder import XorbFolder

KEEP_S = 30 * 24 * 3600
TRASH_S = 7 * 24 * 3600
FRESH_S = 3600
"""Files that are younger may be waiting for their rows."""


class Tally(msgspec.Struct):
    """How many, and their bytes."""

    count: int = 0
    bytes: int = 0


class RepoLitter(msgspec.Struct, frozen=True):
    """What one repo has too much of: rows that go, and rows that wait until they have been unneeded for long enough."""

    repo: str
    removed_git: int
    removed_git_bytes: int
    removed_objects: int
    removed_xorbs: int
    waiting_git: int
    waiting_objects: int
    waiting_object_bytes: int
    waiting_xorbs: int


class Collected(msgspec.Struct, frozen=True):
    """The plan of a collection or, after it, what was done. Bytes of files, but for `removed_git_bytes`."""

    dry_run: bool
    keep_s: float
    trash_s: float
    repos: list[RepoLitter]
    skipped: list[str]
    """Repos that were left alone, with the reason: damage, for `hub check`."""
    trashed_objects: Tally
    trashed_xorbs: Tally
    trash: Tally
    """What stays in the trash, before this run adds to it."""
    emptied: Tally

    @property
    def trashed_bytes(self) -> int:
        """What goes to the trash."""
        return self.trashed_objects.bytes + self.trashed_xorbs.bytes


class Collector:
    """One collection of one hub. `keep_s`: how long rows stay that nothing needs; `trash_s`: how long files stay in the trash."""

    def __init__(self, parts: Parts, data_dir: str, *, keep_s: float = KEEP_S, trash_s: float = TRASH_S) -> None:
        self._parts, self._keep_s, self._trash_s = parts, keep_s, trash_s
        self._data_dir = data_dir
        self._store = LocalStore(data_dir)
        self._folder = XorbFolder(self._store.root)
        self._trash = Trash(data_dir)
        self._now_ms = parts.now_ms()
        self._before_ms = self._now_ms - int(keep_s * 1000)
        self._litters: list[Litter] = []
        self._lost_objects: dict[str, set[int]] = {}
        self._lost_xorbs: dict[str, set[int]] = {}

    def plan(self) -> Collected:
        """What a collection would do now. Changes nothing."""
        found, skipped = [], []
        for key, name in self._repos():
            try:
                one = self._look(key, name)
            except IntegrityError as error:
                skipped.append(f"{name}: {error.message}")
                continue
            if one:
                found.append(one)
        objects, names = self._loose_objects(self._lost_objects, self._lost_xorbs), self._loose_xorbs(self._lost_xorbs)
        old, young = self._batches()
        return Collected(
            True,
            self._keep_s,
            self._trash_s,
            found,
            skipped,
            Tally(len(objects), sum(objects.values())),
            Tally(sum(size > 0 for size in names.values()), sum(names.values())),
            _tally(young),
            _tally(old),
        )

    def run(self) -> Collected:
        """Do what `plan` says, as far as it still holds when its turn comes; say what was done.

        Raises LockedError if another one is at work, StorageError.
        """
        with one_at_a_time(self._data_dir):
            plan = self.plan()
            skipped = list(plan.skipped)
            for litter in self._litters:
                try:
                    self._settle(litter)
                except IntegrityError as error:
                    skipped.append(f"repo {litter.repo_key}: {error.message}")
            objects = self._throw_away("objects", self._loose_objects({}, {}))
            names = self._throw_away("xorbs", self._loose_xorbs({}))
            emptied = self._empty()
        return msgspec.structs.replace(
            plan, dry_run=False, skipped=skipped, trashed_objects=objects, trashed_xorbs=names, emptied=emptied
        )

    def _repos(self) -> list[tuple[int, str]]:
        columns = (repos.c.id, repos.c.kind, repos.c.namespace, repos.c.name)
        with self._parts.database.read() as connection:
            rows = connection.execute(select(*columns).order_by(repos.c.id)).all()
        return [(row.id, str(RepoId(RepoKind(row.kind), row.namespace, row.name))) for row in rows]

    def _look(self, key: int, name: str) -> RepoLitter | None:
        with self._parts.database.read() as connection:
            litter = Litter(connection, key)
            verdict = judge(connection, litter, self._before_ms)
            if verdict.is_empty:
                return None
            self._litters.append(litter)
            for sha256 in verdict.objects:
                self._lost_objects.setdefault(sha256, set()).add(key)
            for xorb in verdict.xorbs:
                self._lost_xorbs.setdefault(xorb, set()).add(key)
            return self._describe(connection, key, name, verdict) if verdict.doomed or verdict.waiting else None

    @staticmethod
    def _describe(connection: Connection, key: int, name: str, verdict: Verdict) -> RepoLitter:
        sizes = select(lfs_objects.c.sha256, lfs_objects.c.size).where(lfs_objects.c.repo_id == key)
        waiting = sum(size for sha256, size in connection.execute(sizes) if sha256 in verdict.waiting_objects)
        return RepoLitter(
            name,
            len(verdict.git),
            git_bytes(connection, key, verdict.git),
            len(verdict.objects),
            len(verdict.xorbs),
            len(verdict.waiting_git),
            len(verdict.waiting_objects),
            waiting,
            len(verdict.waiting_xorbs),
        )

    def _settle(self, litter: Litter) -> None:
        """Judge anew inside the transaction that removes: what came back meanwhile stays."""
        database = self._parts.database
        is_done = False
        while not is_done:
            with database.write() as connection:
                repo = find_repo_by_key(connection, litter.repo_key)
                if repo is None:
                    return
                litter.follow(connection)
                verdict = judge(connection, litter, self._before_ms)
                forgets = self._keep_s < CLIENTS_REMEMBER_S
                is_done = apply(database, connection, litter, verdict, self._now_ms, forgets=forgets)
                self._record(connection, repo, verdict, is_done)
                note_day(connection, repo.key, usage(connection, repo.key), self._now_ms)
        self._parts.cache.forget(litter.repo_key)

    def _record(self, connection: Connection, repo: Repo, verdict: Verdict, is_done: bool) -> None:
        counts = (len(verdict.git), len(verdict.objects), len(verdict.xorbs)) if is_done else (BATCH_ROWS, 0, 0)
        if any(counts):
            facts = dict(zip(("git_objects", "objects", "xorbs"), counts, strict=True))
            record(connection, command_line(), Deed.HUB_GC, self._now_ms, repo=repo, facts=facts)

    def _loose_objects(self, lost: Mapping[str, set[int]], lost_xorbs: Mapping[str, set[int]]) -> dict[str, int]:
        """Objects of the store that no repo holds, nor a slice of them, with their bytes; the rest says which repos are about to lose one."""
        with self._parts.database.read() as connection:
            rows = connection.execute(select(lfs_objects.c.sha256, lfs_objects.c.repo_id))
            held = {sha256 for sha256, repo in rows if repo not in lost.get(sha256, ())}
            slices = select(xorbs.c.source_sha256, xorbs.c.hash, repo_xorbs.c.repo_id).join(repo_xorbs)
            used = connection.execute(slices.where(xorbs.c.source_sha256.is_not(None)))
            held |= {sha256 for sha256, name, repo in used if repo not in lost_xorbs.get(name, ())}
        return {one.sha256: one.size for one in self._store if one.sha256 not in held and self._is_old(one.sha256)}

    def _is_old(self, sha256: str) -> bool:
        return sha256 in self._lost_objects or self._is_old_file(self._store.file(sha256))

    def _is_old_file(self, file: str) -> bool:
        try:
            return os.stat(file).st_mtime * 1000 <= self._now_ms - FRESH_S * 1000
        except FileNotFoundError:
            return False

    def _loose_xorbs(self, lost: Mapping[str, set[int]]) -> dict[str, int]:
        """The same of xorbs, with those that a deleted repo left without a holder."""
        with self._parts.database.read() as connection:
            rows = connection.execute(select(repo_xorbs.c.hash, repo_xorbs.c.repo_id))
            held = {name for name, repo in rows if repo not in lost.get(name, ())}
            listed = set(connection.execute(select(xorbs.c.hash)).scalars())
        loose = dict.fromkeys(listed - held, 0)
        for name, size in self._folder:
            if name in loose or (name not in held and self._is_old_file(self._folder.file(name))):
                loose[name] = size
        return loose

    def _throw_away(self, shelf: Shelf, names: dict[str, int]) -> Tally:
        """Move files to the trash, unless a repo has come to hold them. Rows and files change hands under the one writer."""
        done = Tally()
        for some in chunks(sorted(names)):
            with self._parts.database.write() as connection:
                for name in _unheld(connection, shelf, some):
                    file = self._store.file(name) if shelf == "objects" else self._folder.file(name)
                    size = self._trash.put(file, shelf, name, self._now_ms)
                    done.count, done.bytes = done.count + (size > 0), done.bytes + size
        return done

    def _batches(self) -> tuple[list[Batch], list[Batch]]:
        """The batches in the trash that are old enough to go, and the others."""
        before_ms = self._now_ms - int(self._trash_s * 1000)
        found = self._trash.batches()
        return [one for one in found if one.thrown_ms <= before_ms], [one for one in found if one.thrown_ms > before_ms]

    def _empty(self) -> Tally:
        old = [one for one in self._batches()[0] if one.thrown_ms < self._now_ms]
        for batch in old:
            self._trash.empty(batch)
        return _tally(old)


def _tally(batches: list[Batch]) -> Tally:
    return Tally(sum(one.files for one in batches), sum(one.bytes for one in batches))


def _unheld(connection: Connection, shelf: Shelf, names: Sequence[str]) -> Iterator[str]:
    holders = lfs_objects.c.sha256 if shelf == "objects" else repo_xorbs.c.hash
    held = set(connection.execute(select(holders).where(holders.in_(names))).scalars())
    if shelf == "objects":
        held |= needed_sources(connection, names)
    loose = [name for name in names if name not in held]
    if shelf == "xorbs" and loose:
        connection.execute(delete(xorbs).where(xorbs.c.hash.in_(loose)))
    yield from loose
