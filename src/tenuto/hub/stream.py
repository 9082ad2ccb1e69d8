"""One file in one stream, on from where an earlier try or run stopped."""

import threading

from tenuto.core.errors import UnavailableError
from tenuto.hub.bodies import cannot_resume, check_body, is_range, other_size, short
from tenuto.hub.patience import Attempt
from tenuto.hub.session import Stream
from tenuto.hub.sources import Source, Wanted
from tenuto.store.base import Incoming
from tenuto.store.listener import Progress


class Told:
    """Progress of one file that can be taken back if it comes to nothing; called from many threads."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock, self._bytes = progress, threading.Lock(), 0

    def __call__(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes += size_bytes
        self._progress(size_bytes)

    def take_back(self) -> None:
        """Nothing of the file is done after all."""
        self(-self._bytes)


def stopped_error() -> Attempt:
    """What ends a transfer because another one failed."""
    return Attempt(UnavailableError("stopped"), again=False)


class OneStream:
    """Brings the rest of a file into `incoming`, which knows how far it is."""

    def __init__(
        self, source: Source, wanted: Wanted, incoming: Incoming, progress: Progress, stopped: threading.Event
    ) -> None:
        self._source, self._wanted, self._incoming = source, wanted, incoming
        self._progress, self._stopped = progress, stopped

    def run(self) -> None:
        """Afterwards all bytes are in, not yet verified. Raises the TenutoError that stands for the last try."""
        if self._incoming.size != self._wanted.size:
            self._source.session.persist(self._attempt, gained=lambda: self._incoming.size, stopped=self._stopped)

    def _attempt(self) -> None:
        wanted, incoming = self._wanted, self._incoming
        if incoming.size > wanted.size:
            self._restart()
        headers = {"Range": f"bytes={incoming.size}-"} if incoming.size else None
        with self._source.session.open("GET", self._source.address(wanted), headers=headers) as stream:
            self._position(stream)
            self._write(stream)
        if incoming.size < wanted.size:
            raise Attempt(short(wanted, incoming.size), again=True)

    def _position(self, stream: Stream) -> None:
        """Bring what is held in line with an answer that may be used; what is held stays if the answer is of no use."""
        check_body(stream, self._wanted, self._source)
        held = self._incoming.size
        if held and is_range(stream, held, self._wanted.size, self._wanted.size):
            return
        self._restart()
        if stream.status != 200:
            raise Attempt(cannot_resume(self._wanted), again=True, wait_s=0.0 if held else None)

    def _write(self, stream: Stream) -> None:
        for block in stream.blocks:
            if self._stopped.is_set():
                raise stopped_error()
            if self._incoming.size + len(block) > self._wanted.size:
                self._restart()
                raise other_size(self._wanted, f"more than {self._wanted.size}", self._source)
            self._incoming.write(block)
            self._progress(len(block))

    def _restart(self) -> None:
        self._progress(-self._incoming.size)
        self._incoming.restart()
