"""One large file over several connections: each fetches spans of blocks, more are opened as long as they bring something."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from tenuto.hub.bodies import cannot_resume, check_body, is_range, other_size, short
from tenuto.hub.patience import Attempt
from tenuto.hub.session import Stream
from tenuto.hub.shared_work import Call, SharedWork
from tenuto.hub.sources import Source, Wanted
from tenuto.hub.stream import stopped_error
from tenuto.store.base import IncomingBlocks
from tenuto.store.listener import Progress

BLOCKS_FROM_BYTES = 64 << 20
BLOCK_BYTES = (8 << 20, 16 << 20)
LARGE_BLOCKS_FROM_BYTES = 1 << 30
SPAN_BLOCKS = 8
FIRST_LANES = LANES_STEP = 2
GAIN = 1.1
_WINDOW_S = 0.5


def block_bytes(size: int) -> int:
    """How large files are cut."""
    return BLOCK_BYTES[size >= LARGE_BLOCKS_FROM_BYTES]


class Pace:
    """How many connections pay: two more as long as the last two brought at least a tenth more bytes a second, else two less again."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.lanes = min(FIRST_LANES, most)
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._since_s, self._moved, self._best = clock(), 0, 0.0
        self._is_settled = self._is_starting = False

    def moved(self, size_bytes: int) -> bool:
        """So many bytes have come in; whether more lanes are wanted by that."""
        with self._lock:
            self._moved += size_bytes
            took_s = self._clock() - self._since_s
            if self._is_settled or took_s < _WINDOW_S:
                return False
            rate, self._since_s, self._moved = self._moved / took_s, self._clock(), 0
            if self._is_starting:  # new connections need a moment
                self._is_starting = False
                return False
            before = self.lanes
            if rate >= self._best * GAIN:
                self._best, self._is_starting, self._is_settled = rate, True, before == self._most
                self.lanes = min(self._most, self.lanes + LANES_STEP)
            else:
                self._is_settled = True
                self.lanes = max(min(FIRST_LANES, self._most), self.lanes - LANES_STEP)
            return self.lanes > before


class Span(NamedTuple):
    """Blocks `first` to before `end`, which one connection fetches in one request."""

    first: int
    end: int


class Lanes:
    """Fetches the missing blocks of one object from one source."""

    def __init__(
        self, source: Source, wanted: Wanted, incoming: IncomingBlocks, progress: Progress, stopped: threading.Event
    ) -> None:
        self._source, self._wanted, self._incoming = source, wanted, incoming
        self._progress, self._stopped = progress, stopped
        self._left = set(incoming.missing())
        self._changing = threading.Lock()
        self._tag: str | None = None
        self._has_ranges = True

    def run(self, jobs: int, call: Call) -> None:
        """Afterwards no block is missing. Other lanes are `call`ed in, up to `jobs` in all, once the source has kept to a range.

        Raises the first failure, as the TenutoError that it stands for; no thread is at the object then.
        """
        self._pace = Pace(jobs)
        self._work = SharedWork(self._claim, self._fetch, lambda: self._pace.lanes, call)
        self._work.run()
        if self._left:
            self.run_whole()

    def run_whole(self) -> None:
        """The same in one stream from the start, for a source that does not keep to ranges."""
        self._source.session.persist(
            self._take_whole, gained=lambda: -len(self._incoming.missing()), stopped=self._stopped
        )

    def _claim(self) -> Span | None:
        """The next missing blocks that nobody fetches, the first ones first, so that they can be hashed while others come."""
        with self._changing:
            if not self._left or not self._has_ranges:
                return None
            count = max(1, min(SPAN_BLOCKS, len(self._left) // (2 * self._work.working)))
            first = end = min(self._left)
            while end in self._left and end - first < count:
                self._left.discard(end)
                end += 1
            return Span(first, end)

    def _fetch(self, span: Span) -> None:
        place = _Place(self._incoming, span)
        try:
            self._source.session.persist(
                lambda: self._attempt(place), gained=lambda: place.position, stopped=self._stopped
            )
        finally:
            with self._changing:
                self._left.update(range(place.block, span.end))
            self._progress(-place.unfinished)

    def _attempt(self, place: "_Place") -> None:
        start, end = place.position, place.end
        headers = {"Range": f"bytes={start}-{end - 1}"}
        with self._source.session.open("GET", self._source.address(self._wanted), headers=headers) as stream:
            check_body(stream, self._wanted, self._source)
            if not self._keeps_to(stream, start, end):
                return
            self._work.widen()
            for data in stream.blocks:
                if self._stopped.is_set() or self._work.failure:
                    raise stopped_error()
                if place.position + len(data) > end:
                    raise other_size(self._wanted, "more than it was asked for,", self._source)
                place.put(data)
                self._progress(len(data))
                if self._pace.moved(len(data)):
                    self._work.widen()
        if place.position < end:
            raise Attempt(short(self._wanted, place.position), again=True)

    def _keeps_to(self, stream: Stream, start: int, end: int) -> bool:
        """Whether this is the asked range of the same file as before; if not, ranges of this source are of no use."""
        tag = stream.headers.get("X-Linked-ETag") or stream.headers.get("ETag")
        with self._changing:
            self._tag = self._tag or tag
            self._has_ranges &= is_range(stream, start, end, self._wanted.size) and tag == self._tag
            return self._has_ranges

    def _take_whole(self) -> None:
        size, cut = self._wanted.size, self._incoming.block_bytes
        place = _Place(self._incoming, Span(0, -(-size // cut)), set(self._incoming.missing()))
        try:
            with self._source.session.open("GET", self._source.address(self._wanted)) as stream:
                check_body(stream, self._wanted, self._source)
                if stream.status != 200:
                    raise Attempt(cannot_resume(self._wanted), again=True)
                for data in stream.blocks:
                    if self._stopped.is_set():
                        raise stopped_error()
                    if place.position + len(data) > size:
                        raise other_size(self._wanted, f"more than {size}", self._source)
                    self._progress(place.put(data))
        finally:
            self._progress(-place.unfinished)
        if place.position < size:
            raise Attempt(short(self._wanted, place.position), again=True)


class _Place:
    """Where in the object a connection is, from the start of a span to its end; writes only blocks of `missing`, if that is given."""

    def __init__(self, incoming: IncomingBlocks, span: Span, missing: set[int] | None = None) -> None:
        self._incoming, self._missing = incoming, missing
        self.block = span.first
        self.position = span.first * incoming.block_bytes
        self.end = min(span.end * incoming.block_bytes, incoming.size)

    @property
    def unfinished(self) -> int:
        """The bytes taken in of a block that is not complete."""
        is_lacking = self._missing is None or self.block in self._missing
        return max(0, self.position - self.block * self._incoming.block_bytes) if is_lacking else 0

    def put(self, data: bytes) -> int:
        """Take in the next bytes; blocks that are whole by that are complete. Returns how many bytes were lacking."""
        view, lacking = memoryview(data), 0
        while view:
            end = min((self.block + 1) * self._incoming.block_bytes, self._incoming.size)
            piece = view[: end - self.position]
            is_lacking = self._missing is None or self.block in self._missing
            if is_lacking:
                self._incoming.write(self.position, piece)
                lacking += len(piece)
            self.position += len(piece)
            view = view[len(piece) :]
            if self.position == end:
                if is_lacking:
                    self._incoming.complete(self.block)
                self.block += 1
        return lacking
