"""Requests that the hub sends to others: to public addresses and over https only, without redirects, in bounded time and size.

What an administrator named by its origin may be anywhere, also on this machine; what others name may not lead inside.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult, urlencode, urlsplit

from tenuto.core.errors import UnavailableError

TIMEOUT_S = 10.0
MOST_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 16
_PORTS = {"http": 80, "https": 443}
_UNICAST = ipaddress.IPv6Network("2000::/3")


def origin_of(url: str) -> str:
    """Scheme, host and port of an address; raises UnavailableError (BadAnswer) if it is none that the hub asks."""
    parts = _split(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in _PORTS and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")  # as whoever looks it up does: labels are neither empty nor too long
    except ValueError as error:
        raise _refused(url) from error
    if not known or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
        raise _refused(url)
    return parts


def _refused(url: str) -> UnavailableError:
    return UnavailableError(f"the hub asks nothing of {url.partition('?')[0][:100]!r}", code="BadAnswer")


def fetch(
    url: str,
    trusted_origin: str,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """The body of the answer to a GET, or with `form` to a POST. Addresses are looked at when they are connected to, not before.

    Raises UnavailableError (BadAnswer, NetworkFailure).
    """
    parts, deadline = _split(url), time.monotonic() + timeout_s
    is_trusted = origin_of(url) == trusted_origin
    if parts.scheme != "https" and not is_trusted:
        raise _refused(url)
    body = urlencode(form) if form is not None else None
    told = {"Accept": "application/json", "User-Agent": "tenuto-hub", **(headers or {})}
    if body is not None:
        told["Content-Type"] = "application/x-www-form-urlencoded"
    connection = HTTPConnection(str(parts.hostname), parts.port or _PORTS[parts.scheme], timeout=timeout_s)
    try:
        connection.sock = _connect(parts, is_trusted, timeout_s)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if body is None else "POST", target, body, told)
        with connection.getresponse() as answer:
            return _read(answer, url, deadline)
    except (OSError, HTTPException) as error:
        raise UnavailableError(f"{parts.hostname} does not answer: {_reason(error)}") from error
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    """Why a host does not answer, in a few words."""
    match error:
        case socket.gaierror():
            return "its name is not known"
        case ssl.SSLError():
            return "its certificate is not good, or it does not speak TLS"
        case ConnectionRefusedError():
            return "it takes no connections"
        case TimeoutError():
            return "it takes too long"
    return type(error).__name__


def _connect(parts: SplitResult, is_trusted: bool, timeout_s: float) -> socket.socket:
    """A connection to an address of that name that may be asked; encrypted for https."""
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [one for one in found if is_trusted or _is_public(str(one[4][0]))]
    if not allowed:
        raise UnavailableError(f"{host} is at no public address", code="BadAnswer")
    connected = socket.create_connection((str(allowed[0][4][0]), port), timeout_s)
    if parts.scheme != "https":
        return connected
    try:
        return ssl.create_default_context().wrap_socket(connected, server_hostname=host)
    except OSError:
        connected.close()
        raise


def _is_public(text: str) -> bool:
    """Whether an address is of a host on the internet, and stands for no other one, as those that carry an IPv4 address inside."""
    address = ipaddress.ip_address(text)
    if address.is_multicast or not address.is_global:
        return False
    return address.version == 4 or (address in _UNICAST and address.sixtofour is None)


def _read(answer: HTTPResponse, url: str, deadline: float) -> bytes:
    if answer.status != 200:
        raise UnavailableError(f"{urlsplit(url).hostname} answered with status {answer.status}", code="BadAnswer")
    pieces, size = [], 0
    while piece := answer.read1(_BLOCK_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES or time.monotonic() > deadline:
            raise UnavailableError(f"the answer of {urlsplit(url).hostname} has no end", code="BadAnswer")
    return b"".join(pieces)
