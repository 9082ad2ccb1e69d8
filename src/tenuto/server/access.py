"""The whole access policy. Every route names an action and is asked here before anything else happens."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple

from tenuto.core.errors import AccessDeniedError, AuthenticationError, NotFoundError
from tenuto.core.ids import RepoId, RepoKind


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
    ADMINISTER = (
        "administer"  # settings, visibility, access requests, move, deletion; of a namespace: members, services, tokens
    )
    MANAGE = "manage"  # one's own account: tokens, sessions, password; make organizations, and leave them
    GOVERN = "govern"  # the hub as a whole: its accounts, limits and logs


class Right(IntEnum):
    """How far somebody may go in a namespace or a repo, whatever stands before it for others. Each includes those below."""

    NONE = 0
    READ = 1  # see it and get its bytes, also where it is private or gated
    WRITE = 2  # make repos, change what is in them
    ADMIN = 3  # settings, access requests, move, deletion


class Role(StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"
    FINE = "fine"  # fine-grained: what its scopes name, and nothing else
    SESSION = "session"  # a browser that signed in; never a token in a header


class Gate(StrEnum):
    """What stands between the facts of a repo and its bytes."""

    OPEN = ""  # nothing
    AUTO = "auto"  # whoever asks is let in
    MANUAL = "manual"  # whoever asks waits for somebody who administers the repo


class Standing(StrEnum):
    """How somebody stands with the gate of a repo. The last two are never stored: the clock and the card make them of ACCEPTED."""

    NONE = ""
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REVOKED = "revoked"  # was accepted, and is no longer
    EXPIRED = "expired"  # was accepted for a time, which is over
    OUTDATED = "outdated"  # was accepted under other terms than those that hold now


class Scope(NamedTuple):
    """What a fine-grained token is good for: a right in a namespace, or on the repo with that key."""

    right: Right
    namespace: str = ""
    repo_key: int = 0


class Actor(NamedTuple):
    """Who asks: an account, by one of its tokens. `user_id` 0 is anybody.

    `rights` are those of the account beside its own namespace. Of a token with the role FINE, `scopes` say what it is good for, and
    `reads_gated` whether the grants of its account count for it.
    """

    user_id: int = 0
    name: str = ""
    is_admin: bool = False
    token_id: int = 0
    token_name: str = ""
    role: Role = Role.READ
    rights: Mapping[str, Right] = MappingProxyType({})
    scopes: tuple[Scope, ...] = ()
    reads_gated: bool = True
    owner_id: int = 0
    """The account that a service acts for; 0 for a user."""

    @property
    def is_known(self) -> bool:
        """Whether this is an account of the hub."""
        return self.user_id > 0

    @property
    def home(self) -> str:
        """The namespace of its repos where none is named: its own, or that of the account that it acts for. A service has none."""
        return next(iter(self.rights)) if self.owner_id else self.name


ANYBODY = Actor()


class Repo(NamedTuple):
    """What the policy and the routes know of a repo; `key` is its id in the database, 0 for one that is still to be made.

    `standing` belongs to the one who asks, and is looked up when the gate of the repo is not open; unknown is none. `reason` is what
    whoever made it so says of it.
    """

    key: int
    id: RepoId
    private: bool = False
    created_ms: int = 0
    modified_ms: int = 0
    gate: Gate = Gate.OPEN
    standing: Standing = Standing.NONE
    reason: str = ""


_UNBOUNDED = frozenset((Role.WRITE, Role.SESSION))


def any_in(namespace: str) -> Repo:
    """Stands for all repos of a namespace: whoever has a right on it has that right in the namespace."""
    return Repo(0, RepoId(RepoKind.MODEL, namespace, "any"))


_TOKEN_RIGHTS = {Role.READ: Right.READ, Role.WRITE: Right.ADMIN, Role.SESSION: Right.ADMIN}


def right_on(actor: Actor, repo: Repo) -> Right:
    """How far `actor` may go in a repo: no further than its account, and no further than its token."""
    if not actor.is_known:
        return Right.NONE
    return min(_right_of_account(actor, repo), _right_of_token(actor, repo))


def _right_of_account(actor: Actor, repo: Repo) -> Right:
    if actor.is_admin or (actor.name == repo.id.namespace and not actor.owner_id):
        return Right.ADMIN
    return actor.rights.get(repo.id.namespace, Right.NONE)


def _right_of_token(actor: Actor, repo: Repo) -> Right:
    if actor.role is not Role.FINE:
        return _TOKEN_RIGHTS[actor.role]
    fitting = (one.right for one in actor.scopes if repo.id.namespace == one.namespace or 0 < repo.key == one.repo_key)
    return max(fitting, default=Right.NONE)


_OF_THE_HUB = frozenset((Action.SERVE, Action.BROWSE, Action.IDENTIFY, Action.MANAGE, Action.GOVERN))


def _may_here(actor: Actor, action: Action) -> bool:
    if action in {Action.MANAGE, Action.GOVERN}:
        is_person = actor.is_known and actor.role in _UNBOUNDED and not actor.owner_id
        return is_person and (actor.is_admin or action is Action.MANAGE)
    return actor.is_known or action is not Action.IDENTIFY


def may(actor: Actor, action: Action, repo: Repo | None) -> bool:
    """Whether `actor` may do `action` on `repo`; None stands for no repo, or one that does not exist.

    - Facts of a public repo are for everybody, those of a private one for whoever has a right on it (`right_on`).
    - Bytes are for the same people, but behind a gate only for whoever has a right on the repo, and for accounts that were accepted.
    - Every account may like, and ask for access to, what it sees; to discuss that its token must be good for more than reading.
      So does proposing a change, of which the bytes must be readable too.
    - Changes need the right to write, settings and deletion the right to administer.
    - Users manage their accounts, and administrators govern the hub, with a token that may do all that they may; services do neither.
    """
    if action in _OF_THE_HUB:
        return _may_here(actor, action)
    if repo is None:
        return False
    right = right_on(actor, repo)
    sees = not repo.private or right >= Right.READ
    match action:
        case Action.SEE:
            return sees
        case Action.READ:
            return sees and _passes(actor, repo)
        case Action.ENGAGE:
            return sees and actor.is_known and _acts(actor, repo)
        case Action.DISCUSS:
            return sees and _speaks(actor, repo)
        case Action.PROPOSE:
            return sees and _speaks(actor, repo) and _passes(actor, repo)
        case Action.ADMINISTER:
            return right >= Right.ADMIN
    return right >= Right.WRITE


def may_steer(actor: Actor, repo: Repo, author_id: int | None) -> bool:
    """Whether `actor` may rename, close or reopen a discussion, edit or hide a comment, or add commits to a pull request:
    its author, while it may still discuss; and whoever may write to the repo."""
    if may(actor, Action.WRITE, repo):
        return True
    return may(actor, Action.DISCUSS, repo) and actor.user_id == author_id


def _passes(actor: Actor, repo: Repo) -> bool:
    if repo.gate is Gate.OPEN or right_on(actor, repo) >= Right.READ:
        return True
    return actor.is_known and repo.standing is Standing.ACCEPTED and _acts(actor, repo)


def _acts(actor: Actor, repo: Repo) -> bool:
    """Whether the token stands for its account before the gates of others."""
    return actor.role is not Role.FINE or actor.reads_gated or _right_of_token(actor, repo) >= Right.READ


def _speaks(actor: Actor, repo: Repo) -> bool:
    return actor.is_known and _right_of_token(actor, repo) >= Right.WRITE


def check(actor: Actor, action: Action, repo: Repo | None) -> None:
    """Return if `actor` may; else raise what it may know.

    A repo that the actor may not see is answered exactly like one that does not exist: NotFoundError (RepoNotFound).
    Else AccessDeniedError (GatedRepo) at a gate, AuthenticationError (NoToken) for anybody, AccessDeniedError (Forbidden) for an account.
    """
    if may(actor, action, repo):
        return
    if action not in _OF_THE_HUB | {Action.CREATE} and not may(actor, Action.SEE, repo):
        raise NotFoundError(
            "Repository not found",
            code="RepoNotFound",
            hint="check the name; a private repo needs the token of somebody who may read it",
        )
    if repo and action in {Action.READ, Action.PROPOSE} and not may(actor, Action.READ, repo):
        raise _gated(actor, repo)
    if not actor.is_known:
        raise AuthenticationError("this needs a token", hint="log in with `tenuto login` or `hf auth login`")
    if actor.role is Role.READ:
        raise AccessDeniedError(f"this token of {actor.name} may only read", hint="use a token with the role `write`")
    if actor.role is Role.FINE and may(actor._replace(role=Role.WRITE), action, repo):
        raise AccessDeniedError(
            f"{actor.name} may do this, but this token may not: it is fine-grained, and its scopes do not say so",
            hint="use another token, or one whose scopes name this repo or its namespace",
        )
    place = f"to {action} in {repo.id.namespace}" if repo else f"to {action} here"
    hint = "ask the owner" if actor.owner_id else "ask the owner, or use a namespace of your own"
    raise AccessDeniedError(f"{actor.name} has no right {place}", hint=hint)


_AT_THE_GATE = {
    Standing.PENDING: "Your request to access it is awaiting a review from its authors.",
    Standing.REJECTED: "Your request to access it has been rejected by its authors.",
    Standing.REVOKED: "Your access to it has been taken back by its authors.",
    Standing.EXPIRED: "Your access to it has expired. Visit {page} on this hub to ask for it again.",
    Standing.OUTDATED: "Its terms have changed since you were let in. Visit {page} on this hub to agree to those that hold now.",
}
_HELPS = {
    Standing.PENDING: "wait until its authors have decided",
    Standing.REJECTED: "write to its authors: only they can let you in",
    Standing.REVOKED: "write to its authors: only they can let you in",
    Standing.OUTDATED: "agree to its terms with `tenuto access request`, or on its page",
}
_ASKING_HELPS = "ask for access with `tenuto access request`, or on its page"
_UNASKED = "You are not in the authorized list. Visit {page} on this hub to ask for access."


def _gated(actor: Actor, repo: Repo) -> AccessDeniedError:
    start = f"Access to {repo.id.kind} {repo.id.full_name} is restricted"
    if not actor.is_known:
        return AccessDeniedError(
            f"{start}. You must have access to it and be authenticated to access it. Please log in.", code="GatedRepo"
        )
    if actor.role is Role.FINE and may(actor._replace(role=Role.READ), Action.READ, repo):
        return AccessDeniedError(
            f"{start}. Your account has access to it, but this fine-grained token is not allowed to read gated repos.",
            code="GatedRepo",
            hint="use a token that may read gated repos, or one whose scopes name this repo",
        )
    text = _AT_THE_GATE.get(repo.standing, _UNASKED).format(page=repo.id.web_path)
    if repo.reason:
        text += f" They say: {repo.reason}"
    return AccessDeniedError(f"{start}. {text}", code="GatedRepo", hint=_HELPS.get(repo.standing, _ASKING_HELPS))


def may_issue(actor: Actor, account_id: int, owner: Repo | None) -> bool:
    """Whether `actor` may make, see and revoke tokens of an account: one's own, and those of services whose owner's namespace
    (`owner` stands for it, None for an account that is no service) one administers.

    Nobody makes tokens of another person, and no token that is bounded makes another one: it would be stronger.
    """
    if not may(actor, Action.MANAGE, None):
        return False
    return actor.user_id == account_id or (owner is not None and right_on(actor, owner) >= Right.ADMIN)


def may_let_in(actor: Actor) -> bool:
    """Whether `actor` may let a device act for it: a person, by a token that is not bounded to some repos. What it gets reaches no further."""
    return actor.is_known and not actor.owner_id and actor.role is not Role.FINE
