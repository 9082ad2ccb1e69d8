"""The plan before a download: is each artifact there, may it be had, how large is it, is it what it claims, and does it fit on the disk?

Nothing is fetched and nothing is changed.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from tenuto.core.claims import lacks
from tenuto.core.errors import NotFoundError, StorageError
from tenuto.core.human import size_text
from tenuto.core.licenses import check_license
from tenuto.core.manifest import Artifact
from tenuto.core.selection import variants
from tenuto.core.wire import RepoInfo
from tenuto.project.failure import Failure, collected
from tenuto.project.plan import Content
from tenuto.project.resolve import DEFAULT_REVISION, Target, fetch_target, find_head, license_of, locked_target, named
from tenuto.project.scan import scan
from tenuto.project.workspace import Only, Workspace
from tenuto.store.disk import disk_errors

RESERVE_BYTES = 2 << 30
RESERVE_SHARE = 0.15
UNNOTED_BYTES = 64 << 20
"""Less than that is fetched without a look at the disk."""

State = Literal["here", "to fetch", "unpushed", "failed"]


class Planned(msgspec.Struct, frozen=True):
    """One artifact: totals of its files, and of those of them that neither the folder nor the store has. Sizes in bytes.

    `locked` says whether it is the locked version or the latest one. `lacks` is what it does not have though it claims so, `variants` those
    that its weights come in if there are several.
    """

    name: str
    source: str
    kind: str
    state: State
    locked: bool = False
    commit: str | None = None
    gated: bool = False
    license: str | None = None
    files: int = 0
    bytes: int = 0
    fetch_files: int = 0
    fetch_bytes: int = 0
    lacks: list[str] = []
    variants: list[str] = []


class Disk(msgspec.Struct, frozen=True):
    """Whether it fits: bytes to fetch, bytes that must stay free, bytes that are free, and the folder that was asked."""

    fetch_bytes: int
    reserve_bytes: int
    free_bytes: int
    folder: str

    @property
    def fits(self) -> bool:
        """Whether the reserve stays."""
        return self.fetch_bytes <= UNNOTED_BYTES or self.fetch_bytes + self.reserve_bytes <= self.free_bytes


class Plan(msgspec.Struct, frozen=True):
    """The whole plan; `ready` if every artifact can be had and all fits on the disk."""

    artifacts: list[Planned]
    failures: list[Failure]
    disk: Disk
    ready: bool


def preflight(workspace: Workspace, names: Sequence[str] = (), only: Only = Only()) -> Plan:  # noqa: B008 - a constant
    """Ask about every artifact; those that cannot be had are failures. Raises UnavailableError, StorageError, AuthenticationError."""
    failures: list[Failure] = []
    planned: list[Planned] = []
    for name, artifact in workspace.chosen(names, only).items():
        before = len(failures)
        with collected(failures, name, artifact):
            planned.append(_look(workspace, name, artifact))
        if len(failures) > before:
            planned.append(Planned(name, artifact.origin, artifact.kind, "failed"))
    disk = look_at_disk(workspace, sum(one.fetch_bytes for one in planned))
    return Plan(planned, failures, disk, ready=not failures and disk.fits)


class _Found(NamedTuple):
    target: Target
    info: RepoInfo | None = None


def _look(workspace: Workspace, name: str, artifact: Artifact) -> Planned:
    entry = workspace.locked(name)
    if artifact.is_own and entry and entry.commit is None:
        return Planned(name, artifact.origin, artifact.kind, "unpushed", files=entry.files, bytes=entry.bytes)
    pinned = locked_target(workspace, name, artifact)
    if pinned is None and artifact.is_web_file:
        return Planned(name, artifact.origin, artifact.kind, "to fetch", files=1)
    found = _Found(pinned) if pinned else _ask(workspace, name, artifact)
    if not artifact.is_own:
        check_license(workspace.manifest.policy, found.target.license)
    sizes = {path: content.size for path, content in found.target.files.items()}
    absent = lacking(workspace, artifact, found.target.files)
    if pinned and absent:
        _check_access(workspace, artifact, pinned.commit)
    several = variants(sizes) if artifact.variant is None else []
    return Planned(
        name,
        artifact.origin,
        artifact.kind,
        "to fetch" if absent else "here",
        locked=pinned is not None,
        commit=found.target.commit or None,
        gated=bool(found.info and found.info.gated),
        license=found.target.license,
        files=len(sizes),
        bytes=sum(sizes.values()),
        fetch_files=len(absent),
        fetch_bytes=sum({content.id: content.size for content in absent.values()}.values()),
        lacks=_lacks(artifact, sizes, found),
        variants=several if len(several) > 1 else [],
    )


def _ask(workspace: Workspace, name: str, artifact: Artifact) -> _Found:
    address, entry = artifact.address, workspace.pinned(name)
    revision = (entry.commit if entry else None) or address.revision or DEFAULT_REVISION
    remote = workspace.remote_of(artifact)
    info = find_head(remote, address.repo, revision)
    if info.gated:
        _check_access(workspace, artifact, revision)
    return _Found(fetch_target(workspace, artifact, info.sha or "")._replace(license=license_of(info)), info)


def _check_access(workspace: Workspace, artifact: Artifact, commit: str) -> None:
    """What is locked can still be had: a grant may be gone by now, or the repo. Mirrors are asked by nobody before they are needed."""
    if artifact.is_web_file or artifact.mirrors or workspace.settings.offline:
        return
    remote, repo = workspace.remote_of(artifact), artifact.address.repo
    try:
        with named(remote, repo, commit):
            remote.check_access(repo)
    except NotFoundError as error:
        if error.code == "RepoNotFound":  # else a hub that does not know the question
            raise


def _lacks(artifact: Artifact, sizes: Mapping[str, int], found: _Found) -> list[str]:
    if artifact.is_own or artifact.file or artifact.include:
        return []
    return lacks(artifact.kind, sizes, found.info.tags if found.info else ())


def lacking(workspace: Workspace, artifact: Artifact, files: Mapping[str, Content]) -> dict[str, Content]:
    """Those files of a target that neither the working folder nor the store has."""
    here = scan(workspace, artifact).listing
    held = {entry.sha256 for entry in here.values()}
    return {
        path: content
        for path, content in files.items()
        if content.id not in held
        and not (content.sha256 and workspace.store.has(content.id))
        and not (content.sha256 is None and path in here and here[path].size == content.size)
    }


def look_at_disk(workspace: Workspace, fetch_bytes: int) -> Disk:
    """How much room there is for that many bytes more in the store. Raises StorageError."""
    folder = os.path.abspath(os.path.expanduser(workspace.settings.cache))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    with disk_errors(folder):
        room = os.statvfs(folder)
    return Disk(
        fetch_bytes, max(RESERVE_BYTES, int(fetch_bytes * RESERVE_SHARE)), room.f_bavail * room.f_frsize, folder
    )


def check_room(workspace: Workspace, fetch_bytes: int) -> None:
    """Return if that many bytes can be fetched and the reserve stays; raises StorageError (DiskFull) before anything is begun."""
    disk = look_at_disk(workspace, fetch_bytes)
    if not disk.fits:
        raise StorageError(
            f"{size_text(fetch_bytes)} are to be fetched, {size_text(disk.reserve_bytes)} are to stay free, "
            f"and {disk.folder} has {size_text(disk.free_bytes)}",
            code="DiskFull",
            hint="make room, set TENUTO_CACHE to a larger disk, or fetch fewer artifacts at a time",
        )
