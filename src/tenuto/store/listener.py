"""Whoever is told of progress, and may fail at that: no file and no hub is to blame for it."""

from collections.abc import Callable
from typing import Self

Progress = Callable[[int], None]
"""Is told how many bytes more are done; called from many threads."""


class Listener:
    """The caller's own progress. What it raises is raised again to whoever tells it more, and at the end of the block, whatever came of it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._failure: BaseException | None = None

    def __call__(self, size_bytes: int) -> None:
        self._check()
        try:
            self._progress(size_bytes)
        except BaseException as error:
            self._failure = error
            raise

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._check()
