"""`status`: what differs between the working folder and the lock. Asks no hub, and reads no file that did not change."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from tenuto.core.listing import Change, Listing, differences
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.scan import scan
from tenuto.project.workspace import Workspace

State = Literal["clean", "changed", "missing", "not pushed", "not locked"]


class ChangedFile(msgspec.Struct, frozen=True):
    """One file that differs from the lock: `added`, `modified` or `missing`, and its size here in bytes."""

    path: str
    change: Literal["added", "modified", "missing"]
    size: int | None = None


class ArtifactStatus(msgspec.Struct, frozen=True):
    """How one artifact stands. `files` and `bytes` are what is here, `commit` is the locked one; `repo` is its source if it is not `is_own`.

    `changes` is None where the locked listing is not known offline.
    """

    name: str
    path: str
    repo: str
    state: State
    pushed: bool
    files: int
    bytes: int
    commit: str | None
    changes: list[ChangedFile] | None = []
    is_own: bool = True


class StatusReport(msgspec.Struct, frozen=True):
    """The whole project; `clean` if every artifact is exactly as locked."""

    clean: bool
    artifacts: list[ArtifactStatus]


def status(workspace: Workspace, names: Sequence[str] = ()) -> StatusReport:
    """Compare every artifact with the lock. Raises UsageError (BadPath), StorageError."""
    artifacts = [_status(workspace, name, artifact) for name, artifact in workspace.chosen(names).items()]
    return StatusReport(all(artifact.state == "clean" for artifact in artifacts), artifacts)


def _status(workspace: Workspace, name: str, artifact: Artifact) -> ArtifactStatus:
    here = scan(workspace, artifact).listing
    locked = workspace.locked(name)
    changes = _changes(workspace, locked, here)
    return ArtifactStatus(
        name,
        artifact.path,
        artifact.origin,
        _state(locked, here, changes, is_own=artifact.is_own),
        locked is not None and (locked.commit is not None or not artifact.is_own) and not changes,
        len(here),
        here.size_bytes,
        locked.commit if locked else None,
        changes,
        artifact.is_own,
    )


def _changes(workspace: Workspace, locked: Locked | None, here: Listing) -> list[ChangedFile] | None:
    if locked is None:
        return [ChangedFile(entry.path, "added", entry.size) for entry in here.values()]
    if here.digest == locked.digest:
        return []
    listing = workspace.listing(locked.digest)
    return None if listing is None else [_changed(change) for change in differences(listing, here)]


def _changed(change: Change) -> ChangedFile:
    names: Mapping[str, Literal["added", "modified", "missing"]] = {
        "added": "added",
        "modified": "modified",
        "removed": "missing",
    }
    return ChangedFile(change.path, names[change.verb], change.new.size if change.new else None)


def _state(locked: Locked | None, here: Listing, changes: list[ChangedFile] | None, *, is_own: bool) -> State:
    if locked is None:
        return "not locked"
    if not here and locked.files:
        return "missing"
    if changes is None or changes:
        return "changed"
    return "clean" if locked.commit or not is_own else "not pushed"
