"""`push`: what changed here goes to the hub, in one commit a repo."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tenuto.core.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from tenuto.core.human import count_text
from tenuto.core.ids import RepoId
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.project.plan import Action, Step, compare, contents
from tenuto.project.record import agree, locked
from tenuto.project.resolve import DEFAULT_REVISION, Target, find_head, repo_path, target_at
from tenuto.project.scan import scan
from tenuto.project.take import base_listing, with_names
from tenuto.project.workspace import Only, Workspace

if TYPE_CHECKING:
    from tenuto.hub.remote import Remote

TRIES = 8
SENDING = frozenset({Action.UPLOAD, Action.DELETE_THERE})


class Pushed(msgspec.Struct, frozen=True):
    """What became of one artifact: the steps, and the commit and digest it has now, None in a dry run.

    `missing` counts files that are only on the hub.
    """

    name: str
    repo: str
    commit: str | None
    digest: str | None
    steps: list[Step]
    missing: int = 0


class PushReport(msgspec.Struct, frozen=True):
    """A whole push. `uploaded_bytes` counts the files that were offered; the hub takes only what it lacks."""

    artifacts: list[Pushed]
    uploaded_bytes: int
    dry_run: bool = False


class _Place(NamedTuple):
    remote: "Remote"
    repo: RepoId
    revision: str


class _Work(NamedTuple):
    name: str
    artifact: Artifact
    here: Listing
    target: Target
    steps: list[Step]

    @property
    def sent(self) -> list[Step]:
        return [step for step in self.steps if step.action in SENDING]

    def result(self) -> Listing:
        """What the hub will hold of the artifact when the sent steps are done."""
        entries = {path: Entry(path, content.id, content.size) for path, content in self.target.files.items()}
        for step in self.sent:
            if step.action is Action.UPLOAD:
                entries[step.path] = self.here[step.path]
            else:
                del entries[step.path]
        return Listing(entries.values())


class Options(NamedTuple):
    """How to push: whether files that are gone here shall go on the hub, the title of the commit, whether to stop after the plan,
    whether that is the plan of a push that would follow a pull, and which artifacts.
    """

    delete: bool = False
    title: str | None = None
    dry_run: bool = False
    after_pull: bool = False
    only: Only = Only()


def push(workspace: Workspace, names: Sequence[str] = (), options: Options = Options()) -> PushReport:  # noqa: B008 - a constant
    """Send what changed since the last sync; afterwards the hub holds what is here and the lock pins that commit.

    Raises ConflictError (RemoteMoved, BothMoved) if somebody else changed the artifact on the hub, NotFoundError (RepoNotFound).
    Nothing on the hub changes but by one commit for each repo, made on the head that was compared with.
    """
    groups: dict[_Place, dict[str, Artifact]] = {}
    for name, artifact in workspace.chosen(names, options.only).items():
        if artifact.is_own:
            groups.setdefault(_place(workspace, artifact), {})[name] = artifact
        elif names:
            raise UsageError(
                f"{name} is from {artifact.source}, and is not pushed",
                code="BadCommand",
                hint="`tenuto track PATH --to hf://namespace/name` makes a copy your own",
            )
    scanned = {name: _scan(workspace, artifact) for group in groups.values() for name, artifact in group.items()}
    reports = [_push_repo(workspace, place, group, scanned, options) for place, group in groups.items()]
    pushed = [artifact for report in reports for artifact in report]
    sent = sum(step.size for artifact in pushed for step in artifact.steps if step.action is Action.UPLOAD)
    return PushReport(pushed, sent, options.dry_run)


def _place(workspace: Workspace, artifact: Artifact) -> _Place:
    address = artifact.address
    return _Place(workspace.remote_of(artifact), address.repo, address.revision or DEFAULT_REVISION)


def _scan(workspace: Workspace, artifact: Artifact) -> Listing:
    found = scan(workspace, artifact)
    if found.broken:  # else it would count as a file that is gone
        raise NotFoundError(
            f"{found.broken[0]} is a symbolic link to nothing",
            hint="bring its target back or remove it, then push again",
        )
    return found.listing


def _push_repo(
    workspace: Workspace,
    place: _Place,
    artifacts: Mapping[str, Artifact],
    scanned: Mapping[str, Listing],
    options: Options,
) -> list[Pushed]:
    lost = 0
    for _ in range(TRIES):
        head = find_head(*place).sha or ""
        works = [
            _compare(workspace, name, artifact, scanned[name], head, options) for name, artifact in artifacts.items()
        ]
        if options.dry_run:
            return [_report(work, None, None) for work in works]
        try:
            commit = _commit(workspace, place, head, works, options.title)
        except ConflictError as error:
            if error.code != "StaleParent":
                raise
            continue
        except UnavailableError as error:
            # The answer may be lost and the commit made: comparing anew tells.
            lost += 1
            if lost > 2 or error.code == "Offline":
                raise
            continue
        return [_settle(workspace, work, commit) for work in works]
    raise ConflictError(
        f"{place.repo} moved on {TRIES} times while this push was under way", code="RemoteMoved", hint="push again"
    )


def _compare(workspace: Workspace, name: str, artifact: Artifact, here: Listing, head: str, options: Options) -> _Work:
    there = target_at(workspace, name, artifact, head)
    base = base_listing(workspace, name, artifact, here, there)
    if options.delete and base and not here:
        raise ConflictError(
            f"{name}: nothing of {artifact.path} is here, which looks like a disk that is not mounted",
            code="LocalChanges",
            hint="nothing was deleted; bring it back with `tenuto pull`, or delete the files on the hub itself",
        )
    target = with_names(workspace, artifact, there, here, base)
    work = _Work(
        name, artifact, here, target, compare(contents(base), contents(here), target.files, delete=options.delete)
    )
    if not options.after_pull:
        _refuse_moved(name, work.steps)
    return work


def _refuse_moved(name: str, steps: Sequence[Step]) -> None:
    both = [step.path for step in steps if step.action is Action.CONFLICT]
    if both:
        raise ConflictError(
            f"{name}: {_names(both)} changed here and on the hub",
            code="BothMoved",
            hint="run `tenuto sync` with --ours, --theirs or --keep-both",
        )
    theirs = [step.path for step in steps if step.action in {Action.DOWNLOAD, Action.REMOVE_HERE}]
    if theirs:
        raise ConflictError(
            f"{name}: {_names(theirs)} changed on the hub since the last sync",
            code="RemoteMoved",
            hint="run `tenuto sync`, which brings both sides together",
        )


def _names(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {count_text(len(paths) - 1, 'other file')}"


def _commit(workspace: Workspace, place: _Place, head: str, works: Sequence[_Work], title: str | None) -> str | None:
    from tenuto.hub.upload import Outgoing, Upload, upload  # only now is the HTTP client loaded

    files, deleted = [], []
    for work in works:
        folder = os.path.join(workspace.root, workspace.folder_of(work.artifact))
        for step in work.sent:
            path = repo_path(work.artifact, step.path)
            if step.action is Action.UPLOAD:
                entry = work.here[step.path]
                files.append(Outgoing(os.path.join(folder, step.path), path, entry.sha256, entry.size))
            else:
                deleted.append(path)
    if not files and not deleted:
        return None
    names = ", ".join(work.name for work in works if work.sent)
    wanted = Upload(files, deleted, title or f"Update {names}")
    with workspace.watch("uploading", sum(file.size for file in files)) as progress:
        done = upload(*place, head, wanted, jobs=workspace.settings.jobs, progress=progress)
    workspace.state.remember_git_ids(done.git_ids)
    return done.commit


def _settle(workspace: Workspace, work: _Work, commit: str | None) -> Pushed:
    result = work.result()
    before = workspace.locked(work.name)
    pinned = commit if work.sent and commit else work.target.commit
    if not work.sent and before and before.commit and before.digest == result.digest:
        pinned = before.commit
    entry = locked(work.name, work.artifact, result, pinned, before.license if before else None)
    agree(workspace, entry, result, commit or work.target.commit)
    return _report(work, pinned, result.digest)


def _report(work: _Work, commit: str | None, digest: str | None) -> Pushed:
    missing = sum(step.action is Action.RESTORE for step in work.steps)
    return Pushed(work.name, str(work.artifact.address), commit, digest, work.sent, missing)
