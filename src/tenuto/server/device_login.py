"""Login of a device without a browser: RFC 8628 (hub-protocol section 5.1). Somebody who has a token lets the device have one.

The page has no session and no cookie: whoever presses its button proves who it is by the token in the same form, so that no other site
can press it for somebody. Both codes are kept as sha256 only; the new token is made when the device fetches it, and is kept nowhere.
"""

import html
import secrets
from urllib.parse import urlencode

from sqlalchemy import Row, delete, func, insert, select, update

from tenuto.core.errors import UnavailableError
from tenuto.server.access import Actor, Role
from tenuto.server.audit import Deed, record
from tenuto.server.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.identity import digest_of, identify, identify_token
from tenuto.server.people.accounts import find_account
from tenuto.server.people.change import Change
from tenuto.server.people.tokens import TokenWish, make_token
from tenuto.server.schema import device_logins
from tenuto.server.signin import jobs

PAGE = "/oauth/authorize-device"
LIFE_S = 900
MOST_PENDING = 1000
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words
_NO_STORE = {"Cache-Control": "no-store"}
_PAGE_HEADERS = {
    **_NO_STORE,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def begin(parts: Parts, call: Call) -> Answer:
    """Two codes for a device: a secret one to ask with, a short one to show to its user."""
    device_code = secrets.token_urlsafe(32)
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    now_ms = parts.now_ms()
    with parts.database.write() as connection:
        connection.execute(delete(device_logins).where(device_logins.c.expires_ms < now_ms))
        if connection.execute(select(func.count()).select_from(device_logins)).scalar_one() >= MOST_PENDING:
            raise UnavailableError("too many logins are waiting", code="RateLimited", hint="try again in some minutes")
        row = {
            "device_digest": digest_of(device_code),
            "user_digest": digest_of(letters),
            "expires_ms": now_ms + LIFE_S * 1000,
            "status": "pending",
        }
        connection.execute(insert(device_logins).values(row))
    user_code, page = f"{letters[:4]}-{letters[4:]}", f"{call.base_url}{PAGE}"
    answer = {
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?{urlencode({'user_code': user_code})}",
        "expires_in": LIFE_S,
        "interval": parts.limits.device_poll_s,
    }
    return json_answer(answer, headers=_NO_STORE)


def fetch(parts: Parts, call: Call) -> Answer:
    """The token of a device, once its user has agreed; until then, or if not, the reason why there is none."""
    form = (
        {key: value or "" for key, value in call.json(dict[str, str | None]).items()} if call.is_json else call.form()
    )
    if form.get("grant_type") == jobs.GRANT:
        return jobs.exchange(parts, call, form)
    if form.get("grant_type") != _GRANT:
        # What a device gets does not expire, so none is ever refreshed; a client that tries has one of another hub.
        error = "invalid_grant" if form.get("grant_type") == "refresh_token" else "unsupported_grant_type"
        return _refusal(error, "this hub knows the device flow and the exchange for jobs")
    named = device_logins.c.device_digest == digest_of(form.get("device_code", ""))
    now_ms = parts.now_ms()
    with parts.database.write() as connection:
        row = connection.execute(select(device_logins).where(named)).first()
        reason = _reason(parts, row, now_ms)
        connection.execute(update(device_logins).where(named).values(polled_ms=now_ms))
        if reason:
            return _refusal(reason, "")
        assert row is not None
        connection.execute(delete(device_logins).where(named))  # it is good for one token
        identity = identify_token(connection, row.token_id, now_ms)
        if identity is None:
            return _refusal("access_denied", "the token that allowed this login was revoked")
        actor = identity.actor
        role = Role.READ if actor.role is Role.READ else Role.WRITE
        change = Change(connection, call.origin._replace(actor=actor), now_ms)
        wish = TokenWish(name="device login", role=role.value)
        _, token = make_token(change, find_account(connection, actor.name), wish)
    return json_answer({"access_token": token, "token_type": "bearer", "scope": role}, headers=_NO_STORE)


def _reason(parts: Parts, row: "Row[*tuple[object, ...]] | None", now_ms: int) -> str | None:
    """Why there is no token, or None if there is one."""
    if row is None or row.expires_ms < now_ms:
        return "expired_token"
    if row.status == "denied":
        return "access_denied"
    if row.status == "approved":
        return None
    is_early = row.polled_ms is not None and now_ms - row.polled_ms < parts.limits.device_poll_s * 900
    return "slow_down" if is_early else "authorization_pending"


def _refusal(error: str, description: str) -> Answer:
    return json_answer({"error": error, "error_description": description}, 400, _NO_STORE)


def show(parts: Parts, call: Call) -> Answer:
    """The page on which a user lets a device in."""
    return _page(_form(call.text("user_code") or ""))


def decide(parts: Parts, call: Call) -> Answer:
    """Let a device in, or turn it away, by the token of whoever does so."""
    form, now_ms = call.form(), parts.now_ms()
    letters = "".join(character for character in form.get("user_code", "").upper() if character in _LETTERS)
    with parts.database.write() as connection:
        identity = identify(connection, form.get("token", "").strip(), now_ms)
        if identity is None:
            record(connection, call.origin, Deed.SIGN_IN_REFUSED, now_ms, facts={"kind": "device"})
            return _page(_form(form.get("user_code", ""), "The hub does not know this token."), 401)
        if identity.actor.role is Role.FINE:
            return _page(_form(form.get("user_code", ""), "A fine-grained token cannot let a device in."), 403)
        pending = (device_logins.c.user_digest == digest_of(letters)) & (device_logins.c.status == "pending")
        is_yes = form.get("decision") == "approve"
        values = {"status": "approved" if is_yes else "denied", "token_id": identity.actor.token_id}
        known = update(device_logins).where(pending, device_logins.c.expires_ms >= now_ms).values(values)
        if not connection.execute(known).rowcount:
            return _page(_form("", "There is no login with this code, or it has expired."), 404)
        deed, origin = Deed.SIGN_IN if is_yes else Deed.SIGN_IN_REFUSED, call.origin._replace(actor=identity.actor)
        record(connection, origin, deed, now_ms, subject=identity.actor.name, facts={"kind": "device"})
    return _page(_done(identity.actor, is_yes))


def _done(actor: Actor, is_yes: bool) -> str:
    if not is_yes:
        return "<p>The device was turned away.</p>"
    right = "read and write" if actor.role is Role.WRITE else "read"
    name = html.escape(actor.name)
    return (
        f"<p>The device may now {right} as <b>{name}</b>. Go back to it.</p>"
        "<p>Its token is called “device login” and can be revoked like any other.</p>"
    )


def _form(user_code: str, fault: str = "") -> str:
    said = f'<p role="alert"><b>{html.escape(fault)}</b></p>' if fault else ""
    return f"""{said}
<p>A device asks to act for you on this hub. Compare the code with the one that the device shows, and go on only if <b>you</b> began
this login: whoever gets in this way can do what you can do.</p>
<form method="post" action="{PAGE}" autocomplete="off">
<p><label>Code <input name="user_code" value="{html.escape(user_code[:20])}" required></label></p>
<p><label>Your token for this hub <input name="token" type="password" required></label></p>
<p><button name="decision" value="approve">Let the device in</button>
<button name="decision" value="deny">Turn it away</button></p>
</form>"""


def _page(body: str, status: int = 200) -> Answer:
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log a device in</title></head>
<body><main><h1>Log a device in</h1>
{body}
</main></body></html>
"""
    return Answer(status, _PAGE_HEADERS, text.encode())
