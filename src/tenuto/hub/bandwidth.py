"""A limit on what all transfers together send and receive."""

import threading
import time
from collections.abc import Callable

BURST_S = 0.25
_PIECE_BYTES = (4 << 10, 1 << 20)


class Bandwidth:
    """A bucket that fills at `bytes_per_s` and is shared by all threads and sessions; without a rate there is no limit.

    What is taken may go beyond what is there: then the taker waits, and those who come later wait behind it.
    """

    def __init__(
        self,
        bytes_per_s: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = bytes_per_s, clock, sleep
        self._lock = threading.Lock()
        self._paid_until_s = clock()

    @property
    def piece_bytes(self) -> int:
        """How much to move at a time, so that no wait is long."""
        least, most = _PIECE_BYTES
        return most if self._rate is None else max(least, min(most, int(self._rate * BURST_S)))

    def take(self, size_bytes: int) -> None:
        """Return when that many bytes may have been moved."""
        if self._rate is None:
            return
        with self._lock:
            now_s = self._clock()
            self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + size_bytes / self._rate
            wait_s = self._paid_until_s - now_s
        if wait_s > 0:
            self._sleep(wait_s)
