"""Login of a device without a browser: RFC 8628 (hub-protocol section 5.1). Somebody who is known here lets the device have a token.

Both codes are kept as sha256 only; the new token is made when the device fetches it, and is kept nowhere.
"""

import secrets
from urllib.parse import urlencode

from sqlalchemy import Row, delete, insert, select, update

from tenuto.core.errors import AccessDeniedError, AuthenticationError, NotFoundError
from tenuto.server.access import Role, may_let_in
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.http.rates import Patience, network_of, too_many
from tenuto.server.hub import Parts
from tenuto.server.identity import Identity, digest_of, identify, identify_token
from tenuto.server.people.accounts import find_account
from tenuto.server.people.change import Change, changing
from tenuto.server.people.tokens import DAY_MS, TokenWish, make_token
from tenuto.server.schema import device_logins
from tenuto.server.signin import jobs

PAGE = "/oauth/authorize-device"
LIFE_S = 900
MOST_OF_NETWORK = 100
MOST_PENDING = 10_000
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words
_OF_ADDRESS = Patience(free=50, longest_s=900)
_OF_ACCOUNT = Patience(free=20, longest_s=300)
_NO_STORE = {"Cache-Control": "no-store"}


def begin(parts: Parts, call: Call) -> Answer:
    """Two codes for a device: a secret one to ask with, a short one to show to its user.

    From one network come `MOST_OF_NETWORK` in a window, and where `MOST_PENDING` wait, the oldest make room: nobody keeps others out.
    Raises UnavailableError (RateLimited).
    """
    network, now_ms = network_of(call.address), parts.now_ms()
    rate, is_within = parts.windows.count("device logins", network, MOST_OF_NETWORK, now_ms)
    if not is_within:
        raise too_many("logins of devices from your network", rate.reset_s)
    device_code = secrets.token_urlsafe(32)
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    with parts.database.write() as connection:
        connection.execute(delete(device_logins).where(device_logins.c.expires_ms < now_ms))
        newest = select(device_logins.c.device_digest).order_by(device_logins.c.expires_ms.desc())
        kept = newest.limit(MOST_PENDING - 1).scalar_subquery()
        connection.execute(delete(device_logins).where(device_logins.c.device_digest.not_in(kept)))
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
    return _trade(parts, call, form.get("device_code", ""))


def _trade(parts: Parts, call: Call, device_code: str) -> Answer:
    named = device_logins.c.device_digest == digest_of(device_code)
    now_ms = parts.now_ms()
    with parts.database.read() as connection:  # codes that nobody has keep nobody from writing
        if connection.execute(select(device_logins.c.status).where(named)).first() is None:
            return _refusal("expired_token", "")
    with parts.database.write() as connection:
        row = connection.execute(select(device_logins).where(named)).first()
        reason = _reason(parts, row, now_ms)
        if reason:
            connection.execute(update(device_logins).where(named).values(polled_ms=now_ms))
            return _refusal(reason, "")
        if row is None or not connection.execute(delete(device_logins).where(named)).rowcount:
            return _refusal("expired_token", "")  # it is good for one token
        identity = identify_token(connection, row.token_id, now_ms)
        if identity is None or not may_let_in(identity.actor):
            return _refusal("access_denied", "the token that allowed this login was revoked")
        actor = identity.actor
        role = Role.READ if actor.role is Role.READ else Role.WRITE
        change = Change(connection, call.origin._replace(actor=actor), now_ms)
        until_ms = (
            identity.until_ms if role is Role.READ else None
        )  # who may make tokens chooses how long they are good
        days = (until_ms - now_ms) / DAY_MS if until_ms else None
        wish = TokenWish(name="device login", role=role.value, days=days)
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


def decide(parts: Parts, call: Call, user_code: str, identity: Identity, is_yes: bool) -> None:
    """Let the device with that code in as `identity`, or turn it away.

    Raises NotFoundError (UserNotFound), AccessDeniedError (Forbidden), UnavailableError (RateLimited) after many codes that nobody has.
    """
    if not may_let_in(identity.actor):
        raise AccessDeniedError(
            "only a person lets a device in, and by no fine-grained token",
            hint="use a token of yours with the role `write`",
        )
    account = f"device code {identity.actor.user_id}"
    if wait_s := parts.attempts.begin({account: _OF_ACCOUNT}, parts.now_ms()):
        raise too_many("codes that no device has", wait_s)
    letters = "".join(character for character in user_code.upper() if character in _LETTERS)
    pending = (device_logins.c.user_digest == digest_of(letters)) & (device_logins.c.status == "pending")
    values = {"status": "approved" if is_yes else "denied", "token_id": identity.actor.token_id}
    with changing(parts, call.origin._replace(actor=identity.actor)) as change:
        known = update(device_logins).where(pending, device_logins.c.expires_ms >= change.now_ms).values(values)
        if not change.connection.execute(known).rowcount:
            raise NotFoundError("there is no login with this code, or it has expired", code="UserNotFound")
        change.record(Deed.SIGN_IN if is_yes else Deed.SIGN_IN_REFUSED, identity.actor.name, kind="device")
    parts.attempts.succeed(account)


def identify_by_token(parts: Parts, call: Call, token: str) -> Identity:
    """Whose token that is; raises AuthenticationError (BadToken), UnavailableError (RateLimited) after many that nobody has."""
    address = f"device {network_of(call.address)}"
    if wait_s := parts.attempts.begin({address: _OF_ADDRESS}, parts.now_ms()):
        raise too_many("tokens that this hub does not know", wait_s)
    with parts.database.read() as connection:
        identity = identify(connection, token.strip(), parts.now_ms())
    if identity is None:
        with changing(parts, call.origin) as change:
            change.record(Deed.SIGN_IN_REFUSED, "", kind="device")
        raise AuthenticationError("the hub does not know this token", code="BadToken")
    parts.attempts.succeed("", address)
    return identity
