"""What other issuers say of somebody: their documents, and the tokens that they sign (OpenID Connect Core 1.0). The one door to joserfc."""

import base64
import contextlib
import ipaddress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from tenuto.core.errors import AuthenticationError, UnavailableError, UsageError
from tenuto.server.http.outgoing import fetch, origin_of

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signed with a key that the issuer alone has: none of them takes a public key for a shared secret."""
_KINDS = ("RSA", "EC", "OKP")
_LEEWAY_S = 60
_MOST_TOKEN_BYTES = 1 << 14


class IssuerFacts(msgspec.Struct, frozen=True):
    """What an issuer says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str


def check_installed() -> None:
    """Return if what checks identity tokens is installed; raises UsageError (BadCommand)."""
    if find_spec("joserfc") is None:
        raise UsageError(
            "identities of other issuers need a package that is not installed: joserfc",
            code="BadCommand",
            hint="install it with: pip install 'tenuto[oidc]'",
        )


def check_issuer(issuer: str) -> None:
    """Return if what that issuer says can be believed; raises UsageError (BadRequest) for one that anybody on the way can speak for."""
    origin_of(issuer)
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not _is_this_machine(str(parts.hostname)):
        raise UsageError(
            f"{issuer[:100]} is not reached by https: whoever is on the way could say anything of anybody",
            hint="name the issuer by https; without it only one on this machine is trusted, such as http://127.0.0.1:8080",
        )


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def discover(issuer: str) -> IssuerFacts:
    """The document of an issuer, if it is that of this issuer. Raises UnavailableError (BadAnswer, NetworkFailure)."""
    text = fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration", origin_of(issuer))
    facts: IssuerFacts = _decoded(text, IssuerFacts, issuer)
    if facts.issuer != issuer:
        raise UnavailableError(f"{issuer} calls itself something else", code="BadAnswer")
    return facts


def _decoded(text: bytes, kind: type[Any], issuer: str) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnavailableError(f"{issuer} does not answer as an issuer of identities does", code="BadAnswer") from error


def redeem(facts: IssuerFacts, client_id: str, client_secret: str, fields: dict[str, str]) -> str:
    """The ID token that a code was good for. Raises UnavailableError (BadAnswer, NetworkFailure)."""
    credentials = base64.b64encode(f"{quote(client_id, '')}:{quote(client_secret, '')}".encode()).decode()
    form = {"grant_type": "authorization_code", **fields}
    headers = {"Authorization": f"Basic {credentials}"}
    text = fetch(facts.token_endpoint, origin_of(facts.issuer), form, headers)
    answer: _TokenAnswer = _decoded(text, _TokenAnswer, facts.issuer)
    return answer.id_token


def claims_of(facts: IssuerFacts, token: str, audience: str, now_s: int) -> dict[str, Any]:
    """What the issuer says of somebody in a token for `audience` that is good now.

    Raises AuthenticationError (BadToken), UnavailableError (BadAnswer, NetworkFailure).
    """
    from joserfc import errors, jwt

    keys: _Keys = _decoded(fetch(facts.jwks_uri, origin_of(facts.issuer)), _Keys, facts.issuer)
    if len(token) > _MOST_TOKEN_BYTES:
        raise AuthenticationError("the identity token is too long", code="BadToken")
    wanted = jwt.JWTClaimsRegistry(
        now=now_s,
        leeway=_LEEWAY_S,
        iss={"essential": True, "value": facts.issuer},
        aud={"essential": True, "value": audience},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        decoded = jwt.decode(token, _usable(keys), algorithms=list(_ALGORITHMS))
        wanted.validate(decoded.claims)
    except (errors.JoseError, ValueError, TypeError, KeyError) as error:
        reason = type(error).__name__
        raise AuthenticationError(f"the identity token is not good: {reason}", code="BadToken") from error
    return dict(decoded.claims)


def _usable(keys: _Keys) -> "KeySet":
    """The keys that sign; issuers list others beside them, some of kinds that are newer than this hub."""
    from joserfc import errors, jwk

    found = []
    for one in keys.keys:
        if one.get("kty") in _KINDS and one.get("use", "sig") == "sig":
            with contextlib.suppress(errors.JoseError, ValueError, TypeError, KeyError):
                found.append(jwk.import_key(one))
    return jwk.KeySet(found)


def issuer_of(token: str) -> str:
    """Which issuer a token says it is from, before anything is believed. Raises UsageError (BadRequest)."""
    try:
        body = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=dict[str, Any])
        return str(claims["iss"])
    except (IndexError, KeyError, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise UsageError("the subject token is no identity token") from error
