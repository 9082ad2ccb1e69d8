"""Files of a repo into a store: in parallel, hashed in the stream, resumed after an interruption, published in batches."""

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

from tenuto.core.errors import IntegrityError, InternalError, StorageError, TenutoError
from tenuto.core.ids import RepoId
from tenuto.hub import lanes
from tenuto.hub.packs import PACK_FROM_FILES, by_pack, unpack
from tenuto.hub.remote import Remote
from tenuto.hub.shared_work import SharedWork
from tenuto.hub.sources import Ranking, RepoSource, Source, Wanted, no_source
from tenuto.hub.stream import OneStream, Told
from tenuto.store.base import IncomingBlocks, Sealed, Store
from tenuto.store.listener import Listener, Progress

__all__ = ["Fetched", "Wanted", "download", "download_from"]

BATCH_FILES = 1024
BATCH_BYTES = 512 << 20
PACKED_UP_TO_BYTES = 1 << 20


class Fetched(NamedTuple):
    """A file that is in the store now, under `sha256`."""

    wanted: Wanted
    sha256: str


def download(
    remote: Remote,
    repo: RepoId,
    commit: str,
    files: Iterable[Wanted],
    store: Store,
    *,
    mirrors: Sequence[Source] = (),
    jobs: int = 8,
    progress: Progress = lambda _bytes: None,
) -> list[Fetched]:
    """Fetch files of a repo at a commit, or of a mirror what the repo cannot give; the rest as `download_from`."""
    sources: list[Source] = [RepoSource(remote, repo, commit), *mirrors]
    return download_from(sources, files, store, jobs=jobs, progress=progress)


def download_from(
    sources: Sequence[Source],
    files: Iterable[Wanted],
    store: Store,
    *,
    jobs: int = 8,
    progress: Progress = lambda _bytes: None,
) -> list[Fetched]:
    """Fetch every file into the store, each content once; when this returns, all of it is published and durable.

    Sources are tried in order; one that fails comes last from then on. Raises the first error that no source helps against. What was
    complete by then is published all the same, what was not goes on in the next call.
    """
    by_key: dict[str, list[Wanted]] = {}
    for wanted in files:
        by_key.setdefault(wanted.key, []).append(wanted)
    with Listener(progress) as listener:
        found = _Transfer(sources, store, max(1, jobs), listener).run([group[0] for group in by_key.values()])
    return [Fetched(wanted, sha256) for key, sha256 in found.items() for wanted in by_key[key]]


class _Outcome(NamedTuple):
    """What of a group of files came whole, by key, and the error that kept the rest."""

    done: dict[str, Sealed]
    error: BaseException | None


class _Transfer:
    def __init__(self, sources: Sequence[Source], store: Store, jobs: int, progress: Progress) -> None:
        self._ranking, self._store, self._jobs, self._progress = Ranking(sources), store, jobs, progress
        self._stopped = threading.Event()
        self._outcomes: SimpleQueue[_Outcome] = SimpleQueue()
        self._found: dict[str, str] = {}
        self._failure: BaseException | None = None
        self._pending: list[Sealed] = []
        self._pending_bytes = 0

    def run(self, files: Sequence[Wanted]) -> dict[str, str]:
        groups = list(self._groups(files))
        try:
            with ThreadPoolExecutor(self._jobs, "download") as self._pool:
                try:
                    self._begin(groups)
                    for _ in groups:
                        self._settle(self._outcomes.get())
                except BaseException:
                    self._stopped.set()
                    raise
        finally:
            while not self._outcomes.empty():  # whoever was stopped may have brought something whole
                self._settle(self._outcomes.get())
            self._publish()
        if self._failure is not None:
            raise self._failure
        return self._found

    def _begin(self, groups: Sequence[Sequence[Wanted]]) -> None:
        """Every group is on its way to an outcome: packs through a few lanes, each other file as a thread is free."""
        packs = iter([group for group in groups if len(group) > 1])
        self._pace = lanes.Pace(self._jobs)
        self._packs = SharedWork(lambda: next(packs, None), self._work, lambda: self._pace.lanes, self._pool.submit)
        for group in groups:
            if len(group) == 1:
                self._pool.submit(self._work, group)
        self._pool.submit(self._packs.work)
        self._packs.widen()

    def _work(self, group: Sequence[Wanted]) -> None:
        """Whatever happens, the group has an outcome: somebody waits for it."""
        done: dict[str, Sealed] = {}
        try:
            self._fetch_group(group, done)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits, and is raised there
            self._outcomes.put(_Outcome(done, error))
        else:
            self._outcomes.put(_Outcome(done, None))

    def _settle(self, outcome: _Outcome) -> None:
        for key, sealed in outcome.done.items():
            self._found[key] = sealed.sha256
            self._collect(sealed)
        if outcome.error is not None:
            self._failure = self._failure or outcome.error
            self._stopped.set()  # what waits for its turn begins and ends at once

    def _groups(self, files: Sequence[Wanted]) -> Iterator[list[Wanted]]:
        """Large files alone, the largest first; then small ones by the pack, unless the best source knows no packs."""
        small = [wanted for wanted in files if wanted.size <= PACKED_UP_TO_BYTES]
        if self._ranking.order()[0].session.speaks_pack is False or len(small) < PACK_FROM_FILES:
            small = []
        packed = {wanted.key for wanted in small}
        yield from ([wanted] for wanted in sorted(files, key=lambda one: -one.size) if wanted.key not in packed)
        yield from by_pack(small, lambda wanted: wanted.size)

    def _fetch_group(self, group: Sequence[Wanted], done: dict[str, Sealed]) -> None:
        """What a pack does not bring is fetched by itself."""
        if len(group) > 1:
            self._fetch_pack(group, done)
        for wanted in group:
            if wanted.key not in done and not self._stopped.is_set():
                done[wanted.key] = self._fetch(wanted)

    def _fetch_pack(self, group: Sequence[Wanted], done: dict[str, Sealed]) -> None:
        if self._ranking.order()[0].session.speaks_pack is None:  # the answer to a first file tells
            done[group[0].key] = self._fetch(group[0])
        for source in self._ranking.order():
            if self._stopped.is_set():
                return
            unpack_lacking = functools.partial(self._unpack, source, group, done)
            with contextlib.suppress(TenutoError):  # each file by itself will say what is wrong
                source.session.persist(unpack_lacking, gained=lambda: len(done), stopped=self._stopped)

    def _unpack(self, source: Source, group: Sequence[Wanted], done: dict[str, Sealed]) -> None:
        by_path = {wanted.path: wanted for wanted in group if wanted.key not in done}
        request = source.pack_request(list(by_path)) if by_path else None
        if request is None:
            return
        address, body = request
        with source.session.open("POST", address, body, {"Content-Type": "application/json"}) as stream:
            for path, content in unpack(stream):
                wanted = by_path.pop(path, None)
                if wanted is None or self._stopped.is_set():
                    return
                with contextlib.suppress(IntegrityError):
                    done[wanted.key] = self._store.take_in(content, sha256=wanted.sha256, git_id=wanted.git_id)
                if wanted.key in done:
                    self._progress(wanted.size)
                if self._pace.moved(wanted.size):
                    self._packs.widen()

    def _collect(self, sealed: Sealed) -> None:
        self._pending.append(sealed)
        self._pending_bytes += sealed.size
        # Nobody goes on with a file that was sealed and not published: for a large one that time is kept short.
        is_large = sealed.size >= lanes.BLOCKS_FROM_BYTES
        if is_large or len(self._pending) >= BATCH_FILES or self._pending_bytes >= BATCH_BYTES:
            self._publish()

    def _publish(self) -> None:
        batch, self._pending, self._pending_bytes = self._pending, [], 0
        self._store.publish(batch)

    def _fetch(self, wanted: Wanted) -> Sealed:
        """The file from the first source that has it as it should be. What one has sent rightly is not asked of the next."""
        faults: list[tuple[Source, TenutoError]] = []
        for source in self._ranking.order():
            try:
                return self._fetch_from(source, wanted)
            except (StorageError, InternalError):
                raise
            except TenutoError as error:
                if self._stopped.is_set():
                    raise
                self._ranking.demote(source)
                faults.append((source, error))
        raise no_source(wanted, faults)

    def _fetch_from(self, source: Source, wanted: Wanted) -> Sealed:
        try:
            return self._receive(source, wanted)
        except IntegrityError:
            # A resumed part or a broken proxy can be at fault: one whole new transfer decides.
            return self._receive(source, wanted, in_one=True)

    def _receive(self, source: Source, wanted: Wanted, *, in_one: bool = False) -> Sealed:
        told = Told(self._progress)
        try:
            blocks = self._open_blocks(wanted)
            if blocks is None:
                return self._receive_stream(source, wanted, told)
            with blocks:
                return self._receive_blocks(source, wanted, blocks, told, in_one)
        except BaseException:
            told.take_back()
            raise

    def _open_blocks(self, wanted: Wanted) -> IncomingBlocks | None:
        if wanted.sha256 is None or wanted.size < lanes.BLOCKS_FROM_BYTES:
            return None
        return self._store.receive_blocks(wanted.key, wanted.size, lanes.block_bytes(wanted.size))

    def _receive_stream(self, source: Source, wanted: Wanted, progress: Progress) -> Sealed:
        git_size = wanted.size if wanted.sha256 is None else None
        with self._store.receive(key=wanted.key, git_size=git_size) as incoming:
            progress(incoming.size)
            OneStream(source, wanted, incoming, progress, self._stopped).run()
            return incoming.seal(sha256=wanted.sha256, git_id=wanted.git_id, source=f"{source.title} {wanted.path}")

    def _receive_blocks(
        self, source: Source, wanted: Wanted, blocks: IncomingBlocks, progress: Progress, in_one: bool
    ) -> Sealed:
        cut, missing = blocks.block_bytes, blocks.missing()
        progress(wanted.size - sum(min(cut, wanted.size - number * cut) for number in missing))
        work = lanes.Lanes(source, wanted, blocks, progress, self._stopped)
        if in_one:
            work.run_whole()
        elif missing:
            work.run(self._jobs, self._pool.submit)
        return blocks.seal(sha256=wanted.sha256, source=f"{source.title} {wanted.path}")
