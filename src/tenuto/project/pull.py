"""`pull`: the working folder becomes what the lock pins. `sync`: both sides become what either of them has."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from tenuto.core.errors import ConflictError, NotFoundError, StorageError, UsageError
from tenuto.core.human import count_text, parse_size
from tenuto.core.ids import RepoId
from tenuto.core.licenses import check_license
from tenuto.core.listing import Listing
from tenuto.core.lockfile import LOCK_NAME, Locked
from tenuto.core.manifest import Artifact
from tenuto.core.wire import RepoInfo
from tenuto.project.failure import Failure, collected
from tenuto.project.lock import lock
from tenuto.project.plan import Action, Step, compare, contents
from tenuto.project.preflight import check_room, look_at_disk
from tenuto.project.record import agree, locked
from tenuto.project.resolve import (
    DEFAULT_REVISION,
    Target,
    find_head,
    head_target,
    license_of,
    locked_target,
    target_at,
    wanted_target,
)
from tenuto.project.scan import scan
from tenuto.project.take import FETCHING, Aside, Taken, base_listing, take, with_names
from tenuto.project.workspace import Only, Workspace

ABANDONED_S = 7 * 86_400.0
"""A part of a transfer that nobody went on with for that long is dropped."""
_NEVER_DAYS = 36_500.0
TAKING = frozenset({Action.DOWNLOAD, Action.RESTORE, Action.REMOVE_HERE, Action.CONFLICT})


class Choice(StrEnum):
    """What to do with a file that changed on both sides."""

    REFUSE = "refuse"
    OURS = "ours"
    THEIRS = "theirs"
    KEEP_BOTH = "keep-both"


class Pulled(msgspec.Struct, frozen=True):
    """What became of one artifact: the commit it stands at, the steps, bytes that came over the network, and own changes left alone.

    `trash` is the folder of own files that made way, `renamed` their second names where they kept their place. `commit` is empty for files
    from the web. `newer` is the commit that the source has now, if it is another one than the lock's. `in_step` says that the head of the hub
    was asked for, and that folder and lock are as it is.
    """

    name: str
    path: str
    commit: str
    digest: str
    steps: list[Step]
    downloaded_bytes: int = 0
    kept: list[str] = []
    trash: str | None = None
    renamed: dict[str, str] = {}
    newer: str | None = None
    is_own: bool = True
    in_step: bool = False


class PullReport(msgspec.Struct, frozen=True):
    """A whole pull. `unpushed` names artifacts that no hub has yet, `failures` those of others that cannot be had."""

    artifacts: list[Pulled]
    unpushed: list[str] = []
    dry_run: bool = False
    failures: list[Failure] = []

    @property
    def in_place(self) -> bool:
        """Whether nothing was, or would be, changed here."""
        return not any(artifact.steps for artifact in self.artifacts)


class Trust(StrEnum):
    """How the lock and the manifest stand to each other: the lock follows, or must fit, or is all that counts."""

    FOLLOW = "follow"
    LOCKED = "locked"
    FROZEN = "frozen"


class Options(NamedTuple):
    """How to pull: what to do with conflicts, own artifacts from the lock or from the head of the hub, whether to stop after the plan,
    whether files that are gone here are meant to be gone (else they come back), which artifacts, and what the lock is.
    """

    choice: Choice = Choice.REFUSE
    head: bool = False
    dry_run: bool = False
    delete: bool = False
    only: Only = Only()
    trust: Trust = Trust.FOLLOW


class _Work(NamedTuple):
    """What is to be done for one artifact; `settled` if folder, lock and what was last synced are the same, so that nothing is.

    `in_step` if that is what the hub holds today, too.
    """

    name: str
    artifact: Artifact
    target: Target
    here: Listing
    steps: list[Step]
    digest: str | None
    settled: bool = False
    in_step: bool = False


class _Heads:
    """What hubs say of their branches; each is asked once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[tuple[str, RepoId, str], RepoInfo] = {}

    def of(self, artifact: Artifact) -> RepoInfo:
        """The head of the artifact's branch; raises NotFoundError (RepoNotFound, RevisionNotFound), AccessDeniedError."""
        address = artifact.address
        place = self._workspace.endpoint_of(artifact), address.repo, address.revision or DEFAULT_REVISION
        if place not in self._known:
            self._known[place] = find_head(self._workspace.remote_of(artifact), *place[1:])
        return self._known[place]


def pull(workspace: Workspace, names: Sequence[str] = (), options: Options = Options()) -> PullReport:  # noqa: B008 - a constant
    """Bring the working folder to the locked commit (or the hub's head); own changes stay, missing files come back.

    All plans are made before anything is done. Raises ConflictError (BothMoved) unless a choice is given, IntegrityError
    (DigestMismatch, HashMismatch), NotFoundError (RepoNotFound); an artifact is changed only after all its bytes are verified. What
    others publish and cannot be had is among the failures, and the rest is done.
    """
    chosen = workspace.chosen(names, options.only)
    failures = _lock(workspace, chosen, options)
    failed = {failure.name for failure in failures}
    works, unpushed, heads = [], [], _Heads(workspace)
    for name, artifact in chosen.items():
        if name in failed:
            continue
        with _guarded(failures, name, artifact):
            work = _plan(workspace, name, artifact, options, heads)
            if work is None:
                unpushed.append(name)
            else:
                works.append(work)
    if options.choice is Choice.REFUSE and not options.dry_run:
        _refuse_conflicts(works)
    if not options.dry_run:
        _check_room(workspace, works)
    pulled = []
    for work in works:
        with _guarded(failures, work.name, work.artifact):
            pulled.append(_report(work, None) if options.dry_run else _carry_out(workspace, work, options.choice))
    if options.head and options.trust is Trust.FOLLOW:
        pulled = [one if one.is_own else _with_newer(workspace, one) for one in pulled]
    if any(one.downloaded_bytes for one in pulled):
        workspace.store.sweep(ABANDONED_S)
        _keep_within_limit(workspace)
    return PullReport(pulled, unpushed, options.dry_run, failures)


def _with_newer(workspace: Workspace, one: Pulled) -> Pulled:
    from tenuto.project.outdated import newer_commit  # what is one's own needs none of it

    return msgspec.structs.replace(one, newer=newer_commit(workspace, one.name))


def _keep_within_limit(workspace: Workspace) -> None:
    limit = workspace.settings.cache_limit
    if limit:
        from tenuto.project.cache import clear

        # What was wanted is done: another project that stands in the way is named by `tenuto cache gc`, and fails no pull.
        with contextlib.suppress(UsageError, StorageError):
            clear(workspace.store, keep_days=_NEVER_DAYS, trash_days=0, limit_bytes=parse_size(limit))


def _check_room(workspace: Workspace, works: Sequence[_Work]) -> None:
    """What the store has already is looked for only where there is no room for everything. Raises StorageError (DiskFull)."""
    wanted = {work.target.files[step.path] for work in works for step in work.steps if step.action in FETCHING}
    if not look_at_disk(workspace, sum(content.size for content in wanted)).fits:
        lacking = (one for one in wanted if not (one.sha256 and workspace.store.has(one.id)))
        check_room(workspace, sum(content.size for content in lacking))


def _guarded(failures: list[Failure], name: str, artifact: Artifact) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if artifact.is_own else collected(failures, name, artifact)


def _lock(workspace: Workspace, chosen: Mapping[str, Artifact], options: Options) -> list[Failure]:
    """Bring the lock in line with the manifest before anything is fetched, as far as that is wanted."""
    if options.trust is Trust.FROZEN:
        return []
    lacking = [name for name, artifact in chosen.items() if not workspace.locked(name)]
    if options.trust is Trust.LOCKED and lacking:
        raise ConflictError(
            f"{LOCK_NAME} does not have {lacking[0]} as the manifest wants it",
            code="LockOutdated",
            hint="run `tenuto lock` where you may change it, and commit the lock",
        )
    failures: list[Failure] = []
    for name, artifact in chosen.items():
        entry = workspace.locked(name)
        if entry and not artifact.is_own:
            with collected(failures, name, artifact):
                check_license(workspace.manifest.policy, entry.license)
    others = [name for name in lacking if not chosen[name].is_own]
    return failures + (lock(workspace, others).failures if others and not options.dry_run else [])


def _plan(workspace: Workspace, name: str, artifact: Artifact, options: Options, heads: _Heads) -> _Work | None:
    entry = workspace.locked(name)
    here, broken, *_ = scan(workspace, artifact)
    at_head = options.head and artifact.is_own and options.trust is Trust.FOLLOW
    head = heads.of(artifact) if at_head else None
    if entry and _is_settled(workspace, entry, artifact, here, head):
        target = Target((head.sha if head else entry.commit) or "", {})
        in_step = head is not None and not broken
        return _Work(name, artifact, target, here, [], entry.digest, settled=True, in_step=in_step)
    pinned = None if head else locked_target(workspace, name, artifact)
    if pinned is None:
        if entry and entry.commit is None and not head:
            _check_unpushed(name, artifact, here)
            return None
        if options.trust is Trust.FROZEN:
            raise NotFoundError(
                f"{name} is not in {LOCK_NAME}, and a frozen lock is not changed",
                code="ArtifactNotFound",
                hint="run `tenuto lock` where you may change it, and commit the lock",
            )
        pinned = _at(workspace, name, artifact, head) if head else _unlocked(workspace, name, artifact)
        entry = None
    base = base_listing(workspace, name, artifact, here, pinned)
    target = with_names(workspace, artifact, pinned, here, base)
    steps = compare(contents(base), contents(here), target.files, delete=options.delete and artifact.is_own)
    return _Work(name, artifact, target, here, steps, entry.digest if entry else None)


def _is_settled(workspace: Workspace, entry: Locked, artifact: Artifact, here: Listing, head: RepoInfo | None) -> bool:
    """Whether the folder is as locked, and that is what was last synced: then no listing needs to be read, here or on the hub.

    With a `head`, that must be the commit that was last synced.
    """
    if entry.commit is None or not workspace.store.has(entry.digest):
        return False
    base = workspace.base(entry.name)
    if base is None or not base.digest == entry.digest == here.digest or (head and base.commit != (head.sha or "")):
        return False
    return entry == locked(entry.name, artifact, here, entry.commit, entry.license)


def _at(workspace: Workspace, name: str, artifact: Artifact, head: RepoInfo) -> Target:
    return target_at(workspace, name, artifact, head.sha or "")._replace(license=license_of(head))


def _unlocked(workspace: Workspace, name: str, artifact: Artifact) -> Target:
    if artifact.is_web_file:
        from tenuto.project.sources import web_target  # loads the HTTP client

        return web_target(workspace, artifact)
    return (head_target if artifact.is_own else wanted_target)(workspace, name, artifact)


def _check_unpushed(name: str, artifact: Artifact, here: Listing) -> None:
    if not here:
        raise NotFoundError(
            f"{name} has never been pushed to {artifact.address}, and {artifact.path} is not here",
            code="ArtifactNotFound",
            hint="run `tenuto push` where it was made, and commit the lock there",
        )


def _refuse_conflicts(works: Sequence[_Work]) -> None:
    for work in works:
        both = [step.path for step in work.steps if step.action is Action.CONFLICT]
        if both:
            more = f" and {count_text(len(both) - 1, 'other file')}" if len(both) > 1 else ""
            raise ConflictError(
                f"{work.name}: {both[0]}{more} changed here and on the hub",
                code="BothMoved",
                hint="choose with --ours, --theirs (yours goes to .tenuto/trash) or --keep-both",
            )


def _carry_out(workspace: Workspace, work: _Work, choice: Choice) -> Pulled:
    if work.settled:
        return _report(work, None)
    steps, aside = _settle_conflicts(workspace, work, choice)
    acting = [step for step in steps if step.action in TAKING]
    before = workspace.locked(work.name)
    if not acting and _agreed(workspace, work, before):
        return _report(work, None)
    taken = take(workspace, work.artifact, work.target, work.here, acting, digest=work.digest, aside=aside)
    license_name = work.target.license or (before.license if before else None)
    commit = work.target.commit or None
    entry = locked(work.name, work.artifact, taken.listing, commit, license_name)
    agree(workspace, entry, taken.listing, commit)
    report = _report(work._replace(steps=steps), taken)
    renamed = {one.path: one.second_name for one in aside if one.second_name}
    return msgspec.structs.replace(report, trash=taken.trash, renamed=renamed)


def _agreed(workspace: Workspace, work: _Work, before: Locked | None) -> bool:
    """Whether base and lock hold what the hub has already: then not even the locked commit changes."""
    base, listing = workspace.base(work.name), work.target.listing
    if not base or not before or listing is None or base.digest != listing.digest:
        return False
    if before.commit is None and not work.artifact.is_web_file:
        return False
    return before == locked(work.name, work.artifact, listing, before.commit, before.license)


def _settle_conflicts(workspace: Workspace, work: _Work, choice: Choice) -> tuple[list[Step], list[Aside]]:
    """The steps with conflicts decided, and the own files that make way."""
    top = workspace.folder_of(work.artifact)
    steps, aside = [], []
    for step in work.steps:
        if step.action is not Action.CONFLICT:
            steps.append(step)
            continue
        path = f"{top}/{step.path}" if top else step.path
        there = step.path in work.target.files
        if choice is Choice.THEIRS and not there:
            steps.append(Step(Action.REMOVE_HERE, step.path, step.size))
        elif there and choice in {Choice.THEIRS, Choice.KEEP_BOTH}:
            aside.append(Aside(path, _second_name(path, work, step.path) if choice is Choice.KEEP_BOTH else None))
            steps.append(Step(Action.DOWNLOAD, step.path, step.size))
    return steps, aside


def _second_name(full_path: str, work: _Work, path: str) -> str | None:
    """A free name for the own file; None if the same bytes have one already, so that the trash will do."""
    mine = work.here[path]
    for digits in (8, 16, 64):
        second, full = (
            f"{stem}.mine-{mine.sha256[:digits]}{ending}" for stem, ending in map(os.path.splitext, (path, full_path))
        )
        taken = work.here.get(second)
        if taken and taken.sha256 == mine.sha256:
            return None
        if not taken and second not in work.target.files:
            return full
    raise AssertionError("a name that holds a whole sha256 is taken by other bytes")


def _report(work: _Work, taken: Taken | None) -> Pulled:
    kept = [step.path for step in work.steps if step.action in {Action.UPLOAD, Action.DELETE_THERE}]
    acting = [step for step in work.steps if step.action in TAKING]
    digest = taken.listing.digest if taken else work.digest or work.here.digest
    return Pulled(
        work.name,
        work.artifact.path,
        work.target.commit,
        digest,
        acting,
        taken.downloaded_bytes if taken else 0,
        kept,
        is_own=work.artifact.is_own,
        in_step=work.in_step,
    )


def check_choice(*, ours: bool, theirs: bool, keep_both: bool) -> Choice:
    """The choice that three switches make; raises UsageError (BadCommand) if more than one is set."""
    chosen = [
        choice
        for choice, wanted in ((Choice.OURS, ours), (Choice.THEIRS, theirs), (Choice.KEEP_BOTH, keep_both))
        if wanted
    ]
    if len(chosen) > 1:
        raise UsageError(
            "--ours, --theirs and --keep-both exclude each other", code="BadCommand", hint="give one of them"
        )
    return chosen[0] if chosen else Choice.REFUSE


def check_trust(*, locked: bool, frozen: bool) -> Trust:
    """What two switches make; raises UsageError (BadCommand) if both are set."""
    if locked and frozen:
        raise UsageError("--locked and --frozen exclude each other", code="BadCommand", hint="give one of them")
    return Trust.LOCKED if locked else Trust.FROZEN if frozen else Trust.FOLLOW
