"""What a caller hears of long work."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from tenuto.project.workspace import Watch, unwatched

Progress = Callable[[str, int, int], object]
"""Is told what is being done, how many bytes of it are, and how many there are to do in all: `progress("downloading", 1000, 361000000)`."""


def watch_for(progress: Progress | None) -> Watch:
    """What a workspace tells of its work, told to `progress`: at the start, with every block, from any thread but one at a time.

    What is done becomes less where bytes turn out to be wrong and are fetched again. What `progress` raises ends the work.
    """
    if progress is None:
        return unwatched

    @contextlib.contextmanager
    def watch(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        done_bytes, lock = 0, threading.Lock()

        def advance(more_bytes: int) -> None:
            nonlocal done_bytes
            with lock:
                done_bytes += more_bytes
                progress(label, done_bytes, total_bytes)

        advance(0)
        yield advance

    return watch
