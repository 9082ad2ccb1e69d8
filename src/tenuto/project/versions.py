"""Older versions of an artifact: found by label, digest or git revision, and brought back into the working folder."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.history import lock_at, past_locks
from tenuto.project.pull import Options, PullReport
from tenuto.project.pull import pull as pull_locked
from tenuto.project.workspace import Workspace

SHORTEST_DIGITS = 8
_DIGITS = re.compile(rf"[0-9a-f]{{{SHORTEST_DIGITS},64}}")


def pull(workspace: Workspace, names: Sequence[str] = (), options: Options = Options()) -> PullReport:  # noqa: B008 - a constant
    """Pull, where a name may be `NAME@VERSION`: then the folder becomes that version, but for changes of your own, and the lock pins it.

    Raises as `project.pull`, and as `find_version`; artifacts with a version are pulled one after the other, before all others.
    """
    split = [split_version(workspace, name) for name in names]
    wanted = [(name, version) for name, version in split if version is not None]
    entries = [find_version(workspace, name, version) for name, version in wanted]
    reports = [_restore(workspace, entry, options) for entry in entries]
    rest = [name for name, version in split if version is None]
    if rest or not names:
        reports.append(pull_locked(workspace, rest, options))
    return PullReport(
        [one for report in reports for one in report.artifacts],
        [one for report in reports for one in report.unpushed],
        options.dry_run,
        [one for report in reports for one in report.failures],
    )


def split_version(workspace: Workspace, text: str) -> tuple[str, str | None]:
    """The name of an artifact, and the version behind the last `@`, if one is given. Raises NotFoundError (ArtifactNotFound)."""
    name, mark, version = text.rpartition("@")
    try:
        (found,) = workspace.chosen([text])
    except NotFoundError:
        if not mark:
            raise
        (found,) = workspace.chosen([name])
        return found, version
    return found, None


def find_version(workspace: Workspace, name: str, text: str) -> Locked:
    """The lock entry of a version: a label, a digest or at least 8 digits of it, or a git revision of the project, whose lock counts then.

    Raises NotFoundError (RevisionNotFound; ArtifactNotFound if the version was never pushed), UsageError (BadCommand) if several digests begin
    so, or the version is from another source than the manifest names now.
    """
    artifact = workspace.manifest.artifacts[name]
    if artifact.is_web_file:
        raise UsageError(
            f"{name} is from the web, and has no versions", code="BadCommand", hint="the manifest names its hash"
        )
    entry = by_label(workspace, name, artifact, text) or by_digest(workspace, name, artifact, text)
    entry = entry or _in_git(workspace, name, text)
    if entry is None:
        labels = ", ".join(sorted(tag.label for tag in workspace.lock.tags.values() if tag.name == name)) or "none"
        raise NotFoundError(
            f"{name} has no version {text!r}",
            code="RevisionNotFound",
            hint=f"name a label ({labels}), {SHORTEST_DIGITS} digits or more of a digest, or a git revision",
        )
    return _fitting(workspace, name, artifact, entry, text)


def by_label(workspace: Workspace, name: str, artifact: Artifact, label: str) -> Locked | None:
    """The version that has the label; None if none has."""
    tag = workspace.lock.tags.get((name, label))
    if tag is None:
        return None
    pinned = workspace.lock.artifacts.get(name)
    return Locked(
        name=name,
        path=artifact.path,
        kind=artifact.kind,
        source=tag.source,
        commit=tag.commit,
        digest=tag.digest,
        files=0,
        bytes=0,
        license=pinned.license if pinned else None,
        file=artifact.file,
        include=artifact.include,
        exclude=artifact.exclude,
        variant=artifact.variant,
        all_formats=artifact.all_formats,
    )


def by_digest(workspace: Workspace, name: str, artifact: Artifact, digits: str) -> Locked | None:
    """The version whose digest begins so, of all that the lock, its labels and its history in git name; None if there is none.

    Raises UsageError (BadCommand) if there are several.
    """
    if not _DIGITS.fullmatch(digits):
        return None
    found: dict[str, Locked] = {}
    for entry in _known(workspace, name, artifact):
        if entry.digest.startswith(digits):
            known = found.get(entry.digest)
            found[entry.digest] = known if known and known.commit else entry
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} digests of {name} begin with {digits}",
            code="BadCommand",
            hint=f"give more digits: {', '.join(digest[: len(digits) + 8] for digest in sorted(found))}",
        )
    return next(iter(found.values()), None)


def _known(workspace: Workspace, name: str, artifact: Artifact) -> Iterator[Locked]:
    for key in workspace.lock.tags:
        tagged = by_label(workspace, name, artifact, key[1])
        if tagged:
            yield tagged
    for lock in (workspace.lock, *past_locks(workspace.root)):
        if name in lock.artifacts:
            yield lock.artifacts[name]


def _in_git(workspace: Workspace, name: str, revision: str) -> Locked | None:
    past = lock_at(workspace.root, revision)
    if past is None:
        return None
    entry = past.lock.artifacts.get(name)
    if entry is None:
        raise NotFoundError(f"the lock at {revision} does not have {name}", code="ArtifactNotFound")
    return entry


def _fitting(workspace: Workspace, name: str, artifact: Artifact, entry: Locked, text: str) -> Locked:
    """The entry, as the lock would have it now; raises where it cannot be had, or is not of what the manifest names."""
    if entry.commit is None:
        raise NotFoundError(
            f"version {text} of {name} was never pushed",
            code="ArtifactNotFound",
            hint="nobody but the one who made it has it",
        )
    entry = msgspec.structs.replace(entry, path=artifact.path, kind=artifact.kind, file=artifact.file)
    before = workspace.lock
    workspace.lock = before.replace(entry)
    try:
        fits = workspace.locked(name) is not None
    finally:
        workspace.lock = before
    if not fits:
        raise UsageError(
            f"version {text} of {name} is from {entry.source}, or another choice of its files than the manifest names",
            code="BadCommand",
            hint="bring the manifest of then back first, as with `git checkout REVISION -- tenuto.toml`",
        )
    return entry


def _restore(workspace: Workspace, entry: Locked, options: Options) -> PullReport:
    """Pull as if the lock pinned the entry; the lock does so only if that comes true."""
    before = workspace.lock
    workspace.lock = before.replace(entry)
    done = False
    try:
        report = pull_locked(workspace, [entry.name], options)
        done = not options.dry_run and not report.failures
        if done:  # also where the folder was that version already
            workspace.write_lock()
        return report
    finally:
        if not done:
            workspace.lock = before
