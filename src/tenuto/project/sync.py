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


def sync(
    workspace: Workspace,
    names: Sequence[str] = (),
    choice: pulling.Choice = pulling.Choice.REFUSE,
    options: pushing.Options = pushing.Options(),  # noqa: B008 - a constant
) -> SyncReport:
    """Take what changed on the hub, then send what changed here. Raises as `pull` and `push` do; what is not in conflict is never lost."""
    taking = pulling.Options(choice, head=True, dry_run=options.dry_run, delete=options.delete)
    for attempt in range(TRIES):
        pulled = pulling.pull(workspace, names, taking)
        try:
            return SyncReport(pulled, pushing.push(workspace, names, options._replace(after_pull=options.dry_run)))
        except ConflictError as error:
            if error.code not in {"RemoteMoved", "BothMoved"} or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")
