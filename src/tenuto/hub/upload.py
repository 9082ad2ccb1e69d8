"""Files of a folder into a repo: only what the repo lacks, read where they lie, in one commit."""

import base64
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from tenuto.core import wire
from tenuto.core.errors import IntegrityError, UnavailableError
from tenuto.core.gitobj import blob_id
from tenuto.core.ids import RepoId
from tenuto.hub.remote import Deleted, Large, Operation, Regular, Remote
from tenuto.store.disk import BLOCK_BYTES, disk_errors

Progress = Callable[[int], None]


class Outgoing(NamedTuple):
    """A file to send: where it lies, its path in the repo, and the sha256 and size in bytes that it had when it was looked at."""

    file: str
    path: str
    sha256: str
    size: int


class Upload(NamedTuple):
    """One commit to make: files to send, paths to take away, and the title."""

    files: Sequence[Outgoing]
    deleted: Sequence[str]
    title: str


class Uploaded(NamedTuple):
    """The commit that was made, and for each file sent inside it the git id and sha256 of the same bytes."""

    commit: str
    git_ids: Sequence[tuple[str, str]]


def upload(
    remote: Remote,
    repo: RepoId,
    revision: str,
    parent: str,
    wanted: Upload,
    *,
    jobs: int = 8,
    progress: Progress = lambda _bytes: None,
) -> Uploaded:
    """Send what the repo lacks, then make one commit on top of `parent`.

    Raises ConflictError (StaleParent) if the branch moved: nothing but unreferenced objects is on the hub then. Raises IntegrityError
    (HashMismatch) for a file that changed since it was looked at; then no commit was made.
    """
    modes = remote.preupload(repo, revision, [_announce(file) for file in wanted.files])
    large = [file for file in wanted.files if _mode(modes, file) == "lfs"]
    _send_objects(remote, repo, large, jobs, progress)
    operations: list[Operation] = [Deleted(path) for path in wanted.deleted]
    git_ids = []
    for file in wanted.files:
        if _mode(modes, file) == "lfs":
            operations.append(Large(file.path, file.sha256, file.size))
        else:
            content = _read(file)
            operations.append(Regular(file.path, content))
            git_ids.append((blob_id(content), file.sha256))
            progress(file.size)
    result = remote.commit(repo, revision, operations, title=wanted.title, parent=parent)
    return Uploaded(result.commit, git_ids)


def _announce(file: Outgoing) -> wire.PreuploadFile:
    with disk_errors(file.file), open(file.file, "rb") as opened:
        sample = opened.read(wire.SAMPLE_BYTES)
    return wire.PreuploadFile(file.path, file.size, base64.b64encode(sample).decode())


def _mode(modes: dict[str, wire.PreuploadAnswer], file: Outgoing) -> str:
    answer = modes.get(file.path)
    if answer is None:
        raise UnavailableError(f"the hub did not say how to send {file.path}", code="BadAnswer")
    return answer.mode if file.size else "regular"


def _read(file: Outgoing) -> bytes:
    with disk_errors(file.file), open(file.file, "rb") as opened:
        content = opened.read(file.size + 1)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _changed(file)
    return content


def _send_objects(remote: Remote, repo: RepoId, files: Sequence[Outgoing], jobs: int, progress: Progress) -> None:
    by_hash = {file.sha256: file for file in files}
    objects = [wire.LfsObject(file.sha256, file.size) for file in by_hash.values()]
    answers = remote.lfs_batch(repo, objects)
    with ThreadPoolExecutor(max(1, jobs), "upload") as pool:
        tasks = [pool.submit(_send_object, remote, by_hash[answer.oid], answer, progress) for answer in answers]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _send_object(remote: Remote, file: Outgoing, answer: wire.LfsAnswer, progress: Progress) -> None:
    if answer.error:
        raise UnavailableError(f"the hub refuses {file.path}: {answer.error.message}", code="BadAnswer")
    if not answer.actions or "upload" not in answer.actions:
        progress(file.size)
        return
    action = answer.actions["upload"]
    try:
        if "chunk_size" in action.header:
            _send_parts(remote, file, action, progress)
        else:
            blocks = functools.partial(_blocks, file, 0, file.size, progress)
            remote.session.send("PUT", action.href, blocks, file.size, action.header)
    except IntegrityError as error:
        raise _changed(file) from error
    if "verify" in answer.actions:
        verify = answer.actions["verify"]
        body = msgspec.json.encode(wire.LfsObject(file.sha256, file.size))
        remote.session.request(
            "POST", verify.href, body=body, headers={"Content-Type": wire.LFS_MEDIA_TYPE, **verify.header}
        )


def _send_parts(remote: Remote, file: Outgoing, action: wire.LfsAction, progress: Progress) -> None:
    part_bytes = int(action.header["chunk_size"])
    parts = []
    for number in sorted((key for key in action.header if key.isdecimal()), key=int):
        start = (int(number) - 1) * part_bytes
        size = min(part_bytes, file.size - start)
        blocks = functools.partial(_blocks, file, start, size, progress)
        answer = remote.session.send("PUT", action.header[number], blocks, size)
        parts.append({"partNumber": int(number), "etag": answer.headers.get("ETag", "")})
    body = msgspec.json.encode({"oid": file.sha256, "parts": parts})
    remote.session.request("POST", action.href, body=body, headers={"Content-Type": wire.LFS_MEDIA_TYPE})


def _blocks(file: Outgoing, start: int, size: int, progress: Progress) -> Iterator[bytes]:
    sent = 0
    try:
        with disk_errors(file.file), open(file.file, "rb", buffering=0) as opened:
            opened.seek(start)
            while sent < size:
                block = opened.read(min(BLOCK_BYTES, size - sent))
                if not block:
                    raise _changed(file)
                yield block
                sent += len(block)
                progress(len(block))
    except GeneratorExit:
        progress(-sent)
        raise


def _changed(file: Outgoing) -> IntegrityError:
    return IntegrityError(
        f"{file.path} changed while it was being sent: it no longer has the sha256 {file.sha256}",
        hint="wait until it is written, then push again",
    )
