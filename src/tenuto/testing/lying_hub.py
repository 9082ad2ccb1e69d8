"""A proxy on loopback that stands before a real hub and misbehaves by script; without a script it changes nothing.

with LyingHub(hub.url, [Lie("GET", r"/resolve/", WrongBytes())]) as liar:
    pull(endpoint=liar.url)
assert liar.requests[0].fault == WrongBytes()
"""

import contextlib
import http.client
import http.server
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tenuto.testing.lies import Answer, Fault, Lie

_BLOCK_BYTES = 1 << 16
_IDLE_S = 30.0
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"}


class Asked(NamedTuple):
    """A request that was made: its headers by lower-case name (the secret of Authorization left out), what was answered, and the lie told."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    fault: Fault | None


class LyingHub:
    """The proxy, from construction to `close`. `lies` may be changed at any time; of several that fit, the first one that is due is told."""

    def __init__(self, upstream: str, lies: Iterable[Lie] = ()) -> None:
        parts = urlsplit(upstream)
        self.upstream = f"{parts.scheme}://{parts.netloc}"
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.lies = list(lies)
        self.requests: list[Asked] = []
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._matched: dict[int, tuple[Lie, int]] = {}
        self._server = _Server(("127.0.0.1", 0), self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="lying-hub")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop: stalls end at once, open connections are dropped, every thread has ended when this returns."""
        self.stopped.set()
        self._server.shutdown()
        self._server.drop_connections()
        self._server.server_close()
        self._thread.join()

    def due(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        """The fault to show on this request. Every lie that fits counts the request, whether it is told or not."""
        told: Fault | None = None
        with self._lock:
            for lie in self.lies:
                if not lie.matches(method, path, headers):
                    continue
                count = self._matched.get(id(lie), (lie, 0))[1] + 1
                self._matched[id(lie)] = (lie, count)  # holding the lie, so that its id is nobody else's
                if told is None and count > lie.after and (lie.times is None or count <= lie.after + lie.times):
                    told = lie.fault
        return told

    def remember(self, asked: Asked) -> None:
        """Add to `requests`."""
        with self._lock:
            self.requests.append(asked)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], hub: LyingHub) -> None:
        self.hub = hub
        self._open: set[socket.socket] = set()
        self.to_reset: set[socket.socket] = set()
        super().__init__(address, _Exchange)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        self._open.discard(request)
        if request in self.to_reset:
            self.to_reset.discard(request)
            self.close_request(request)  # without the FIN that `shutdown_request` would send first
        else:
            super().shutdown_request(request)

    def drop_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in mid-answer is nothing to report; all else is."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = True  # else a body would wait 40 ms for word that its head has arrived
    server: _Server

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing: `requests` has it all."""

    def _exchange(self) -> None:
        hub = self.server.hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = hub.due(self.command, self.path, headers)
        body = self._request_body(headers)
        answer = fault.instead() if fault else None
        with contextlib.ExitStack() as stack:
            if answer is None:
                answer = self._ask(fault.forward(headers) if fault else headers, body, stack)
                answer = fault.bend(answer, hub.stopped.wait) if fault else answer
            else:
                for _ in body:
                    pass  # else the rest of the request would be read as the next one
            shown = {name: "***" if name == "authorization" else value for name, value in headers.items()}
            hub.remember(Asked(self.command, self.path, shown, answer.status, fault))
            self._send(answer)

    def _request_body(self, headers: dict[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(headers.get("content-length", "0"))
        while left > 0 and (block := self.rfile.read(min(left, _BLOCK_BYTES))):
            yield block
            left -= len(block)

    def _ask(self, headers: dict[str, str], body: Iterator[bytes], stack: contextlib.ExitStack) -> Answer:
        connection = http.client.HTTPConnection(*self.server.hub.address, timeout=_IDLE_S)
        stack.callback(connection.close)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        chunked = "transfer-encoding" in headers
        for name, value in _to_upstream(headers, self.server.hub).items():
            connection.putheader(name, value)
        connection.endheaders(body if chunked or "content-length" in headers else None, encode_chunked=chunked)
        answer = connection.getresponse()
        stack.callback(answer.close)
        return _from_upstream(answer, self.server.hub, self.command == "HEAD")

    def _send(self, answer: Answer) -> None:
        if answer.status:
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.headers.items():
                for line in value.split("\n"):
                    self.send_header(name, line)
            self.end_headers()
            if self.command != "HEAD":
                for block in answer.body:
                    self.wfile.write(block)
                    self.wfile.flush()
        if answer.ending == "kept":
            return
        self.close_connection = True
        if answer.ending == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.to_reset.add(self.connection)


def _to_upstream(headers: dict[str, str], hub: LyingHub) -> dict[str, str]:
    """Request headers for the real hub: under its own name, uncompressed so that addresses in answers can be found."""
    kept = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
    kept |= {"host": urlsplit(hub.upstream).netloc, "accept-encoding": "identity", "connection": "close"}
    return {**kept, "transfer-encoding": "chunked"} if "transfer-encoding" in headers else kept


def _from_upstream(answer: http.client.HTTPResponse, hub: LyingHub, head: bool) -> Answer:
    """The real hub's answer, with its own address replaced by that of the proxy in headers and JSON."""
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        name, value = name.lower(), value.replace(hub.upstream, hub.url)
        if name not in _HOP_BY_HOP:
            headers[name] = f"{headers[name]}\n{value}" if name in headers else value
    result = Answer(answer.status, answer.reason, headers, _blocks(answer))
    has_body = not head and answer.status not in {204, 304}
    if has_body and ("json" in headers.get("content-type", "") or "content-length" not in headers):
        body = result.whole().replace(hub.upstream.encode(), hub.url.encode())
        headers["content-length"] = str(len(body))
        result.body = [body]
    return result


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while block := answer.read(_BLOCK_BYTES):
        yield block
