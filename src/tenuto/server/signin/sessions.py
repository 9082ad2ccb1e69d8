"""Browser sessions: tokens with the role `session`, which come as a cookie and as nothing else (decision 20)."""

import re
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from tenuto.server.access import Role
from tenuto.server.audit import Deed
from tenuto.server.forgery import cookie_name
from tenuto.server.http.exchange import Call
from tenuto.server.hub import Limits
from tenuto.server.people.accounts import Account
from tenuto.server.people.change import Change
from tenuto.server.people.tokens import insert_token
from tenuto.server.schema import tokens

_BROWSERS = ("Firefox", "Edg", "OPR", "Chromium", "Chrome", "Safari")
_SHOWN = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iOS",
    "iPad": "iOS",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


class Session(NamedTuple):
    """What is shown of a session: by what browser, since when, when it was last used, and when it ends."""

    id: int
    name: str
    created_ms: int
    last_used_ms: int | None
    expires_ms: int


def begin_session(change: Change, limits: Limits, account: Account, call: Call) -> str:
    """The value of the `Set-Cookie` header that signs a browser in. Whoever it was before, that session ends."""
    gone = (tokens.c.user_id == account.id) & (tokens.c.role == Role.SESSION.value)
    gone &= tokens.c.revoked_ms.is_not(None) | (tokens.c.expires_ms <= change.now_ms)
    change.connection.execute(delete(tokens).where(gone))
    if call.actor.role is Role.SESSION:
        _end(change, call.actor.user_id, call.actor.token_id)
    expires_ms = change.now_ms + limits.session_life_s * 1000
    name = browser_name(call.headers.get("user-agent", ""))
    _, secret = insert_token(change, account.id, Role.SESSION, name, expires_ms)
    return _cookie(call, secret, limits.session_life_s)


def _cookie(call: Call, value: str, life_s: int) -> str:
    secure = "; Secure" if call.base_url.startswith("https:") else ""
    return f"{cookie_name(call)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life_s}{secure}"


def end_session(change: Change, call: Call) -> str:
    """The session of the call ends; the value of the `Set-Cookie` header that makes its browser forget it."""
    if call.actor.role is Role.SESSION and _end(change, call.actor.user_id, call.actor.token_id):
        change.record(Deed.SIGN_OUT, call.actor.name)
    return _cookie(call, "", 0)


def end_session_by_id(change: Change, user_id: int, name: str, session_id: int) -> bool:
    """A session of that user ends; whether there was one."""
    if not _end(change, user_id, session_id):
        return False
    change.record(Deed.SIGN_OUT, name, token_id=session_id)
    return True


def _end(change: Change, user_id: int, session_id: int) -> bool:
    own = (tokens.c.id == session_id) & (tokens.c.user_id == user_id) & (tokens.c.role == Role.SESSION.value)
    ended = update(tokens).where(own, tokens.c.revoked_ms.is_(None)).values(revoked_ms=change.now_ms)
    return change.connection.execute(ended).rowcount > 0


def list_sessions(connection: Connection, user_id: int, now_ms: int) -> list[Session]:
    """Where a user is signed in, the newest first."""
    live = (tokens.c.user_id == user_id) & (tokens.c.role == Role.SESSION.value) & tokens.c.revoked_ms.is_(None)
    columns = (tokens.c.id, tokens.c.name, tokens.c.created_ms, tokens.c.last_used_ms, tokens.c.expires_ms)
    query = select(*columns).where(live, tokens.c.expires_ms > now_ms).order_by(tokens.c.id.desc())
    return [Session(*row) for row in connection.execute(query)]


def browser_name(agent: str) -> str:
    """What people call a browser that names itself `agent`: `Firefox on Linux`."""
    browser = next((name for name in _BROWSERS if re.search(rf"{name}\w*/", agent)), "")
    system = next((shown for name, shown in _SYSTEMS.items() if name in agent), "")
    found = " on ".join(part for part in (_SHOWN.get(browser, browser), system) if part)
    return found or "a browser"
