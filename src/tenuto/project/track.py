"""`track`: an own folder or file becomes an artifact of the project."""

import os
from typing import NamedTuple

import msgspec

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.ids import Address, is_commit_id
from tenuto.core.lockfile import LOCK_NAME
from tenuto.core.manifest import KINDS, MANIFEST_NAME, Artifact, check_artifact_name, default_kind, with_artifact
from tenuto.core.paths import check_path
from tenuto.project.gitignore import keep_out_of_git
from tenuto.project.record import locked
from tenuto.project.scan import scan
from tenuto.project.workspace import STATE_FOLDER, Workspace


class Tracked(msgspec.Struct, frozen=True):
    """What is tracked now: totals of the listing, how much of it had to be read, and the file that keeps it out of git. Sizes in bytes."""

    name: str
    path: str
    repo: str
    digest: str
    files: int
    bytes: int
    hashed_files: int
    hashed_bytes: int
    changed: bool
    ignored_in: str


class Request(NamedTuple):
    """What the user asked for; None where nothing was said."""

    path: str
    to: str | None = None
    name: str | None = None
    kind: str | None = None


def track(workspace: Workspace, request: Request) -> Tracked:
    """Put a folder or file under the project's care: manifest, lock and `.gitignore` say so, its bytes stay where they are.

    Tracking again records what the folder holds now. Raises NotFoundError, UsageError (BadPath, BadAddress, BadManifest).
    """
    path = _relative(workspace, request.path)
    name, artifact = _artifact(workspace, path, request)
    result = scan(workspace, artifact)
    if result.broken:
        raise NotFoundError(
            f"{result.broken[0]} is a symbolic link to nothing", hint="remove the link, then track again"
        )
    if artifact != workspace.manifest.artifacts.get(name):
        workspace.write_manifest(with_artifact(workspace.manifest_text, name, artifact))
    before = workspace.locked(name)
    same = before is not None and before.digest == result.listing.digest
    commit = before.commit if before and same else None
    entry = locked(name, artifact, result.listing, commit, before.license if before else None)
    if not same:
        workspace.store.put(result.listing.text)
    workspace.write_lock(entry)
    ignored_in = keep_out_of_git(workspace, path)
    return Tracked(
        name,
        path,
        artifact.origin,
        entry.digest,
        entry.files,
        entry.bytes,
        result.hashed_files,
        result.hashed_bytes,
        changed=not same,
        ignored_in=ignored_in,
    )


def _relative(workspace: Workspace, path: str) -> str:
    full = os.path.abspath(path)
    if not os.path.lexists(full):
        raise NotFoundError(f"{path} does not exist", hint="name a folder or file that is there")
    real = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
    relative = os.path.relpath(real, os.path.realpath(workspace.root)).replace(os.sep, "/")
    if relative in {".", ".."} or relative.startswith("../"):
        raise UsageError(
            f"{path} is not below {workspace.root}", code="BadPath", hint="track folders inside the project"
        )
    if os.path.islink(full) and os.path.isdir(full):
        raise UsageError(f"{path} is a symbolic link to a folder", code="BadPath", hint="track the real folder instead")
    if relative.split("/")[0] == STATE_FOLDER or relative in {MANIFEST_NAME, LOCK_NAME}:
        raise UsageError(
            f"{relative} belongs to tenuto itself", code="BadPath", hint="name a folder or file of your own"
        )
    return check_path(relative)


def _artifact(workspace: Workspace, path: str, request: Request) -> tuple[str, Artifact]:
    known = next((item for item in workspace.manifest.artifacts.items() if item[1].path == path), None)
    name = check_artifact_name(request.name or (known[0] if known else path))
    if known and known[0] != name:
        raise ConflictError(
            f"{path} is tracked already, as {known[0]!r}", code="Exists", hint=f"use the name {known[0]!r}"
        )
    other = workspace.manifest.artifacts.get(name)
    if other and other.path != path:
        raise ConflictError(
            f"the name {name!r} is that of {other.path} already", code="Exists", hint="choose another one with --name"
        )
    if request.to is None and known is None:
        raise UsageError(
            f"{path} is not tracked yet, and --to is missing",
            code="BadCommand",
            hint=f"say where it is kept: tenuto track {path} --to hf://datasets/namespace/name",
        )
    if request.to is None and known and not known[1].is_own:
        raise ConflictError(
            f"{path} is from {known[1].source}, and is locked by `tenuto lock`",
            code="Exists",
            hint=f"to make it your own: tenuto track {path} --to hf://namespace/name",
        )
    address = Address.parse(request.to) if request.to else known[1].address  # type: ignore[index]
    if address.revision and is_commit_id(address.revision):
        raise UsageError(
            f"{address} names a commit, and nothing can be pushed to a commit", code="BadAddress", hint="name a branch"
        )
    kind = request.kind or (known[1].kind if known else default_kind(address))
    if kind not in KINDS:
        raise UsageError(
            f"{kind!r} is not a kind of artifact", code="BadCommand", hint=f"use one of {', '.join(KINDS)}"
        )
    return name, Artifact(path, str(address), kind, os.path.isfile(os.path.join(workspace.root, path)))
