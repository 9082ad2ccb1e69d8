"""What was computed of things that never change, such as commits, and would take long to compute again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")
_CAPACITY = 2048


class Remembered:
    """The values that were asked for last, each small; safe for use from many threads."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, object] = OrderedDict()
        self._capacity = capacity

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value under `key`, computed now if it is not here. Two who ask at once may both compute it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return cast("T", self._values[key])
        value = compute()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)
        return value
