"""What people settle for themselves: name, password, browsers that are signed in, and tokens."""

from tenuto.core.errors import ConflictError, NotFoundError, TenutoError, UsageError
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.account import NO_STORE
from tenuto.server.pages.render import redirect, render
from tenuto.server.people.accounts import Kind, end_sessions, find_account, set_full_name
from tenuto.server.people.change import Change, changing
from tenuto.server.people.organizations import memberships_of
from tenuto.server.people.token_api import issue
from tenuto.server.people.tokens import ScopeWish, TokenWish, list_tokens, revoke_token
from tenuto.server.signin.elsewhere import is_linked, unlink
from tenuto.server.signin.password_sign_in import check_own_password
from tenuto.server.signin.passwords import LEAST_LETTERS, find_hash, hash_of, keep_password
from tenuto.server.signin.sessions import end_session_by_id, list_sessions

PLACE = "/settings"
TOKENS_PLACE = f"{PLACE}/tokens"
_MOST_SCOPES = 3


def settings(parts: Parts, call: Call) -> Answer:
    """One's own name, password, browsers and organizations."""
    return settings_page(parts, call)


def settings_page(parts: Parts, call: Call, fault: TenutoError | None = None) -> Answer:
    """The same page, above which stands what went wrong."""
    with parts.database.read() as connection:
        account = find_account(connection, call.actor.name)
        values = {
            "account": account,
            "has_password": find_hash(connection, account.id) is not None,
            "sessions": list_sessions(connection, account.id, parts.now_ms()),
            "organizations": memberships_of(connection, account.id),
            "is_linked": is_linked(connection, account.id),
        }
    status = fault.http_status if fault else 200
    more = {"fault": fault, "least": LEAST_LETTERS, "tab": "account", "provider": parts.provider}
    return render("account/settings.html", call, status=status, headers=NO_STORE, **values, **more)


def save_profile(parts: Parts, call: Call) -> Answer:
    """Change what people call the user."""
    try:
        with changing(parts, call.origin) as change:
            set_full_name(change, find_account(change.connection, call.actor.name), call.form().get("full_name", ""))
    except UsageError as error:
        return settings_page(parts, call, error)
    return redirect(PLACE)


def save_password(parts: Parts, call: Call) -> Answer:
    """Change the password, which needs the old one; all other browsers are signed out."""
    form = call.form()
    try:
        if form.get("password", "") != form.get("again", ""):
            raise UsageError("the two passwords are not the same")
        kept = check_own_password(parts, call, form.get("old", ""))
        text = hash_of(parts.limits, form.get("password", ""), call.actor.name)  # while nobody else waits for it
        with changing(parts, call.origin) as change:
            account = find_account(change.connection, call.actor.name, Kind.USER)
            if find_hash(change.connection, account.id) != kept:
                raise ConflictError(
                    "your password was changed meanwhile", hint="was it you? Then sign in with that one"
                )
            keep_password(change, account, text, call.actor.token_id)
    except TenutoError as error:
        return settings_page(parts, call, error)
    return redirect(PLACE)


def end_sessions_of(parts: Parts, call: Call) -> Answer:
    """Sign one browser out, or with `others` all but this one."""
    number = call.form().get("session", "")
    try:
        with changing(parts, call.origin) as change:
            _end_sessions(change, call, number)
    except NotFoundError as error:
        return settings_page(parts, call, error)
    return redirect(PLACE)


def _end_sessions(change: Change, call: Call, number: str) -> None:
    if number == "others":
        if count := end_sessions(change, call.actor.user_id, but=call.actor.token_id):
            change.record(Deed.SIGN_OUT, call.actor.name, tokens=count)
    elif not is_number(number) or not end_session_by_id(change, call.actor.user_id, call.actor.name, int(number)):
        raise NotFoundError("this browser is signed in no longer", code="UserNotFound")


def drop_way(parts: Parts, call: Call) -> Answer:
    """Sign in by the other issuer no more."""
    try:
        with changing(parts, call.origin) as change:
            unlink(change, find_account(change.connection, call.actor.name, Kind.USER))
    except TenutoError as error:
        return settings_page(parts, call, error)
    return redirect(PLACE)


def is_number(text: str) -> bool:
    """Whether a form names a row by its id."""
    return text.isascii() and text.isdecimal() and len(text) < 18


def tokens(parts: Parts, call: Call) -> Answer:
    """One's tokens, and the form for a new one."""
    return _tokens_page(parts, call)


def _tokens_page(parts: Parts, call: Call, made: str = "", fault: TenutoError | None = None) -> Answer:
    with parts.database.read() as connection:
        found = list_tokens(connection, find_account(connection, call.actor.name), parts.now_ms())
    values = {"tokens": found, "made": made, "fault": fault, "tab": "tokens"}
    status = fault.http_status if fault else 200
    return render("account/tokens.html", call, status=status, headers=NO_STORE, place=TOKENS_PLACE, **values)


def make_token(parts: Parts, call: Call) -> Answer:
    """A new token, which this page shows and none after it."""
    try:
        _, secret = issue(parts, call, call.actor.name, wish_of(call))
    except TenutoError as error:
        return _tokens_page(parts, call, fault=error)
    return _tokens_page(parts, call, made=secret)


def wish_of(call: Call) -> TokenWish:
    """The token that a form asks for. Raises UsageError (BadRequest)."""
    form = call.form()
    role, days = form.get("role", "read"), form.get("days", "").strip()
    try:
        number = float(days) if days else None
    except ValueError as error:
        raise UsageError("the days must be a number") from error
    pairs = [(form.get(f"on{index}", "").strip(), form.get(f"right{index}", "read")) for index in range(_MOST_SCOPES)]
    scopes, reads_gated = tuple(ScopeWish(on, right) for on, right in pairs if on), "reads_gated" in form
    if role != "fine-grained" and (scopes or reads_gated):
        raise UsageError(
            "you named what the token is good for, and chose one that is good for everything",
            hint="choose “only what is named here”, or leave those fields empty; nothing was made",
        )
    return TokenWish(form.get("name", ""), role, number, reads_gated, scopes)


def drop_token(parts: Parts, call: Call) -> Answer:
    """Revoke a token of one's own."""
    number = call.form().get("token", "")
    try:
        with changing(parts, call.origin) as change:
            account = find_account(change.connection, call.actor.name)
            if not is_number(number) or not revoke_token(change, account, int(number)):
                raise NotFoundError("this token is not good any more", code="UserNotFound")
    except NotFoundError as error:
        return _tokens_page(parts, call, fault=error)
    return redirect(TOKENS_PLACE)
