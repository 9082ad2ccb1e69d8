"""What a hub can do wrong, as values. `tenuto.testing.lying_hub` acts them out.

A `Fault` may change the request that goes to the real hub, answer in its place, or bend the answer on its way back.
"""

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Wait = Callable[[float], object]
"""Waits for that many seconds, or until the hub is closed."""


@dataclass
class Answer:
    """An answer on its way to the client; header names are in lower case.

    `ending` says how the connection is left: `kept`, `cut` (closed) or `reset`.
    """

    status: int
    reason: str
    headers: dict[str, str]
    body: Iterable[bytes] = ()
    ending: Literal["kept", "cut", "reset"] = "kept"

    @property
    def length(self) -> int:
        """The announced size of the body in bytes."""
        return int(self.headers.get("content-length", "0"))

    def whole(self) -> bytes:
        """All of the body; it is read by that."""
        return b"".join(self.body)


class Fault:
    """Base of all faults; by itself it changes nothing."""

    def applies(self, headers: Mapping[str, str]) -> bool:
        """Whether the fault can show on a request with these headers (names in lower case); if not, its turn is kept for a later one."""
        return True

    def forward(self, headers: dict[str, str]) -> dict[str, str]:
        """The request headers that the real hub gets."""
        return headers

    def instead(self) -> Answer | None:
        """The answer to give without asking the real hub, or None to ask it."""
        return None

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        """What becomes of the real hub's answer."""
        return answer


@dataclass(frozen=True)
class WrongBytes(Fault):
    """The right number of bytes, one bit in each block flipped."""

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        answer.body = (bytes([block[0] ^ 1]) + block[1:] for block in answer.body if block)
        return answer


@dataclass(frozen=True)
class Truncated(Fault):
    """Full Content-Length, a part of the bytes (half, if `keep_bytes` is None), then the connection is closed."""

    keep_bytes: int | None = None

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        keep = answer.length // 2 if self.keep_bytes is None else self.keep_bytes
        answer.body, answer.ending = _first(answer.body, keep), "cut"
        return answer


@dataclass(frozen=True)
class ResetConnection(Fault):
    """A part of the bytes (half, if `keep_bytes` is None), then a TCP reset. With `keep_bytes` -1 not even the head of the answer arrives.

    The real hub has done what it was asked all the same: a lost answer, not a lost request.
    """

    keep_bytes: int | None = None

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        keep = answer.length // 2 if self.keep_bytes is None else self.keep_bytes
        if keep < 0:
            return Answer(0, "", {}, (), "reset")
        answer.body, answer.ending = _first(answer.body, keep), "reset"
        return answer


@dataclass(frozen=True)
class Stall(Fault):
    """Half of the bytes, then nothing for `seconds`, then the rest."""

    seconds: float

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        answer.body = self._stalling(answer.body, answer.length // 2, wait)
        return answer

    def _stalling(self, body: Iterable[bytes], half: int, wait: Wait) -> Iterator[bytes]:
        sent = 0
        for block in body:
            if sent <= half < sent + len(block):
                yield block[: half - sent]
                wait(self.seconds)
                yield block[half - sent :]
            else:
                yield block
            sent += len(block)


@dataclass(frozen=True)
class Slow(Fault):
    """The right bytes, at `bytes_per_s`, one at a time."""

    bytes_per_s: float = 1.0

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        answer.body = self._crawling(answer.body, wait)
        return answer

    def _crawling(self, body: Iterable[bytes], wait: Wait) -> Iterator[bytes]:
        for block in body:
            for position in range(len(block)):
                wait(1 / self.bytes_per_s)
                yield block[position : position + 1]


class _RangeFault(Fault):
    def applies(self, headers: Mapping[str, str]) -> bool:
        return "range" in headers


@dataclass(frozen=True)
class ShiftedRange(_RangeFault):
    """The bytes that were asked for, under a Content-Range that says `by` more."""

    by: int = 1

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(.+)", answer.headers.get("content-range", ""))
        if match:
            answer.headers["content-range"] = f"bytes {int(match[1]) + self.by}-{int(match[2]) + self.by}/{match[3]}"
        return answer


@dataclass(frozen=True)
class IgnoredRange(_RangeFault):
    """A request for a range is answered with 200 and the whole file."""

    def forward(self, headers: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name != "range"}


@dataclass(frozen=True)
class Status(Fault):
    """Another status, without asking the real hub."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def instead(self) -> Answer:
        headers = {"content-type": "text/plain", "content-length": str(len(self.body))}
        headers |= {name.lower(): value for name, value in self.headers.items()}
        return Answer(self.status, "By Script", headers, [self.body])


def rate_limited(wait_s: int = 1) -> Status:
    """429 with the header by which the Hub says how long to wait."""
    return Status(429, {"RateLimit": f'"api";r=0;t={wait_s}', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'})


def unavailable(retry_after_s: int | None = None) -> Status:
    """503, with Retry-After if a number of seconds is given."""
    return Status(503, {} if retry_after_s is None else {"Retry-After": str(retry_after_s)})


def captive_portal() -> Status:
    """200 and a page to log in to the network, whatever was asked."""
    page = b"<!doctype html><title>Welcome</title><p>Please accept the terms of this network."
    return Status(200, {"content-type": "text/html; charset=utf-8"}, page)


@dataclass(frozen=True)
class Gzipped(Fault):
    """The body compressed, though nobody asked; status, ETag and Content-Range stay."""

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        packed = gzip.compress(answer.whole(), mtime=0)
        answer.headers |= {"content-encoding": "gzip", "content-length": str(len(packed))}
        answer.body = [packed]
        return answer


@dataclass(frozen=True)
class WrongEtag(Fault):
    """Right bytes, wrong names for them: ETag and X-Linked-Etag are `etag`."""

    etag: str = '"' + "0" * 64 + '"'

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        for name in answer.headers.keys() & {"etag", "x-linked-etag"}:
            answer.headers[name] = self.etag
        return answer


@dataclass(frozen=True)
class Rewritten(Fault):
    """Other words in the body: each `old` is `new`, and the length is announced as it is then."""

    old: bytes
    new: bytes

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        body = answer.whole().replace(self.old, self.new)
        answer.headers["content-length"] = str(len(body))
        answer.body = [body]
        return answer


def _first(body: Iterable[bytes], keep: int) -> Iterator[bytes]:
    for block in body:
        if keep <= 0:
            return
        yield block[:keep]
        keep -= len(block)


class Lie(NamedTuple):
    """When a fault shows: on requests of `method` (`*` for any) whose path and query hold `pattern`.

    The first `after` matches are answered truly, the next `times` show the fault (None: all that follow).
    """

    method: str
    pattern: str
    fault: Fault
    times: int | None = 1
    after: int = 0

    def matches(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether this lie could be told in answer to such a request."""
        fits = self.method in {"*", method} and re.search(self.pattern, path) is not None
        return fits and self.fault.applies(headers)
