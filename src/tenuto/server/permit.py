"""The right by which something goes on: looked at again, since it may have ended while bytes were on their way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.core.errors import AuthenticationError, ConflictError
from tenuto.server.access import Action, Actor, Repo, check, may
from tenuto.server.http.exchange import Call
from tenuto.server.hub import Parts
from tenuto.server.identity import NOBODY, Identity, identify_token
from tenuto.server.known import Known
from tenuto.server.repos.rows import find_repo_by_key
from tenuto.server.standing import stand_before


class Facts(NamedTuple):
    """What the policy is asked about, at one moment: who asks, and the repo with how the actor stands with its gate.

    From `until_ms` on that is no longer so, as a token or a grant has expired by then; None is never.
    """

    actor: Actor
    repo: Repo | None
    until_ms: int | None
    last_used_ms: int | None
    """When the token was."""

    def is_over(self, now_ms: int) -> bool:
        """Whether it is no longer so."""
        return self.until_ms is not None and self.until_ms <= now_ms


def read_facts(connection: Connection, identity: Identity, repo: Repo | None, now_ms: int) -> Facts:
    """The facts about somebody and a repo, as this transaction sees them."""
    until_ms = None
    if repo:
        repo, until_ms = stand_before(connection, identity.actor, repo, now_ms)
    ends = [one for one in (identity.until_ms, until_ms) if one is not None]
    return Facts(identity.actor, repo, min(ends, default=None), identity.last_used_ms)


def remember(known: Known, facts: Facts, repo: Repo) -> None:
    """Let permits for this repo know what was read for an admission, after `known` was handed out."""
    known.keep(_key(facts.actor.token_id, repo.key), facts)


def _key(token_id: int, repo_key: int) -> tuple[str, int, int]:
    return ("permit", token_id, repo_key)


class Permit:
    """What a caller was let in for, by the ids of its token and of the repo: names may change meanwhile."""

    def __init__(self, parts: Parts, call: Call, action: Action) -> None:
        self._parts, self._action = parts, action
        self._token_id, self._repo_key = call.actor.token_id, call.repo.key
        self._key = _key(self._token_id, self._repo_key)

    def is_known(self) -> bool:
        """Whether it is known, without waiting for anything, that the right holds."""
        facts: Facts | None = self._parts.database.known().get(self._key)
        if facts is None or facts.is_over(self._parts.now_ms()):
            return False
        return may(facts.actor, self._action, facts.repo)

    def check(self) -> None:
        """Return if the right holds; raises what `access.check` does, AuthenticationError (BadToken) if the token is no longer good."""
        known = self._parts.database.known()
        with self._parts.database.read() as connection:
            facts = _read(self._parts, connection, self._token_id, self._repo_key)
        known.keep(self._key, facts)
        check(facts.actor, self._action, facts.repo)


def check_again(parts: Parts, connection: Connection, call: Call, action: Action) -> Repo:
    """The repo of a call as this transaction sees it, if the caller still may; raises what `Permit.check` does.

    A handler that decides something asks this inside its transaction: whoever was let in may have lost the right since.
    """
    return check_still(parts, connection, call.actor, call.repo, action)


def check_still(parts: Parts, connection: Connection, actor: Actor, repo: Repo, action: Action) -> Repo:
    """The same, of an actor and a repo as they were when the actor was let in."""
    facts = _read(parts, connection, actor.token_id, repo.key)
    check(facts.actor, action, facts.repo)
    assert facts.repo is not None, "the policy lets nobody act on a repo that is not there"
    return facts.repo


@contextmanager
def writing(parts: Parts, call: Call, action: Action) -> Iterator[Connection]:
    """A transaction that writes, and begins with another look at the right of the caller; raises what `check_again` does."""
    with parts.database.write() as connection:
        check_again(parts, connection, call, action)
        yield connection


def check_unchanged(connection: Connection, actor: Actor, now_ms: int) -> None:
    """Return if this transaction sees an actor as it was let in, with its token and with every right.

    Raises AuthenticationError (BadToken), ConflictError (Conflict).
    """
    if not actor.token_id:
        return
    identity = identify_token(connection, actor.token_id, now_ms)
    if identity is None:
        raise _no_longer_good()
    if identity.actor != actor:
        raise ConflictError(f"what {actor.name} may do has changed meanwhile", hint="try again")


def _no_longer_good() -> AuthenticationError:
    return AuthenticationError("this token is no longer good", code="BadToken", hint="log in again")


def _read(parts: Parts, connection: Connection, token_id: int, repo_key: int) -> Facts:
    now_ms = parts.now_ms()
    identity = identify_token(connection, token_id, now_ms) if token_id else NOBODY
    if identity is None:
        raise _no_longer_good()
    return read_facts(connection, identity, find_repo_by_key(connection, repo_key), now_ms)
