"""Work beside the requests: in a thread of its own, again and again, until the hub stops."""

import threading
from abc import ABC, abstractmethod

from tenuto.core.errors import TenutoError
from tenuto.server.hub import Parts


class StoppedError(Exception):
    """The hub stops; what is done so far is kept."""


class Chore(ABC):
    """Something that the hub does every `every_s` seconds while it serves; after a failure, which the log tells, in `again_s`."""

    name: str
    every_s: float
    again_s: float

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def run(self) -> int:
        """Do all that there is to do; how much that was. May raise TenutoError, and StoppedError in the midst of it."""

    def start(self) -> None:
        """Begin to work beside the requests: at once, and then again and again."""
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing is being done any more; safe to call twice."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def pause(self, wait_s: float) -> None:
        """Let so much time pass; raises StoppedError if the hub stops meanwhile."""
        if self._stopping.wait(wait_s):
            raise StoppedError

    def _work(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            wait_s = self.again_s
            try:
                self.run()
                wait_s = self.every_s
            except StoppedError:
                return
            except TenutoError as error:  # the database is busy, the disk is full
                self.parts.log.write(self.name, self.parts.now_ms(), message=error.message)
            except Exception as error:  # noqa: BLE001 - the last resort: nobody else would hear that this thread has ended
                self.parts.log.failure(self.parts.now_ms(), error)
