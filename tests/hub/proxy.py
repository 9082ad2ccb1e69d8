"""A real forward proxy on loopback: tunnels for https, requests passed on for http; it keeps every byte that clients sent it.

One that intercepts reads what goes through its tunnels: towards the client it has the certificate of an authority of its own.
"""

import contextlib
import selectors
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Proxy(socketserver.ThreadingTCPServer):
    """The proxy. With `credentials`, the value that Proxy-Authorization must have, it answers 407 without them.

    With `disguise`, what it shows to clients as if it were the host, it reads tunnels, and believes every host itself.
    """

    daemon_threads = True

    def __init__(self, credentials: str | None = None, disguise: ssl.SSLContext | None = None) -> None:
        self.credentials = credentials
        self.disguise = disguise
        self.heads: list[str] = []
        self.received = bytearray()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is nothing to report."""


class _Handler(socketserver.BaseRequestHandler):
    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        """Take one request, and be a pipe from then on."""
        head = self._head()
        line, _, fields = head.decode("latin-1").partition("\r\n")
        self.server.heads.append(line)
        wanted = self.server.credentials
        if wanted and f"proxy-authorization: {wanted}".lower() not in fields.lower():
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        method, target, _ = line.split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as upstream:
            if method == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                if self.server.disguise:
                    self._intercept(upstream, self.server.disguise)
                    return
            else:
                upstream.sendall(f"{method} {parts.path} HTTP/1.1\r\n{fields}".encode("latin-1"))
            back = threading.Thread(target=_pour, args=(upstream, self.request))
            back.start()
            _pour(self.request, upstream, self.server.received)
            back.join()

    def _intercept(self, upstream: socket.socket, disguise: ssl.SSLContext) -> None:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with (
            contextlib.suppress(OSError),  # a client that does not believe it goes away
            disguise.wrap_socket(self.request, server_side=True) as client,
            trusting.wrap_socket(upstream) as host,
        ):
            _both_ways(client, host, self.server.received)

    def _head(self) -> bytes:
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            byte = self.request.recv(1)
            if not byte:
                break
            head += byte
        self.server.received += head
        return bytes(head)


def _pour(source: socket.socket, target: socket.socket, copy: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            if copy is not None:
                copy += block
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _both_ways(client: ssl.SSLSocket, host: ssl.SSLSocket, copy: bytearray) -> None:
    """Until one of them ends. In one thread: TLS is not read and written by two at a time."""
    for one in (client, host):
        one.setblocking(False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(client, selectors.EVENT_READ)
        waiting.register(host, selectors.EVENT_READ)
        while True:
            waiting.select()
            for source, target in ((client, host), (host, client)):
                with contextlib.suppress(ssl.SSLWantReadError):
                    while block := source.recv(1 << 16):
                        target.sendall(block)
                        if source is client:
                            copy += block
                    return


@contextlib.contextmanager
def proxying(credentials: str | None = None, disguise: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """The proxy, from start to stop."""
    with Proxy(credentials, disguise) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
