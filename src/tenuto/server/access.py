"""The whole access policy. Every route names an action and is asked here before anything else happens."""

from enum import StrEnum
from typing import NamedTuple

from tenuto.core.errors import AccessDeniedError, AuthenticationError, NotFoundError
from tenuto.core.ids import RepoId


class Action(StrEnum):
    """What somebody wants to do."""

    SERVE = "serve"  # an answer that is the same for everybody and shows nothing of anybody
    BROWSE = "browse"  # look for repos and users; each repo is shown only to those who may see it
    IDENTIFY = "identify"  # learn who one is, and what is one's own
    CREATE = "create"  # make a repo
    SEE = "see"  # learn that a repo exists, its facts, the names of its files, and what is said about it
    READ = "read"  # get the bytes of its files
    ENGAGE = "engage"  # like it, ask to be let through its gate
    DISCUSS = "discuss"  # open discussions about it, and comment
    PROPOSE = "propose"  # open a pull request, and upload what it needs
    WRITE = "write"  # upload, commit, branch and tag
    ADMINISTER = "administer"  # settings, visibility, access requests, move, deletion


class Role(StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"


class Gate(StrEnum):
    """What stands between the facts of a repo and its bytes."""

    OPEN = ""  # nothing
    AUTO = "auto"  # whoever asks is let in
    MANUAL = "manual"  # whoever asks waits for somebody who administers the repo


class Standing(StrEnum):
    """How a user stands with the gate of a repo."""

    NONE = ""
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


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
    """What the policy and the routes know of a repo; `key` is its id in the database, 0 for one that is still to be made.

    `standing` belongs to the one who asks, and is looked up when the gate of the repo is not open; unknown is none.
    """

    key: int
    id: RepoId
    private: bool = False
    created_ms: int = 0
    modified_ms: int = 0
    gate: Gate = Gate.OPEN
    standing: Standing = Standing.NONE


def may(actor: Actor, action: Action, repo: Repo | None) -> bool:
    """Whether `actor` may do `action` on `repo`; None stands for no repo, or one that does not exist.

    - Facts of a public repo are for everybody, those of a private one for its owner and administrators.
    - Bytes are for the same people, but behind a gate only for its owner, administrators, and users who were accepted.
    - Every user may like, and ask for access to, what it sees; discussing that needs a token with the role `write`.
      So does proposing a change, of which the bytes must be readable too.
    - Changes need a token with the role `write`, of the owner of the namespace or of an administrator.
    """
    if action in {Action.SERVE, Action.BROWSE}:
        return True
    if action is Action.IDENTIFY:
        return actor.is_known
    if repo is None:
        return False
    sees = not repo.private or _owns(actor, repo)
    match action:
        case Action.SEE:
            return sees
        case Action.READ:
            return sees and _passes(actor, repo)
        case Action.ENGAGE:
            return sees and actor.is_known
        case Action.DISCUSS:
            return sees and _writes(actor)
        case Action.PROPOSE:
            return sees and _writes(actor) and _passes(actor, repo)
    return _writes(actor) and _owns(actor, repo)


def may_steer(actor: Actor, repo: Repo, author_id: int | None) -> bool:
    """Whether `actor` may rename, close or reopen a discussion, edit or hide a comment, or add commits to a pull request:
    its author, while it may still discuss; and whoever may write to the repo."""
    if may(actor, Action.WRITE, repo):
        return True
    return may(actor, Action.DISCUSS, repo) and actor.user_id == author_id


def _writes(actor: Actor) -> bool:
    return actor.is_known and actor.role is Role.WRITE


def _owns(actor: Actor, repo: Repo) -> bool:
    return actor.is_known and (actor.is_admin or actor.name == repo.id.namespace)


def _passes(actor: Actor, repo: Repo) -> bool:
    return repo.gate is Gate.OPEN or _owns(actor, repo) or (actor.is_known and repo.standing is Standing.ACCEPTED)


def check(actor: Actor, action: Action, repo: Repo | None) -> None:
    """Return if `actor` may; else raise what it may know.

    A repo that the actor may not see is answered exactly like one that does not exist: NotFoundError (RepoNotFound).
    Else AccessDeniedError (GatedRepo) at a gate, AuthenticationError (NoToken) for anybody, AccessDeniedError (Forbidden) for a user.
    """
    if may(actor, action, repo):
        return
    if action not in {Action.IDENTIFY, Action.CREATE} and not may(actor, Action.SEE, repo):
        raise NotFoundError(
            "Repository not found",
            code="RepoNotFound",
            hint="check the name; a private repo needs the token of somebody who may read it",
        )
    if repo and action in {Action.READ, Action.PROPOSE} and not may(actor, Action.READ, repo):
        raise _gated(actor, repo)
    if not actor.is_known:
        raise AuthenticationError("this needs a token", hint="log in with `tenuto login` or `hf auth login`")
    if actor.role is not Role.WRITE:
        raise AccessDeniedError(f"this token of {actor.name} may only read", hint="use a token with the role `write`")
    place = f"to {action} in {repo.id.namespace}" if repo else f"to {action} here"
    raise AccessDeniedError(f"{actor.name} has no right {place}", hint="ask the owner, or use a namespace of your own")


def _gated(actor: Actor, repo: Repo) -> AccessDeniedError:
    start = f"Access to {repo.id.kind} {repo.id.full_name} is restricted"
    if not actor.is_known:
        return AccessDeniedError(
            f"{start}. You must have access to it and be authenticated to access it. Please log in.", code="GatedRepo"
        )
    text = {
        Standing.PENDING: "Your request to access it is awaiting a review from its authors.",
        Standing.REJECTED: "Your request to access it has been rejected by its authors.",
    }.get(repo.standing, f"You are not in the authorized list. Visit {repo.id.web_path} on this hub to ask for access.")
    return AccessDeniedError(f"{start}. {text}", code="GatedRepo", hint="ask for access, and wait to be accepted")
