"""How long to go on: tries of one request, a budget for all of a session, waits with jitter, and what the user hears meanwhile."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tenuto.core.errors import TenutoError

MAX_WAIT_S = 320.0
LONGEST_BACKOFF_S = 20.0
FIRST_CONTACT_WAIT_S = 1.0
BUDGET_OF_TRIES = 10

T = TypeVar("T")
Notice = Callable[[str], None]


def unheard(_text: str) -> None:
    """Tell nobody."""


class Attempt(Exception):  # noqa: N818 - a carrier inside this room, never shown
    """One try that failed: the error it stands for, whether another try may help, how long the hub asks to wait, and whether it
    said that it did nothing. `host` is who failed, `reason` how, in a few words; `unreached` if no connection was made at all.
    """

    def __init__(
        self,
        error: TenutoError,
        *,
        again: bool,
        wait_s: float | None = None,
        untouched: bool = False,
        host: str = "",
        reason: str = "",
        unreached: bool = False,
    ) -> None:
        super().__init__(error.message)
        self.error, self.again, self.wait_s, self.untouched = error, again, wait_s, untouched
        self.host, self.reason, self.unreached = host, reason or error.message, unreached


class Patience:
    """Decides after each failed try whether there is another one. Safe for use from many threads.

    A request is tried `retries` times more. All requests together spend from one budget, which successes fill again: where
    everything fails, the end comes soon, however many files are left. A host that was never reached is given up within seconds.
    """

    def __init__(self, retries: int, sleep: Callable[[float], None], notice: Notice = unheard) -> None:
        self._retries, self._sleep, self._notice = retries, sleep, notice
        self._lock = threading.Lock()
        self._budget = self._full = BUDGET_OF_TRIES * retries
        self._reached: set[str] = set()
        self._told: dict[str, int] = {}

    def reached(self, host: str) -> None:
        """The host has answered."""
        self._reached.add(host)

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
                result = once()
            except Attempt as attempt:
                if gained() > before:
                    tries, before = 0, gained()
                if not attempt.again or (not again and not attempt.untouched) or not self._may_try(tries):
                    raise attempt.error from attempt.__cause__
                tries += 1
                self._tell(attempt, tries)
                self._pause(self._wait_s(attempt, tries), stopped)
                if stopped and stopped.is_set():
                    raise attempt.error from attempt.__cause__
            else:
                self._succeeded()
                return result

    def _may_try(self, tries: int) -> bool:
        with self._lock:
            if tries >= self._retries or (tries and not self._budget):
                return False
            self._budget = max(0, self._budget - 1)
            return True

    def _succeeded(self) -> None:
        with self._lock:
            self._budget = min(self._full, self._budget + 1)
            self._told.clear()

    def _wait_s(self, attempt: Attempt, tries: int) -> float:
        if attempt.wait_s is not None:
            return min(attempt.wait_s, MAX_WAIT_S)
        wait_s = min(2.0**tries, LONGEST_BACKOFF_S)
        if attempt.unreached and attempt.host not in self._reached:
            wait_s = min(wait_s / 8, FIRST_CONTACT_WAIT_S)
        return wait_s * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret

    def _tell(self, attempt: Attempt, tries: int) -> None:
        """Say why nothing happens: once for each try, however many threads are at it."""
        with self._lock:
            if not attempt.host or self._told.get(attempt.host, 0) >= tries:
                return
            self._told[attempt.host] = tries
        self._notice(f"waiting for {attempt.host}: {attempt.reason} (try {tries + 1} of {self._retries + 1})")

    def _pause(self, seconds: float, stopped: threading.Event | None) -> None:
        if stopped and self._sleep is time.sleep:
            stopped.wait(seconds)
        else:
            self._sleep(seconds)
