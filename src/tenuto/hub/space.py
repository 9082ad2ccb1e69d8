"""What uses the space of a repo, as a hub of ours tells it (docs/formats/usage.md)."""

import msgspec

from tenuto.core.errors import NotFoundError, UnavailableError
from tenuto.core.ids import RepoId
from tenuto.core.space import Overview
from tenuto.hub.remote import Remote


def read_overview(remote: Remote, repo: RepoId, most: int) -> Overview:
    """The overview, with at most so many files, versions and refs.

    Raises UnavailableError (NotSupported on another hub, BadAnswer), NotFoundError (RepoNotFound), AccessDeniedError.
    """
    try:
        answer = remote.session.request("GET", f"{repo.api_path}/usage?limit={most}")
    except NotFoundError as error:
        if error.code == "RepoNotFound":
            raise
        raise UnavailableError(f"{remote.endpoint} does not say what uses its space", code="NotSupported") from error
    try:
        return msgspec.json.decode(answer.body, type=Overview)
    except msgspec.DecodeError as error:
        raise UnavailableError(f"the hub's answer cannot be read: {error}", code="BadAnswer") from error
