"""An organization in the hands of who administers it: its members, and the services that act for it. Users have services, too."""

from typing import Any

from tenuto.core.errors import TenutoError
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.account import NO_STORE
from tenuto.server.pages.account_settings import settings_page
from tenuto.server.pages.render import redirect, render
from tenuto.server.people.accounts import Kind, find_account, right_named
from tenuto.server.people.change import changing
from tenuto.server.people.organizations import add_organization, list_members, remove_member, set_member
from tenuto.server.people.services import add_service, list_services

SHOWN = 50


def begin(parts: Parts, call: Call) -> Answer:
    """The form for a new organization."""
    return _begin_page(call)


def _begin_page(call: Call, name: str = "", fault: TenutoError | None = None) -> Answer:
    status = fault.http_status if fault else 200
    return render("account/new_organization.html", call, status=status, name=name[:96], fault=fault, tab="account")


def found(parts: Parts, call: Call) -> Answer:
    """Make an organization, which the caller administers."""
    form = call.form()
    name = form.get("name", "").strip()
    try:
        with changing(parts, call.origin) as change:
            admin = find_account(change.connection, call.actor.name)
            add_organization(change, name, admin, form.get("full_name", ""))
    except TenutoError as error:
        return _begin_page(call, name, error)
    return redirect(_place(name))


def _place(name: str) -> str:
    return f"/organizations/{name}/settings"


def administer(parts: Parts, call: Call) -> Answer:
    """Members and services of an organization."""
    return _page(parts, call)


def _page(parts: Parts, call: Call, fault: TenutoError | None = None) -> Answer:
    with parts.database.read() as connection:
        account = find_account(connection, owner_name(call))
        is_organization = account.kind is Kind.ORGANIZATION
        after = call.number("after", 0, 2**62)
        members = list_members(connection, account, after, SHOWN + 1) if is_organization else []
        services = list_services(connection, account)
    behind = members[SHOWN - 1].account.id if len(members) > SHOWN else 0
    values: dict[str, Any] = {"account": account, "members": members[:SHOWN], "services": services, "behind": behind}
    place, tab = place_of(call), "" if is_organization else "services"
    values |= {"service_place": service_place(call), "fault": fault}
    status = fault.http_status if fault else 200
    return render("account/organization.html", call, status=status, headers=NO_STORE, place=place, tab=tab, **values)


def owner_name(call: Call) -> str:
    """The account that the page is about: the organization in the path, else oneself."""
    return call.params.get("organization", call.actor.name)


def place_of(call: Call) -> str:
    """Where that page is."""
    return _place(call.params["organization"]) if "organization" in call.params else "/settings/services"


def service_place(call: Call) -> str:
    """Where the pages of the services are."""
    name = call.params.get("organization")
    return f"/organizations/{name}/service" if name else "/settings/service"


def save_member(parts: Parts, call: Call) -> Answer:
    """Let a user in, change how far it may go, or with the role `none` take it out."""
    form = call.form()
    try:
        with changing(parts, call.origin) as change:
            organization = find_account(change.connection, call.params["organization"], Kind.ORGANIZATION)
            user = find_account(change.connection, form.get("user", "").strip(), Kind.USER)
            if form.get("role") == "none":
                remove_member(change, organization, user)
            else:
                set_member(change, organization, user, right_named(form.get("role", "")))
    except TenutoError as error:
        return _page(parts, call, fault=error)
    return redirect(place_of(call))


def leave(parts: Parts, call: Call) -> Answer:
    """The caller belongs to the organization no longer."""
    try:
        with changing(parts, call.origin) as change:
            organization = find_account(change.connection, call.params["organization"], Kind.ORGANIZATION)
            remove_member(change, organization, find_account(change.connection, call.actor.name))
    except TenutoError as error:
        return settings_page(parts, call, error)
    return redirect("/settings")


def make_service(parts: Parts, call: Call) -> Answer:
    """A new service."""
    form = call.form()
    try:
        with changing(parts, call.origin) as change:
            owner = find_account(change.connection, owner_name(call))
            add_service(change, form.get("name", "").strip(), owner, right_named(form.get("role", "")))
    except TenutoError as error:
        return _page(parts, call, fault=error)
    return redirect(place_of(call))
