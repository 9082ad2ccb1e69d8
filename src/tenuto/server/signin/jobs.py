"""Tokens for CI jobs without any secret kept there: a job shows what its CI says of it, and gets a short-lived token of a service
(RFC 8693; hub-protocol section 5.1)."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select

from tenuto.core.errors import AccessDeniedError, NotFoundError, UsageError
from tenuto.core.ids import RepoId
from tenuto.server.access import Action, Actor, Role, may
from tenuto.server.accounts import name_of
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.http.rates import Patience, network_of, too_many
from tenuto.server.hub import Parts
from tenuto.server.identity import identify_token
from tenuto.server.people.accounts import Account, Kind, find_account
from tenuto.server.people.change import Change, changing
from tenuto.server.people.tokens import ScopeWish, insert_token, narrow
from tenuto.server.repos.rows import find_repo
from tenuto.server.schema import trust_rules
from tenuto.server.signin.issuers import check_installed, check_issuer, claims_of, discover, issuer_of

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # a word, no token
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
LIFE_S = 3600
MOST_LIFE_S = 24 * 3600
_MOST_CLAIMS = 20
_OF_ADDRESS = Patience(free=100, longest_s=300)


class Rule(NamedTuple):
    """Whose jobs may act as a service: what the issuer must say of them."""

    id: int
    service: str
    issuer: str
    claims: dict[str, str]
    life_s: int


def add_rule(change: Change, service: Account, issuer: str, claims: dict[str, str], life_s: int = LIFE_S) -> int:
    """Jobs of which `issuer` says all of `claims` may act as the service. Raises UsageError (BadRequest), UnavailableError (BadAnswer)."""
    if service.kind is not Kind.SERVICE:
        raise UsageError(f"{service.name} is no service; jobs act as services")
    if not claims or len(claims) > _MOST_CLAIMS or not all(claims.values()):
        raise UsageError(
            "a rule names what is said of a job", hint="such as repository=acme/model, and ref=refs/heads/main"
        )
    if not 60 <= life_s <= MOST_LIFE_S:
        raise UsageError("the token of a job is good for one minute to one day")
    check_issuer(issuer)
    check_installed()
    row = {
        "service_id": service.id,
        "issuer": issuer,
        "claims": msgspec.json.encode(claims, order="sorted").decode(),
        "life_s": life_s,
        "created_ms": change.now_ms,
    }
    made = change.connection.execute(insert(trust_rules).values(row).returning(trust_rules.c.id)).scalar_one()
    change.record(Deed.SERVICE_CHANGE, service.name, kind="trust", target=issuer)
    return int(made)


def list_rules(connection: Connection, issuer: str | None = None) -> list[Rule]:
    """All rules, or those for an issuer, oldest first."""
    query = select(trust_rules).order_by(trust_rules.c.id)
    rows = connection.execute(query.where(trust_rules.c.issuer == issuer) if issuer is not None else query)
    return [
        Rule(row.id, name_of(connection, row.service_id), row.issuer, msgspec.json.decode(row.claims), row.life_s)
        for row in rows
    ]


def remove_rule(change: Change, rule_id: int) -> None:
    """Jobs get no token by that rule any more; those that they have end by themselves. Raises NotFoundError (UserNotFound)."""
    known = [one for one in list_rules(change.connection) if one.id == rule_id]
    if not known:
        raise NotFoundError(f"there is no rule {rule_id}", code="UserNotFound")
    change.connection.execute(delete(trust_rules).where(trust_rules.c.id == rule_id))
    change.record(Deed.SERVICE_CHANGE, known[0].service, kind="trust", status="removed", target=known[0].issuer)


def exchange(parts: Parts, call: Call, form: dict[str, str]) -> Answer:
    """A token of the service that a rule names, for a job that shows what its issuer says of it.

    With a repo as `resource` it is good for writing that repo only, with a name for reading what that service may read.
    Raises AccessDeniedError (Forbidden), AuthenticationError (BadToken), UnavailableError, UsageError.
    """
    if form.get("subject_token_type", _ID_TOKEN) != _ID_TOKEN:
        raise UsageError("only identity tokens are exchanged")
    address = f"exchange {network_of(call.address)}"
    if wait_s := parts.attempts.begin({address: _OF_ADDRESS}, parts.now_ms()):
        raise too_many("exchanges", wait_s)
    subject_token = form.get("subject_token", "")
    issuer = issuer_of(subject_token)
    with parts.database.read() as connection:
        rules = list_rules(connection, issuer)
    if not rules:
        raise _no_rule()
    claims = claims_of(discover(issuer), subject_token, call.base_url, parts.now_ms() // 1000)
    rule = next((one for one in rules if _fits(one, claims)), None)
    if rule is None:
        raise _no_rule()
    with changing(parts, call.origin) as change:
        token = _issue(change, rule, str(claims["sub"]), form.get("resource") or "")
    parts.attempts.succeed("", address)
    answer = {
        "access_token": token,
        "token_type": "bearer",
        "issued_token_type": _ACCESS_TOKEN,
        "expires_in": rule.life_s,
    }
    return json_answer(answer, headers={"Cache-Control": "no-store"})


def _fits(rule: Rule, claims: dict[str, Any]) -> bool:
    return all(isinstance(claims.get(name), str) and claims[name] == value for name, value in rule.claims.items())


def _no_rule() -> AccessDeniedError:
    return AccessDeniedError(
        "this hub trusts no such job", hint="whoever runs it says so with `tenuto hub service trust`"
    )


def _issue(change: Change, rule: Rule, subject: str, resource: str) -> str:
    service = find_account(change.connection, rule.service, Kind.SERVICE)
    role = Role.FINE if "/" in resource else Role.READ if resource else Role.WRITE
    expires_ms = change.now_ms + rule.life_s * 1000
    token_id, secret = insert_token(
        change, service.id, role, f"job {subject}", expires_ms, reads_gated=role is not Role.FINE
    )
    identity = identify_token(change.connection, token_id, change.now_ms)
    if identity is None:
        raise AccessDeniedError(f"{service.name} is closed")
    if role is Role.FINE:
        _check_visible(change.connection, identity.actor._replace(role=Role.WRITE), resource)
        narrow(change.connection, token_id, ScopeWish(resource, "write"))
    change.record(
        Deed.TOKEN_CREATE, service.name, token_id=token_id, role=role.value, kind="job", expires_ms=expires_ms
    )
    return secret


def _check_visible(connection: Connection, actor: Actor, resource: str) -> None:
    repo = find_repo(connection, RepoId.parse(resource))
    if repo is None or not may(actor, Action.SEE, repo):
        raise NotFoundError("Repository not found", code="RepoNotFound")
