"""Downloads a file over one connection and throws it away, as fast as a client can take it.

    echo '{"url": "...", "token": "...", "hashed": false}' | python -m bench.hub.fetch

Prints one JSON object: `wall_s` from the connect to the last byte, `bytes`, `cpu_s` of this client, and `sha256` if that was asked for.
"""

import hashlib
import json
import resource
import socket
import sys
import time
from urllib.parse import urlsplit

BUFFER_BYTES = 1 << 20


def head_of(url: str, token: str, method: str = "GET") -> bytes:
    """The bytes of a request that keeps the connection."""
    parts = urlsplit(url)
    place = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {place} HTTP/1.1", f"Host: {parts.netloc}", "Accept: */*"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def connect(url: str) -> socket.socket:
    """A connection to the server of an address."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def length_of(head: bytes) -> int:
    """How many bytes follow a head, which must be a 200 with a length; raises ValueError."""
    status, _, fields = head.partition(b"\r\n")
    if not status.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"the answer was {status.decode(errors='replace')}")
    for field in fields.split(b"\r\n"):
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("the answer has no length")


def fetch(url: str, token: str, *, hashed: bool) -> dict[str, float | str]:
    """Download once. Raises ValueError for any answer but the whole file, and OSError."""
    buffer = bytearray(BUFFER_BYTES)
    view, hasher = memoryview(buffer), hashlib.sha256()
    began_s = time.perf_counter()
    with connect(url) as connection:
        connection.sendall(head_of(url, token))
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(4096)
            if not piece:
                raise ValueError("the server closed the connection")
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        hasher.update(rest)
        total, left = len(rest), length_of(head) - len(rest)
        while left > 0:
            count = connection.recv_into(buffer)
            if not count:
                raise ValueError(f"{left} bytes are missing")
            if hashed:
                hasher.update(view[:count])
            total += count
            left -= count
    wall_s = time.perf_counter() - began_s
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found: dict[str, float | str] = {"wall_s": wall_s, "bytes": total, "cpu_s": usage.ru_utime + usage.ru_stime}
    return found | ({"sha256": hasher.hexdigest()} if hashed else {})


if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(fetch(job["url"], job["token"], hashed=job["hashed"])))
