"""Runs an ASGI application on an address: the one place that knows the web server."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenuto.core.errors import UsageError
from tenuto.server.http.receiving import INLET, Inlet
from tenuto.server.http.sending import LongBody, Outlet
from tenuto.server.log import Log

GRACE_S = 10
KEEP_ALIVE_S = 75
_BACKLOG = 1024


class Service:
    """An application on an address. The address is taken at once; nothing is answered before `run`.

    `proxies`, addresses and networks with commas between, are believed when they say for whom they ask, and whether by https.
    """

    def __init__(self, app: Any, log: Log, host: str, port: int, proxies: str = "") -> None:
        self._log = log
        self._socket = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            http=_Connection,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            backlog=_BACKLOG,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
        )
        self._server = _Server(config)

    def run(self, on_ready: Callable[[str], None] | None = None) -> None:
        """Serve until `stop`, SIGTERM or SIGINT; running requests get some seconds to end."""
        self._server.on_ready = lambda: on_ready(self.url) if on_ready else None
        with _server_log(self._log):
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Let `run` come to its end; may be called from any thread."""
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not 0 <= port <= 65535:
            raise OverflowError("a port is a number from 0 to 65535")  # getaddrinfo would wrap it around
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot listen on {host} port {port}: {reason}",
            code="BadCommand",
            hint="choose another port with --port, or 0 for a free one",
        ) from error
    return listener


class _Transport:
    """The transport of a connection, which can be given a long body to write as well."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.outlet: Outlet | None = None

    def write(self, data: bytes | LongBody) -> None:
        if isinstance(data, LongBody):
            self.outlet = data.begin(self._transport)
        elif self.outlet is None or not self.outlet.is_open:  # else it would lie in the midst of a body
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Connection(HttpToolsProtocol):
    """A connection of uvicorn. Long bodies take their own way out of its socket and into it; when it is lost, they are told."""

    _way: _Transport
    _inlet: Inlet | None = None
    _unwanted_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._way = _Transport(transport)
        super().connection_made(cast("asyncio.Transport", self._way))

    def connection_lost(self, exc: Exception | None) -> None:
        for passage in (self._way.outlet, self._inlet):
            if passage:
                passage.lose()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {INLET: {"open": self._open_inlet}}

    def _open_inlet(self, left: int) -> Inlet:
        if self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        assert self.cycle.more_body, "there is no more of the body"
        assert not self.cycle.body, "the body was not taken so far"
        self.flow.pause_reading()
        self._inlet = Inlet(self.transport, left, self._go_on)
        return self._inlet

    def _go_on(self, left: int) -> None:
        """Read again. Of a body that the application did not take to its end, the rest is dropped as it comes."""
        if self.transport.is_closing():
            return
        self._unwanted_bytes = left
        if not left:
            self._end_body()
        self.flow.resume_reading()

    def _end_body(self) -> None:
        self.cycle.more_body = False
        self.parser = httptools.HttpRequestParser(self)  # the one before still waits for the bytes that went past it
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def data_received(self, data: bytes) -> None:
        dropped = min(self._unwanted_bytes, len(data))
        if dropped:
            self._unwanted_bytes -= dropped
            if not self._unwanted_bytes:
                self._end_body()
        if dropped < len(data):
            super().data_received(data[dropped:])
        else:
            self._unset_keepalive_if_required()


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and that returns after a signal instead of raising it again."""

    on_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # a second signal waits for nothing
        self.should_exit = True


class _JsonHandler(logging.Handler):
    """Passes what the web server says on to the log of the hub."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write("server", time.time_ns() // 1_000_000, level=record.levelname, message=record.getMessage())


@contextlib.contextmanager
def _server_log(log: Log) -> Iterator[None]:
    logger = logging.getLogger("uvicorn")
    handler = _JsonHandler(log)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
