"""`sync`: the hub's changes come here, ours go there, and the lock pins what both have."""

from collections.abc import Sequence

import msgspec

from tenuto.core.errors import ConflictError
from tenuto.project import pull as pulling
from tenuto.project import push as pushing
from tenuto.project.workspace import Workspace

TRIES = 4


class SyncReport(msgspec.Struct, frozen=True):
    """Both halves of a sync."""

    pulled: pulling.PullReport
    pushed: pushing.PushReport

    @property
    def in_step(self) -> bool:
        """Whether nothing was, or would be, moved either way."""
        return self.pulled.in_place and not any(artifact.steps for artifact in self.pushed.artifacts)


def sync(
    workspace: Workspace,
    names: Sequence[str] = (),
    choice: pulling.Choice = pulling.Choice.REFUSE,
    options: pushing.Options = pushing.Options(),  # noqa: B008 - a constant
    trust: pulling.Trust = pulling.Trust.FOLLOW,
) -> SyncReport:
    """Take what changed on the hub, then send what changed here; with a lock that must not move, only take what it pins.

    Raises as `pull` and `push` do; what is not in conflict is never lost.
    """
    taking = pulling.Options(choice, True, options.dry_run, options.delete, options.only, trust)
    own = [name for name, artifact in workspace.chosen(names, options.only).items() if artifact.is_own]
    for attempt in range(TRIES):
        pulled = pulling.pull(workspace, names, taking)
        if not own or trust is not pulling.Trust.FOLLOW:
            return SyncReport(pulled, pushing.PushReport([], 0, options.dry_run))
        try:
            return SyncReport(pulled, _push(workspace, own, pulled, options))
        except ConflictError as error:
            if error.code not in {"RemoteMoved", "BothMoved"} or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _push(
    workspace: Workspace, own: Sequence[str], pulled: pulling.PullReport, options: pushing.Options
) -> pushing.PushReport:
    """Push those artifacts that are not in step yet; the report has all of them, in the order of `own`."""
    in_step = {one.name for one in pulled.artifacts if one.in_step}
    rest = [name for name in own if name not in in_step]
    pushed = pushing.PushReport([], 0, options.dry_run)
    if rest:
        pushed = pushing.push(workspace, rest, options._replace(after_pull=options.dry_run))
    known = {one.name: one for one in pushed.artifacts}
    artifacts = [known.get(name) or _nothing_pushed(workspace, name, dry_run=options.dry_run) for name in own]
    return msgspec.structs.replace(pushed, artifacts=artifacts)


def _nothing_pushed(workspace: Workspace, name: str, *, dry_run: bool) -> pushing.Pushed:
    entry, repo = workspace.locked(name), str(workspace.manifest.artifacts[name].address)
    if entry is None or dry_run:
        return pushing.Pushed(name, repo, None, None, [])
    return pushing.Pushed(name, repo, entry.commit, entry.digest, [])
