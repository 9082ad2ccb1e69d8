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
            return SyncReport(pulled, pushing.push(workspace, own, options._replace(after_pull=options.dry_run)))
        except ConflictError as error:
            if error.code not in {"RemoteMoved", "BothMoved"} or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")
