"""Long bodies on a live hub: whole, in part, to slow clients, to clients that leave, many on one connection."""

import collections
import contextlib
import hashlib
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, data_link
from tests.server.conftest import Owner
from tests.server.talk import Talk, large
from tests.store.xet_build import File, make_xorb

RNG = random.Random(5)
BIG = RNG.randbytes(24 << 20)
OTHER = RNG.randbytes(3 << 20)


@pytest.fixture(scope="module")
def sent(hub: LiveHub) -> Iterator[Callable[[str], bytes]]:
    """A repo whose files lie in the store in all three ways; what each of them holds."""
    token = hub.user("sender")
    talk = Talk(hub.url, token)
    talk.create("sender/repo").raise_for_status()
    owner = Owner("sender", token, talk, "sender/repo")
    for path, data in (("big.bin", BIG), ("other.bin", OTHER)):
        oid = talk.put_large("sender/repo", data)
        talk.commit("sender/repo", large(path, oid, len(data))).raise_for_status()
    raws = [RNG.randbytes(70_000) + bytes(30_000) for _ in range(90)]
    xorb = make_xorb(raws, [0, 1, 2] * 30)
    file = File([(xorb, 0, 90), (xorb, 7, 40)])
    Cas(owner).put_file(file)
    committed(owner, file, "chunks.bin")
    yield {"big.bin": BIG, "other.bin": OTHER, "chunks.bin": file.content}.__getitem__
    talk.close()


def dial(hub: LiveHub, *, room: int = 0) -> socket.socket:
    address = urlsplit(hub.url)
    client = socket.socket()
    if room:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.settimeout(30)
    client.connect((address.hostname, address.port))
    return client


def question(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} /sender/repo/resolve/main/{path} HTTP/1.1", "Host: hub", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def answer(stream: socket.SocketIO, *, bodiless: bool = False) -> tuple[int, bytes]:
    """Status and body of the next answer on a connection."""
    lines = list(iter(lambda: read_line(stream), b""))
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    wanted = 0 if bodiless else int(headers[b"content-length"])
    body = bytearray()
    while len(body) < wanted and (more := stream.read(min(wanted - len(body), 1 << 16))):
        body += more
    return int(lines[0].split()[1]), bytes(body)


def read_line(stream: socket.SocketIO) -> bytes:
    line = b""
    while not line.endswith(b"\r\n") and (more := stream.read(1)):
        line += more
    return line[:-2]


@pytest.mark.parametrize("path", ["big.bin", "chunks.bin"])
def test_many_answers_on_one_connection(hub: LiveHub, sent: Callable[[str], bytes], path: str) -> None:
    content = sent(path)
    half = len(content) // 2
    with dial(hub) as client, client.makefile("rb", buffering=0) as stream:
        for wanted, expected in (
            ("", content),
            (f"Range: bytes={half}-", content[half:]),
            ("Range: bytes=5-9", content[5:10]),
            (f"Range: bytes=-{half + 3}", content[-half - 3 :]),
        ):
            client.sendall(question(path, *([wanted] if wanted else [])))
            assert answer(stream) == (206 if wanted else 200, expected)
        client.sendall(question(path, method="HEAD"))
        assert answer(stream, bodiless=True) == (200, b"")
        client.sendall(question(path, "Connection: close"))
        assert answer(stream) == (200, content)
        assert stream.read(1) == b""


def test_questions_that_are_sent_before_the_answers(hub: LiveHub, sent: Callable[[str], bytes]) -> None:
    paths = ["big.bin", "chunks.bin", "other.bin", "big.bin"]
    with dial(hub) as client, client.makefile("rb", buffering=0) as stream:
        client.sendall(b"".join(map(question, paths)))
        for path in paths:
            assert answer(stream) == (200, sent(path))


@pytest.mark.parametrize("path", ["big.bin", "chunks.bin"])
def test_slow_clients_hold_no_thread(hub: LiveHub, sent: Callable[[str], bytes], path: str) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(dial(hub, room=4096)) for _ in range(40)]
        for client in slow:
            client.sendall(question(path))
        with dial(hub) as fast, fast.makefile("rb", buffering=0) as stream:
            fast.sendall(question("big.bin"))
            assert answer(stream) == (200, BIG)
        with slow[0].makefile("rb", buffering=0) as stream:
            assert answer(stream) == (200, sent(path))


def held() -> int:
    """How many stored files this process, which is the hub as well, has open."""

    def is_stored(number: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return "/store-v1/" in os.readlink(f"/proc/self/fd/{number}")
        return False

    return sum(map(is_stored, os.listdir("/proc/self/fd")))


def wait_until_held(number: int) -> None:
    deadline = time.monotonic() + 20
    while held() != number and time.monotonic() < deadline:
        time.sleep(0.02)
    assert held() == number


def test_nothing_is_held_for_clients_that_leave(hub: LiveHub, sent: Callable[[str], bytes]) -> None:
    wait_until_held(0)
    leaving = [dial(hub, room=4096) for _ in range(8)]
    for number, client in enumerate(leaving):
        client.sendall(question(("big.bin", "chunks.bin")[number % 2]))
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    wait_until_held(8)
    for number, client in enumerate(leaving):
        if number % 4 >= 2:
            client.shutdown(socket.SHUT_WR)  # no more will be asked; as ever, that ends the connection
        else:
            client.close()
    wait_until_held(0)
    for client in leaving:
        client.close()


def test_bytes_that_are_no_question_do_not_get_into_a_body(hub: LiveHub, sent: Callable[[str], bytes]) -> None:
    with dial(hub, room=4096) as client, client.makefile("rb", buffering=0) as stream:
        client.sendall(question("big.bin"))
        assert read_line(stream) == b"HTTP/1.1 200 OK"
        client.sendall(b"\0\0 this is no HTTP\r\n\r\n")
        while read_line(stream):
            pass
        body = bytearray()
        with contextlib.suppress(ConnectionError):
            while more := stream.read(1 << 16):
                body += more
        assert sent("big.bin").startswith(bytes(body))


def test_an_object_that_was_cut_ends_the_connection(hub: LiveHub, sent: Callable[[str], bytes]) -> None:
    path = hub.hub.parts.store.file(hashlib.sha256(OTHER).hexdigest())
    os.chmod(path, 0o644)
    os.truncate(path, 2 << 20)
    with dial(hub) as client, client.makefile("rb", buffering=0) as stream:
        client.sendall(question("other.bin"))
        assert answer(stream) == (200, OTHER[: 2 << 20])
        assert stream.read(1) == b""
    assert "a stored object is shorter than the hub knows it" in hub.log()


def test_damage_to_a_xorb_that_was_sent_before_is_never_sent(hub: LiveHub, owner: Owner) -> None:
    xorb = make_xorb([RNG.randbytes(30_000) + bytes(70_000) for _ in range(50)], [1, 2] * 25)
    cas, file = Cas(owner), File([(xorb, 0, 50)])
    cas.put_file(file)
    committed(owner, file)
    link = data_link(cas, file)
    assert httpx2.get(link, trust_env=False).content == xorb.body
    path, ends = hub.hub.parts.xorbs.folder.file(xorb.name), xorb.table().stored
    os.chmod(path, 0o644)
    with open(path, "r+b") as damaged:
        damaged.seek(ends[31] - 20_000)
        damaged.write(b"damage")
    got = bytearray()
    with httpx2.stream("GET", link, trust_env=False) as answer, pytest.raises(httpx2.RemoteProtocolError):
        collections.deque(map(got.extend, answer.iter_raw()), 0)
    assert xorb.body[: ends[30]].startswith(bytes(got))
    assert f"chunk 30 of the stored xorb {xorb.name} is damaged" in hub.log()
