"""Routes of the pages on which people sign in and settle what is theirs."""

from tenuto.server.access import Action
from tenuto.server.pages import (
    account,
    account_device,
    account_elsewhere,
    account_organization,
    account_people,
    account_service,
    account_settings,
)
from tenuto.server.people.targets import of_organization
from tenuto.server.routing import Handler, Route, Target
from tenuto.server.signin import device_login, elsewhere

_FORM_BYTES = 1 << 16


def account_page_routes() -> list[Route]:
    """The table."""
    return [*_sign_in_routes(), *_own_routes(), *_organization_routes(), *_people_routes()]


def _page(pattern: str, action: Action, view: Handler, target: Target | None = None) -> Route:
    return Route("GET", pattern, action, view, target=target, page=True)


def _form(pattern: str, action: Action, view: Handler, target: Target | None = None) -> Route:
    return Route("POST", pattern, action, view, target=target, body_bytes=_FORM_BYTES, page=True)


def _sign_in_routes() -> list[Route]:
    return [
        _page("/login", Action.BROWSE, account.login),
        _form("/login", Action.BROWSE, account.enter),
        _form("/logout", Action.BROWSE, account.leave),
        _page("/join", Action.BROWSE, account.join),
        _form("/join", Action.BROWSE, account.accept_invitation),
        _page(device_login.PAGE, Action.BROWSE, account_device.show),
        _form(device_login.PAGE, Action.BROWSE, account_device.decide),
        _page(elsewhere.PLACE, Action.BROWSE, account_elsewhere.go),
        _page(elsewhere.BACK, Action.BROWSE, account_elsewhere.back),
        _form(elsewhere.PLACE, Action.BROWSE, account_elsewhere.settle_name),
    ]


def _own_routes() -> list[Route]:
    own, manage = "/settings", Action.MANAGE
    return [
        _page(own, manage, account_settings.settings),
        _form(f"{own}/profile", manage, account_settings.save_profile),
        _form(f"{own}/password", manage, account_settings.save_password),
        _form(f"{own}/elsewhere", manage, account_elsewhere.add_way),
        _form(f"{own}/elsewhere/remove", manage, account_settings.drop_way),
        _form(f"{own}/sessions", manage, account_settings.end_sessions_of),
        _page(f"{own}/tokens", manage, account_settings.tokens),
        _form(f"{own}/tokens", manage, account_settings.make_token),
        _form(f"{own}/tokens/revoke", manage, account_settings.drop_token),
        _page(f"{own}/services", manage, account_organization.administer),
        _form(f"{own}/services", manage, account_organization.make_service),
        *_service_routes(f"{own}/service/{{service}}", manage),
    ]


def _service_routes(one: str, action: Action, target: Target | None = None) -> list[Route]:
    return [
        _page(one, action, account_service.show, target),
        _form(f"{one}/change", action, account_service.change, target),
        _form(f"{one}/tokens", action, account_service.make_token, target),
        _form(f"{one}/tokens/revoke", action, account_service.drop_token, target),
    ]


def _people_routes() -> list[Route]:
    place, govern = account_people.PLACE, Action.GOVERN
    return [
        _page(place, govern, account_people.people),
        _form(f"{place}/invite", govern, account_people.invite),
        _form(f"{place}/change", govern, account_people.change),
    ]


def _organization_routes() -> list[Route]:
    one, administer = "/organizations/{organization}", Action.ADMINISTER
    return [
        _page("/organizations/new", Action.MANAGE, account_organization.begin),
        _form("/organizations/new", Action.MANAGE, account_organization.found),
        _page(f"{one}/settings", administer, account_organization.administer, of_organization),
        _form(f"{one}/settings/members", administer, account_organization.save_member, of_organization),
        _form(f"{one}/settings/services", administer, account_organization.make_service, of_organization),
        *_service_routes(f"{one}/service/{{service}}", administer, of_organization),
        _form(f"{one}/leave", Action.MANAGE, account_organization.leave),
    ]
