"""`track`: an own folder or file becomes an artifact of the project."""

import os
from typing import NamedTuple

import msgspec

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.ids import Address, is_commit_id
from tenuto.core.manifest import KINDS, Artifact, check_artifact_name, default_kind, with_artifact
from tenuto.core.paths import check_path
from tenuto.project.record import locked
from tenuto.project.scan import scan
from tenuto.project.workspace import Workspace
from tenuto.store.disk import disk_errors, replace_file


class Tracked(msgspec.Struct, frozen=True):
    """What is tracked now: totals of the listing, and how much of it had to be read. Sizes in bytes."""

    name: str
    path: str
    repo: str
    digest: str
    files: int
    bytes: int
    hashed_files: int
    hashed_bytes: int
    changed: bool


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
    entry = locked(name, artifact, result.listing, commit=None)
    before = workspace.lock.artifacts.get(name)
    same = before is not None and (before.digest, before.source) == (entry.digest, entry.source)
    if not same:
        workspace.store.put(result.listing.text)
        workspace.write_lock(entry)
    _ignore(workspace, path)
    return Tracked(
        name,
        path,
        artifact.repo,
        entry.digest,
        entry.files,
        entry.bytes,
        result.hashed_files,
        result.hashed_bytes,
        changed=not same,
    )


def _relative(workspace: Workspace, path: str) -> str:
    full = os.path.abspath(path)
    if not os.path.lexists(full):
        raise NotFoundError(f"{path} does not exist", hint="name a folder or file that is there")
    real = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
    relative = os.path.relpath(real, os.path.realpath(workspace.root)).replace(os.sep, "/")
    if relative == "." or relative.startswith("../"):
        raise UsageError(
            f"{path} is not below {workspace.root}", code="BadPath", hint="track folders inside the project"
        )
    if os.path.islink(full) and os.path.isdir(full):
        raise UsageError(f"{path} is a symbolic link to a folder", code="BadPath", hint="track the real folder instead")
    return check_path(relative)


def _artifact(workspace: Workspace, path: str, request: Request) -> tuple[str, Artifact]:
    known = next((item for item in workspace.manifest.artifacts.items() if item[1].path == path), None)
    name = check_artifact_name(request.name or (known[0] if known else path))
    if known and known[0] != name:
        raise ConflictError(
            f"{path} is tracked already, as {known[0]!r}", code="Exists", hint=f"use the name {known[0]!r}"
        )
    if request.to is None and known is None:
        raise UsageError(
            f"{path} is not tracked yet, and --to is missing",
            code="BadCommand",
            hint=f"say where it is kept: tenuto track {path} --to hf://datasets/namespace/name",
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


def _ignore(workspace: Workspace, path: str) -> None:
    """Keep the artifact out of git: one line in the `.gitignore` beside it."""
    parent, name = os.path.split(path)
    file = os.path.join(workspace.root, parent, ".gitignore")
    with disk_errors(file):
        text = ""
        if os.path.exists(file):
            with open(file, encoding="utf-8", errors="surrogateescape") as opened:
                text = opened.read()
    line = f"/{name}".replace("[", "\\[").replace(" ", "\\ ")
    if line not in text.splitlines():
        separator = "" if not text or text.endswith("\n") else "\n"
        replace_file(file, f"{text}{separator}{line}\n".encode(errors="surrogateescape"))
