"""Whatever may have a quota, by the word that people use for it."""

from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import RepoId
from tenuto.server.access import Repo
from tenuto.server.people.accounts import find_account
from tenuto.server.repos.rows import find_repo


class Target(NamedTuple):
    """A repo, or an account by its id."""

    name: str
    repo: Repo | None = None
    account_id: int | None = None


def find_target(connection: Connection, word: str) -> Target:
    """What has a slash is a repo, all else an account; raises NotFoundError (RepoNotFound, UserNotFound), UsageError (BadAddress)."""
    if "/" not in word:
        account = find_account(connection, word)
        return Target(account.name, account_id=account.id)
    wanted = RepoId.parse(word)
    repo = find_repo(connection, wanted)
    if repo is None:
        raise NotFoundError(f"there is no repo {wanted} on this hub", code="RepoNotFound")
    return Target(str(wanted), repo=repo)
