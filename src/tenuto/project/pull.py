"""`pull`: the working folder becomes what the lock pins. `sync`: both sides become what either of them has."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.human import count_text
from tenuto.core.listing import Listing
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.plan import Action, Step, compare, contents
from tenuto.project.record import agree, locked
from tenuto.project.resolve import Target, head_target, locked_target
from tenuto.project.scan import scan
from tenuto.project.take import Aside, Taken, take, with_names
from tenuto.project.workspace import Workspace

ABANDONED_S = 7 * 86_400.0
"""A part of a transfer that nobody went on with for that long is dropped."""
TAKING = frozenset({Action.DOWNLOAD, Action.RESTORE, Action.REMOVE_HERE, Action.CONFLICT})


class Choice(StrEnum):
    """What to do with a file that changed on both sides."""

    REFUSE = "refuse"
    OURS = "ours"
    THEIRS = "theirs"
    KEEP_BOTH = "keep-both"


class Pulled(msgspec.Struct, frozen=True):
    """What became of one artifact: the commit it stands at, the steps, bytes that came over the network, and own changes left alone.

    `trash` is the folder of own files that made way, `renamed` their second names where they kept their place.
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


class PullReport(msgspec.Struct, frozen=True):
    """A whole pull. `unpushed` names artifacts that no hub has yet."""

    artifacts: list[Pulled]
    unpushed: list[str] = []
    dry_run: bool = False


class Options(NamedTuple):
    """How to pull: what to do with conflicts, from the lock or from the head of the hub, whether to stop after the plan, and
    whether files that are gone here are meant to be gone (else they come back).
    """

    choice: Choice = Choice.REFUSE
    head: bool = False
    dry_run: bool = False
    delete: bool = False


class _Work(NamedTuple):
    name: str
    artifact: Artifact
    target: Target
    here: Listing
    steps: list[Step]
    digest: str | None


def pull(workspace: Workspace, names: Sequence[str] = (), options: Options = Options()) -> PullReport:  # noqa: B008 - a constant
    """Bring the working folder to the locked commit (or the hub's head); own changes stay, missing files come back.

    All plans are made before anything is done. Raises ConflictError (BothMoved) unless a choice is given, IntegrityError
    (DigestMismatch, HashMismatch), NotFoundError (RepoNotFound); an artifact is changed only after all its bytes are verified.
    """
    works, unpushed = [], []
    for name, artifact in workspace.chosen(names).items():
        work = _plan(workspace, name, artifact, options)
        if work is None:
            unpushed.append(name)
        else:
            works.append(work)
    if options.choice is Choice.REFUSE and not options.dry_run:
        _refuse_conflicts(works)
    if options.dry_run:
        return PullReport([_report(work, None) for work in works], unpushed, dry_run=True)
    pulled = [_carry_out(workspace, work, options.choice) for work in works]
    if any(one.downloaded_bytes for one in pulled):
        workspace.store.sweep(ABANDONED_S)
    return PullReport(pulled, unpushed)


def _plan(workspace: Workspace, name: str, artifact: Artifact, options: Options) -> _Work | None:
    entry = workspace.locked(name)
    pinned = None if options.head else locked_target(workspace, name, artifact)
    here = scan(workspace, artifact).listing
    if pinned is None:
        if entry and entry.commit is None and not options.head:
            _check_unpushed(name, artifact, here)
            return None
        pinned = head_target(workspace, name, artifact)
        entry = None
    base = workspace.base_listing(name)
    target = with_names(workspace, artifact, pinned, here, base)
    steps = compare(contents(base), contents(here), target.files, delete=options.delete)
    return _Work(name, artifact, target, here, steps, entry.digest if entry else None)


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
    steps, aside = _settle_conflicts(workspace, work, choice)
    acting = [step for step in steps if step.action in TAKING]
    before = workspace.locked(work.name)
    if not acting and _agreed(workspace, work, before):
        return _report(work, None)
    taken = take(workspace, work.artifact, work.target, work.here, acting, digest=work.digest, aside=aside)
    license_name = work.target.license or (before.license if before else None)
    entry = locked(work.name, work.artifact, taken.listing, work.target.commit, license_name)
    agree(workspace, entry, taken.listing, work.target.commit)
    report = _report(work._replace(steps=steps), taken)
    renamed = {one.path: one.second_name for one in aside if one.second_name}
    return msgspec.structs.replace(report, trash=taken.trash, renamed=renamed)


def _agreed(workspace: Workspace, work: _Work, before: Locked | None) -> bool:
    """Whether base and lock hold what the hub has already: then not even the locked commit changes."""
    base, listing = workspace.base(work.name), work.target.listing
    if not base or not before or not before.commit or listing is None or base.digest != listing.digest:
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
