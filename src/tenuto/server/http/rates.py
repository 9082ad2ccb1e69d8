"""How often somebody may ask: requests in fixed windows, and failures to sign in with growing delays (hub-protocol section 2).

Both are counted in memory, by this process: they spare the hub work, and are no record of anything.
"""

import ipaddress
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from tenuto.core.errors import UnavailableError

MOST_LOOKS = 8
_MOST_KEYS = 100_000
_FORGET_S = 3600


class Rate(NamedTuple):
    """What is left of a quota of requests in a window, and in how many seconds the next window begins."""

    name: str
    quota: int
    window_s: int
    left: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """The headers that stock clients read."""
        told = {
            "RateLimit": f'"{self.name}";r={self.left};t={self.reset_s}',
            "RateLimit-Policy": f'"fixed window";"{self.name}";q={self.quota};w={self.window_s}',
        }
        return told if self.left else {**told, "Retry-After": str(self.reset_s)}


def too_many(what: str, wait_s: int) -> UnavailableError:
    """The failure to raise for somebody who has to wait."""
    return UnavailableError(f"too many {what}", code="RateLimited", hint=f"try again in {_wait_text(wait_s)}")


def _wait_text(wait_s: int) -> str:
    if wait_s < 120:
        return "a second" if wait_s <= 1 else f"{wait_s} seconds"
    minutes = -(-wait_s // 60)
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"


def network_of(address: str) -> str:
    """Under what an address is counted: itself, or of IPv6 the network of one customer."""
    if ":" not in address:
        return address
    try:
        if mapped := ipaddress.IPv6Address(address.partition("%")[0]).ipv4_mapped:
            return str(mapped)
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address


class Windows:
    """Requests of each caller in the current window; safe for use from many threads."""

    def __init__(self, window_s: int = 300) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._number = 0
        self._counts: dict[Hashable, int] = {}

    def count(self, name: str, caller: Hashable, quota: int, now_ms: int) -> tuple[Rate, bool]:
        """Count one request more: what is left afterwards, and whether this one was within the quota."""
        number, passed_ms = divmod(now_ms, self._window_s * 1000)
        key = (name, caller)
        with self._lock:
            if number != self._number or len(self._counts) > _MOST_KEYS:
                self._number, self._counts = number, {}
            count = self._counts[key] = self._counts.get(key, 0) + 1
        reset_s = self._window_s - passed_ms // 1000
        return Rate(name, quota, self._window_s, max(quota - count, 0), reset_s), count <= quota


class _Failures(NamedTuple):
    number: int
    last_ms: int


class Patience(NamedTuple):
    """How many failures are free, and how long the delay after more of them grows at most."""

    free: int
    longest_s: int


class Attempts:
    """Failures to prove who one is, by what they are counted under; safe for use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, _Failures] = {}
        self._looks = threading.BoundedSemaphore(MOST_LOOKS)

    @contextmanager
    def look(self) -> Iterator[None]:
        """One of the few who look at a password at this moment: it is work, and leaves threads to others, whoever signs in.

        Raises UnavailableError (RateLimited).
        """
        if not self._looks.acquire(blocking=False):
            raise too_many("people sign in at this moment", 1)
        try:
            yield
        finally:
            self._looks.release()

    def begin(self, keys: Mapping[str, Patience], now_ms: int) -> int:
        """Count an attempt as failed under all keys, and return 0; or the seconds to wait, and then nothing is counted.

        It is counted before it is known to have failed, so that many at once are not looked at either.
        """
        with self._lock:
            wait_s = max(self._wait_s(key, patience, now_ms) for key, patience in keys.items())
            if wait_s == 0:
                self._make_room(now_ms)
                for key in keys:
                    self._failures[key] = _Failures(self._count(key, now_ms) + 1, now_ms)
            return wait_s

    def succeed(self, cleared: str, *others: str) -> None:
        """The attempt did not fail: `cleared` is forgotten, and in `others` it does not count."""
        with self._lock:
            self._failures.pop(cleared, None)
            for key in others:
                found = self._failures.get(key)
                if found:
                    self._failures[key] = found._replace(number=found.number - 1)

    def _count(self, key: str, now_ms: int) -> int:
        found = self._failures.get(key)
        return found.number if found and now_ms - found.last_ms < _FORGET_S * 1000 else 0

    def _wait_s(self, key: str, patience: Patience, now_ms: int) -> int:
        excess = self._count(key, now_ms) - patience.free
        if excess < 0:
            return 0
        delay_ms = min(2 ** min(excess, 20), patience.longest_s) * 1000
        return max(0, -int((now_ms - self._failures[key].last_ms - delay_ms) // 1000))

    def _make_room(self, now_ms: int) -> None:
        if len(self._failures) > _MOST_KEYS:
            self._failures = {
                key: one for key, one in self._failures.items() if now_ms - one.last_ms < _FORGET_S * 1000
            }
        if len(self._failures) > _MOST_KEYS:
            self._failures = {}
