"""HTTP with one hub: connections, the token, retries, and one error tree. The only door to httpx2."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from tenuto.core.errors import AuthenticationError, UnavailableError, UsageError
from tenuto.core.pack import FEATURE_HEADER, FEATURE_VERSION
from tenuto.core.wire import error_from_answer, wait_s
from tenuto.hub.bandwidth import Bandwidth
from tenuto.hub.patience import Attempt, Notice, Patience, unheard

if TYPE_CHECKING:
    import ssl

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_REDIRECTS = 5
CONNECT_TIMEOUT_S = 5.0
BLOCK_BYTES = 256 << 10
BLOCK_WAIT_S = 0.25
ANSWER_LIMIT_BYTES = 256 << 20
DRAINED_BYTES = 64 << 10

T = TypeVar("T")
Content = bytes | Callable[[], Iterable[bytes]] | None
"""A body: nothing, bytes, or what makes its blocks anew for every try."""


class Answer(NamedTuple):
    """A whole answer of the hub; `headers` look names up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream(NamedTuple):
    """An answer whose body is still to come, as `blocks` of any size."""

    status: int
    headers: Mapping[str, str]
    blocks: Iterator[bytes]


class Session:
    """A conversation with the hub at `endpoint`. Safe for use from many threads; close it when done.

    The token is sent to the origin of `endpoint` and nowhere else. `timeout_s` seconds without a byte are a stall. `notice` is told
    in a line what is waited for, `sleep` waits. Raises AuthenticationError (BadToken) for a token that no header can carry.
    """

    def __init__(
        self,
        endpoint: str,
        token: str | None = None,
        *,
        offline: bool = False,
        timeout_s: float = 30.0,
        retries: int = 5,
        connections: int = 16,
        agent: str = "tenuto",
        sleep: Callable[[float], None] = time.sleep,
        notice: Notice = unheard,
        bandwidth: Bandwidth | None = None,
    ) -> None:
        if token is not None and not (token.isascii() and token.isprintable() and token.split() == [token]):
            raise AuthenticationError(
                "the token is not one word of plain characters", code="BadToken", hint="tokens look like hf_…"
            )
        self.endpoint = endpoint
        self.offline = offline
        self.requests_made = 0
        self.speaks_pack: bool | None = None
        """Whether the hub takes and sends packs, as its last answer said; None until it has answered."""
        self._counting = threading.Lock()
        self._token = token
        self.sleep, self.notice = sleep, notice
        self._patience = Patience(retries, sleep, notice)
        self._bandwidth = bandwidth or Bandwidth()
        with _surroundings():
            self._client = httpx2.Client(
                headers={"User-Agent": agent, "Accept-Encoding": "identity"},
                timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s), pool=None),
                limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
                verify=_trusted(),
            )
        _read_by_large_pieces()

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token."""
        return self._token is not None

    def own_headers(self) -> dict[str, str]:
        """What a library that asks the hub itself must send along, token included: to the origin of `endpoint` and nowhere else."""
        return self._headers(self.endpoint, {"User-Agent": self._client.headers["User-Agent"]})

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(
        self,
        method: str,
        address: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
        stopped: threading.Event | None = None,
    ) -> Answer:
        """Ask, and return the whole answer, whose status is below 400. `address` is a path on the endpoint or a URL.

        With `again`, network failures and the statuses that ask for patience are tried again, waiting as the hub says; without it
        only those answers that say the request was not carried out. Once `stopped` is set, nothing is waited for any more.
        Raises the error that the answer stands for, or UnavailableError.
        """

        def once() -> Answer:
            with self.open(method, address, body, headers) as stream:
                return _whole(stream)

        return self.persist(once, again=again, stopped=stopped)

    def send(
        self,
        method: str,
        address: str,
        blocks: Callable[[], Iterable[bytes]],
        size: int,
        headers: Mapping[str, str] | None = None,
        stopped: threading.Event | None = None,
    ) -> Answer:
        """Send a body of `size` bytes, made anew by `blocks()` for every try. Raises as `request` does."""

        def once() -> Answer:
            with self.open(method, address, blocks, {**(headers or {}), "Content-Length": str(size)}) as stream:
                return _whole(stream)

        return self.persist(once, stopped=stopped)

    def persist(
        self,
        once: Callable[[], T],
        *,
        again: bool = True,
        gained: Callable[[], int] = lambda: 0,
        stopped: threading.Event | None = None,
    ) -> T:
        """Run `once` until it succeeds, or its tries are used up; tries that gained something (bytes, say) are not counted.

        Raises the TenutoError of the last try; once `stopped` is set, there is no other try and no more waiting for one.
        """
        return self._patience.persist(once, again=again, gained=gained, stopped=stopped)

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        address: str,
        content: Content = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Stream]:
        """One try at one request, for use under `persist`: an answer with a status below 400, or 416, its body unread.

        Redirects are followed; the token stays behind where the origin changes. Raises Attempt, also for what happens to the
        connection while the caller reads the blocks.
        """
        if self.offline:
            raise UnavailableError(
                f"{self.endpoint} is needed, but this run is offline",
                code="Offline",
                hint="run it again without --offline",
            )
        url = _joined(f"{self.endpoint}/", address)
        try:
            for _ in range(MAX_REDIRECTS):
                with self._ask(method, url, content, headers) as response:
                    self._patience.reached(_host(url))
                    if _origin(url) == _origin(self.endpoint):
                        self.speaks_pack = response.headers.get(FEATURE_HEADER) == FEATURE_VERSION
                    target = response.headers.get("Location")
                    if response.status_code not in {301, 302, 303, 307, 308} or not target:
                        yield _checked(response, self._received(response), _host(url))
                        return
                    _drain(response)
                url = self._redirect(url, target)
            raise Attempt(UnavailableError(f"{_host(url)} redirects without end", code="BadAnswer"), again=False)
        except httpx2.TransportError as error:
            raise _transport_attempt(error, _host(url)) from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise _invalid_address() from error

    def _ask(
        self, method: str, url: str, content: Content, headers: Mapping[str, str] | None
    ) -> contextlib.AbstractContextManager[httpx2.Response]:
        body = self._metered(content()) if callable(content) else content
        self._count()
        # Of these headers, what prints the variables of a failure shows no token.
        return self._client.stream(method, url, content=body, headers=httpx2.Headers(self._headers(url, headers)))

    def _headers(self, url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
        sent = dict(headers or {})
        if self._token and _origin(url) == _origin(self.endpoint):
            sent["Authorization"] = f"Bearer {self._token}"
        return sent

    def _metered(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes as fast as they may go, in pieces none of which is waited for long: whoever gets one may have no more use for it."""
        for block in blocks:
            piece_bytes = self._bandwidth.piece_bytes
            for start in range(0, len(block), piece_bytes):
                piece = block if len(block) <= piece_bytes else block[start : start + piece_bytes]
                self._bandwidth.take(len(piece))
                yield piece

    def _received(self, response: httpx2.Response) -> Iterator[bytes]:
        """The body in blocks of about 256 KiB, none held back for long: what is done with a block costs less for large ones."""
        held: list[bytes] = []
        size, due_s = 0, time.monotonic() + BLOCK_WAIT_S
        try:
            for piece in self._metered(response.iter_raw()):
                held.append(piece)
                size += len(piece)
                if size >= BLOCK_BYTES or time.monotonic() >= due_s:
                    yield b"".join(held)
                    held, size, due_s = [], 0, time.monotonic() + BLOCK_WAIT_S
        except httpx2.TransportError:
            if held:
                yield b"".join(held)
            raise
        if held:
            yield b"".join(held)

    def _redirect(self, url: str, target: str) -> str:
        new = _joined(url, target)
        scheme = urlsplit(new).scheme
        if scheme not in {"http", "https"} or (scheme == "http" and urlsplit(url).scheme == "https"):
            was = urlsplit(url).scheme
            raise Attempt(UnavailableError(f"refused a redirect from {was} to {scheme}", code="BadAnswer"), again=False)
        return new

    def _count(self) -> None:
        with self._counting:
            self.requests_made += 1


def _read_by_large_pieces() -> None:
    """Each read from a connection costs the same, however much it brings: by 64 KiB, as is usual, twice the processor time."""
    import httpcore2  # httpx2 has loaded it by now, and not before it was needed

    httpcore2.HTTP11Connection.READ_NUM_BYTES = BLOCK_BYTES


def _trusted() -> "ssl.SSLContext | bool":
    """The certificates to trust: those that the environment names in any of the usual ways, else those of the system."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return True  # httpx2 knows these two
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        return True
    import ssl

    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """Say it if the environment names certificates or a proxy that cannot be used; no address, which may hold a password."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the certificates that the environment names cannot be read: {error.strerror or 'none is in it'}",
            code="BadCommand",
            hint="correct SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE",
        ) from error
    except (ValueError, ImportError, httpx2.InvalidURL):
        raise UsageError(
            "the proxy that the environment names cannot be used",
            code="BadCommand",
            hint="write HTTPS_PROXY=http://host:port, likewise HTTP_PROXY and ALL_PROXY",
        ) from None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _host(url: str) -> str:
    """Host and port for a message, without the credentials and signatures that an address may carry."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError as error:
        raise _invalid_address() from error


def _invalid_address() -> Attempt:
    return Attempt(UnavailableError("the hub named an invalid address", code="BadAnswer"), again=False)


def _drain(response: httpx2.Response) -> None:
    """Read a body that nobody wants, so that its connection can serve the next request; not a long one."""
    size = 0
    for block in response.iter_raw():
        size += len(block)
        if size > DRAINED_BYTES:
            return


def _checked(response: httpx2.Response, blocks: Iterator[bytes], host: str) -> Stream:
    stream = Stream(response.status_code, response.headers, blocks)
    if stream.status < 400 or stream.status == 416:
        return stream
    error = error_from_answer(stream.status, stream.headers, _read_all(stream.blocks))
    again = stream.status in RETRIED_STATUSES and error.code not in {"CorruptObject", "NotSupported", "InternalError"}
    patience_s = wait_s(stream.headers)
    untouched = stream.status in {429, 503} and patience_s is not None
    reason = f"it asks for {patience_s:.0f} s" if patience_s else f"it answered {stream.status}"
    raise Attempt(error, again=again, wait_s=patience_s, untouched=untouched, host=host, reason=reason)


def _whole(stream: Stream) -> Answer:
    answer = Answer(stream.status, stream.headers, _read_all(stream.blocks))
    if answer.status >= 400:
        raise Attempt(error_from_answer(*answer), again=False)
    return answer


def _read_all(blocks: Iterable[bytes]) -> bytes:
    content = bytearray()
    for block in blocks:
        content += block
        if len(content) > ANSWER_LIMIT_BYTES:
            raise Attempt(UnavailableError("the hub's answer is too long to be true", code="BadAnswer"), again=False)
    return bytes(content)


def _transport_attempt(error: httpx2.TransportError, host: str) -> Attempt:
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return _invalid_address()  # the text of such an error can quote a header
    if isinstance(error, httpx2.ProxyError):
        failure = UnavailableError(f"the proxy on the way to {host} refuses: {error}", hint="see HTTPS_PROXY, NO_PROXY")
        return Attempt(failure, again=not str(error).startswith("4"), host=host, reason="the proxy refuses")
    if distrust := _distrust(error):
        failure = UnavailableError(
            f"the certificate of {host} is not trusted: {distrust}",
            hint="if a proxy stands between, or the hub has an authority of its own, name that one with SSL_CERT_FILE",
        )
        return Attempt(failure, again=False, host=host, reason="its certificate is not trusted")
    again = "run the command again: it goes on where it stopped"
    unreached = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    reason = _reason(error)
    if unreached:
        failure = UnavailableError(f"cannot reach {host}: {reason}", hint="is the hub running, and its address right?")
    elif isinstance(error, httpx2.TimeoutException):
        reason = "it stopped answering"
        failure = UnavailableError(f"{host} stopped answering", code="Stalled", hint=again)
    else:
        failure = UnavailableError(f"the connection to {host} broke: {reason}", hint=again)
    return Attempt(failure, again=True, host=host, reason=reason, unreached=unreached)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _distrust(error: BaseException) -> str | None:
    """Why a certificate is not believed, as OpenSSL says it; None if it is something else that went wrong."""
    import ssl

    found = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)
    return found.verify_message if found else None


def _reason(error: BaseException) -> str:
    """What went wrong on the way to a host, in a few words: the operating system knows it best."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "its name is not known"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, TimeoutError):
            return "no answer"
    return str(error) or type(error).__name__
