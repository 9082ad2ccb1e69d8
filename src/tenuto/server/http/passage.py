"""The socket of a connection, lent by the web server for as long as a long body takes its own way through it."""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

T = TypeVar("T")
BLOCK_BYTES = 1 << 20
PATIENCE_MS = 2
"""A fast client is waited for in the thread: it is not worth a way through the event loop."""
InThread: TypeAlias = "Callable[[Callable[[int], bool], int], Awaitable[bool]]"


class Socket(Protocol):
    """What is needed of a connection."""

    def get_write_buffer_size(self) -> int:
        """Bytes that were written and are not in the socket yet."""

    def get_extra_info(self, name: str) -> io.IOBase:
        """`socket`: the socket, which knows its descriptor."""


class Passage:
    """A descriptor of its own for the socket of a connection that is not lost.

    So nothing can reach another connection that was given the number of this one after it was lost.
    """

    def __init__(self, transport: Socket) -> None:
        self._waiting: asyncio.Future[None] | None = None
        self._is_lost = False
        self.is_open = True
        self.descriptor = os.dup(transport.get_extra_info("socket").fileno())

    def lose(self) -> None:
        """The connection is gone: whoever waits is woken, and told."""
        self._is_lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    async def room(self) -> None:
        """The socket takes more bytes. Raises ConnectionError if the connection was lost."""
        loop = asyncio.get_running_loop()
        await self._until(loop.add_writer, loop.remove_writer)

    async def supply(self) -> None:
        """The socket has more bytes, or comes to its end. Raises ConnectionError if the connection was lost."""
        loop = asyncio.get_running_loop()
        await self._until(loop.add_reader, loop.remove_reader)

    async def _until(self, watch: Callable[[int, Callable[[], None]], object], leave: Callable[[int], object]) -> None:
        if not self._is_lost:
            self._waiting = asyncio.get_running_loop().create_future()
            watch(self.descriptor, self._wake)
            try:
                await self._waiting
            finally:
                leave(self.descriptor)
        self.check()

    async def turn(self, in_thread: InThread, step: Callable[[int], bool]) -> bool:
        """What `step` says, called with the descriptor in a thread. Raises ConnectionError, and what it raises."""
        self.check()
        return await to_its_end(in_thread(step, self.descriptor))

    def check(self) -> None:
        """Raises ConnectionError if the connection was lost."""
        if self._is_lost:
            raise ConnectionResetError("the client is gone")

    def close(self) -> None:
        """Release the descriptor."""
        self.is_open = False
        os.close(self.descriptor)


async def to_its_end(work: Awaitable[T]) -> T:
    """What it gives. Whoever is cancelled meanwhile waits for it all the same: nothing is to be closed under a thread."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    finally:
        await asyncio.wait([running])
