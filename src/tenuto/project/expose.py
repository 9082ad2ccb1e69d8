"""`cache expose`: artifacts appear in the cache of Hugging Face libraries, so that these find them without a request."""

import contextlib
import os
from collections.abc import Sequence

import msgspec

from tenuto.core.errors import NotFoundError
from tenuto.core.manifest import Artifact
from tenuto.project.resolve import DEFAULT_REVISION, repo_path
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace
from tenuto.store.disk import Layout, disk_errors, replace_file


class Exposed(msgspec.Struct, frozen=True):
    """An artifact as other libraries see it: repo, revision and commit, the folder of the snapshot, and how many files are in it."""

    name: str
    repo: str
    revision: str
    commit: str
    snapshot: str
    files: int
    missing: int


def expose(workspace: Workspace, names: Sequence[str], hf_home: str) -> list[Exposed]:
    """Lay out the locked files of artifacts as snapshots below `hf_home`/hub; nothing is copied where links are possible.

    Files come from the store, else from the working folder; those that neither has are counted as missing. Raises NotFoundError
    (ArtifactNotFound) for what is not locked or not on a hub, StorageError.
    """
    exposed = []
    for name, artifact in workspace.chosen(names).items():
        if artifact.is_web_file:
            continue
        entry = workspace.locked(name)
        if entry is None or entry.commit is None:
            raise NotFoundError(f"{name} is not on a hub yet", code="ArtifactNotFound", hint="run `tenuto push` first")
        exposed.append(_expose(workspace, name, artifact, entry.commit, hf_home))
    return exposed


def _expose(workspace: Workspace, name: str, artifact: Artifact, commit: str, hf_home: str) -> Exposed:
    address = artifact.address
    repo = address.repo
    top = os.path.join(hf_home, "hub", f"{repo.kind.plural}--{repo.namespace}--{repo.name}")
    snapshot = os.path.join(top, "snapshots", commit)
    revision = address.revision or DEFAULT_REVISION
    listing = locked_listing(workspace, name, artifact)
    missing = 0
    for path, one in listing.items():
        source = _source(workspace, artifact, path, one.sha256)
        if source is None:
            missing += 1
        else:
            _place(
                workspace.layout,
                source,
                os.path.join(top, "blobs"),
                one.sha256,
                os.path.join(snapshot, repo_path(artifact, path)),
            )
    ref = os.path.join(top, "refs", revision)
    with disk_errors(ref):
        os.makedirs(os.path.dirname(ref), exist_ok=True)
    replace_file(ref, commit.encode())
    return Exposed(name, str(repo), revision, commit, snapshot, len(listing) - missing, missing)


def _source(workspace: Workspace, artifact: Artifact, path: str, sha256: str) -> str | None:
    """A file that holds the bytes: the object, else the working file if it was not changed since it was seen with this hash."""
    if workspace.store.has(sha256):
        return workspace.store.file(sha256)
    top = workspace.folder_of(artifact)
    full = f"{top}/{path}" if top else path
    seen = workspace.state.files(full).get(full)
    file = os.path.join(workspace.root, full)
    with contextlib.suppress(FileNotFoundError):
        if seen and seen.sha256 == sha256 and seen.matches(os.stat(file)):
            return os.path.realpath(file)
    return None


def _place(layout: Layout, source: str, blobs: str, blob: str, target: str) -> None:
    """Put the bytes among the blobs, and a relative link to them into the snapshot, as those libraries do."""
    link = os.path.relpath(os.path.join(blobs, blob), os.path.dirname(target))
    with disk_errors(target):
        os.makedirs(blobs, exist_ok=True)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(os.path.join(blobs, blob)):
            folder = os.open(blobs, os.O_RDONLY | os.O_DIRECTORY)
            try:
                layout.place(source, folder, blob)
            finally:
                os.close(folder)
        if os.path.lexists(target):
            if os.path.islink(target) and os.readlink(target) == link:
                return
            os.unlink(target)
        os.symlink(link, target)
