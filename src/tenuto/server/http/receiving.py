"""Long bodies of requests: from the socket into a sink in a thread, past the event loop, which only waits while the socket is empty."""

import asyncio
import contextlib
import os
import select
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias, TypeVar

from tenuto.core.errors import UnavailableError
from tenuto.server.http.passage import BLOCK_BYTES, PATIENCE_MS, InThread, Passage, Socket

T = TypeVar("T")
Write: TypeAlias = "Callable[[memoryview], None]"
_TURN_BYTES = 4 << 20  # what comes is hashed as well: the turn of others would be longer in coming
INLET = "tenuto.inlet"
"""The extension of a request by which its body is had: see `OpenInlet`."""


class Patience:
    """How long a body is waited for.

    The next bytes of it may take `stall_s`, and all of it together no longer than that and what it earns with each byte that comes. Only
    the time in which somebody waits counts, not that in which bytes are looked at.
    """

    def __init__(self, stall_s: float, least_rate: int) -> None:
        self._stall_s = self._left_s = stall_s
        self._least_rate = least_rate

    async def wait(self, coming: Awaitable[T]) -> T:
        """What comes, as soon as it is there. Raises UnavailableError (Stalled)."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(min(self._stall_s, self._left_s)):
                return await coming
        except TimeoutError as error:
            raise UnavailableError("the body of the request stopped coming", code="Stalled") from error
        finally:
            self._left_s -= time.monotonic() - began_s

    def earn(self, size: int) -> None:
        """That many bytes came: there is more time for the rest."""
        self._left_s += size / self._least_rate


class Blocks:
    """Memory to receive into, used again and again: one block for each thread that receives at the moment."""

    def __init__(self) -> None:
        self._idle: list[memoryview] = []

    @contextlib.contextmanager
    def lent(self) -> Iterator[memoryview]:
        """A block, as long as the `with` lasts; what is in it means nothing."""
        try:
            block = self._idle.pop()
        except IndexError:
            block = memoryview(bytearray(BLOCK_BYTES))
        try:
            yield block
        finally:
            self._idle.append(block)


class Inlet(Passage):
    """The socket of a connection, from which the web server reads nothing until the next `left` bytes, the rest of a body, are taken out.

    `on_close` is told how many of them are still to come.
    """

    def __init__(self, transport: Socket, left: int, on_close: Callable[[int], None]) -> None:
        super().__init__(transport)
        self.left = left
        self._on_close = on_close

    async def pour(self, write: Write, blocks: Blocks, in_thread: InThread, patience: Patience) -> None:
        """All bytes were handed to `write`, each time as a view that is good until it returns.

        Raises ConnectionError if the client is gone, UnavailableError (Stalled), and what `write` raises. `in_thread` calls a function in
        a thread; none is held while the socket is empty.
        """

        def pull(socket: int) -> bool:
            with blocks.lent() as block:
                return self._pull(socket, block, write)

        while before := self.left:
            is_empty = await self.turn(in_thread, pull)
            patience.earn(before - self.left)
            if is_empty:
                await patience.wait(self.supply())

    def _pull(self, socket: int, block: memoryview, write: Write) -> bool:
        """Take in until the socket is empty, which is the answer, or it is the turn of others."""
        enough = max(self.left - _TURN_BYTES, 0)
        while self.left > enough:
            wanted = block[: self.left - enough]
            filled = _fill(socket, wanted)
            self.left -= filled
            if filled:
                write(wanted[:filled])
            if filled < len(wanted):
                return True
        return False

    def close(self) -> None:
        """The web server reads again; may be said twice."""
        if self.is_open:
            super().close()
            self._on_close(self.left)


OpenInlet: TypeAlias = "Callable[[int], Inlet]"
"""The inlet for that many bytes, which are what is still to come of the body. Raises ConnectionError if the client is gone."""


def _fill(socket: int, block: memoryview) -> int:
    """How many bytes were read into a block: as many as it has, or all there were. Raises ConnectionError where they end."""
    filled = 0
    while filled < len(block):
        try:
            count = os.readv(socket, [block[filled:]])
        except BlockingIOError:
            if not _has_more(socket):
                break
            continue
        if not count:
            raise ConnectionResetError("the client left in the middle of a body")
        filled += count
    return filled


def _has_more(socket: int) -> bool:
    """Whether the socket has bytes, or its end, now or in a moment."""
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return bool(waiting.poll(PATIENCE_MS))
