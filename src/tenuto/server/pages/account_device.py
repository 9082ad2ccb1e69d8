"""The page on which somebody lets a device in that has no browser: by being signed in, or by a token in the same form."""

from tenuto.core.errors import TenutoError
from tenuto.server.access import Role
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.identity import Identity
from tenuto.server.pages.account import NO_STORE
from tenuto.server.pages.render import render
from tenuto.server.signin import device_login

_CODE_LETTERS = 20


def show(parts: Parts, call: Call) -> Answer:
    """The form, with the code of the device if the address has it."""
    return _page(call, call.text("user_code") or "")


def _page(call: Call, user_code: str, fault: TenutoError | None = None, done: str = "", name: str = "") -> Answer:
    status = fault.http_status if fault else 200
    values = {"user_code": user_code[:_CODE_LETTERS], "fault": fault, "done": done, "name": name}
    return render("account/device.html", call, status=status, headers=NO_STORE, place=device_login.PAGE, **values)


def decide(parts: Parts, call: Call) -> Answer:
    """Let the device in, or turn it away."""
    form = call.form()
    user_code, is_yes = form.get("user_code", ""), form.get("decision") == "approve"
    try:
        own = Identity(call.actor) if call.actor.is_known else None
        identity = own or device_login.identify_by_token(parts, call, form.get("token", ""))
        device_login.decide(parts, call, user_code, identity, is_yes)
    except TenutoError as error:
        return _page(call, user_code, error)
    right = "read" if identity.actor.role is Role.READ else "read and write"
    return _page(call, "", done=right if is_yes else "nothing", name=identity.actor.name)
