"""Signing in and out, and getting an account by an invitation or, where the hub is open, by oneself."""

from tenuto.core.errors import NotFoundError, TenutoError, UsageError
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.http.rates import network_of, too_many
from tenuto.server.hub import Parts
from tenuto.server.pages.render import own_place, redirect, render
from tenuto.server.people.change import changing
from tenuto.server.signin.invitations import FIELD, PATH, Invitation, accept, find_invitation, sign_up
from tenuto.server.signin.password_sign_in import sign_in
from tenuto.server.signin.passwords import LEAST_LETTERS, hash_of
from tenuto.server.signin.sessions import begin_session, end_session

MOST_SIGN_UPS = 20
NO_STORE = {"Cache-Control": "no-store"}


def signed_in(place: str, cookie: str) -> Answer:
    """The answer that sets the cookie of a session and leads on."""
    answer = redirect(place)
    return answer._replace(headers={**answer.headers, "Set-Cookie": cookie})


def login(parts: Parts, call: Call) -> Answer:
    """The form for name and password; whoever is signed in is led on."""
    place = own_place(call.text("next") or "/")
    return redirect(place) if call.actor.is_known else _login_page(parts, call, place)


def _login_page(parts: Parts, call: Call, place: str, name: str = "", fault: TenutoError | None = None) -> Answer:
    values = {
        "next": place,
        "name": name[:96],
        "fault": fault,
        "is_open": parts.limits.sign_up,
        "provider": parts.provider,
    }
    status = fault.http_status if fault else 200
    return render("account/login.html", call, status=status, headers=NO_STORE, **values)


def enter(parts: Parts, call: Call) -> Answer:
    """Sign a browser in; what is wrong is said in the same words, whether the name or the password is."""
    form = call.form()
    place, name = own_place(form.get("next", "/")), form.get("name", "")
    try:
        _, cookie = sign_in(parts, call, name, form.get("password", ""))
    except TenutoError as error:
        return _login_page(parts, call, place, name, error)
    return signed_in(place, cookie)


def leave(parts: Parts, call: Call) -> Answer:
    """Sign the browser out."""
    with changing(parts, call.origin) as change:
        cookie = end_session(change, call)
    return signed_in("/", cookie)


def join(parts: Parts, call: Call) -> Answer:
    """The form by which somebody gets an account, or sets a new password."""
    code = call.text(FIELD) or ""
    return _join_page(parts, call, code, _invitation(parts, code))


def _invitation(parts: Parts, code: str) -> Invitation | None:
    """What the link is good for; None without one, where the hub is open. Raises NotFoundError (UserNotFound, RouteNotFound)."""
    if code:
        with parts.database.read() as connection:
            return find_invitation(connection, code, parts.now_ms())
    if parts.limits.sign_up:
        return None
    raise NotFoundError(
        "this hub takes new people by invitation", code="RouteNotFound", hint="ask whoever runs it for a link"
    )


def _count_sign_up(parts: Parts, call: Call) -> None:
    """Return unless too many accounts came from this network lately; raises UnavailableError (RateLimited)."""
    rate, is_within = parts.windows.count("sign-ups", network_of(call.address), MOST_SIGN_UPS, parts.now_ms())
    if not is_within:
        raise too_many("new accounts from your network", rate.reset_s)


def _join_page(
    parts: Parts, call: Call, code: str, invitation: Invitation | None, name: str = "", fault: TenutoError | None = None
) -> Answer:
    values = {"code": code, "invitation": invitation, "name": name[:96], "fault": fault, "least": LEAST_LETTERS}
    status = fault.http_status if fault else 200
    return render("account/join.html", call, status=status, headers=NO_STORE, path=PATH, field=FIELD, **values)


def accept_invitation(parts: Parts, call: Call) -> Answer:
    """Make the account, or set the password, and sign the browser in."""
    form = call.form()
    code, name, password = form.get(FIELD, ""), form.get("name", "").strip(), form.get("password", "")
    invitation = _invitation(parts, code)
    try:
        if password != form.get("again", ""):
            raise UsageError("the two passwords are not the same")
        if invitation is None:
            _count_sign_up(parts, call)
        settled = invitation.name if invitation else ""
        text = hash_of(parts.limits, password, settled or name)  # while nobody else waits for it
        with changing(parts, call.origin) as change:
            account = (
                accept(change, code, name, text, form.get("full_name", ""))
                if invitation
                else sign_up(change, name, text, form.get("full_name", ""))
            )
            cookie = begin_session(change, parts.limits, account, call)
            change.by(account.id, account.name).record(
                Deed.SIGN_IN, account.name, kind="invitation" if invitation else "sign-up"
            )
    except TenutoError as error:
        return _join_page(parts, call, code, invitation, name, error)
    return signed_in("/", cookie)
