"""Routes about accounts, for people and programs that administer them."""

from tenuto.server.access import Action
from tenuto.server.people import organization_api, service_api, token_api, user_api
from tenuto.server.people.targets import of_account, of_organization
from tenuto.server.routing import SMALL_BODY_BYTES, Handler, Route, Target

_SMALL = SMALL_BODY_BYTES // 16


def account_routes() -> list[Route]:
    """The rows of the table."""
    return [*_organization_routes(), *_owned_routes(), *_hub_routes()]


def _owned(method: str, pattern: str, handler: Handler, target: Target) -> Route:
    return Route(method, pattern, Action.ADMINISTER, handler, target=target, body_bytes=_SMALL)


def _organization_routes() -> list[Route]:
    one = "/api/organizations/{organization}"
    member = f"{one}/members/{{user}}"
    return [
        Route("POST", "/api/organizations", Action.MANAGE, organization_api.found, body_bytes=_SMALL),
        Route("GET", f"{one}/members", Action.BROWSE, organization_api.members),
        _owned("PUT", one, organization_api.rename, of_organization),
        _owned("PUT", member, organization_api.put_member, of_organization),
        _owned("DELETE", member, organization_api.drop_member, of_organization),
        Route("POST", f"{one}/leave", Action.MANAGE, organization_api.leave, body_bytes=_SMALL),
    ]


def _owned_routes() -> list[Route]:
    services, tokens = "/api/accounts/{account}/services", "/api/accounts/{account}/tokens"
    return [
        _owned("GET", services, service_api.list_all, of_account),
        _owned("POST", services, service_api.make, of_account),
        _owned("PUT", f"{services}/{{service}}", service_api.change_one, of_account),
        _owned("GET", tokens, token_api.list_all, of_account),
        _owned("POST", tokens, token_api.make, of_account),
        _owned("DELETE", f"{tokens}/{{token}}", token_api.revoke, of_account),
    ]


def _hub_routes() -> list[Route]:
    return [
        Route("GET", "/api/hub/accounts", Action.GOVERN, user_api.list_all),
        Route("POST", "/api/hub/accounts", Action.GOVERN, user_api.add, body_bytes=_SMALL),
        Route("PUT", "/api/hub/accounts/{account}", Action.GOVERN, user_api.change_one, body_bytes=_SMALL),
    ]
