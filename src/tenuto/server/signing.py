"""Links that carry their own authority: signed, short-lived, for one object of one repo and one token."""

import base64
import hashlib
import hmac
import os
import secrets
from typing import Literal

import msgspec

from tenuto.core.errors import AccessDeniedError

Operation = Literal["upload", "part", "complete", "verify", "download", "xet-read", "xet-write", "xet-data"]
SECRET_BYTES = 32
LINK_LIFE_S = 3600
_INCLUDED: dict[Operation, Operation] = {"xet-write": "xet-read"}


class Claims(msgspec.Struct, frozen=True, array_like=True):
    """What a link permits. `token_id` 0 is a link for anybody; `part` counts from 1; sizes in bytes; `expires_s` since 1970 UTC."""

    operation: Operation
    repo_key: int
    oid: str
    size: int
    token_id: int
    expires_s: int
    upload: str = ""
    part: int = 0
    part_bytes: int = 0


class Signer:
    """Signs and reads links with the secret of one hub."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, claims: Claims) -> str:
        """The value of the query parameter `link`."""
        payload = msgspec.json.encode(claims)
        return f"{_encode(payload)}.{_encode(self._mac(payload))}"

    def key(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose: always the same, and told apart from every signature."""
        return self._mac(b"key for " + purpose.encode())

    def read(self, link: str, operation: str, now_s: float) -> Claims:
        """The claims of a link for `operation`; raises AccessDeniedError (Forbidden) if it is forged, expired or for something else.

        What permits to write chunks permits to read them.
        """
        payload_text, _, mac_text = link.partition(".")
        try:
            payload, mac = _decode(payload_text), _decode(mac_text)
        except ValueError as error:
            raise _refused("cannot be read") from error
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise _refused("was not signed by this hub")
        claims = msgspec.json.decode(payload, type=Claims)
        if operation not in {claims.operation, _INCLUDED.get(claims.operation)}:
            raise _refused("is for something else")
        if claims.expires_s < now_s:
            raise _refused("has expired")
        return claims

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, payload, hashlib.sha256)


def _refused(reason: str) -> AccessDeniedError:
    return AccessDeniedError(f"this link {reason}", hint="ask the hub for a new one")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def load_secret(path: str) -> bytes:
    """The secret kept in a file that only its owner can read; made at first use. Raises OSError."""
    spare = f"{path}.{secrets.token_hex(8)}"
    if not os.path.exists(path):
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(spare, path)
        except FileExistsError:
            pass  # another process was first: its secret counts
        finally:
            os.unlink(spare)
    with open(path, "rb") as file:
        secret = file.read()
    if len(secret) < SECRET_BYTES:
        raise OSError(f"{path} is cut short")
    return secret
