"""The Python face: files of a project by their path, there and verified when you need them."""

import contextlib
import os
from typing import NamedTuple

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
from tenuto.project.take import fetch, place, refuse_changed
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace


def path(
    name: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None, offline: bool | None = None
) -> str:
    """The local path of a locked file or folder; it is there, and has the locked hash, when this returns.

    `name` is relative to the project, which is the one around `root`, or around the current folder. What is missing is fetched from
    the hub and verified, and so is what is still as it was synced last when the lock has moved on; what is here already costs no
    request, and is read only if it changed since it was last read. Safe to call from many threads and processes.

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
        if _look(workspace, artifact_name, artifact, wanted).lacking:
            with workspace.exclusive(wait=True):
                _bring(workspace, artifact_name, artifact, wanted)
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


class _Seen(NamedTuple):
    """The locked listing, what lies here of the wanted part, and which of its files are to be fetched."""

    listing: Listing
    here: Listing
    lacking: list[str]


def _look(workspace: Workspace, name: str, artifact: Artifact, wanted: str) -> _Seen:
    """Compare the files at or below `wanted` with the lock; raises ConflictError (LocalChanges) for those that somebody changed here."""
    listing = locked_listing(workspace, name, artifact)
    top = workspace.folder_of(artifact)
    prefix = wanted[len(top) + 1 :] if top else wanted
    if wanted == artifact.path and not artifact.file:
        chosen = list(listing)
    else:
        chosen = [path for path in listing if path == prefix or path.startswith(f"{prefix}/")]
    if not chosen:
        raise NotFoundError(f"{wanted} is not in the lock", hint=f"`tenuto status {name}` says what is")
    here, base = scan(workspace, artifact, at=wanted).listing, workspace.base_listing(name)
    lacking = [path for path in chosen if here.get(path) != listing[path]]
    for path in lacking:
        if path in here and here[path] != base.get(path):
            raise _differs(f"{top}/{path}" if top else path, here[path].sha256, listing[path].sha256)
    return _Seen(listing, here, lacking)


def _differs(path: str, found: str, expected: str) -> ConflictError:
    return ConflictError(
        f"{path} is not the locked file: it has the sha256 {found}, the lock says {expected}",
        code="LocalChanges",
        hint="`tenuto push` if the change is yours, `tenuto repair` to have the locked file back",
    )


def _bring(workspace: Workspace, name: str, artifact: Artifact, wanted: str) -> None:
    """Fetch and lay out what is lacking; the base moves for these files alone, since the others have not been here."""
    listing, here, lacking = _look(workspace, name, artifact, wanted)
    locked = workspace.locked(name)
    if not lacking or locked is None:
        return
    if locked.commit is None:
        raise NotFoundError(
            f"{lacking[0]} of {name} is not here and was never pushed",
            code="ArtifactNotFound",
            hint="run `tenuto push` where it was made, and commit the lock there",
        )
    fetch(workspace, artifact, Target(locked.commit, contents(listing)), lacking)
    refuse_changed(workspace, artifact, here, lacking, at=wanted)
    with Folder(workspace.root) as folder:
        place(workspace, folder, artifact, listing, lacking)
    with contextlib.suppress(UsageError):  # a file became a folder: without a base that costs a question, and no work
        base = Listing({**workspace.base_listing(name), **{path: listing[path] for path in lacking}}.values())
        workspace.set_base(name, workspace.store.put(base.text), locked.commit if base == listing else None)
