"""Who is asking, for what, and may they: settled here for every route before its handler runs."""

import base64
import binascii

from sqlalchemy import Connection

from tenuto.core.errors import AccessDeniedError, AuthenticationError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import Action, Repo, check, may
from tenuto.server.forgery import check_origin, cookie_of
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.http.rates import network_of, too_many
from tenuto.server.hub import Parts
from tenuto.server.identity import (
    NOBODY,
    TOUCH_INTERVAL_MS,
    Identity,
    digest_of,
    identify,
    identify_token,
    touch,
)
from tenuto.server.permit import Facts, read_facts, remember
from tenuto.server.repos.rows import find_moved_repo, find_repo, find_repo_by_key
from tenuto.server.routing import Route


def admit(parts: Parts, route: Route, call: Call) -> Answer | None:
    """Return with `call.actor` and `call.repo` set if the policy lets the caller in.

    A repo that was moved, and that the caller may see, gives the answer that leads to its new name. Raises AuthenticationError
    (BadToken, NoToken), AccessDeniedError (Forbidden, GatedRepo), NotFoundError (RepoNotFound).
    """
    if route.action is Action.SERVE:
        _count(parts, route, call)
        return None
    if admit_known(parts, route, call):
        return None
    known = parts.database.known()
    with parts.database.read() as connection:
        facts = _read_facts(parts, connection, route, call)
        if facts.repo is None and (moved := _find_moved(connection, route, call)):
            return _redirect(call, moved)
    if facts.repo and facts.repo.key:
        remember(known, facts, facts.repo)
        if key := _key(route, call):
            known.keep(key, facts)
    _decide(parts, route, call, facts)
    if _is_stale(parts, facts):
        with parts.database.write() as connection:
            touch(connection, facts.actor.token_id, parts.now_ms())
    return None


def admit_known(parts: Parts, route: Route, call: Call) -> bool:
    """The same, waiting for nothing: False if the facts are not at hand, and nothing was decided."""
    key = _key(route, call)
    facts: Facts | None = parts.database.known().get(key) if key else None
    if facts is None or _is_stale(parts, facts) or facts.is_over(parts.now_ms()):
        return False
    _decide(parts, route, call, facts)
    return True


def _key(route: Route, call: Call) -> tuple[str, ...] | None:
    """Under what the facts of a call are known; no token is kept."""
    params = call.params
    if route.link or route.target or "name" not in params:
        return None
    credentials = digest_of(f"{call.headers.get('authorization', '')} {cookie_of(call)}")
    scheme = "basic" if route.basic else "bearer"
    return ("facts", scheme, credentials, params["kind"], params["namespace"], params["name"])


def _decide(parts: Parts, route: Route, call: Call, facts: Facts) -> None:
    call.actor = facts.actor
    _count(parts, route, call)
    check_origin(call)
    check(facts.actor, route.needed(call), facts.repo)
    call.repo = facts.repo


def _count(parts: Parts, route: Route, call: Call) -> None:
    """Count the request of an account, else of an address, once; raises UnavailableError (RateLimited) if that is one too many."""
    if not parts.limits.requests or call.rate:
        return
    quota, caller = parts.limits.requests, call.actor.user_id or network_of(call.address)
    if not call.actor.is_known:
        quota = max(quota // 4, 1)
    if route.quota == "resolvers":
        quota *= 10
    call.rate, is_within = parts.windows.count(route.quota, caller, quota, parts.now_ms())
    if not is_within:
        raise too_many("requests", call.rate.reset_s)


def _count_miss(parts: Parts, call: Call) -> None:
    """Count a token that nobody has; who brings many of them is no longer told that, but to wait."""
    if parts.limits.requests:
        quota = max(parts.limits.requests // 20, 1)
        rate, is_within = parts.windows.count("tokens", network_of(call.address), quota, parts.now_ms())
        if not is_within:
            call.rate = rate
            raise too_many("tokens that this hub does not know", rate.reset_s)


def _is_stale(parts: Parts, facts: Facts) -> bool:
    """Whether it is worth noting that a token was used."""
    if not facts.actor.token_id:
        return False
    return facts.last_used_ms is None or parts.now_ms() - facts.last_used_ms > TOUCH_INTERVAL_MS


def _read_facts(parts: Parts, connection: Connection, route: Route, call: Call) -> Facts:
    now_ms = parts.now_ms()
    if route.link:
        identity, repo = _find_by_link(parts, connection, route, call)
        identity = identity._replace(last_used_ms=now_ms)  # a link is no use of its token
    else:
        identity = _identify(parts, connection, route, call)
        call.actor = identity.actor
        repo = _find_target(parts, connection, route, call)
    return read_facts(connection, identity, repo, now_ms)


def _find_by_link(parts: Parts, connection: Connection, route: Route, call: Call) -> tuple[Identity, Repo | None]:
    """A link stands for the token that it was signed for, with the rights that this token has now."""
    now_ms = parts.now_ms()
    claims = parts.signer.read(_link(call), str(route.link), now_ms / 1000)
    identity = identify_token(connection, claims.token_id, now_ms) if claims.token_id else NOBODY
    scope = call.params.get("scope", str(claims.repo_key))
    if identity is None or (scope, call.params.get("oid")) != (str(claims.repo_key), claims.oid):
        raise AccessDeniedError("this link is no longer good", hint="ask the hub for a new one")
    call.actor, call.claims = identity.actor, claims
    return identity, find_repo_by_key(connection, claims.repo_key)


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


def _identify(parts: Parts, connection: Connection, route: Route, call: Call) -> Identity:
    """Who asks, by its token, else by the session of its browser. A session that is over is nobody's: the browser keeps its cookie."""
    header, now_ms = call.headers.get("authorization"), parts.now_ms()
    if not header:
        cookie = cookie_of(call)
        return (identify(connection, cookie, now_ms, by_cookie=True) if cookie else None) or NOBODY
    token = read_token(header, basic=route.basic)
    found = identify(connection, token, now_ms) if token else None
    if found is None:
        _count_miss(parts, call)
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
