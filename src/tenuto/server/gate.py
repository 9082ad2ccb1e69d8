"""Who is asking, for what, and may they: settled here for every route before its handler runs."""

import base64
import binascii
from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.core.errors import AccessDeniedError, AuthenticationError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import ANYBODY, Action, Actor, Gate, Repo, check, may
from tenuto.server.accounts import TOUCH_INTERVAL_MS, actor_of_token, digest_of, find_actor, touch
from tenuto.server.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.repos import find_moved_repo, find_repo, find_repo_by_key, find_standing
from tenuto.server.routing import Route


class _Facts(NamedTuple):
    """What the policy is asked about: who asks, when its token was last used, and the repo with how the actor stands with its gate."""

    actor: Actor
    last_used_ms: int | None
    repo: Repo | None


def admit(parts: Parts, route: Route, call: Call) -> Answer | None:
    """Return with `call.actor` and `call.repo` set if the policy lets the caller in.

    A repo that was moved, and that the caller may see, gives the answer that leads to its new name. Raises AuthenticationError
    (BadToken, NoToken), AccessDeniedError (Forbidden, GatedRepo), NotFoundError (RepoNotFound).
    """
    if route.action is Action.SERVE or admit_known(parts, route, call):
        return None
    known = parts.database.known()
    with parts.database.read() as connection:
        facts = _read_facts(parts, connection, route, call)
        if facts.repo is None and (moved := _find_moved(connection, route, call)):
            return _redirect(call, moved)
    if facts.repo and (key := _key(route, call)):
        known.keep(key, facts)
    _decide(route, call, facts)
    if _is_stale(parts, facts):
        with parts.database.write() as connection:
            touch(connection, facts.actor.token_id, parts.now_ms())
    return None


def admit_known(parts: Parts, route: Route, call: Call) -> bool:
    """The same, waiting for nothing: False if the facts are not at hand, and nothing was decided."""
    key = _key(route, call)
    facts: _Facts | None = parts.database.known().get(key) if key else None
    if facts is None or _is_stale(parts, facts):
        return False
    _decide(route, call, facts)
    return True


def _key(route: Route, call: Call) -> tuple[str, ...] | None:
    """Under what the facts of a call are known; no token is kept."""
    params = call.params
    if route.link or route.target or "name" not in params:
        return None
    credentials = digest_of(call.headers.get("authorization", ""))
    scheme = "basic" if route.basic else "bearer"
    return ("facts", scheme, credentials, params["kind"], params["namespace"], params["name"])


def _decide(route: Route, call: Call, facts: _Facts) -> None:
    call.actor = facts.actor
    check(facts.actor, route.needed(call), facts.repo)
    call.repo = facts.repo


def _is_stale(parts: Parts, facts: _Facts) -> bool:
    """Whether it is worth noting that a token was used."""
    if not facts.actor.token_id:
        return False
    return facts.last_used_ms is None or parts.now_ms() - facts.last_used_ms > TOUCH_INTERVAL_MS


def _read_facts(parts: Parts, connection: Connection, route: Route, call: Call) -> _Facts:
    last_used_ms: int | None = parts.now_ms()  # a link is no use of its token
    if route.link:
        repo = _find_by_link(parts, connection, route, call)
    else:
        call.actor, last_used_ms = _identify(connection, route, call)
        repo = _find_target(parts, connection, route, call)
    return _Facts(call.actor, last_used_ms, with_standing(connection, call.actor, repo) if repo else None)


def _find_by_link(parts: Parts, connection: Connection, route: Route, call: Call) -> Repo | None:
    """A link stands for the token that it was signed for, with the rights that this token has now."""
    claims = parts.signer.read(_link(call), str(route.link), parts.now_ms() / 1000)
    actor = actor_of_token(connection, claims.token_id) if claims.token_id else ANYBODY
    scope = call.params.get("scope", str(claims.repo_key))
    if actor is None or (scope, call.params.get("oid")) != (str(claims.repo_key), claims.oid):
        raise AccessDeniedError("this link is no longer good", hint="ask the hub for a new one")
    call.actor, call.claims = actor, claims
    return find_repo_by_key(connection, claims.repo_key)


def with_standing(connection: Connection, actor: Actor, repo: Repo) -> Repo:
    """`repo` as the policy needs it: with how `actor` stands with its gate."""
    if repo.gate is Gate.OPEN or not actor.is_known:
        return repo
    return repo._replace(standing=find_standing(connection, repo.key, actor.user_id))


def _find_moved(connection: Connection, route: Route, call: Call) -> Repo | None:
    """The repo that had the name in the path before; None as well if the caller may not see it."""
    if route.target or route.link or "name" not in call.params:
        return None
    moved = find_moved_repo(connection, _repo_id(call))
    return moved if moved and may(call.actor, Action.SEE, moved) else None


def _redirect(call: Call, moved: Repo) -> Answer:
    old = f"/{call.params['namespace']}/{call.params['name']}"
    return Answer(307, {"Location": call.place.replace(old, f"/{moved.id.full_name}", 1)})


def _link(call: Call) -> str:
    """The signed part of a link; Xet clients carry it as their token instead, `scope` stands in the path then."""
    if "scope" in call.params:
        return read_token(call.headers.get("authorization", ""), basic=False) or ""
    return call.text("link") or ""


def _identify(connection: Connection, route: Route, call: Call) -> tuple[Actor, int | None]:
    """The actor, and when its token was last used."""
    header = call.headers.get("authorization")
    if not header:
        return ANYBODY, None
    token = read_token(header, basic=route.basic)
    found = find_actor(connection, token) if token else None
    if found is None:
        raise AuthenticationError("the hub does not know this token", code="BadToken", hint="log in again")
    return found


def read_token(header: str, *, basic: bool) -> str | None:
    """The token in an `Authorization` header: after `Bearer`, or where `basic` is allowed as the password; None if there is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic" or not basic:
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _find_target(parts: Parts, connection: Connection, route: Route, call: Call) -> Repo | None:
    if route.target:
        return route.target(parts, connection, call)
    if "name" not in call.params:
        return None
    return find_repo(connection, _repo_id(call))


def _repo_id(call: Call) -> RepoId:
    return RepoId(RepoKind(call.params["kind"]), call.params["namespace"], call.params["name"])
