"""One service in the hands of who administers its owner: how far it may go, and its tokens."""

from typing import Any

from tenuto.core.errors import NotFoundError, TenutoError
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.account import NO_STORE
from tenuto.server.pages.account_organization import owner_name, place_of, service_place
from tenuto.server.pages.account_settings import is_number, wish_of
from tenuto.server.pages.render import redirect, render
from tenuto.server.people.accounts import find_account, right_named, right_text, set_disabled
from tenuto.server.people.change import changing
from tenuto.server.people.services import list_services, set_service_right
from tenuto.server.people.targets import find_issuing, service_of
from tenuto.server.people.token_api import issue
from tenuto.server.people.tokens import list_tokens, revoke_token


def _place(call: Call) -> str:
    return f"{service_place(call)}/{call.params['service']}"


def show(parts: Parts, call: Call) -> Answer:
    """The service, its tokens, and the form for a new one."""
    return _page(parts, call)


def _page(parts: Parts, call: Call, made: str = "", fault: TenutoError | None = None) -> Answer:
    with parts.database.read() as connection:
        owner = find_account(connection, owner_name(call))
        service = service_of(connection, owner, call.params["service"])
        find_issuing(connection, call, service.name)
        (right,) = (one.right for one in list_services(connection, owner) if one.account.id == service.id)
        tokens = list_tokens(connection, service, parts.now_ms())
    values: dict[str, Any] = {"service": service, "owner": owner.name, "right": right_text(right), "tokens": tokens}
    places = {"place": _place(call), "back": place_of(call), "tab": "" if "organization" in call.params else "services"}
    status = fault.http_status if fault else 200
    shown = {**values, **places, "made": made, "fault": fault}
    return render("account/service.html", call, status=status, headers=NO_STORE, **shown)


def change(parts: Parts, call: Call) -> Answer:
    """How far it may go, and whether its tokens are good."""
    form = call.form()
    deed = form.get("deed", "")
    try:
        with changing(parts, call.origin) as doing:
            owner = find_account(doing.connection, owner_name(call))
            service = service_of(doing.connection, owner, call.params["service"])
            if deed in {"disable", "enable"}:
                set_disabled(doing, service, deed == "disable", by_owner=True)
            else:
                set_service_right(doing, service, right_named(form.get("role", "")))
    except TenutoError as error:
        return _page(parts, call, fault=error)
    return redirect(_place(call))


def make_token(parts: Parts, call: Call) -> Answer:
    """A new token of it, which this page shows and none after it."""
    with parts.database.read() as connection:
        service = service_of(connection, find_account(connection, owner_name(call)), call.params["service"])
    try:
        _, secret = issue(parts, call, service.name, wish_of(call))
    except TenutoError as error:
        return _page(parts, call, fault=error)
    return _page(parts, call, made=secret)


def drop_token(parts: Parts, call: Call) -> Answer:
    """Revoke a token of it."""
    number = call.form().get("token", "")
    with changing(parts, call.origin) as doing:
        owner = find_account(doing.connection, owner_name(call))
        service = service_of(doing.connection, owner, call.params["service"])
        find_issuing(doing.connection, call, service.name)
        if not is_number(number) or not revoke_token(doing, service, int(number)):
            raise NotFoundError("this token is not good any more", code="UserNotFound", hint="load the page anew")
    return redirect(_place(call))
