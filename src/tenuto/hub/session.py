"""HTTP with one hub: connections, the token, retries, and one error tree. The only door to httpx2."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from tenuto.core.errors import AuthenticationError, TenutoError, UnavailableError
from tenuto.core.pack import FEATURE_HEADER, FEATURE_VERSION
from tenuto.core.wire import error_from_answer, wait_s

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_REDIRECTS = 5
MAX_WAIT_S = 320.0
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


class Attempt(Exception):  # noqa: N818 - a carrier inside this room, never shown
    """One try that failed: the error it stands for, whether another try may help, how long the hub asks to wait, and whether it
    said that it did nothing.
    """

    def __init__(
        self, error: TenutoError, *, again: bool, wait_s: float | None = None, untouched: bool = False
    ) -> None:
        super().__init__(error.message)
        self.error, self.again, self.wait_s, self.untouched = error, again, wait_s, untouched


class Session:
    """A conversation with the hub at `endpoint`. Safe for use from many threads; close it when done.

    The token is sent to the origin of `endpoint` and nowhere else. `timeout_s` seconds without a byte are a stall. Raises
    AuthenticationError (BadToken) for a token that no header can carry.
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
        self._retries = retries
        self._sleep = sleep
        self._client = httpx2.Client(
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(timeout_s, connect=min(10.0, timeout_s), pool=None),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token."""
        return self._token is not None

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
    ) -> Answer:
        """Ask, and return the whole answer, whose status is below 400. `address` is a path on the endpoint or a URL.

        With `again`, network failures and the statuses that ask for patience are tried again, waiting as the hub says; without it
        only those answers that say the request was not carried out. Raises the error that the answer stands for, or UnavailableError.
        """

        def once() -> Answer:
            with self.open(method, address, body, headers) as stream:
                return _whole(stream)

        return self.persist(once, again=again)

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
        tries, before = 0, gained()
        while True:
            try:
                return once()
            except Attempt as attempt:
                if gained() > before:
                    tries, before = 0, gained()
                if not attempt.again or (not again and not attempt.untouched) or tries >= self._retries:
                    raise attempt.error from attempt.__cause__
                tries += 1
                backoff_s = min(2.0**tries, 20.0) * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret
                self._pause(min(attempt.wait_s if attempt.wait_s is not None else backoff_s, MAX_WAIT_S), stopped)
                if stopped and stopped.is_set():
                    raise attempt.error from attempt.__cause__

    def _pause(self, seconds: float, stopped: threading.Event | None) -> None:
        if stopped and self._sleep is time.sleep:
            stopped.wait(seconds)
        else:
            self._sleep(seconds)

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
                    if _origin(url) == _origin(self.endpoint):
                        self.speaks_pack = response.headers.get(FEATURE_HEADER) == FEATURE_VERSION
                    target = response.headers.get("Location")
                    if response.status_code not in {301, 302, 303, 307, 308} or not target:
                        yield _checked(response)
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
        body = content() if callable(content) else content
        self._count()
        return self._client.stream(method, url, content=body, headers=self._headers(url, headers))

    def _headers(self, url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
        sent = dict(headers or {})
        if self._token and _origin(url) == _origin(self.endpoint):
            sent["Authorization"] = f"Bearer {self._token}"
        return sent

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


def _checked(response: httpx2.Response) -> Stream:
    stream = Stream(response.status_code, response.headers, response.iter_raw())
    if stream.status < 400 or stream.status == 416:
        return stream
    error = error_from_answer(stream.status, stream.headers, _read_all(stream.blocks))
    again = stream.status in RETRIED_STATUSES and error.code not in {"CorruptObject", "NotSupported", "InternalError"}
    patience_s = wait_s(stream.headers)
    untouched = stream.status in {429, 503} and patience_s is not None
    raise Attempt(error, again=again, wait_s=patience_s, untouched=untouched)


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
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        failure = UnavailableError(f"cannot reach {host}: {error}", hint="is the hub running, and its address right?")
    elif isinstance(error, httpx2.TimeoutException):
        failure = UnavailableError(
            f"{host} stopped answering", code="Stalled", hint="run the command again: it goes on where it stopped"
        )
    else:
        failure = UnavailableError(
            f"the connection to {host} broke: {error or type(error).__name__}",
            hint="run the command again: it goes on where it stopped",
        )
    return Attempt(failure, again=True)
