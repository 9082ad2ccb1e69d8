"""`outdated`: what others have published since it was locked. Changes nothing."""

import contextlib
from collections.abc import Sequence

import msgspec

from tenuto.core.errors import AccessDeniedError, NotFoundError, UnavailableError
from tenuto.core.ids import is_commit_id
from tenuto.core.listing import Change, Entry, differences
from tenuto.project.failure import Failure, collected
from tenuto.project.resolve import DEFAULT_REVISION, fetch_target, find_head, license_of
from tenuto.project.take import fetch
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Only, Workspace


class Outdated(msgspec.Struct, frozen=True):
    """One artifact whose source has moved on: the locked and the latest commit, the files that differ, and a licence that changed."""

    name: str
    source: str
    locked: str
    latest: str
    added: int
    modified: int
    removed: int
    license: tuple[str | None, str | None] | None = None


class OutdatedReport(msgspec.Struct, frozen=True):
    """All artifacts with a `source` that were looked at."""

    looked_at: int
    artifacts: list[Outdated]
    failures: list[Failure]


def outdated(workspace: Workspace, names: Sequence[str] = (), only: Only = Only()) -> OutdatedReport:  # noqa: B008 - a constant
    """Ask every source where it is now. A commit that changes nothing of what is taken does not count."""
    failures: list[Failure] = []
    found: list[Outdated] = []
    others = {
        name: one for name, one in workspace.chosen(names, only).items() if not one.is_own and not one.is_web_file
    }
    for name, artifact in others.items():
        with collected(failures, name, artifact):
            one = _look(workspace, name)
            found += [one] if one else []
    return OutdatedReport(len(others), found, failures)


def newer_commit(workspace: Workspace, name: str) -> str | None:
    """The commit that the source of an artifact is at, if that is not the locked one; None too if the hub does not say."""
    artifact, entry = workspace.manifest.artifacts[name], workspace.locked(name)
    if artifact.is_own or artifact.is_web_file or entry is None or workspace.settings.offline:
        return None
    address = artifact.address
    revision = address.revision or DEFAULT_REVISION
    if is_commit_id(revision):
        return None
    with contextlib.suppress(UnavailableError, NotFoundError, AccessDeniedError):  # what is here stays good
        latest = find_head(workspace.remote_of(artifact), address.repo, revision).sha
        return latest if latest != entry.commit else None
    return None


def _look(workspace: Workspace, name: str) -> Outdated | None:
    artifact, entry = workspace.manifest.artifacts[name], workspace.locked(name)
    if entry is None or entry.commit is None:
        raise NotFoundError(f"{name} is not locked", code="ArtifactNotFound", hint="run `tenuto lock` first")
    address = artifact.address
    info = find_head(workspace.remote_of(artifact), address.repo, address.revision or DEFAULT_REVISION)
    if info.sha is None or info.sha == entry.commit:
        return None
    target = fetch_target(workspace, artifact, info.sha)
    target, _ = fetch(
        workspace, artifact, target, [path for path, content in target.files.items() if not content.sha256]
    )
    new = {path: Entry(path, content.id, content.size) for path, content in target.files.items()}
    changes = differences(locked_listing(workspace, name, artifact), new)
    stated = license_of(info)
    if not changes and stated == entry.license:
        return None
    moved = (entry.license, stated) if stated != entry.license else None
    return Outdated(name, entry.source, entry.commit, info.sha, *_counts(changes), license=moved)


def _counts(changes: Sequence[Change]) -> tuple[int, int, int]:
    added, modified, removed = (
        sum(change.verb == verb for change in changes) for verb in ("added", "modified", "removed")
    )
    return added, modified, removed
