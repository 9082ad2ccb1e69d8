"""Files of an artifact, there and verified when they are needed: what lacks is fetched, what is here already costs no request."""

import contextlib
import os
from typing import NamedTuple

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.project.folder import Folder
from tenuto.project.plan import contents
from tenuto.project.resolve import Target
from tenuto.project.scan import scan
from tenuto.project.take import fetch, place, refuse_changed
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace


class Wanted(NamedTuple):
    """A file or folder of an artifact: its path below the project."""

    name: str
    artifact: Artifact
    path: str


def relative(workspace: Workspace, name: str) -> str:
    """The path below the project of a name that is relative to it, or absolute; raises UsageError (BadPath)."""
    full = os.path.normpath(os.path.join(workspace.root, name))
    found = os.path.relpath(full, workspace.root).replace(os.sep, "/")
    if found in {".", ".."} or found.startswith("../"):
        raise UsageError(
            f"{name} is not below the project {workspace.root}", code="BadPath", hint="name a file of an artifact"
        )
    return found


def wanted_at(workspace: Workspace, path: str) -> Wanted:
    """The artifact that a path below the project belongs to; raises NotFoundError (ArtifactNotFound)."""
    for name, artifact in workspace.manifest.artifacts.items():
        if path == artifact.path or path.startswith(f"{artifact.path}/"):
            return Wanted(name, artifact, path)
    known = ", ".join(sorted(artifact.path for artifact in workspace.manifest.artifacts.values())) or "nothing yet"
    raise NotFoundError(f"{path} belongs to no artifact", code="ArtifactNotFound", hint=f"the manifest tracks: {known}")


def chosen_entries(workspace: Workspace, wanted: Wanted, listing: Listing) -> dict[str, Entry]:
    """The files at or below what is wanted, by their paths below the project; raises NotFoundError (EntryNotFound) if there are none."""
    top = workspace.folder_of(wanted.artifact)
    found = {f"{top}/{entry.path}" if top else entry.path: entry for entry in listing.values()}
    if wanted.path != wanted.artifact.path or wanted.artifact.file:
        found = {
            path: entry for path, entry in found.items() if path == wanted.path or path.startswith(f"{wanted.path}/")
        }
    if not found:
        raise NotFoundError(f"{wanted.path} is not in the lock", hint=f"`tenuto status {wanted.name}` says what is")
    return found


def forget(workspace: Workspace, path: str) -> None:
    """Believe nothing of the files at or below a path any more, so that they are read."""
    workspace.state.remember((), workspace.state.files(path))


def obtain(workspace: Workspace, wanted: Wanted, *, mend: bool = False) -> str:
    """The absolute path of what is wanted; every file at or below it is there, and has the locked hash, when this returns.

    A file that is as it was synced last follows the lock; any other that differs is work, and refused, unless the folder is nobody's but
    ours and is to `mend`. Safe to call from many threads and processes. Raises NotFoundError, ConflictError (LocalChanges),
    UnavailableError, IntegrityError, AccessDeniedError.
    """
    # Looking comes before locking, so that what is here already waits for nobody.
    if _look(workspace, wanted, mend=mend).lacking:
        with workspace.exclusive(wait=True):
            _bring(workspace, wanted, mend=mend)
    return os.path.join(workspace.root, *wanted.path.split("/"))


class _Seen(NamedTuple):
    """The locked listing, what lies here of the wanted part, and which of its files are to be fetched."""

    listing: Listing
    here: Listing
    lacking: list[str]


def _look(workspace: Workspace, wanted: Wanted, *, mend: bool) -> _Seen:
    """Compare the wanted files with the lock; raises ConflictError (LocalChanges) for those that somebody changed here."""
    name, artifact, _ = wanted
    listing = locked_listing(workspace, name, artifact)
    chosen = [entry.path for entry in chosen_entries(workspace, wanted, listing).values()]
    here, base = scan(workspace, artifact, at=wanted.path).listing, workspace.base_listing(name)
    lacking = [path for path in chosen if here.get(path) != listing[path]]
    top = workspace.folder_of(artifact)
    for path in () if mend else lacking:
        if path in here and here[path] != base.get(path):
            raise _differs(f"{top}/{path}" if top else path, here[path].sha256, listing[path].sha256)
    return _Seen(listing, here, lacking)


def _differs(path: str, found: str, expected: str) -> ConflictError:
    return ConflictError(
        f"{path} is not the locked file: it has the sha256 {found}, the lock says {expected}",
        code="LocalChanges",
        hint="`tenuto push` if the change is yours, `tenuto repair` to have the locked file back",
    )


def _bring(workspace: Workspace, wanted: Wanted, *, mend: bool) -> None:
    """Fetch and lay out what is lacking; the base moves for these files alone, since the others have not been here."""
    name, artifact, _ = wanted
    listing, here, lacking = _look(workspace, wanted, mend=mend)
    if not lacking:
        return
    fetch_entries(workspace, name, artifact, listing, lacking)
    if not mend:
        refuse_changed(workspace, artifact, here, lacking, at=wanted.path)
    with Folder(workspace.root) as folder:
        place(workspace, folder, artifact, listing, lacking)
    locked = workspace.locked(name)
    commit = locked.commit if locked else None
    with contextlib.suppress(UsageError):  # a file became a folder: without a base that costs a question, and no work
        base = Listing({**workspace.base_listing(name), **{path: listing[path] for path in lacking}}.values())
        workspace.set_base(name, workspace.store.put(base.text), commit if base == listing else None)


def fetch_entries(workspace: Workspace, name: str, artifact: Artifact, listing: Listing, paths: list[str]) -> None:
    """Bring files of the locked listing into the store, verified. Raises NotFoundError (ArtifactNotFound) if no hub has them."""
    locked = workspace.locked(name)
    if locked is None or (locked.commit is None and not artifact.is_web_file):
        raise NotFoundError(
            f"{paths[0]} of {name} is not here and was never pushed",
            code="ArtifactNotFound",
            hint="run `tenuto push` where it was made, and commit the lock there",
        )
    fetch(workspace, artifact, Target(locked.commit or "", contents(listing)), paths)
