"""A small HTTP server on loopback whose every answer is written by the test, and which remembers what it was sent."""

import contextlib
import http.server
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple


class Seen(NamedTuple):
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What to answer. `cut_at` ends the connection after so many bytes of the body (-1: without any answer), `pause_s` waits before
    the rest of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    cut_at: int | None = None
    pause_s: float = 0.0


OK = Reply(200, b"{}")


class Server(http.server.ThreadingHTTPServer):
    """The server; `seen` lists what it was asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Seen], Reply], port: int = 0) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.scheme = "http"
        self.stopped = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is nothing to report."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True
    server: Server

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass

    def _exchange(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body)
        self.server.seen.append(seen)
        reply = self.server.answer(seen)
        if reply.cut_at is not None and reply.cut_at < 0:
            self._cut()
            return
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        first = len(reply.body) // 2 if reply.cut_at is None else reply.cut_at
        self.wfile.write(reply.body[:first])
        if reply.pause_s:
            self.wfile.flush()
            self.server.stopped.wait(reply.pause_s)
        if reply.cut_at is None:
            self.wfile.write(reply.body[first:])
        else:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def serving(answer: Callable[[Seen], Reply], context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Server]:
    """The server, from start to stop; with a TLS context it speaks https."""
    server = Server(answer, port)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def in_turn(replies: Iterable[Reply]) -> Callable[[Seen], Reply]:
    """Give these replies one after the other, the last one for ever."""
    left = list(replies)
    lock = threading.Lock()

    def answer(_seen: Seen) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Return when `holds` does; fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
