"""Tokens over HTTP: list, make and revoke one's own and those of one's services (docs/accounts.md)."""

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import RepoId
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Action, Role, may
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people.change import changing
from tenuto.server.people.targets import find_issuing
from tenuto.server.people.tokens import FINE_GRAINED, TokenFacts, TokenWish, list_tokens, make_token, revoke_token
from tenuto.server.repos.rows import find_repo_by_key
from tenuto.server.standing import stand_before


def _moment(time_ms: int | None) -> str | None:
    return None if time_ms is None else timestamp_text(time_ms)


def shown(one: TokenFacts) -> dict[str, object]:
    """What the API says of a token."""
    return {
        "id": str(one.id),
        "name": one.name,
        "role": FINE_GRAINED if one.role is Role.FINE else one.role.value,
        "createdAt": _moment(one.created_ms),
        "lastUsedAt": _moment(one.last_used_ms),
        "expiresAt": _moment(one.expires_ms),
        "readsGated": one.reads_gated,
        "scopes": [{"on": scope.on, "right": scope.right} for scope in one.scopes],
    }


def list_all(parts: Parts, call: Call) -> Answer:
    """The good tokens of an account, never the secrets."""
    with parts.database.read() as connection:
        account = find_issuing(connection, call, call.params["account"])
        found = list_tokens(connection, account, parts.now_ms())
    return json_answer([shown(one) for one in found])


def issue(parts: Parts, call: Call, account_name: str, wish: TokenWish) -> tuple[int, str]:
    """A new token of an account, if the caller may make one; its id, and the token. Raises what `make_token` does."""
    with changing(parts, call.origin) as change:
        account = find_issuing(change.connection, call, account_name)

        def may_see(_repo: RepoId, key: int) -> bool:
            repo = find_repo_by_key(change.connection, key)
            return repo is not None and may(
                call.actor, Action.SEE, stand_before(change.connection, call.actor, repo, change.now_ms)[0]
            )

        return make_token(change, account, wish, may_see)


def make(parts: Parts, call: Call) -> Answer:
    """A new token, which is shown in this answer and never again."""
    token_id, secret = issue(parts, call, call.params["account"], call.json(TokenWish))
    return json_answer({"id": str(token_id), "token": secret}, headers={"Cache-Control": "no-store"})


def revoke(parts: Parts, call: Call) -> Answer:
    """The token is useless from now on, with every link that was signed for it."""
    number = call.params["token"]
    with changing(parts, call.origin) as change:
        account = find_issuing(change.connection, call, call.params["account"])
        known = number.isascii() and number.isdecimal() and len(number) < 18
        if not known or not revoke_token(change, account, int(number)):
            raise NotFoundError(f"{account.name} has no token {number[:40]}", code="UserNotFound")
    return json_answer({})
