"""Long bodies: from the disk into the socket in a thread, past the event loop, which only waits while the socket is full."""

import asyncio
import contextlib
import io
import os
import select
from collections.abc import Awaitable, Callable
from typing import BinaryIO, TypeAlias

from tenuto.core.errors import IntegrityError
from tenuto.server.http.passage import BLOCK_BYTES, PATIENCE_MS, InThread, Passage, Socket
from tenuto.store.xet.assemble import Assembled

_TURN_BYTES = 16 << 20
_MOST_VIEWS = 256
BetweenTurns: TypeAlias = "Callable[[], Awaitable[None]]"


class Outlet(Passage):
    """The socket of a connection, for as long as nobody else writes to it."""

    def __init__(self, transport: Socket) -> None:
        super().__init__(transport)
        self._transport = transport

    async def flushed(self) -> None:
        """What was written before is in the socket. Raises ConnectionError."""
        await asyncio.sleep(0)
        while self._transport.get_write_buffer_size():
            await self.room()


class LongBody:
    """`length` bytes of an open file, from where it stands. To the web server it is a body like any other one, that has a length.

    The transport, when it is given this to write, says `begin`; `send` does the work.
    """

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._length = file, length
        self._outlet: Outlet | None = None
        self._descriptor, self._offset = _place(file)
        self._views: list[memoryview] = []
        self.left = length
        """Bytes that are not in the socket yet."""

    def __len__(self) -> int:
        return self._length

    def begin(self, transport: Socket) -> Outlet:
        """The connection that the bytes shall take."""
        self._outlet = Outlet(transport)
        return self._outlet

    async def send(self, in_thread: InThread, between_turns: BetweenTurns) -> None:
        """All bytes are in the socket.

        Raises ConnectionError if the client is gone, IntegrityError (CorruptObject) at the first byte that is not what it was,
        OSError, StorageError, and what `between_turns` raises, which is called at least every 16 MiB, and before bytes follow that
        the socket had no room for. `in_thread` calls a function in a thread; none is held while the socket is full.
        """
        outlet = self._outlet
        if outlet is None:
            raise ConnectionResetError("the client was gone before the body began")
        try:
            await outlet.flushed()
            while self.left:
                if await outlet.turn(in_thread, self._push):
                    await outlet.room()
                if self.left:
                    await between_turns()
        finally:
            outlet.close()

    def _push(self, socket: int) -> bool:
        """Send until the socket is full, which is the answer, or it is the turn of others."""
        enough = max(self.left - _TURN_BYTES, 0)
        while self.left > enough:
            try:
                sent = self._write(socket)
            except BlockingIOError:
                if not _has_room(socket):
                    return True
                continue
            if not sent:
                raise IntegrityError("a stored object is shorter than the hub knows it", code="CorruptObject")
            self.left -= sent
        return False

    def _write(self, socket: int) -> int:
        if self._descriptor is not None:
            offset = self._offset + self._length - self.left
            return os.sendfile(socket, self._descriptor, offset, min(self.left, _TURN_BYTES))
        if not self._views:
            self._views = self._read(min(self.left, BLOCK_BYTES))
        sent = os.writev(socket, self._views[:_MOST_VIEWS])
        self._views = _behind(self._views, sent)
        return sent

    def _read(self, wanted: int) -> list[memoryview]:
        if isinstance(self._file, Assembled):
            return self._file.take(wanted)
        return [memoryview(self._file.read(wanted))]


def _place(file: BinaryIO) -> tuple[int | None, int]:
    """The descriptor of a file on the disk, None for any other one, and where it stands."""
    with contextlib.suppress(io.UnsupportedOperation):
        return file.fileno(), file.tell()
    return None, 0


def _has_room(socket: int) -> bool:
    """Whether the socket takes bytes now or in a moment."""
    waiting = select.poll()
    waiting.register(socket, select.POLLOUT)
    return bool(waiting.poll(PATIENCE_MS))


def _behind(views: list[memoryview], sent: int) -> list[memoryview]:
    """What is left of these views."""
    for index, view in enumerate(views):
        if sent < len(view):
            return [view[sent:], *views[index + 1 :]]
        sent -= len(view)
    return []
