"""`diff`: what differs between two versions of an artifact: here, locked, in the git history of the lock, or on the hub."""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.listing import Listing
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.history import lock_at
from tenuto.project.plan import Content, contents
from tenuto.project.resolve import Target, checked_listing, fetch_target, find_head, name_by_files
from tenuto.project.scan import scan
from tenuto.project.take import fetch
from tenuto.project.verify import locked_listing
from tenuto.project.versions import by_digest, by_label
from tenuto.project.workspace import Workspace

_DIGEST = re.compile(r"[0-9a-f]{64}")
What = Literal["folder", "lock", "label", "git", "digest", "hub"]


class Version(msgspec.Struct, frozen=True):
    """One side: what kind of place it is, the revision as it was asked for, its commit in git or on the hub, and its digest, if known."""

    what: What
    revision: str | None = None
    commit: str | None = None
    digest: str | None = None


class FileDiff(msgspec.Struct, frozen=True):
    """A file that differs, with its sizes in bytes and its hashes; a hash is None where the file is not, or the hub gives no sha256."""

    path: str
    change: Literal["added", "removed", "modified"]
    old_size: int | None
    new_size: int | None
    old_sha256: str | None
    new_sha256: str | None


class ArtifactDiff(msgspec.Struct, frozen=True):
    """What differs in one artifact, by path, with the number of files for each kind of change."""

    name: str
    old: Version
    new: Version
    added: int
    removed: int
    modified: int
    files: list[FileDiff]


class DiffReport(msgspec.Struct, frozen=True):
    """What differs; `same` if nothing does."""

    same: bool
    artifacts: list[ArtifactDiff]


class _Side(NamedTuple):
    version: Version
    artifact: Artifact
    target: Target
    here: Listing | None = None


def diff(workspace: Workspace, name: str | None = None, old: str | None = None, new: str | None = None) -> DiffReport:
    """Compare two versions of the artifact: what is locked, or at the revision `old`, with what is here, or at the revision `new`.

    A revision is a label; a digest, or 8 digits of it or more; one of the project's git, then that lock counts; or a branch, tag or commit of
    the hub. `git:` or `hub:` before it says which one is meant. Without a name, every artifact is compared. Raises NotFoundError,
    UnavailableError, UsageError (BadCommand) for digits with which several digests begin.
    """
    found = []
    for each, artifact in workspace.chosen([name] if name else []).items():
        before = _revision(workspace, each, artifact, old) if old else _of_lock(workspace, each, artifact)
        after = _revision(workspace, each, artifact, new) if new else _of_folder(workspace, artifact)
        found.append(_compare(workspace, each, before, after))
    return DiffReport(not any(one.files for one in found), found)


def _of_lock(workspace: Workspace, name: str, artifact: Artifact) -> _Side:
    locked = workspace.locked(name)
    listing = locked_listing(workspace, name, artifact)
    version = Version("lock", None, locked.commit if locked else None, listing.digest)
    return _Side(version, artifact, _target(version, listing))


def _of_folder(workspace: Workspace, artifact: Artifact) -> _Side:
    listing = scan(workspace, artifact).listing
    version = Version("folder", digest=listing.digest)
    return _Side(version, artifact, _target(version, listing), listing)


def _target(version: Version, listing: Listing) -> Target:
    return Target(version.commit or "", contents(listing))


def _revision(workspace: Workspace, name: str, artifact: Artifact, text: str) -> _Side:
    place, _, revision = text.partition(":")
    if place == "hub":
        return _of_hub(workspace, artifact, revision)
    if place == "git":
        found = _of_git(workspace, name, artifact, revision)
        if found is None:
            raise NotFoundError(f"git knows no revision {revision!r} here", code="RevisionNotFound")
        return found
    if entry := by_label(workspace, name, artifact, text):
        return _of_entry(workspace, artifact, entry, Version("label", text, entry.commit))
    if entry := by_digest(workspace, name, artifact, text):
        return _of_entry(workspace, artifact, entry, Version("digest", text))
    if _DIGEST.fullmatch(text):
        return _of_digest(workspace, artifact, text)
    return _of_git(workspace, name, artifact, text) or _of_hub(workspace, artifact, text)


def _of_git(workspace: Workspace, name: str, artifact: Artifact, revision: str) -> _Side | None:
    past = lock_at(workspace.root, revision)
    if past is None:
        return None
    entry = past.lock.artifacts.get(name)
    if entry is None:
        raise NotFoundError(
            f"the lock at {revision} does not have {name}",
            code="ArtifactNotFound",
            hint=f"if you mean a revision of the hub, say hub:{revision}",
        )
    return _of_entry(workspace, artifact, entry, Version("git", revision, past.commit))


def _of_entry(workspace: Workspace, artifact: Artifact, entry: Locked, version: Version) -> _Side:
    listing, then = _past_listing(workspace, artifact, entry)
    version = msgspec.structs.replace(version, digest=listing.digest)
    return _Side(version, then, Target(entry.commit or "", contents(listing)))


def _past_listing(workspace: Workspace, artifact: Artifact, entry: Locked) -> tuple[Listing, Artifact]:
    """The listing that an older lock pins, from the store or else from where it was, and the artifact as it was then."""
    then = msgspec.structs.replace(
        artifact,
        path=entry.path,
        file=entry.file,
        include=entry.include,
        exclude=entry.exclude,
        variant=entry.variant,
        all_formats=entry.all_formats,
        **{"repo" if artifact.is_own else "source": entry.source},
    )
    listing = workspace.listing(entry.digest)
    if listing is None:
        if entry.commit is None or then.is_web_file:
            raise NotFoundError(
                f"the listing {entry.digest} of {entry.name} is neither in the store nor on a hub",
                code="ObjectNotFound",
            )
        target = fetch_target(workspace, then, entry.commit)
        target, _ = fetch(workspace, then, target, [path for path, one in target.files.items() if not one.sha256])
        listing = checked_listing(then, target, entry.digest)
        workspace.store.put(listing.text)
    return listing, then


def _of_digest(workspace: Workspace, artifact: Artifact, digest: str) -> _Side:
    listing = workspace.listing(digest)
    if listing is None:
        raise NotFoundError(
            f"the store has no listing {digest}",
            code="ObjectNotFound",
            hint="name a git revision of the lock, or a revision of the hub",
        )
    version = Version("digest", digest, None, digest)
    return _Side(version, artifact, _target(version, listing))


def _of_hub(workspace: Workspace, artifact: Artifact, revision: str) -> _Side:
    if artifact.is_web_file:
        raise UsageError(f"{artifact.path} is not from a hub, and has no revisions there", code="BadCommand")
    commit = find_head(workspace.remote_of(artifact), artifact.address.repo, revision).sha or ""
    target = fetch_target(workspace, artifact, commit)
    listing = target.listing
    return _Side(Version("hub", revision, commit, listing.digest if listing else None), artifact, target)


def _compare(workspace: Workspace, name: str, old: _Side, new: _Side) -> ArtifactDiff:
    before, after = _named(workspace, old, new), _named(workspace, new, old)
    files = [
        _file(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys(), key=str.encode)
        if not _is_same(before.get(path), after.get(path))
    ]
    counts = {change: sum(file.change == change for file in files) for change in ("added", "removed", "modified")}
    return ArtifactDiff(name, old.version, new.version, **counts, files=files)


def _named(workspace: Workspace, side: _Side, other: _Side) -> Mapping[str, Content]:
    """The contents of a side, with a sha256 wherever nothing less tells a file from that of the other side.

    A small file that the hub knows by git id alone gets it from the same file here, if here is the other side; else it is fetched.
    """
    target = side.target
    if other.here is not None:
        target = name_by_files(workspace, other.artifact, target, other.here)
    unsure = [
        path
        for path, one in target.files.items()
        if one.sha256 is None and _is_named(other.target.files.get(path), one.size)
    ]
    return fetch(workspace, side.artifact, target, unsure)[0].files if unsure else target.files


def _is_named(other: Content | None, size: int) -> bool:
    return other is not None and other.sha256 is not None and other.size == size


def _is_same(old: Content | None, new: Content | None) -> bool:
    return old is not None and new is not None and old.id == new.id


def _file(path: str, old: Content | None, new: Content | None) -> FileDiff:
    change: Literal["added", "removed", "modified"] = "modified"
    if old is None or new is None:
        change = "added" if old is None else "removed"
    return FileDiff(
        path,
        change,
        old.size if old else None,
        new.size if new else None,
        old.sha256 if old else None,
        new.sha256 if new else None,
    )
