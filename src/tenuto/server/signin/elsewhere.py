"""Signing in by another issuer: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636).

What has to be remembered meanwhile is in a cookie that this hub signed. Accounts are known by issuer and subject, which never change.
"""

import base64
import hashlib
import hmac
import os
import secrets
import tomllib
from dataclasses import fields
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Connection, delete, insert, select

from tenuto.core.errors import AccessDeniedError, AuthenticationError, ConflictError, NotFoundError, UsageError
from tenuto.server.accounts import name_of
from tenuto.server.audit import Deed
from tenuto.server.http.exchange import Call
from tenuto.server.http.outgoing import origin_of
from tenuto.server.http.rates import Patience, network_of, too_many
from tenuto.server.hub import Parts, Provider
from tenuto.server.people.accounts import Account, Kind, add_account, find_account
from tenuto.server.people.change import Change
from tenuto.server.schema import external_logins
from tenuto.server.signin.issuers import check_installed, claims_of, discover, redeem
from tenuto.server.signin.passwords import find_hash

PLACE = "/login/elsewhere"
PROVIDER_FILE = "oidc.toml"
BACK = f"{PLACE}/back"
COOKIE = "tenuto_elsewhere"
_LIFE_S = 600
_OF_ADDRESS = Patience(free=50, longest_s=900)
T = TypeVar("T")


class Errand(msgspec.Struct, frozen=True, array_like=True):
    """What the hub knows of somebody who is away to prove who it is. `user_id` is set for whoever adds this way to an account."""

    state: str
    nonce: str
    verifier: str
    next: str
    user_id: int
    expires_s: int


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """Who somebody is elsewhere, before it has a name here."""

    issuer: str
    subject: str
    name: str
    full_name: str
    expires_s: int


def is_open_to_others(path: str) -> bool:
    """Whether others than its owner may read or write the file of the provider, which holds a secret. No file is open to nobody."""
    try:
        return bool(os.stat(path).st_mode & 0o077)
    except FileNotFoundError:
        return False


def read_provider(path: str) -> Provider | None:
    """The provider that a file names; None if there is no file. Raises UsageError (BadCommand), OSError."""
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
        provider = msgspec.convert(found, type=Provider)
        origin_of(provider.issuer)
        check_installed()
        if unknown := found.keys() - {one.name for one in fields(Provider)}:
            raise UsageError(f"{path} has a word that means nothing: {min(unknown)}", code="BadCommand")
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        hint = 'it holds issuer = "https://…", client_id, client_secret, and name if you like'
        raise UsageError(f"{path} cannot be read", code="BadCommand", hint=hint) from error
    return provider


def provider_of(parts: Parts) -> Provider:
    """The provider of this hub; raises NotFoundError (RouteNotFound) if it has none."""
    if parts.provider is None:
        raise NotFoundError("nobody signs in to this hub by another issuer", code="RouteNotFound")
    return parts.provider


def begin(parts: Parts, call: Call, place: str, user_id: int = 0) -> tuple[str, str]:
    """Where the browser goes to, and the value of the `Set-Cookie` header that goes with it. Raises UnavailableError, NotFoundError."""
    provider = provider_of(parts)
    hour = parts.now_ms() // 3_600_000
    facts = parts.remembered.once(("issuer", provider.issuer, hour), lambda: discover(provider.issuer))
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    errand = Errand(state, nonce, verifier, place, user_id, parts.now_ms() // 1000 + _LIFE_S)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": f"{call.base_url}{BACK}",
        "scope": "openid profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    mark = "&" if "?" in facts.authorization_endpoint else "?"
    return f"{facts.authorization_endpoint}{mark}{urlencode(asked)}", _cookie(call, sealed(parts, errand), _LIFE_S)


def _cookie(call: Call, value: str, life_s: int) -> str:
    secure = "; Secure" if call.base_url.startswith("https:") else ""
    return f"{COOKIE}={value}; Path={PLACE}; HttpOnly; SameSite=Lax; Max-Age={life_s}{secure}"


def forget(call: Call) -> str:
    """The value of the `Set-Cookie` header by which the browser forgets its errand."""
    return _cookie(call, "", 0)


def sealed(parts: Parts, value: Errand | Proof) -> str:
    """`value` as a text that only this hub can have made."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()
    return f"{body}.{_seal(parts, type(value).__name__, body)}"


def _seal(parts: Parts, kind: str, body: str) -> str:
    return hmac.digest(parts.signer.key(f"signing in elsewhere: {kind}"), body.encode(), hashlib.sha256).hex()


def opened(parts: Parts, text: str, kind: type[T]) -> T:
    """The value in a text that this hub made; raises AccessDeniedError (Forbidden) if it is another's, or too old."""
    body, _, seal = text.partition(".")
    if not hmac.compare_digest(seal.encode(errors="replace"), _seal(parts, kind.__name__, body).encode()):
        raise _too_late()
    value: Any = msgspec.json.decode(base64.urlsafe_b64decode(body), type=kind)
    if value.expires_s <= parts.now_ms() // 1000:
        raise _too_late()
    return value  # type: ignore[no-any-return]


def _too_late() -> AccessDeniedError:
    return AccessDeniedError("this way of signing in was not begun here, or too long ago", hint="begin once more")


def come_back(parts: Parts, call: Call) -> tuple[Errand, Proof]:
    """Who somebody is elsewhere, and on what errand it was. Raises AuthenticationError, AccessDeniedError, UnavailableError."""
    provider = provider_of(parts)
    errand = opened(parts, _cookie_of(call), Errand)
    if not hmac.compare_digest((call.text("state") or "").encode(), errand.state.encode()):
        raise _too_late()
    if call.text("iss") not in {None, provider.issuer} or not call.text("code"):
        raise AuthenticationError(f"{provider.name} did not say who you are", code="BadToken", hint="begin once more")
    address = f"elsewhere {network_of(call.address)}"
    if wait_s := parts.attempts.begin({address: _OF_ADDRESS}, parts.now_ms()):
        raise too_many("attempts to sign in", wait_s)
    facts = discover(provider.issuer)
    told = {
        "code": call.text("code") or "",
        "redirect_uri": f"{call.base_url}{BACK}",
        "code_verifier": errand.verifier,
    }
    token = redeem(facts, provider.client_id, provider.client_secret, told)
    claims = claims_of(facts, token, provider.client_id, parts.now_ms() // 1000)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), errand.nonce.encode()):
        raise AuthenticationError("the identity token is for somebody else", code="BadToken")
    if claims.get("azp", provider.client_id) != provider.client_id or not 0 < len(str(claims["sub"])) <= 255:
        raise AuthenticationError("the identity token is for something else", code="BadToken")
    parts.attempts.succeed("", address)
    expires_s = parts.now_ms() // 1000 + _LIFE_S
    name, full_name = (str(claims.get(key, ""))[:96] for key in ("preferred_username", "name"))
    return errand, Proof(facts.issuer, str(claims["sub"]), name, full_name, expires_s)


def _cookie_of(call: Call) -> str:
    for part in call.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def account_of(connection: Connection, proof: Proof) -> Account | None:
    """The account of whoever that is, if it has one. Raises AccessDeniedError (Forbidden) if it was disabled."""
    known = (external_logins.c.issuer == proof.issuer) & (external_logins.c.subject == proof.subject)
    user_id = connection.execute(select(external_logins.c.user_id).where(known)).scalar()
    if user_id is None:
        return None
    account = find_account(connection, name_of(connection, user_id), Kind.USER)
    if account.disabled_ms is not None:
        raise AccessDeniedError("this account is closed", hint="ask whoever runs this hub")
    return account


def link(change: Change, account: Account, proof: Proof) -> None:
    """From now on that is how `account` may sign in. Raises ConflictError (Conflict) if it is how another one does."""
    if account_of(change.connection, proof) not in {None, account}:
        raise ConflictError("you have another account here, by which you sign in this way")
    row = {"issuer": proof.issuer, "subject": proof.subject, "user_id": account.id, "created_ms": change.now_ms}
    if account_of(change.connection, proof) is None:
        change.connection.execute(insert(external_logins).values(row))
        change.record(Deed.USER_CHANGE, account.name, kind="login elsewhere")


def is_linked(connection: Connection, user_id: int) -> bool:
    """Whether a user signs in by another issuer."""
    own = select(external_logins.c.issuer).where(external_logins.c.user_id == user_id)
    return connection.execute(own).first() is not None


def unlink(change: Change, account: Account) -> None:
    """`account` signs in by no other issuer any more. Raises ConflictError (Conflict) if it has no password to sign in with."""
    if find_hash(change.connection, account.id) is None:
        raise ConflictError("you have no password, and would not come in again", hint="set a password first")
    if change.connection.execute(delete(external_logins).where(external_logins.c.user_id == account.id)).rowcount:
        change.record(Deed.USER_CHANGE, account.name, kind="login elsewhere", status="removed")


def make_account(change: Change, proof: Proof, name: str, full_name: str) -> Account:
    """The account of somebody who came this way for the first time, under the name that it chose. Raises UsageError, ConflictError."""
    if account_of(change.connection, proof) is not None:
        raise ConflictError("you have an account here already", hint="sign in once more")
    account = add_account(change, name, Kind.USER, full_name=full_name)
    link(change, account, proof)
    return account
