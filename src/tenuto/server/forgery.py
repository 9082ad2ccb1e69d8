"""Requests that a browser was made to send: told apart from those that somebody sent from a page of this hub."""

import hashlib
import hmac
from urllib.parse import urlsplit

from tenuto.core.errors import AccessDeniedError
from tenuto.server.access import Role
from tenuto.server.http.exchange import Call
from tenuto.server.identity import COOKIE, OWN_COOKIE
from tenuto.server.routing import Route

CSRF_FIELD = "csrf"
_CSRF_HEADER = "x-csrf-token"
_HARMLESS = frozenset(("GET", "HEAD"))


def cookie_name(call: Call) -> str:
    """How the cookie of a session is called."""
    return OWN_COOKIE if call.base_url.startswith("https:") else COOKIE


def cookie_of(call: Call) -> str:
    """The session that a browser sent, or nothing."""
    wanted = cookie_name(call)
    for part in call.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""


def csrf_token(call: Call) -> str:
    """What a form must send back in the field `csrf`: only a page that belongs to the session knows it. Empty without a session."""
    if call.actor.role is not Role.SESSION:
        return ""
    return hashlib.sha256(f"form of {cookie_of(call)}".encode()).hexdigest()[:32]


def check_origin(call: Call) -> None:
    """Return unless a session changes something from elsewhere: browsers send its cookie along for the pages of others, too.

    Raises AccessDeniedError (Forbidden).
    """
    if call.actor.role is Role.SESSION and call.method not in _HARMLESS:
        _check_own_page(call)


def _check_own_page(call: Call) -> None:
    origin = urlsplit(call.headers.get("origin", ""))
    is_weaker = call.base_url.startswith("https:") and origin.scheme != "https"
    if is_weaker or not origin.netloc or origin.netloc != call.headers.get("host"):
        raise AccessDeniedError(
            "this request does not come from a page of this hub", hint="open the page of the hub again and try there"
        )


def check_form(route: Route, call: Call) -> None:
    """Return unless a form was sent from elsewhere, be it to act for somebody or to sign somebody in.

    What a session changes by anything but JSON carries its token, in the field `csrf` of a form or in the header `X-CSRF-Token`;
    JSON is sent by no page of others without leave. The body was read, unless the route streams. Raises AccessDeniedError (Forbidden).
    """
    if call.method in _HARMLESS or call.headers.get("authorization") or route.link:
        return
    wanted = csrf_token(call)
    if wanted and not call.is_json:
        given = call.headers.get(_CSRF_HEADER) or ("" if route.streams else call.form().get(CSRF_FIELD, ""))
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            raise AccessDeniedError("this form was not made for this session", hint="load the page anew and try again")
    elif route.page:
        _check_own_page(call)
