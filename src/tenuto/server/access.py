"""The whole access policy. Every route names an action and is asked here before anything else happens."""

from enum import StrEnum
from typing import NamedTuple

from tenuto.core.errors import AccessDeniedError, AuthenticationError, NotFoundError
from tenuto.core.ids import RepoId


class Action(StrEnum):
    """What somebody wants to do."""

    SERVE = "serve"  # an answer that is the same for everybody and shows nothing of anybody
    IDENTIFY = "identify"  # learn who one is
    CREATE = "create"  # make a repo
    SEE = "see"  # learn that a repo exists, its facts and the names of its files
    READ = "read"  # get the bytes of its files
    WRITE = "write"  # upload, commit, branch and tag
    ADMINISTER = "administer"  # settings, visibility, deletion


class Role(StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"


class Actor(NamedTuple):
    """Who asks: a user, by one of its tokens. `user_id` 0 is anybody."""

    user_id: int = 0
    name: str = ""
    is_admin: bool = False
    token_id: int = 0
    token_name: str = ""
    role: Role = Role.READ

    @property
    def is_known(self) -> bool:
        """Whether this is a user of the hub."""
        return self.user_id > 0


ANYBODY = Actor()


class Repo(NamedTuple):
    """What the policy and the routes know of a repo; `key` is its id in the database, 0 for one that is still to be made."""

    key: int
    id: RepoId
    private: bool = False
    created_ms: int = 0
    modified_ms: int = 0


def may(actor: Actor, action: Action, repo: Repo | None) -> bool:
    """Whether `actor` may do `action` on `repo`; None stands for no repo, or one that does not exist.

    - Facts and files of a public repo are for everybody, those of a private one for its owner and administrators.
    - Changes need a token with the role `write`, of the owner of the namespace or of an administrator.
    """
    if action is Action.SERVE:
        return True
    if action is Action.IDENTIFY:
        return actor.is_known
    if repo is None:
        return False
    if action in {Action.SEE, Action.READ}:
        return not repo.private or _owns(actor, repo)
    return actor.role is Role.WRITE and _owns(actor, repo)


def _owns(actor: Actor, repo: Repo) -> bool:
    return actor.is_known and (actor.is_admin or actor.name == repo.id.namespace)


def check(actor: Actor, action: Action, repo: Repo | None) -> None:
    """Return if `actor` may; else raise what it may know.

    A repo that the actor may not see is answered exactly like one that does not exist: NotFoundError (RepoNotFound).
    Else AuthenticationError (NoToken) for anybody, AccessDeniedError (Forbidden) for a user.
    """
    if may(actor, action, repo):
        return
    if action not in {Action.IDENTIFY, Action.CREATE} and not may(actor, Action.SEE, repo):
        raise NotFoundError(
            "Repository not found",
            code="RepoNotFound",
            hint="check the name; a private repo needs the token of somebody who may read it",
        )
    if not actor.is_known:
        raise AuthenticationError("this needs a token", hint="log in with `tenuto login` or `hf auth login`")
    if actor.role is not Role.WRITE:
        raise AccessDeniedError(f"this token of {actor.name} may only read", hint="use a token with the role `write`")
    place = f"to {action} in {repo.id.namespace}" if repo else f"to {action} here"
    raise AccessDeniedError(f"{actor.name} has no right {place}", hint="ask the owner, or use a namespace of your own")
