"""Objects on their way to a hub: small ones by the pack, long ones in parts, each read where it lies."""

import functools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

import msgspec

from tenuto.core import wire
from tenuto.core.errors import ConflictError, IntegrityError, NotFoundError, TenutoError, UnavailableError
from tenuto.core.ids import RepoId
from tenuto.core.pack import FILE_LIMIT_BYTES, frame_head, frame_size
from tenuto.hub.packs import PACK_FROM_FILES, by_pack
from tenuto.hub.remote import Remote
from tenuto.hub.session import Answer
from tenuto.hub.shared_work import Call, SharedWork
from tenuto.store.disk import BLOCK_BYTES, disk_errors
from tenuto.store.listener import Progress

JOINED_BYTES = 64 << 10
_NUMBER = re.compile(r"[0-9]{1,18}")


class Outgoing(NamedTuple):
    """A file to send: where it lies, its path in the repo, and the sha256 and size in bytes that it had when it was looked at."""

    file: str
    path: str
    sha256: str
    size: int


SendChunks = Callable[[Sequence[Outgoing], bool], AbstractSet[str]]
"""Is given what the hub lacks, and whether there is no other way; sends what is to go by chunks and returns the sha256 of that."""


def send_objects(
    remote: Remote,
    repo: RepoId,
    files: Sequence[Outgoing],
    jobs: int,
    progress: Progress,
    send_chunks: SendChunks = lambda _files, _must: frozenset(),
) -> None:
    """Afterwards the repo holds every object; what it has already is not sent. Raises IntegrityError for a file that changed."""
    by_hash = {file.sha256: file for file in files}
    try:
        answers = _ask(remote, repo, by_hash)
    except (NotFoundError, UnavailableError) as error:
        if error.code not in {"RouteNotFound", "NotSupported"} or send_chunks(list(by_hash.values()), True) < set(
            by_hash
        ):
            raise
        return
    lacking = [file for sha256, file in by_hash.items() if _is_lacking(answers[sha256])]
    for sha256 in send_chunks(lacking, False):
        del by_hash[sha256]
    with ThreadPoolExecutor(max(1, jobs), "upload") as pool:
        sender = _Sender(remote, repo, progress, max(1, jobs), pool.submit)
        tasks = [pool.submit(sender.send_group, group) for group in _groups(remote, by_hash, answers)]
        try:
            for task in as_completed(tasks):
                task.result()
        except BaseException:
            sender.stopped.set()
            raise


def _ask(remote: Remote, repo: RepoId, by_hash: Mapping[str, Outgoing]) -> dict[str, wire.LfsAnswer]:
    objects = [wire.LfsObject(file.sha256, file.size) for file in by_hash.values()]
    answers = {answer.oid: answer for answer in remote.lfs_batch(repo, objects)}
    silent = next((file for sha256, file in by_hash.items() if sha256 not in answers), None)
    if silent:
        raise UnavailableError(f"the hub did not say where to send {silent.path}", code="BadAnswer")
    return answers


_Offer = tuple[Outgoing, wire.LfsAnswer]


def _groups(
    remote: Remote, by_hash: Mapping[str, Outgoing], answers: Mapping[str, wire.LfsAnswer]
) -> Iterator[list[_Offer]]:
    """What goes together: small objects that the hub lacks by the pack, if it speaks packs; every other one alone."""
    small = []
    for sha256, file in by_hash.items():
        answer = answers[sha256]
        if file.size <= FILE_LIMIT_BYTES and _is_lacking(answer) and remote.session.speaks_pack:
            small.append((file, answer))
        else:
            yield [(file, answer)]
    if len(small) < PACK_FROM_FILES:
        yield from ([offer] for offer in small)
    else:
        yield from by_pack(small, lambda offer: offer[0].size)


def _is_lacking(answer: wire.LfsAnswer) -> bool:
    return answer.error is None and bool(answer.actions) and "upload" in (answer.actions or {})


class _Sender:
    """Sends objects; those that are under way end soon after `stopped` is set, the others do not begin."""

    def __init__(self, remote: Remote, repo: RepoId, progress: Progress, jobs: int, call: Call) -> None:
        self._remote, self._repo, self._progress = remote, repo, progress
        self._jobs, self._call = jobs, call
        self.stopped = threading.Event()

    def send_group(self, group: Sequence[_Offer]) -> None:
        """Send several objects in one request, or each by itself if that does not work: then the one at fault is named."""
        if len(group) > 1 and not self.stopped.is_set():
            files = [file for file, _ in group]
            size = sum(frame_size(file.sha256, file.size) for file in files)
            try:
                self._remote.send_pack(self._repo, functools.partial(_frames, files), size, self.stopped)
            except TenutoError as error:
                if error.code == "QuotaExceeded":
                    raise  # one by one, some of them would fit: nobody asked for that
            else:
                self._progress(sum(file.size for file in files))
                return
        for file, answer in group:
            self.send(file, answer)

    def send(self, file: Outgoing, answer: wire.LfsAnswer, again: bool = True) -> None:
        """Send one object in the way that the hub asks for, all of it `again` if the hub was killed and lost parts of it."""
        if self.stopped.is_set():
            return
        if answer.error:
            raise UnavailableError(f"the hub refuses {file.path}: {answer.error.message}", code="BadAnswer")
        if not answer.actions or "upload" not in answer.actions:
            self._progress(file.size)
            return
        action = answer.actions["upload"]
        try:
            if "chunk_size" in action.header:
                if not self._send_parts(file, action, again):
                    self.send(file, _ask(self._remote, self._repo, {file.sha256: file})[file.sha256], False)
                    return
                is_verified = False
            else:
                received = self._put(file, action.href, 0, file.size, action.header)
                is_verified = received.headers.get("ETag", "").strip('"') == file.sha256
        except IntegrityError as error:
            raise changed(file) from error
        if "verify" in answer.actions and not is_verified:
            self._verify(file, answer.actions["verify"])

    def _verify(self, file: Outgoing, action: wire.LfsAction) -> None:
        body = msgspec.json.encode(wire.LfsObject(file.sha256, file.size))
        headers = {"Content-Type": wire.LFS_MEDIA_TYPE, **action.header}
        self._remote.session.request("POST", action.href, body=body, headers=headers, stopped=self.stopped)

    def _send_parts(self, file: Outgoing, action: wire.LfsAction, again: bool) -> bool:
        """Whether the hub has all of them in the end; if not, and they will not be sent `again`, that is an error."""
        addresses = {int(key): address for key, address in action.header.items() if _NUMBER.fullmatch(key)}
        length = action.header["chunk_size"]
        part_bytes = int(length) if _NUMBER.fullmatch(length) else 0
        numbers = range(1, -(-file.size // part_bytes) + 1) if part_bytes else range(0)
        if not numbers or addresses.keys() != set(numbers):
            raise UnavailableError(f"the hub cuts {file.path} into parts that do not make it up", code="BadAnswer")
        tags: dict[int, str] = {}

        def send_part(number: int) -> None:
            start = (number - 1) * part_bytes
            answer = self._put(file, addresses[number], start, min(part_bytes, file.size - start))
            tags[number] = answer.headers.get("ETag", "")

        left = iter(numbers)
        work = SharedWork(lambda: next(left, None), send_part, lambda: self._jobs, self._call)
        work.widen()
        work.run()
        parts = [{"partNumber": number, "etag": tags[number]} for number in numbers]
        body = msgspec.json.encode({"oid": file.sha256, "parts": parts})
        headers = {"Content-Type": wire.LFS_MEDIA_TYPE}
        try:
            self._remote.session.request("POST", action.href, body=body, headers=headers, stopped=self.stopped)
        except ConflictError:
            if not again:
                raise
            self._progress(-file.size)
            return False
        return True

    def _put(
        self, file: Outgoing, address: str, start: int, size: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        blocks = functools.partial(self._blocks, file, start, size, [])
        return self._remote.session.send("PUT", address, blocks, size, headers, self.stopped)

    def _blocks(self, file: Outgoing, start: int, size: int, told: list[int]) -> Iterator[bytes]:
        """The bytes to send. What an earlier try `told` of progress is taken back first."""
        if told:
            self._progress(-sum(told))
            told.clear()
        sent = 0
        with disk_errors(file.file), open(file.file, "rb", buffering=0) as opened:
            opened.seek(start)
            while sent < size:
                block = opened.read(min(BLOCK_BYTES, size - sent))
                if not block:
                    raise changed(file)
                if self.stopped.is_set():
                    raise UnavailableError(f"{file.path} was not sent to the end: another file failed")
                yield block
                sent += len(block)
                told.append(len(block))
                self._progress(len(block))


def changed(file: Outgoing) -> IntegrityError:
    """The error for a file that is no longer what it was."""
    return IntegrityError(
        f"{file.path} changed while it was being sent: it no longer has the sha256 {file.sha256}",
        hint="wait until it is written, then push again",
    )


def _frames(files: Sequence[Outgoing]) -> Iterator[bytes]:
    for file in files:
        head, left = frame_head(file.sha256, file.size), file.size
        with disk_errors(file.file), open(file.file, "rb", buffering=0) as opened:
            while block := opened.read(min(left, BLOCK_BYTES)):
                left -= len(block)
                if head and len(block) > JOINED_BYTES:  # a copy of it would cost more than another small write
                    yield head
                    head = b""
                yield head + block if head else block
                head = b""
            if left or opened.read(1):
                raise changed(file)
