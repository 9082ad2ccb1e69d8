"""Large files by their chunks (Xet): what the hub has of them already is not sent. The only door to hf_xet, which may be absent."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from tenuto.core.errors import UnavailableError
from tenuto.core.ids import RepoId
from tenuto.core.wire import CHUNKS_FROM_BYTES, XetToken
from tenuto.hub.objects import Outgoing
from tenuto.hub.remote import Remote
from tenuto.hub.stream import Told
from tenuto.store.listener import Progress

FROM_BYTES = CHUNKS_FROM_BYTES


def is_installed() -> bool:
    """Whether hf_xet is there."""
    return importlib.util.find_spec("hf_xet") is not None


def send_chunks(
    remote: Remote, repo: RepoId, revision: str, token: XetToken, files: Sequence[Outgoing], progress: Progress
) -> None:
    """Afterwards the repo holds these objects, and a commit may name them.

    Raises UnavailableError if anything went wrong, or if what was sent has another sha256; progress is as before then, and the files
    can still be sent another way. Bandwidth and patience of our own session do not reach what hf_xet does.
    """
    told = Told(progress)
    try:
        found = _send(remote, repo, revision, token, files, told)
    except (OSError, RuntimeError, ValueError) as error:
        told.take_back()
        raise UnavailableError(f"sending by chunks did not work: {error}") from error
    other = next((file for file, sha256 in zip(files, found, strict=True) if file.sha256 != sha256), None)
    if other is not None:
        told.take_back()
        raise UnavailableError(f"what was sent by chunks of {other.path} is not what was to be sent", code="BadAnswer")


def _send(
    remote: Remote, repo: RepoId, revision: str, token: XetToken, files: Sequence[Outgoing], told: Told
) -> list[str]:
    import hf_xet  # type: ignore[import-untyped]

    counted = [0]

    def tell(report: Any, _items: object) -> None:
        told(report.total_bytes_completed - counted[0])
        counted[0] = report.total_bytes_completed

    session = hf_xet.XetSession()
    try:
        with session.new_upload_commit(
            endpoint=token.cas_url,
            token=token.access_token,
            token_expiry_unix_secs=token.expires_s,
            token_refresh_url=f"{remote.endpoint}/{remote.xet_token_address(repo, revision)}",
            token_refresh_headers=remote.session.own_headers(),
            progress_callback=tell,
        ) as commit:
            # The sha256 is computed anew from what is sent: a file may have changed since it was looked at.
            handles: list[Any] = [commit.start_upload_file(file.file, sha256=hf_xet.COMPUTE_SHA256) for file in files]
    except KeyboardInterrupt:
        session.sigint_abort()
        raise
    told(sum(file.size for file in files) - counted[0])
    return [str(handle.result().xet_info.sha256) for handle in handles]
