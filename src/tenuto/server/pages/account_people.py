"""All accounts of the hub, for whoever administers it: invite, disable, enable, and links for lost passwords."""

from tenuto.core.errors import TenutoError, UsageError
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.account import NO_STORE
from tenuto.server.pages.account_settings import is_number
from tenuto.server.pages.render import redirect, render
from tenuto.server.people.accounts import find_account, find_accounts, set_admin, set_disabled
from tenuto.server.people.change import Change, changing
from tenuto.server.signin.invitation_api import make_link
from tenuto.server.signin.invitations import InvitationWish, list_invitations, withdraw

PLACE = "/settings/people"
SHOWN = 30


def people(parts: Parts, call: Call) -> Answer:
    """The accounts, and the form for an invitation."""
    return _page(parts, call)


def _page(parts: Parts, call: Call, link: str = "", fault: TenutoError | None = None) -> Answer:
    wanted, after = (call.text("search") or "").strip(), call.text("after") or ""
    with parts.database.read() as connection:
        links = list_invitations(connection, parts.now_ms())
        accounts = find_accounts(connection, wanted, after, SHOWN + 1)
    behind = accounts[SHOWN - 1].name if len(accounts) > SHOWN else ""
    values = {"accounts": accounts[:SHOWN], "behind": behind, "search": wanted, "link": link}
    status = fault.http_status if fault else 200
    more = {"fault": fault, "tab": "people", "place": PLACE, "links": links}
    return render("account/people.html", call, status=status, headers=NO_STORE, **values, **more)


def invite(parts: Parts, call: Call) -> Answer:
    """A link for somebody new, which this page shows and none after it."""
    form = call.form()
    wish = InvitationWish(
        form.get("name", "").strip(), form.get("organization", "").strip(), form.get("role", "read"), 7.0
    )
    try:
        return _page(parts, call, link=make_link(parts, call, wish))
    except TenutoError as error:
        return _page(parts, call, fault=error)


def change(parts: Parts, call: Call) -> Answer:
    """Disable an account or enable it, let it administer the hub or not, make a link for a lost password, or take a link back."""
    form = call.form()
    deed, name = form.get("deed", ""), form.get("account", "")
    try:
        if deed == "reset":
            return _page(parts, call, link=make_link(parts, call, InvitationWish(), reset=name))
        with changing(parts, call.origin) as doing:
            _do(doing, deed, name)
    except TenutoError as error:
        return _page(parts, call, fault=error)
    return redirect(PLACE)


def _do(doing: Change, deed: str, name: str) -> None:
    if deed == "withdraw" and is_number(name):
        withdraw(doing, int(name))
    elif deed in {"disable", "enable"}:
        set_disabled(doing, find_account(doing.connection, name), deed == "disable")
    elif deed in {"admin", "no-admin"}:
        set_admin(doing, find_account(doing.connection, name), deed == "admin")
    else:
        raise UsageError("the form does not say what to do")
