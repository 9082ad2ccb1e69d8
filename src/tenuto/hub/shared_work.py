"""Work that several threads do together, each taking the next piece as long as there is one."""

import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Call = Callable[[Callable[[], None]], object]
"""Has a task done by another thread, some time or never."""


class SharedWork(Generic[T]):
    """Does `do` with every piece that `take` gives, in up to `lanes()` threads at once; the first failure, of whatever kind, ends it.

    `take` is asked by one thread at a time; None sends the thread that asked home. Other threads are had by `call`.
    """

    def __init__(
        self, take: Callable[[], T | None], do: Callable[[T], object], lanes: Callable[[], int], call: Call
    ) -> None:
        self._take, self._do, self._lanes, self._call = take, do, lanes, call
        self._changed = threading.Condition()
        self._called = 0
        self.working = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Afterwards nothing is left to take. Raises the first failure; no thread is at it then."""
        self.work()
        with self._changed:
            self._changed.wait_for(lambda: not self.working)
        if self.failure is not None:
            raise self.failure

    def work(self) -> None:
        """Take part in this thread, unless enough do: afterwards there is nothing to take, or one too many. Raises nothing."""
        with self._changed:
            if self.working >= self._lanes():
                return
            self.working += 1
        try:
            while (piece := self._next()) is not None:
                self._do(piece)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever runs the work, and is raised there
            with self._changed:
                self.failure = self.failure or error
        finally:
            with self._changed:
                self.working -= 1
                self._changed.notify_all()

    def widen(self) -> None:
        """Call in as many threads as there is room for."""
        with self._changed:
            count = max(0, self._lanes() - self.working - self._called)
            self._called += count
        with contextlib.suppress(RuntimeError):  # the threads are on their way home
            for _ in range(count):
                self._call(self._help)

    def _help(self) -> None:
        with self._changed:
            self._called -= 1
        self.work()

    def _next(self) -> T | None:
        with self._changed:
            return None if self.failure or self.working > self._lanes() else self._take()
