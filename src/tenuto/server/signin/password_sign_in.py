"""Signing in with name and password: the same answer and the same work, whether the name or the password is wrong."""

from sqlalchemy import select

from tenuto.core.errors import AuthenticationError
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Call
from tenuto.server.http.rates import Patience, Rate, network_of, too_many
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import COLUMNS, Account, Kind, account_of_row
from tenuto.server.people.change import changing
from tenuto.server.schema import users
from tenuto.server.signin.passwords import costlier, find_hash, is_right, renew
from tenuto.server.signin.sessions import begin_session

_OF_ACCOUNT = Patience(free=10, longest_s=60)
_OF_ADDRESS = Patience(free=50, longest_s=900)


def sign_in(parts: Parts, call: Call, name: str, password: str) -> tuple[Account, str]:
    """The account, and the value of the `Set-Cookie` header that signs the browser in.

    Raises AuthenticationError (NoToken) for what is wrong, UnavailableError (RateLimited) after many failures, and while many
    others sign in.
    """
    name = name.strip()[:96]
    with parts.attempts.look():
        return _sign_in(parts, call, name, password)


def _sign_in(parts: Parts, call: Call, name: str, password: str) -> tuple[Account, str]:
    keys = _begin_attempt(parts, call, name)
    with parts.database.read() as connection:
        row = connection.execute(select(*COLUMNS).where(users.c.name_key == name.lower())).first()
        account = account_of_row(tuple(row)) if row else None
        is_open = account is not None and account.kind is Kind.USER and account.disabled_ms is None
        kept = find_hash(connection, account.id if account and is_open else 0)
    right = is_right(parts.limits, kept, password)
    text = costlier(parts.limits, kept, password) if kept and right else ""  # while nobody waits for the turn to write
    with changing(parts, call.origin) as change:
        if account is None or kept is None or not right:
            change.record(Deed.SIGN_IN_REFUSED, account.name if account else "", kind="password")
        else:
            renew(change.connection, account.id, kept, text)
            cookie = begin_session(change, parts.limits, account, call)
            change.by(account.id, account.name).record(Deed.SIGN_IN, account.name, kind="password")
            parts.attempts.succeed(*keys)
            return account, cookie
    raise AuthenticationError(
        "the name or the password is wrong", hint="try again, or ask whoever runs this hub for a link"
    )


def _begin_attempt(parts: Parts, call: Call, name: str) -> tuple[str, str]:
    account, address = f"account {name.lower()}", f"address {network_of(call.origin.address)}"
    wait_s = parts.attempts.begin({account: _OF_ACCOUNT, address: _OF_ADDRESS}, parts.now_ms())
    if wait_s:
        call.rate = Rate("sign-in", _OF_ACCOUNT.free, wait_s, 0, wait_s)
        raise too_many("attempts to sign in", wait_s)
    return account, address


def check_own_password(parts: Parts, call: Call, password: str) -> str | None:
    """What is kept of the password of the caller, if that is `password`; None if it has none.

    Raises as `sign_in` does, so that a stolen session finds no password either.
    """
    with parts.database.read() as connection:
        kept = find_hash(connection, call.actor.user_id)
    if kept is None:
        return None
    with parts.attempts.look():
        keys = _begin_attempt(parts, call, call.actor.name)
        if not is_right(parts.limits, kept, password):
            raise AuthenticationError("the password is wrong", hint="try again")
    parts.attempts.succeed(*keys)
    return kept
