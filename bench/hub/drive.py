"""Many clients in one process, each with a connection of its own that it keeps, asking again as soon as it is answered.

    echo '{"urls": [...], "token": "...", "method": "HEAD", "connections": 16, "start_s": ..., "warm_s": 1, "lasts_s": 5}' |
        python -m bench.hub.drive

`start_s` is a time of the monotonic clock, which all processes of a machine share: several drivers begin and end together. Prints one
JSON object: `latencies_s` of every answer inside the measured time, and `busy`, the share of a core that this process used of it.
"""

import json
import selectors
import socket
import sys
import time
from typing import Any

from bench.hub.fetch import connect, head_of, length_of

READ_BYTES = 1 << 16


class Client:
    """One connection with at most one request on its way."""

    def __init__(self, connection: socket.socket, requests: list[bytes], first: int, *, has_body: bool) -> None:
        self.connection = connection
        self._requests, self._number, self._has_body = requests, first, has_body
        self._answer = b""
        self._sent_s = 0.0

    def ask(self, now_s: float) -> None:
        """Send the next request."""
        self._sent_s = now_s
        self.connection.sendall(self._requests[self._number % len(self._requests)])
        self._number += 1

    def hear(self) -> float | None:
        """Read what has come; when it was the end of an answer, the seconds since its request. Raises ValueError for a bad answer."""
        piece = self.connection.recv(READ_BYTES)
        if not piece:
            raise ValueError("the server closed the connection")
        self._answer += piece
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or (length_of(head) > len(body) and self._has_body):
            return None
        self._answer = b""
        return time.monotonic() - self._sent_s


def drive(job: dict[str, Any]) -> dict[str, Any]:
    """Ask until the time is over. Raises ValueError for a bad answer or a start that is over, and OSError."""
    method = job["method"]
    requests = [head_of(url, job["token"], method) for url in job["urls"]]
    stride = max(1, len(requests) // job["connections"])
    clients = [
        Client(connect(job["urls"][0]), requests, number * stride, has_body=method != "HEAD")
        for number in range(job["connections"])
    ]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.connection, selectors.EVENT_READ, client)
        from_s = job["start_s"] + job["warm_s"]
        try:
            if time.monotonic() > job["start_s"]:
                raise ValueError("this driver came too late to begin with the others")
            time.sleep(max(0.0, job["start_s"] - time.monotonic()))
            return ask_and_hear(selector, clients, from_s, from_s + job["lasts_s"])
        finally:
            for client in clients:
                client.connection.close()


def ask_and_hear(
    selector: selectors.BaseSelector, clients: list[Client], from_s: float, until_s: float
) -> dict[str, Any]:
    """Keep every client busy; what was answered between the two times."""
    latencies_s: list[float] = []
    cpu_before_s = 0.0
    for client in clients:
        client.ask(time.monotonic())
    while (now_s := time.monotonic()) < until_s:
        if not cpu_before_s and now_s >= from_s:
            cpu_before_s = time.process_time()
        for key, _ in selector.select(until_s - now_s):
            client = key.data
            latency_s = client.hear()
            if latency_s is not None:
                now_s = time.monotonic()
                if from_s <= now_s < until_s:
                    latencies_s.append(latency_s)
                client.ask(now_s)
    return {"latencies_s": latencies_s, "busy": (time.process_time() - cpu_before_s) / (until_s - from_s)}


if __name__ == "__main__":
    print(json.dumps(drive(json.load(sys.stdin))))
