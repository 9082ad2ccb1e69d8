"""What was computed of things that never change, such as commits, and would take long to compute again."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")
_CAPACITY_BYTES = 32 << 20
_ENTRY_BYTES = 500


class Remembered:
    """The values that were asked for last, as many as there is room for; safe for use from many threads.

    They are tuples, lists and tables of plain values. One that takes up much of the room is computed each time.
    """

    def __init__(self, capacity_bytes: int = _CAPACITY_BYTES) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._capacity_bytes = capacity_bytes
        self.size_bytes = 0
        """What all of them take up."""

    def once(self, key: Hashable, compute: Callable[[], T], lasts: Callable[[T], bool] = lambda _: True) -> T:
        """The value under `key`, computed now if it is not here, and kept if it `lasts`. Two who ask at once may both compute it.

        What `compute` raises is raised, and nothing is kept.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return cast("T", self._values[key][0])
        value = compute()
        if lasts(value):
            self._keep(key, value, _ENTRY_BYTES + size_of(key) + size_of(value))
        return value

    def _keep(self, key: Hashable, value: object, size_bytes: int) -> None:
        if size_bytes > self._capacity_bytes // 8:
            return
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self._values[key] = (value, size_bytes)
            self.size_bytes += size_bytes - before
            while self.size_bytes > self._capacity_bytes:
                _, (_, freed) = self._values.popitem(last=False)
                self.size_bytes -= freed


def size_of(value: object) -> int:
    """The bytes that a plain value takes up in memory, with all that is in it."""
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(map(size_of, value)) + sum(map(size_of, value.values()))
    below = value if isinstance(value, tuple | list | set | frozenset) else ()
    return sys.getsizeof(value) + sum(map(size_of, below))
