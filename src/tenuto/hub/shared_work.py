"""Work that one thread begins and others help with, as far as there are any."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from tenuto.core.errors import TenutoError

T = TypeVar("T")
Call = Callable[[Callable[[], None]], object]
"""Has a task done by another thread, some time or never."""


class SharedWork(Generic[T]):
    """Does `do` for every item, each by whichever thread is free; the first failure ends it."""

    def __init__(self, items: Iterable[T], do: Callable[[T], None]) -> None:
        self._items, self._do = list(items), do
        self._changed = threading.Condition()
        self._next = self._active = 0
        self._failure: TenutoError | None = None

    def run(self, helpers: int, call: Call) -> None:
        """Afterwards all is done. Raises the first TenutoError; no thread is at it then."""
        with contextlib.suppress(RuntimeError):  # the threads are on their way home
            for _ in range(min(helpers, len(self._items) - 1)):
                call(self._work)
        self._work()
        with self._changed:
            self._changed.wait_for(lambda: not self._active)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        with self._changed:
            self._active += 1
        try:
            while (number := self._take()) is not None:
                self._do(self._items[number])
        except TenutoError as error:
            with self._changed:
                self._failure = self._failure or error
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def _take(self) -> int | None:
        with self._changed:
            if self._failure is not None or self._next == len(self._items):
                return None
            self._next += 1
            return self._next - 1
