"""Heavy work is done one after the other, and few wait for their turn: the threads are there for those who ask for files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tenuto.core.errors import UnavailableError

_MOST = 4


class Turns:
    """A queue for work of one kind; safe for use from many threads. `most`: at work and waiting, together."""

    def __init__(self, most: int = _MOST) -> None:
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(most)

    @contextmanager
    def turn(self, what: str) -> Iterator[None]:
        """Nobody else is inside meanwhile. Raises UnavailableError (HubUnavailable) if too many wait already; `what` says for what."""
        if not self._places.acquire(blocking=False):
            raise UnavailableError(f"the hub is busy with {what}", code="HubUnavailable", hint="try again in a moment")
        try:
            with self._turn:
                yield
        finally:
            self._places.release()
