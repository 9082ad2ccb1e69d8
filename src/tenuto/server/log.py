"""One JSON object a line: what happened, never a secret. Queries are left out, since signatures travel in them."""

import contextlib
import threading
import traceback
from typing import TextIO

import msgspec

from tenuto.core.wire import timestamp_text


class Log:
    """Writes lines to a stream; safe for use from many threads. With `stream` None nothing is written."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, event: str, now_ms: int, **facts: object) -> None:
        """One line: time, event, facts."""
        if self._stream is None:
            return
        line = msgspec.json.encode({"time": timestamp_text(now_ms), "event": event, **facts}).decode()
        # Nobody's request fails because the place of the log is full or was closed.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    def failure(self, now_ms: int, error: BaseException, **facts: object) -> None:
        """A line for a bug of ours: kind of error and where it rose, without its values."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        self.write("failure", now_ms, error=type(error).__name__, trace=places, **facts)
