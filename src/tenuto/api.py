"""The Python face: files of a project by their path, there and verified when you need them."""

import os
from collections.abc import Sequence

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.listing import Listing
from tenuto.core.manifest import Artifact
from tenuto.core.settings import Settings
from tenuto.hub.tokens import connect
from tenuto.project.folder import Folder
from tenuto.project.plan import contents
from tenuto.project.preferences import settings_from
from tenuto.project.resolve import Target
from tenuto.project.scan import scan
from tenuto.project.take import fetch, place
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace


def path(
    name: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None, offline: bool | None = None
) -> str:
    """The local path of a locked file or folder; it is there, and has the locked hash, when this returns.

    `name` is relative to the project, which is the one around `root`, or around the current folder. What is missing is fetched from
    the hub and verified; what is here already costs no request, and is read only if it changed since it was last read. Safe to call
    from many threads and processes.

    Raises NotFoundError for what the lock does not name, ConflictError (LocalChanges) for a file that is not as locked: it is never
    returned and never overwritten; UnavailableError, IntegrityError, AccessDeniedError as the hub gives cause.
    """
    start = os.fspath(root) if root is not None else os.getcwd()

    def settings_of(manifest: object) -> Settings:
        assert isinstance(manifest, dict)
        return settings_from(os.environ, manifest, {"offline": offline})

    with Workspace.find(start, settings_of, connect) as workspace:
        wanted = _relative(workspace, os.fspath(name))
        artifact_name, artifact = _owner(workspace, wanted)
        # Looking comes before locking, so that what is here already waits for nobody.
        missing, listing = _missing(workspace, artifact_name, artifact, wanted)
        if missing:
            with workspace.exclusive(wait=True):
                missing, listing = _missing(workspace, artifact_name, artifact, wanted)
                _bring(workspace, artifact_name, artifact, listing, missing)
        return os.path.join(workspace.root, *wanted.split("/"))


def _relative(workspace: Workspace, name: str) -> str:
    full = os.path.normpath(os.path.join(workspace.root, name))
    relative = os.path.relpath(full, workspace.root).replace(os.sep, "/")
    if relative in {".", ".."} or relative.startswith("../"):
        raise UsageError(
            f"{name} is not below the project {workspace.root}", code="BadPath", hint="name a file of an artifact"
        )
    return relative


def _owner(workspace: Workspace, wanted: str) -> tuple[str, Artifact]:
    for name, artifact in workspace.manifest.artifacts.items():
        if wanted == artifact.path or wanted.startswith(f"{artifact.path}/"):
            return name, artifact
    known = ", ".join(sorted(artifact.path for artifact in workspace.manifest.artifacts.values())) or "nothing yet"
    raise NotFoundError(
        f"{wanted} belongs to no artifact", code="ArtifactNotFound", hint=f"the manifest tracks: {known}"
    )


def _missing(workspace: Workspace, name: str, artifact: Artifact, wanted: str) -> tuple[Sequence[str], Listing]:
    """The locked files at or below `wanted` that are not here; raises ConflictError (LocalChanges) for those that are here and differ."""
    listing = locked_listing(workspace, name, artifact)
    top = workspace.folder_of(artifact)
    prefix = wanted[len(top) + 1 :] if top else wanted
    if wanted == artifact.path and not artifact.file:
        chosen = list(listing)
    else:
        chosen = [path for path in listing if path == prefix or path.startswith(f"{prefix}/")]
    if not chosen:
        raise NotFoundError(f"{wanted} is not in the lock", hint=f"`tenuto status {name}` says what is")
    here = scan(workspace, artifact, at=wanted).listing
    for path in chosen:
        if path in here and here[path].sha256 != listing[path].sha256:
            raise _differs(f"{top}/{path}" if top else path, here[path].sha256, listing[path].sha256)
    return [path for path in chosen if path not in here], listing


def _differs(path: str, found: str, expected: str) -> ConflictError:
    return ConflictError(
        f"{path} is not the locked file: it has the sha256 {found}, the lock says {expected}",
        code="LocalChanges",
        hint="`tenuto push` if the change is yours, `tenuto repair` to have the locked file back",
    )


def _bring(workspace: Workspace, name: str, artifact: Artifact, listing: Listing, missing: Sequence[str]) -> None:
    locked = workspace.lock.artifacts[name]
    if missing and locked.commit is None:
        raise NotFoundError(
            f"{missing[0]} of {name} is not here and was never pushed",
            code="ArtifactNotFound",
            hint="run `tenuto push` where it was made, and commit the lock there",
        )
    fetch(workspace, artifact, Target(locked.commit or "", contents(listing)), missing)
    with Folder(workspace.root) as folder:
        place(workspace, folder, artifact, listing, missing)
    if workspace.base(name) is None:
        workspace.set_base(name, locked.digest, locked.commit)
