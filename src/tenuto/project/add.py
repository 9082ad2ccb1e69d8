"""`add`: what others publish becomes an artifact of the project. `remove`: an artifact is no longer one."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.ids import Address
from tenuto.core.manifest import (
    WEB,
    Artifact,
    check_artifact_name,
    check_source,
    default_kind,
    with_artifact,
    without_artifact,
)
from tenuto.core.selection import variants
from tenuto.project.folder import Folder, check_no_link
from tenuto.project.gitignore import keep_out_of_git, let_into_git
from tenuto.project.lock import Resolved, lock
from tenuto.project.resolve import DEFAULT_REVISION, find_head, named
from tenuto.project.scan import scan
from tenuto.project.take import Trash
from tenuto.project.workspace import Workspace

_HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co"}
_PAGE = re.compile(
    r"https?://(?P<host>[^/]+)/(?P<repo>(?:datasets/)?[\w.-]+/[\w.-]+)"
    r"(?:/(?:tree|blob|resolve|raw)/(?P<revision>[^/?#]+)(?:/(?P<path>[^?#]+?))?)?/?(?:[?#].*)?"
)


class Request(NamedTuple):
    """What the user asked for; None where nothing was said."""

    source: str
    name: str | None = None
    path: str | None = None
    kind: str | None = None
    groups: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    variant: str | None = None
    all_formats: bool = False
    mirrors: tuple[str, ...] = ()
    hub: str | None = None
    sha256: str | None = None


class Added(msgspec.Struct, frozen=True):
    """What is in the project now, what it is locked to, the file that keeps it out of git, and the variants that it came in."""

    name: str
    path: str
    resolved: Resolved
    ignored_in: str
    variants: list[str]


def add(workspace: Workspace, request: Request) -> Added:
    """Write a source into the manifest, resolved and locked; no bytes of it are fetched. Adding it again changes how it is taken.

    Nothing is written if it cannot be had. Raises NotFoundError, AccessDeniedError, UsageError, ConflictError (Exists), UnavailableError.
    """
    _check_page(workspace, request)
    artifact = _with_shape(workspace, _artifact(request))
    name = _free_name(workspace, request, artifact)
    path = request.path or _free_path(workspace, artifact, name)
    check_no_link(workspace.root, path)
    _check_file_name(path, artifact)
    artifact = msgspec.structs.replace(artifact, path=path)
    with workspace.planned(with_artifact(workspace.manifest_text, name, artifact)):
        report = lock(workspace, [name])
        for failure in report.failures:
            raise failure.error
    ignored_in = keep_out_of_git(workspace, path)
    listing = workspace.listing(report.artifacts[0].digest)
    found = variants(listing or ()) if artifact.variant is None else []
    return Added(name, path, report.artifacts[0], ignored_in, found if len(found) > 1 else [])


def _check_page(workspace: Workspace, request: Request) -> None:
    """Tell the address of what somebody took from the address line of a browser; raises UsageError (BadAddress)."""
    page = _PAGE.fullmatch(request.source)
    if page is None or request.sha256 or page["host"] not in _HOSTS | {urlsplit(workspace.settings.endpoint).netloc}:
        return
    revision = f"@{page['revision']}" if page["revision"] not in {None, DEFAULT_REVISION} else ""
    path = f"/{page['path']}" if page["path"] else ""
    raise UsageError(
        f"{request.source} is a page about a repo",
        code="BadAddress",
        hint=f"write hf://{page['repo']}{revision}{path}",
    )


def _artifact(request: Request) -> Artifact:
    source = check_source(request.source)
    web = source.startswith(WEB)
    if web and not request.sha256:
        raise UsageError(
            f"{source} comes without a hash", code="BadCommand", hint="say which bytes you mean with --sha256 HASH"
        )
    return Artifact(
        path="-",
        kind=request.kind or ("model" if web else default_kind(Address.parse(source))),
        file=web,
        source=source,
        hub=request.hub,
        groups=request.groups,
        include=request.include,
        exclude=request.exclude,
        variant=request.variant,
        all_formats=request.all_formats,
        mirrors=request.mirrors,
        sha256=request.sha256,
    )


def _with_shape(workspace: Workspace, artifact: Artifact) -> Artifact:
    """The artifact with its path known: that of a file in a repo stands for this file, as a folder and its one file.

    Its `path` is still only the last part of a name.
    """
    if artifact.is_web_file:
        file = (artifact.source or "").partition("?")[0].rstrip("/").rpartition("/")[2]
        return msgspec.structs.replace(artifact, path=file)
    address = artifact.address
    last = os.path.basename(address.path) or address.repo.name
    if not address.path or not _is_file(workspace, artifact):
        return msgspec.structs.replace(artifact, path=last, source=str(address))
    folder = Address(address.repo, address.revision, os.path.dirname(address.path))
    return msgspec.structs.replace(artifact, path=last, source=str(folder), file=True)


def _is_file(workspace: Workspace, artifact: Artifact) -> bool:
    address, remote = artifact.address, workspace.remote_of(artifact)
    commit = find_head(remote, address.repo, address.revision or DEFAULT_REVISION).sha or ""
    with named(remote, address.repo, commit):
        found = remote.find(address.repo, commit, address.path)
    if found is None:
        raise NotFoundError(f"{address.repo} has no {address.path}", hint="look at its page, then correct the address")
    return found.type == "file"


def _free_name(workspace: Workspace, request: Request, artifact: Artifact) -> str:
    known = workspace.manifest.artifacts
    if request.name:
        other = known.get(check_artifact_name(request.name))
        if other and not _is_same(other, artifact):
            raise ConflictError(
                f"the name {request.name!r} is that of {other.path} already",
                code="Exists",
                hint="choose another one with --name",
            )
        return request.name
    again = _known_as(known, artifact)
    names = (
        [artifact.path]
        if artifact.is_web_file
        else [artifact.path, f"{artifact.address.repo.namespace}-{artifact.path}"]
    )
    free = again or next((name for name in names if name not in known), None)
    if free is None:
        raise ConflictError(
            f"the name {names[0]!r} is that of another artifact", code="Exists", hint="choose another one with --name"
        )
    return check_artifact_name(free)


def _known_as(known: Mapping[str, Artifact], artifact: Artifact) -> str | None:
    """The name that it has already, be it of another revision; None if it has none, or two that differ from it by revision alone."""
    same = [name for name, one in known.items() if _is_same(one, artifact)]
    exact = [name for name in same if known[name].source == artifact.source]
    return exact[0] if exact else same[0] if len(same) == 1 else None


def _is_same(known: Artifact, artifact: Artifact) -> bool:
    """Whether an artifact stands for the same folder, or the same one file of it, whatever the revision."""
    if known.source is None or known.file != artifact.file or known.is_web_file != artifact.is_web_file:
        return False
    if artifact.is_web_file:
        return known.source == artifact.source
    is_same_folder = known.address._replace(revision=None) == artifact.address._replace(revision=None)
    return is_same_folder and (not artifact.file or os.path.basename(known.path) == artifact.path)


def _check_file_name(path: str, artifact: Artifact) -> None:
    if artifact.file and not artifact.is_web_file and os.path.basename(path) != artifact.path:
        raise UsageError(
            f"{artifact.path} cannot be taken as {path}: a file of a repo keeps its name",
            code="BadPath",
            hint=f"name a path that ends in /{artifact.path}",
        )


def _free_path(workspace: Workspace, artifact: Artifact, name: str) -> str:
    """Where the artifact lies already, else a place by its kind and name that nothing is at."""
    known = workspace.manifest.artifacts.get(name)
    if known:
        return known.path
    path = f"{artifact.kind}s/{name}"
    if artifact.file and os.path.basename(path) != artifact.path:
        path = f"{path}/{artifact.path}"
    if os.path.lexists(os.path.join(workspace.root, path)):
        raise ConflictError(
            f"{path} is there already", code="Exists", hint="choose another place with --path, or move it away"
        )
    return path


class Removed(msgspec.Struct, frozen=True):
    """An artifact that the project no longer has, and the folder in the trash where its files are, if they were to go."""

    name: str
    path: str
    trash: str | None


def remove(workspace: Workspace, names: Sequence[str], *, files: bool = False) -> list[Removed]:
    """Take artifacts out of manifest and lock. Their files stay where they are, or go to the trash with `files`.

    Nothing on a hub changes. The manifest is written last: until then the same command can be given again.
    Raises NotFoundError (ArtifactNotFound), StorageError.
    """
    removed, text = [], workspace.manifest_text
    for name, artifact in workspace.chosen(names).items():
        trash = Trash(workspace)
        if files:
            _discard(workspace, trash, artifact)
            let_into_git(workspace, artifact.path)
        text = without_artifact(text, name)
        removed.append(Removed(name, artifact.path, trash.folder))
    with workspace.planned(text):
        workspace.write_lock()
    return removed


def _discard(workspace: Workspace, trash: Trash, artifact: Artifact) -> None:
    top = workspace.folder_of(artifact)
    with Folder(workspace.root) as folder:
        for path in scan(workspace, artifact).listing:
            trash.take(folder, f"{top}/{path}" if top else path)
