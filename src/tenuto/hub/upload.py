"""Files of a folder into a repo: only what the repo lacks, in one commit, or in several where a hub takes no more at once."""

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from tenuto.core import wire
from tenuto.core.errors import UnavailableError
from tenuto.core.gitobj import blob_id
from tenuto.core.ids import RepoId
from tenuto.hub.chunked import ChunkSender
from tenuto.hub.objects import Outgoing, changed, send_objects
from tenuto.hub.remote import Deleted, Large, Operation, Regular, Remote
from tenuto.store.disk import disk_errors
from tenuto.store.listener import Listener, Progress

__all__ = ["Outgoing", "Upload", "Uploaded", "upload"]

COMMIT_BYTES = 100 << 20
_Change = Large | Outgoing | Deleted
"""What a commit changes; the content of a small file is read when its commit is made."""


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

    A hub that is not ours gets several commits if there are more than `remote.commit_files` changes: each one holds, and the next push
    sends what a failure left out. Raises ConflictError (StaleParent) if the branch moved: nothing but unreferenced objects, or the first
    of several commits, is on the hub then. Raises IntegrityError (HashMismatch) for a file that changed since it was looked at.
    """

    with Listener(progress) as listener:
        return _upload(remote, repo, revision, parent, wanted, jobs, listener)


def _upload(
    remote: Remote, repo: RepoId, revision: str, parent: str, wanted: Upload, jobs: int, progress: Progress
) -> Uploaded:
    def ask(files: Sequence[Outgoing]) -> dict[str, wire.PreuploadAnswer]:
        return remote.preupload(repo, revision, map(_announce, files))

    modes = ask(wanted.files)
    large = {file.path: file for file in wanted.files if _mode(modes, file) == "lfs"}
    by_chunks = ChunkSender(remote, repo, revision, modes, ask, progress)
    send_objects(remote, repo, list(large.values()), jobs, progress, by_chunks.send)
    changes: list[_Change] = [
        Large(file.path, file.sha256, file.size) if file.path in large else file for file in wanted.files
    ]
    parts = _parts(remote, [*changes, *map(Deleted, wanted.deleted)])
    git_ids: list[tuple[str, str]] = []
    for number, part in enumerate(parts, 1):
        title = wanted.title if len(parts) == 1 else f"{wanted.title} (part {number} of {len(parts)})"
        operations = [_operation(change, git_ids) for change in part]
        parent = remote.commit(repo, revision, operations, title=title, parent=parent).commit
        progress(sum(map(_inside_bytes, part)))
    return Uploaded(parent, git_ids)


def _parts(remote: Remote, changes: Sequence[_Change]) -> list[list[_Change]]:
    """The changes of each commit. What is taken away comes last, so that a moved file is never missing in between."""
    if remote.session.speaks_pack:
        return [list(changes)]
    parts: list[list[_Change]] = [[]]
    inside_bytes = 0
    for change in changes:
        inside_bytes += _inside_bytes(change)
        if parts[-1] and (len(parts[-1]) >= remote.commit_files or inside_bytes > COMMIT_BYTES):
            parts.append([])
            inside_bytes = _inside_bytes(change)
        parts[-1].append(change)
    return parts


def _inside_bytes(change: _Change) -> int:
    """What travels inside the commit."""
    return change.size if isinstance(change, Outgoing) else 0


def _operation(change: _Change, git_ids: list[tuple[str, str]]) -> Operation:
    if not isinstance(change, Outgoing):
        return change
    content = _read(change)
    git_ids.append((blob_id(content), change.sha256))
    return Regular(change.path, content)


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
        raise changed(file)
    return content
