"""`verify`: read every locked file and compare it with its hash."""

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from tenuto.core.errors import NotFoundError
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.project.resolve import checked_listing, locked_target
from tenuto.project.take import fetch
from tenuto.project.workspace import Workspace
from tenuto.store.hashing import Hashed, ToHash, hash_files

Fault = Literal["damaged", "missing", "unreadable"]


class Finding(msgspec.Struct, frozen=True):
    """A file that is not what the lock says: its path below the project, the hash it must have, and the one it has, if it could be read."""

    artifact: str
    path: str
    fault: Fault
    expected: str
    found: str | None
    size: int
    detail: str | None = None


class VerifyReport(msgspec.Struct, frozen=True):
    """What a verification read, in files and bytes, and what it found wrong."""

    files: int
    bytes: int
    findings: list[Finding]


def verify(workspace: Workspace, names: Sequence[str] = ()) -> VerifyReport:
    """Read every locked file of the working folder, whole.

    Files that are not locked are not looked at. Raises NotFoundError (ArtifactNotFound) where an artifact was never locked.
    The listing comes from the store, or else from the hub.
    """
    reports = [
        verify_listing(workspace, name, locked_listing(workspace, name, artifact), artifact)
        for name, artifact in workspace.chosen(names).items()
    ]
    return VerifyReport(
        sum(report.files for report in reports),
        sum(report.bytes for report in reports),
        [finding for report in reports for finding in report.findings],
    )


def locked_listing(workspace: Workspace, name: str, artifact: Artifact) -> Listing:
    """The listing that the lock pins, from the store or else from the hub; raises NotFoundError."""
    locked = workspace.locked(name)
    if locked is None:
        other = workspace.lock.artifacts.get(name)
        what = f"is locked from {other.source}, the manifest says {artifact.repo}" if other else "is not locked"
        raise NotFoundError(f"{name} {what}", code="ArtifactNotFound", hint="run `tenuto pull` or `tenuto track` first")
    listing = workspace.listing(locked.digest)
    if listing is not None:
        return listing
    target = locked_target(workspace, name, artifact)
    if target is None:
        raise NotFoundError(
            f"the listing {locked.digest} of {name} is neither in the store nor on a hub",
            code="ObjectNotFound",
            hint=f"run `tenuto track {artifact.path}` to record what is here now",
        )
    target, _ = fetch(
        workspace, artifact, target, [path for path, content in target.files.items() if not content.sha256]
    )
    listing = checked_listing(artifact, target, locked.digest)
    workspace.store.put(listing.text)
    return listing


def verify_listing(workspace: Workspace, name: str, listing: Listing, artifact: Artifact) -> VerifyReport:
    """Read every file of a listing, whole."""
    top = os.path.join(workspace.root, workspace.folder_of(artifact))
    files = [ToHash(entry.path, os.path.join(top, entry.path), entry.size) for entry in listing.values()]
    with workspace.watch(f"verifying {name}", listing.size_bytes) as progress:
        outcomes = hash_files(files, progress)
    prefix = workspace.folder_of(artifact)
    findings = [
        _finding(name, f"{prefix}/{outcome.name}" if prefix else outcome.name, listing[outcome.name], outcome)
        for outcome in outcomes
        if outcome.sha256 != listing[outcome.name].sha256
    ]
    return VerifyReport(len(outcomes), sum(outcome.size for outcome in outcomes), findings)


def _finding(name: str, path: str, entry: Entry, outcome: Hashed) -> Finding:
    if outcome.fault is None:
        return Finding(name, path, "damaged", entry.sha256, outcome.sha256, entry.size)
    missing = isinstance(outcome.fault.__cause__, FileNotFoundError)
    return Finding(
        name, path, "missing" if missing else "unreadable", entry.sha256, None, entry.size, outcome.fault.message
    )
