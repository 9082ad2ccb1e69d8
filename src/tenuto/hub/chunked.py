"""Which large files are sent by chunks: those of whose earlier version the hub knows the chunks, so that only what is new travels."""

from collections.abc import Callable, Mapping, Sequence

from tenuto.core import wire
from tenuto.core.errors import UnavailableError
from tenuto.core.ids import RepoId
from tenuto.hub import xet
from tenuto.hub.objects import Outgoing
from tenuto.hub.remote import Remote
from tenuto.store.listener import Progress

ASK_AGAIN_S = 0.5
CUTTING_BYTES_PER_S = 50e6
"""At least so fast does a hub cut what it was sent whole into chunks; files whose earlier version is at it wait no longer than that takes."""
LEAST_WAIT_S = 5.0
Ask = Callable[[Sequence[Outgoing]], Mapping[str, wire.PreuploadAnswer]]


class ChunkSender:
    """Sends by chunks what that pays for. `ask` asks the hub how files are to be sent, `modes` is what it said."""

    def __init__(
        self,
        remote: Remote,
        repo: RepoId,
        revision: str,
        modes: Mapping[str, wire.PreuploadAnswer],
        ask: Ask,
        progress: Progress,
    ) -> None:
        self._remote, self._repo, self._revision = remote, repo, revision
        self._modes, self._ask, self._progress = dict(modes), ask, progress

    def send(self, lacking: Sequence[Outgoing], must: bool) -> set[str]:
        """Send by chunks what pays, or all if it must be; the sha256 of that. What is left takes the plain way, which says why it fails."""
        chosen = list(lacking) if must else self._chosen([file for file in lacking if file.size >= xet.FROM_BYTES])
        if not chosen or not xet.is_installed():
            return set()
        try:
            token = self._remote.xet_token(self._repo, self._revision)
            if token is None:
                return set()
            xet.send_chunks(self._remote, self._repo, self._revision, token, chosen, self._progress)
        except UnavailableError:
            return set()
        return {file.sha256 for file in chosen}

    def _chosen(self, files: Sequence[Outgoing]) -> list[Outgoing]:
        if self._remote.xet != "auto":
            return list(files) if self._remote.xet == "always" else []
        if not self._remote.session.speaks_pack:  # elsewhere, what is large came by chunks
            return [file for file in files if self._modes[file.path].oid]
        coming = [file for file in files if self._modes[file.path].chunks]
        if coming and not xet.is_installed():
            self._remote.session.notice(_advice(coming))
            return []
        return self._known(coming)

    def _known(self, files: Sequence[Outgoing]) -> list[Outgoing]:
        """Those whose earlier versions the hub knows by their chunks, after some patience with a hub that is about to."""
        soon = [file for file in files if self._modes[file.path].chunks == "soon"]
        left_s = LEAST_WAIT_S + sum(file.size for file in soon) / CUTTING_BYTES_PER_S
        if soon:
            self._remote.session.notice(f"waiting until the hub has looked at the earlier version of {soon[0].path}")
        while soon and left_s > 0:
            self._remote.session.sleep(ASK_AGAIN_S)
            left_s -= ASK_AGAIN_S
            self._modes |= self._ask(soon)
            soon = [file for file in soon if self._modes[file.path].chunks == "soon"]
        return [file for file in files if self._modes[file.path].chunks == "known"]


def _advice(files: Sequence[Outgoing]) -> str:
    return (
        f"{files[0].path} is sent as a whole; with hf-xet (pip install 'tenuto[xet]') only what is new in it would be"
    )
