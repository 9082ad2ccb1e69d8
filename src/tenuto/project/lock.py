"""`lock`: what others publish is resolved to a commit and a digest. No bytes come, but small files that a hub names by git id only."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tenuto.core.errors import NotFoundError
from tenuto.core.licenses import check_license
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.failure import Failure, collected
from tenuto.project.gitignore import keep_out_of_git
from tenuto.project.record import locked
from tenuto.project.resolve import Target, checked_listing, head_target, wanted_target
from tenuto.project.take import fetch
from tenuto.project.workspace import Only, Workspace


class Resolved(msgspec.Struct, frozen=True):
    """One artifact as the lock has it now, and the commit that it pinned before. Sizes in bytes."""

    name: str
    source: str
    before: str | None
    commit: str | None
    digest: str
    files: int
    bytes: int
    license: str | None
    changed: bool


class LockReport(msgspec.Struct, frozen=True):
    """A whole resolution. `changed` if the lock is, or in a dry run would be, another one."""

    artifacts: list[Resolved]
    failures: list[Failure]
    changed: bool
    dry_run: bool = False


class Options(NamedTuple):
    """How to lock: whether to take what the hub has now in place of what is locked, whether to write nothing, and which artifacts."""

    upgrade: bool = False
    dry_run: bool = False
    only: Only = Only()


def lock(workspace: Workspace, names: Sequence[str] = (), options: Options = Options()) -> LockReport:  # noqa: B008 - a constant
    """Resolve every artifact with a `source` that the lock does not have as the manifest wants it.

    What is locked for the first time is kept out of git.

    Artifacts that cannot be had are failures, and keep the entry that they had. Raises UnavailableError, StorageError, AuthenticationError.
    """
    failures: list[Failure] = []
    entries: list[tuple[Locked | None, Locked]] = []
    for name, artifact in workspace.chosen(names, options.only).items():
        if not artifact.is_own:
            with collected(failures, name, artifact):
                entries.append((workspace.lock.artifacts.get(name), _resolve(workspace, name, artifact, options)))
    gone = workspace.lock.artifacts.keys() - workspace.manifest.artifacts.keys()
    changed = bool(gone) or any(before != after for before, after in entries)
    if changed and not options.dry_run:
        workspace.write_lock(*(after for _, after in entries))
        for before, after in entries:
            if before is None:
                with collected(failures, after.name, workspace.manifest.artifacts[after.name]):
                    keep_out_of_git(workspace, after.path)
    return LockReport([_report(before, after) for before, after in entries], failures, changed, options.dry_run)


def _resolve(workspace: Workspace, name: str, artifact: Artifact, options: Options) -> Locked:
    entry = workspace.locked(name)
    if entry and not options.upgrade:
        check_license(workspace.manifest.policy, entry.license)
        return msgspec.structs.replace(entry, path=artifact.path, kind=artifact.kind, file=artifact.file)
    if artifact.is_web_file:
        from tenuto.project.sources import web_target  # loads the HTTP client

        target = web_target(workspace, artifact)
    else:
        target = (head_target if options.upgrade else wanted_target)(workspace, name, artifact)
    _check(workspace, artifact, target)
    target, _ = fetch(
        workspace, artifact, target, [path for path, content in target.files.items() if not content.sha256]
    )
    listing = checked_listing(artifact, target, None)
    workspace.store.put(listing.text)
    return locked(name, artifact, listing, target.commit or None, target.license)


def _check(workspace: Workspace, artifact: Artifact, target: Target) -> None:
    """Refuse a source of which nothing would be taken, or which may not be."""
    if not target.files:
        chosen = " that the manifest chooses" if artifact.include or artifact.exclude else ""
        raise NotFoundError(
            f"{artifact.source} holds no file{chosen}",
            hint="look at its page, then correct `source`, `include` and `exclude`",
        )
    check_license(workspace.manifest.policy, target.license)


def _report(before: Locked | None, after: Locked) -> Resolved:
    return Resolved(
        after.name,
        after.source,
        before.commit if before else None,
        after.commit,
        after.digest,
        after.files,
        after.bytes,
        after.license,
        before != after,
    )
