"""Who the caller is, as stock clients read it (hub-protocol section 5.1)."""

from sqlalchemy import select

from tenuto.core.wire import timestamp_text
from tenuto.server.access import Role, Scope
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import Account, find_account, right_text
from tenuto.server.people.organizations import Membership, memberships_of
from tenuto.server.people.services import owner_of
from tenuto.server.people.tokens import FINE_GRAINED
from tenuto.server.repos.rows import find_repo_by_key
from tenuto.server.schema import tokens

_ROLES = {Role.FINE: FINE_GRAINED, Role.SESSION: Role.WRITE.value}


def shown_membership(one: Membership) -> dict[str, object]:
    """An organization among those of a user."""
    account = one.organization
    return {
        "type": "org",
        "id": str(account.id),
        "name": account.name,
        "fullname": account.shown_name,
        "avatarUrl": "",
        "isEnterprise": False,
        "roleInOrg": right_text(one.right),
    }


def whoami(parts: Parts, call: Call) -> Answer:
    """Who the token belongs to, to which organizations that user belongs, and what the token is good for."""
    actor = call.actor
    with parts.database.read() as connection:
        account = find_account(connection, actor.name)
        owner: Account | None = owner_of(connection, account) if actor.owner_id else None
        organizations = [shown_membership(one) for one in memberships_of(connection, account.id)]
        named = {
            scope.repo_key: find_repo_by_key(connection, scope.repo_key) for scope in actor.scopes if scope.repo_key
        }
        query = select(tokens.c.expires_ms).where(tokens.c.id == actor.token_id)
        expires_ms: int | None = connection.execute(query).scalar()
    places = {key: repo.id.web_path for key, repo in named.items() if repo}
    token: dict[str, object] = {"displayName": actor.token_name, "role": _ROLES.get(actor.role, actor.role.value)}
    if expires_ms is not None:
        token["expiresAt"] = timestamp_text(expires_ms)
    if actor.role is Role.FINE:
        scoped = [_shown_scope(scope, places) for scope in actor.scopes]
        token["fineGrained"] = {"canReadGatedRepos": actor.reads_gated, "scoped": scoped, "global": []}
    answer = {
        "type": "user",
        "id": str(account.id),
        "name": account.name,
        "fullname": account.shown_name,
        "isPro": False,
        "canPay": False,
        "orgs": organizations,
        "auth": {"type": "access_token", "accessToken": token},
    }
    return json_answer({**answer, "serviceOf": owner.name} if owner else answer)


def _shown_scope(scope: Scope, places: dict[int, str]) -> dict[str, object]:
    entity = (
        {"type": "repo", "name": places.get(scope.repo_key, "")}
        if scope.repo_key
        else {"type": "namespace", "name": scope.namespace}
    )
    return {"entity": entity, "permissions": [right_text(scope.right)]}
