"""What a handler gets and what it gives: a call, and an answer or a sink. Values only; the network is in `app`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from functools import cached_property
from typing import BinaryIO, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlencode

import msgspec

from tenuto.core.errors import TenutoError, UsageError
from tenuto.core.wire import error_body, error_headers
from tenuto.server.access import ANYBODY, Actor, Repo
from tenuto.server.audit import Origin
from tenuto.server.http.multipart import is_multipart, read_multipart
from tenuto.server.http.rates import Rate
from tenuto.server.signing import Claims

T = TypeVar("T")
JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class Call:
    """One request: what was asked, by whom, and of which repo."""

    def __init__(
        self,
        method: str,
        params: Mapping[str, str],
        query: str,
        headers: Mapping[str, str],
        base_url: str,
        raw_path: str = "",
        *,
        address: str = "",
        request_id: str = "",
    ) -> None:
        self.method = method
        self.params = params
        self.headers = headers
        self.base_url = base_url
        self.raw_path = raw_path
        """The path as it was sent, still encoded."""
        self.address = address
        """Where the client is; empty if nobody knows."""
        self.request_id = request_id
        self.actor: Actor = ANYBODY
        self.rate: Rate | None = None
        """What is left of the quota of requests that this one was counted in."""
        self.body = b""
        self._query = query
        self._repo: Repo | None = None
        self._claims: Claims | None = None

    @property
    def repo(self) -> Repo:
        """The repo that the route is about."""
        assert self._repo is not None, "a route without a target has no repo"
        return self._repo

    @repo.setter
    def repo(self, repo: Repo | None) -> None:
        self._repo = repo

    @property
    def target(self) -> Repo | None:
        """The same, or None for a route without a target, and before the caller was let in."""
        return self._repo

    @property
    def origin(self) -> Origin:
        """What the audit log says of who asks."""
        return Origin(self.actor, self.address, self.request_id)

    @property
    def claims(self) -> Claims:
        """What the signed link of this call permits."""
        assert self._claims is not None, "only a signed route has claims"
        return self._claims

    @claims.setter
    def claims(self, claims: Claims) -> None:
        self._claims = claims

    @property
    def place(self) -> str:
        """Path and query as they were sent."""
        return f"{self.raw_path}?{self._query}" if self._query else self.raw_path

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query, with `k[]` taken as `k`."""
        try:
            parsed = parse_qs(self._query, keep_blank_values=True, max_num_fields=10_000, errors="strict")
        except ValueError as error:
            raise UsageError("the query cannot be read") from error
        merged: dict[str, list[str]] = {}
        for key, values in parsed.items():
            merged.setdefault(key.removesuffix("[]"), []).extend(values)
        return merged

    def text(self, key: str) -> str | None:
        """The last value of a query parameter, or None."""
        return self.query.get(key, [None])[-1]

    def flag(self, key: str) -> bool:
        """A query parameter as true or false."""
        return is_true(self.text(key))

    def number(self, key: str, default: int, highest: int) -> int:
        """A query parameter as a whole number from 1 to `highest`; raises UsageError (BadRequest) if it is none."""
        text = self.text(key)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and int(text[:18]) > 0):
            raise UsageError(f"{key} must be a whole number above 0")
        return min(int(text[:18]), highest)

    def form(self) -> dict[str, str]:
        """The body as the fields of a form, the last value of each; files are left out. Raises UsageError (BadRequest, TooLarge)."""
        kind = self.headers.get("content-type", "")
        if is_multipart(kind):
            return read_multipart(kind, self.body).fields
        try:
            fields = parse_qs(self.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
        except ValueError as error:
            raise UsageError("the form cannot be read") from error
        return {key: values[-1] for key, values in fields.items()}

    @property
    def is_json(self) -> bool:
        """Whether the body is said to be JSON."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return media_type.startswith("application/") and media_type.endswith("json")

    def json(self, kind: type[T]) -> T:
        """The body as a value of `kind`; raises UsageError (BadRequest), which says what does not fit."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"the body of the request does not fit: {error}") from error


def is_true(text: str | None) -> bool:
    """Whether a parameter says yes: `true` or `1`, in any case."""
    return text is not None and text.lower() in {"1", "true"}


class FileBody(NamedTuple):
    """Bytes `start` to `start + length` of a file that is opened when they are sent."""

    open: Callable[[], BinaryIO]
    start: int
    length: int


class Pieces(NamedTuple):
    """A body that is made while it is sent, of a length that nobody knows yet; each step may take a moment, and runs in a thread."""

    steps: Generator[bytes, None, None]


class Answer(NamedTuple):
    """Status, headers and body of an answer. `Content-Length` is added by whoever sends it."""

    status: int
    headers: Mapping[str, str]
    body: "bytes | FileBody | Pieces" = b""


class Sink(ABC):
    """Takes in a body too large for memory. `close` is always called, also after a failure."""

    max_bytes: int
    """More than that is refused (TooLarge)."""

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Take in more bytes; a view of them is good until this returns."""

    @abstractmethod
    def finish(self) -> Answer:
        """The body is complete."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held; what was not finished is dropped."""


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that holds `value` as JSON."""
    return Answer(status, {**JSON_HEADERS, **(headers or {})}, msgspec.json.encode(value))


def next_page(call: Call, cursor: object) -> dict[str, str]:
    """The header that leads to the page behind `cursor`: the same question once more, under an absolute address."""
    kept = [(key, value) for key, values in call.query.items() if key != "cursor" for value in values]
    return {"Link": f'<{call.base_url}{call.raw_path}?{urlencode([*kept, ("cursor", str(cursor))])}>; rel="next"'}


def error_answer(error: TenutoError, headers: Mapping[str, str] | None = None, status: int | None = None) -> Answer:
    """The answer that reports an error: status, code and message in the headers, all of it in the body."""
    return Answer(
        status or error.http_status, {**JSON_HEADERS, **error_headers(error), **(headers or {})}, error_body(error)
    )
