"""Where the files of an artifact can come from: its repo or web address, then its mirrors, in the order of the manifest."""

import os
from urllib.parse import urlsplit

from tenuto.core.errors import TenutoError, UnavailableError
from tenuto.core.ids import Address
from tenuto.core.manifest import WEB, Artifact
from tenuto.hub.download import download_from
from tenuto.hub.sources import RepoSource, Source, Wanted, WebSource
from tenuto.project.plan import Content
from tenuto.project.resolve import DEFAULT_REVISION, Target
from tenuto.project.workspace import Workspace


def sources_of(workspace: Workspace, artifact: Artifact, commit: str) -> list[Source]:
    """Every source of an artifact whose repo is at `commit`. Each is believed by hash only."""
    return [
        _source(workspace, artifact, artifact.origin, commit),
        *(_source(workspace, artifact, mirror, None) for mirror in artifact.mirrors),
    ]


def _source(workspace: Workspace, artifact: Artifact, text: str, commit: str | None) -> Source:
    if text.startswith(WEB):
        parts = urlsplit(text)
        return WebSource(workspace.remote_at(f"{parts.scheme}://{parts.netloc}").session, text)
    address, remote = Address.parse(text), workspace.remote_of(artifact)
    if commit is not None:
        return RepoSource(remote, address.repo, commit)
    own = artifact.address.path if not artifact.is_web_file else ""

    def path_of(wanted: Wanted) -> str:
        path = wanted.path.removeprefix(f"{own}/") if own else wanted.path
        return f"{address.path}/{path}" if address.path else path

    return RepoSource(remote, address.repo, address.revision or DEFAULT_REVISION, path_of)


def web_target(workspace: Workspace, artifact: Artifact) -> Target:
    """The one file of an artifact from the web, which is in the store afterwards: only a download tells how large it is.

    Raises IntegrityError (HashMismatch), NotFoundError, UnavailableError.
    """
    name, sha256 = os.path.basename(artifact.path), artifact.sha256 or ""
    if not workspace.store.has(sha256):
        wanted = Wanted(name, _size(workspace, artifact), sha256)
        with workspace.watch("downloading", wanted.size) as progress:
            download_from(
                sources_of(workspace, artifact, ""),
                [wanted],
                workspace.store,
                jobs=workspace.settings.jobs,
                progress=progress,
            )
    return Target("", {name: Content(sha256, workspace.store.size(sha256))})


def _size(workspace: Workspace, artifact: Artifact) -> int:
    """How large the first source that answers says the file is. Nothing is believed by that: the hash decides."""
    faults: list[TenutoError] = []
    for source in sources_of(workspace, artifact, ""):
        address = source.address(Wanted(os.path.basename(artifact.path), 0, artifact.sha256))
        try:
            answer = source.session.request("HEAD", address)
        except TenutoError as error:
            faults.append(error)
            continue
        length = answer.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and len(length) < 19:
            return int(length)
        faults.append(UnavailableError(f"{source.title} does not say how large the file is", code="BadAnswer"))
    raise faults[0]
