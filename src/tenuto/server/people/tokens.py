"""Tokens: random secrets of 256 bits, of which the database holds the sha256. Browser sessions are tokens, too (`signin.sessions`)."""

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.ids import RepoId
from tenuto.server.access import Role
from tenuto.server.audit import Deed
from tenuto.server.identity import digest_of
from tenuto.server.people.accounts import Account, Kind, find_account, right_named, right_text
from tenuto.server.people.change import Change
from tenuto.server.repos.rows import find_repo, find_repo_by_key
from tenuto.server.schema import token_scopes, tokens, users

TOKEN_PREFIX = "hf_"  # noqa: S105  # what stock clients expect a token to begin with
DAY_MS = 24 * 3600 * 1000
MOST_DAYS = 3660
MOST_SCOPES = 100
MOST_LIVE = 1000
FINE_GRAINED = "fineGrained"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN_CHARACTERS = 43  # 62**43 > 2**256
_ROLES = {"read": Role.READ, "write": Role.WRITE, "fine-grained": Role.FINE, FINE_GRAINED: Role.FINE}


class ScopeWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a fine-grained token shall be good for: a right on a namespace (`acme`) or a repo (`datasets/acme/birds`)."""

    on: str
    right: str


class TokenWish(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A token to make. Without `days` it does not expire; without `reads_gated` a fine-grained one passes no gates of others."""

    name: str = ""
    role: str = "read"
    days: float | None = None
    reads_gated: bool = False
    scopes: tuple[ScopeWish, ...] = ()


class ScopeFacts(NamedTuple):
    """A scope as it is shown: the namespace or the address of the repo, and the right."""

    on: str
    right: str


class TokenFacts(NamedTuple):
    """What may be shown of a token."""

    id: int
    user: str
    name: str
    role: Role
    created_ms: int
    last_used_ms: int | None
    expires_ms: int | None = None
    reads_gated: bool = True
    scopes: tuple[ScopeFacts, ...] = ()


def new_secret() -> str:
    """A token that nobody has."""
    return TOKEN_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_CHARACTERS))


def make_token(
    change: Change, account: Account, wish: TokenWish, may_see: Callable[[RepoId, int], bool] | None = None
) -> tuple[int, str]:
    """The id of a new token, and the token, which can be read here and never again.

    A scope on a repo that `may_see` (its id and key) denies is as one on a repo that is not there.
    Raises UsageError (BadRequest), NotFoundError (UserNotFound, RepoNotFound).
    """
    role = _ROLES.get(wish.role)
    if account.kind is Kind.ORGANIZATION:
        raise UsageError(
            f"{account.name} is an organization, which has no tokens", hint="make a service that acts for it"
        )
    if role is None:
        raise UsageError(f"{wish.role[:40]!r} is not a role of a token", hint="use read, write or fine-grained")
    scopes = _checked_scopes(change.connection, wish, role, may_see)
    _check_room(change.connection, account, change.now_ms)
    expires_ms = None if wish.days is None else change.now_ms + int(_checked_days(wish.days) * DAY_MS)
    token_id, secret = insert_token(
        change, account.id, role, wish.name, expires_ms, reads_gated=role is not Role.FINE or wish.reads_gated
    )
    for scope in scopes:
        change.connection.execute(insert(token_scopes).values(token_id=token_id, **scope))
    change.record(Deed.TOKEN_CREATE, account.name, token_id=token_id, role=role.value, expires_ms=expires_ms)
    return token_id, secret


def insert_token(
    change: Change, user_id: int, role: Role, name: str, expires_ms: int | None, *, reads_gated: bool = True
) -> tuple[int, str]:
    """The row of a new token: its id, and the token."""
    secret = new_secret()
    row = {
        "user_id": user_id,
        "digest": digest_of(secret),
        "role": role.value,
        "name": " ".join(name.split())[:96] or "token",
        "created_ms": change.now_ms,
        "expires_ms": expires_ms,
        "reads_gated": reads_gated,
    }
    return int(change.connection.execute(insert(tokens).values(row).returning(tokens.c.id)).scalar_one()), secret


def _checked_days(days: float) -> float:
    if not 0 < days <= MOST_DAYS:
        raise UsageError(
            f"a token is good for at most {MOST_DAYS} days", hint="leave the days out if it shall not expire"
        )
    return days


def _check_room(connection: Connection, account: Account, now_ms: int) -> None:
    live = (tokens.c.user_id == account.id) & tokens.c.revoked_ms.is_(None) & (tokens.c.role != Role.SESSION.value)
    live &= tokens.c.expires_ms.is_(None) | (tokens.c.expires_ms > now_ms)
    if len(connection.execute(select(tokens.c.id).where(live).limit(MOST_LIVE)).all()) >= MOST_LIVE:
        raise UsageError(f"{account.name} has {MOST_LIVE} tokens", hint="revoke those that nothing needs")


def _checked_scopes(
    connection: Connection, wish: TokenWish, role: Role, may_see: Callable[[RepoId, int], bool] | None
) -> list[dict[str, object]]:
    is_bounded = bool(wish.scopes) or wish.reads_gated
    if (role is Role.FINE) is not is_bounded:
        raise UsageError(
            "a fine-grained token needs scopes, and no other token has any", hint="say what it is good for"
        )
    if len(wish.scopes) > MOST_SCOPES:
        raise UsageError(f"a token has at most {MOST_SCOPES} scopes")
    return [_scope(connection, one, may_see) for one in wish.scopes]


def narrow(connection: Connection, token_id: int, wish: ScopeWish) -> None:
    """A fine-grained token is good for one thing more. Raises UsageError, NotFoundError."""
    connection.execute(insert(token_scopes).values(token_id=token_id, **_scope(connection, wish, None)))


def _scope(connection: Connection, wish: ScopeWish, may_see: Callable[[RepoId, int], bool] | None) -> dict[str, object]:
    right = right_text(right_named(wish.right))
    if "/" not in wish.on:
        return {"account_id": find_account(connection, wish.on).id, "right": right}
    repo = find_repo(connection, RepoId.parse(wish.on))
    if repo is None or (may_see and not may_see(repo.id, repo.key)):
        raise NotFoundError(
            "Repository not found", code="RepoNotFound", hint="check the name in the scope of the token"
        )
    return {"repo_id": repo.key, "right": right}


def list_tokens(connection: Connection, account: Account, now_ms: int) -> list[TokenFacts]:
    """The tokens of an account that are good, oldest first; browser sessions are none of them."""
    live = (tokens.c.user_id == account.id) & tokens.c.revoked_ms.is_(None) & (tokens.c.role != Role.SESSION.value)
    good = live & (tokens.c.expires_ms.is_(None) | (tokens.c.expires_ms > now_ms))
    rows = connection.execute(select(tokens).where(good).order_by(tokens.c.id)).all()
    scopes = _scopes_of(connection, [row.id for row in rows if row.role == Role.FINE])
    return [
        TokenFacts(
            row.id,
            account.name,
            row.name,
            Role(row.role),
            row.created_ms,
            row.last_used_ms,
            row.expires_ms,
            row.reads_gated,
            tuple(scopes.get(row.id, ())),
        )
        for row in rows
    ]


def _scopes_of(connection: Connection, token_ids: Sequence[int]) -> dict[int, list[ScopeFacts]]:
    query = select(token_scopes.c.token_id, token_scopes.c.right, token_scopes.c.repo_id, users.c.name)
    query = query.outerjoin(users, users.c.id == token_scopes.c.account_id).order_by(token_scopes.c.id)
    found: dict[int, list[ScopeFacts]] = {}
    for token_id, right, repo_key, name in connection.execute(query.where(token_scopes.c.token_id.in_(token_ids))):
        repo = find_repo_by_key(connection, repo_key) if repo_key else None
        found.setdefault(token_id, []).append(ScopeFacts(repo.id.web_path if repo else name or "", right))
    return found


def revoke_token(change: Change, account: Account | None, token_id: int) -> bool:
    """Make a token useless from now on, with every link that was signed for it; whether it was good until now.

    With `account`, only a token of that account, and no browser session of it.
    """
    live = (tokens.c.id == token_id) & tokens.c.revoked_ms.is_(None)
    if account:
        live &= (tokens.c.user_id == account.id) & (tokens.c.role != Role.SESSION.value)
    named = select(users.c.name).join(tokens, tokens.c.user_id == users.c.id)
    name = change.connection.execute(named.where(live)).scalar()
    if name is None:
        return False
    change.connection.execute(update(tokens).where(live).values(revoked_ms=change.now_ms))
    change.record(Deed.TOKEN_REVOKE, name, token_id=token_id)
    return True
