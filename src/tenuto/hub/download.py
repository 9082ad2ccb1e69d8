"""Files of a repo into a store: in parallel, hashed in the stream, resumed after an interruption, published in batches."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

from tenuto.core.errors import IntegrityError, TenutoError, UnavailableError
from tenuto.core.ids import RepoId
from tenuto.core.pack import FILE_LIMIT_BYTES
from tenuto.hub.packs import PACK_FROM_FILES, by_pack, unpack
from tenuto.hub.patience import Attempt
from tenuto.hub.remote import Remote
from tenuto.hub.session import Stream
from tenuto.store.base import Incoming, Sealed, Store

BATCH_FILES = 1024
BATCH_BYTES = 512 << 20
_LENGTH = re.compile(r"[0-9]{1,18}")

Progress = Callable[[int], None]


class Wanted(NamedTuple):
    """A file to fetch: its path in the repo, size in bytes, and the sha256 or git id that its bytes must have (one of them is known)."""

    path: str
    size: int
    sha256: str | None = None
    git_id: str | None = None

    @property
    def key(self) -> str:
        """What an interrupted transfer of it is found by."""
        return self.sha256 or f"git-{self.git_id}"


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
    jobs: int = 8,
    progress: Progress = lambda _bytes: None,
) -> list[Fetched]:
    """Fetch every file into the store, each content once; when this returns, all of it is published and durable.

    Raises the first error. What was complete by then is published all the same, what was not goes on in the next call.
    """
    by_key: dict[str, list[Wanted]] = {}
    for wanted in files:
        by_key.setdefault(wanted.key, []).append(wanted)
    transfer = _Transfer(remote, repo, commit, store, progress)
    fetched: list[Fetched] = []
    for key, sha256 in transfer.run([group[0] for group in by_key.values()], jobs).items():
        fetched += [Fetched(wanted, sha256) for wanted in by_key[key]]
    return fetched


class _Transfer:
    def __init__(self, remote: Remote, repo: RepoId, commit: str, store: Store, progress: Progress) -> None:
        self._remote, self._repo, self._commit, self._store, self._progress = remote, repo, commit, store, progress
        self._stopped = threading.Event()
        self._pending: list[Sealed] = []
        self._pending_bytes = 0

    def run(self, files: Sequence[Wanted], jobs: int) -> dict[str, str]:
        found: dict[str, str] = {}
        failure: TenutoError | None = None
        with ThreadPoolExecutor(max(1, min(jobs, len(files))), "download") as pool:
            futures = [pool.submit(self._fetch_group, group) for group in self._groups(files)]
            try:
                for future in as_completed(futures):
                    done, error = future.result()
                    for key, sealed in done.items():
                        found[key] = sealed.sha256
                        self._collect(sealed)
                    if error is not None:
                        failure = failure or error
                        self._stopped.set()  # what is queued begins and ends at once; a cancelled future would never complete
            except BaseException:
                self._stopped.set()
                raise
            finally:
                self._publish()
        if failure is not None:
            raise failure
        return found

    def _groups(self, files: Sequence[Wanted]) -> Iterator[list[Wanted]]:
        """Large files alone, the largest first; then small ones by the pack, unless the hub knows no packs."""
        small = [wanted for wanted in files if wanted.size <= FILE_LIMIT_BYTES]
        if self._remote.session.speaks_pack is False or len(small) < PACK_FROM_FILES:
            small = []
        packed = {wanted.key for wanted in small}
        yield from ([wanted] for wanted in sorted(files, key=lambda one: -one.size) if wanted.key not in packed)
        yield from by_pack(small, lambda wanted: wanted.size)

    def _fetch_group(self, group: Sequence[Wanted]) -> tuple[dict[str, Sealed], TenutoError | None]:
        """What of the group came whole, by key, and the error that kept the rest. What a pack does not bring is fetched by itself."""
        done: dict[str, Sealed] = {}
        try:
            if len(group) > 1:
                self._fetch_pack(group, done)
            for wanted in group:
                if wanted.key not in done and not self._stopped.is_set():
                    done[wanted.key] = self._fetch(wanted)
        except TenutoError as error:
            return done, error
        return done, None

    def _fetch_pack(self, group: Sequence[Wanted], done: dict[str, Sealed]) -> None:
        session = self._remote.session
        if session.speaks_pack is None:  # the answer to a first file tells
            done[group[0].key] = self._fetch(group[0])
        if session.speaks_pack and not self._stopped.is_set():
            with contextlib.suppress(TenutoError):  # each file by itself will say what is wrong
                session.persist(
                    lambda: self._unpack([one for one in group if one.key not in done], done),
                    gained=lambda: len(done),
                    stopped=self._stopped,
                )

    def _unpack(self, group: Sequence[Wanted], done: dict[str, Sealed]) -> None:
        by_path = {wanted.path: wanted for wanted in group}
        address, body = self._remote.pack_request(self._repo, self._commit, list(by_path))
        with self._remote.session.open("POST", address, body, {"Content-Type": "application/json"}) as stream:
            for path, content in unpack(stream):
                wanted = by_path.get(path)
                if wanted is None or self._stopped.is_set():
                    return
                git_size = wanted.size if wanted.sha256 is None else None
                with contextlib.suppress(IntegrityError), self._store.receive(git_size=git_size) as incoming:
                    incoming.write(content)
                    done[wanted.key] = incoming.seal(sha256=wanted.sha256, git_id=wanted.git_id)
                    self._progress(wanted.size)

    def _collect(self, sealed: Sealed) -> None:
        self._pending.append(sealed)
        self._pending_bytes += sealed.size
        if len(self._pending) >= BATCH_FILES or self._pending_bytes >= BATCH_BYTES:
            self._publish()

    def _publish(self) -> None:
        batch, self._pending, self._pending_bytes = self._pending, [], 0
        self._store.publish(batch)

    def _fetch(self, wanted: Wanted) -> Sealed:
        try:
            return self._receive(wanted)
        except IntegrityError:
            # A resumed part or a broken proxy can be at fault: one whole new transfer decides.
            return self._receive(wanted)

    def _receive(self, wanted: Wanted) -> Sealed:
        git_size = wanted.size if wanted.sha256 is None else None
        source = f"{self._remote.endpoint}/{self._repo.web_path} {wanted.path}"
        with self._store.receive(key=wanted.key, git_size=git_size) as incoming:
            self._progress(incoming.size)
            held = 0
            try:
                if incoming.size != wanted.size:
                    self._remote.session.persist(
                        lambda: self._attempt(wanted, incoming), gained=lambda: incoming.size, stopped=self._stopped
                    )
                held = incoming.size
                return incoming.seal(sha256=wanted.sha256, git_id=wanted.git_id, source=source)
            except BaseException:
                self._progress(-(held or incoming.size))
                raise

    def _attempt(self, wanted: Wanted, incoming: Incoming) -> None:
        if incoming.size > wanted.size:
            self._restart(incoming)
        headers = {"Range": f"bytes={incoming.size}-"} if incoming.size else None
        address = self._remote.file_address(self._repo, self._commit, wanted.path)
        with self._remote.session.open("GET", address, headers=headers) as stream:
            self._position(stream, wanted, incoming)
            self._write(stream, wanted, incoming)
        if incoming.size < wanted.size:
            raise Attempt(_short(wanted, incoming.size), again=True)

    def _position(self, stream: Stream, wanted: Wanted, incoming: Incoming) -> None:
        """Bring what is held in line with an answer that may be used; what is held stays if the answer is of no use."""
        _check_body(stream, wanted, self._remote.endpoint)
        if stream.status == 206 and incoming.size and _continues(stream, incoming.size, wanted.size):
            return
        held = incoming.size
        self._restart(incoming)
        if stream.status != 200:
            raise Attempt(_cannot_resume(wanted), again=True, wait_s=0.0 if held else None)

    def _write(self, stream: Stream, wanted: Wanted, incoming: Incoming) -> None:
        for block in stream.blocks:
            if self._stopped.is_set():
                raise Attempt(UnavailableError("stopped"), again=False)
            if incoming.size + len(block) > wanted.size:
                self._restart(incoming)
                raise _other_size(wanted, f"more than {wanted.size}", self._remote.endpoint)
            incoming.write(block)
            self._progress(len(block))

    def _restart(self, incoming: Incoming) -> None:
        self._progress(-incoming.size)
        incoming.restart()


def _continues(stream: Stream, position: int, size: int) -> bool:
    return stream.status == 206 and stream.headers.get("Content-Range", "") == f"bytes {position}-{size - 1}/{size}"


def _cannot_resume(wanted: Wanted) -> TenutoError:
    return UnavailableError(f"the hub did not continue {wanted.path} where it stopped", code="BadAnswer")


def _short(wanted: Wanted, got: int) -> TenutoError:
    return UnavailableError(
        f"{wanted.path} ended after {got} of {wanted.size} bytes",
        hint="run the command again: it goes on where it stopped",
    )


def _check_body(stream: Stream, wanted: Wanted, endpoint: str) -> None:
    """Refuse a body that cannot be the wanted one before a byte of it is taken in."""
    if stream.headers.get("Content-Encoding", "identity") != "identity":
        raise Attempt(UnavailableError(f"{wanted.path} came compressed, unasked", code="BadAnswer"), again=True)
    if stream.status != 200:
        return
    length = stream.headers.get("Content-Length", "")
    announced = int(length) if _LENGTH.fullmatch(length) else None
    is_page = stream.headers.get("Content-Type", "").lower().startswith("text/html")
    if is_page and announced != wanted.size and not wanted.path.endswith((".html", ".htm")):
        raise Attempt(_web_page(wanted, endpoint), again=True)
    if announced is not None and announced != wanted.size:
        raise _other_size(wanted, str(announced), endpoint)


def _web_page(wanted: Wanted, endpoint: str) -> TenutoError:
    return UnavailableError(
        f"{endpoint} answered with a web page in place of {wanted.path}",
        code="BadAnswer",
        hint="does this network ask you to log in? Open a browser, then run the command again",
    )


def _other_size(wanted: Wanted, sent: str, endpoint: str) -> TenutoError:
    return IntegrityError(
        f"{endpoint} sends {sent} bytes for {wanted.path}, which has {wanted.size} and the id {wanted.key}",
        code="SizeMismatch",
        hint="nothing was stored; try again, or use another source",
    )
