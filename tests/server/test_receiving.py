"""Long bodies into a live hub: many on one connection, before the answers are read, from slow clients, from clients that leave or lie."""

import contextlib
import hashlib
import itertools
import os
import random
import select
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tenuto.server.hub import Limits
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, stored
from tests.server.conftest import Owner
from tests.server.talk import Talk, large
from tests.server.test_sending import answer, dial, read_line
from tests.store.xet_build import make_xorb

RNG = random.Random(6)
BIG = RNG.randbytes(24 << 20)
SIZES = [65_537, 100_000, (1 << 20) - 1, (1 << 20) + 1, 9 << 20]


class Upload(NamedTuple):
    """An object, and a place that takes it by PUT."""

    data: bytes
    place: str

    @property
    def tag(self) -> bytes:
        return hashlib.sha256(self.data).hexdigest().encode()

    def head(self, *headers: str, length: int | None = None, version: str = "1.1") -> bytes:
        lines = [f"PUT {self.place} HTTP/{version}", "Host: hub", *headers]
        lines += [f"Content-Length: {len(self.data) if length is None else length}"] * (length != -1)
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def upload(owner: Owner, data: bytes) -> Upload:
    one = owner.talk.batch(owner.repo, (hashlib.sha256(data).hexdigest(), len(data))).json()["objects"][0]
    link = urlsplit(one["actions"]["upload"]["href"])
    return Upload(data, f"{link.path}?{link.query}")


def uploads(owner: Owner, sizes: list[int]) -> list[Upload]:
    return [upload(owner, RNG.randbytes(size)) for size in sizes]


@contextlib.contextmanager
def dialed(hub: LiveHub) -> Iterator[tuple[socket.socket, socket.SocketIO]]:
    with dial(hub) as client, client.makefile("rb", buffering=0) as stream:
        yield client, stream


def holds(owner: Owner, one: Upload) -> bool:
    """Whether the very bytes are in the repo."""
    owner.talk.commit(owner.repo, large("one.bin", one.tag.decode(), len(one.data))).raise_for_status()
    return owner.talk.read(owner.repo, "one.bin").content == one.data


def wait_until_stored(hub: LiveHub, names: set[str]) -> None:
    deadline = time.monotonic() + 20
    while stored(hub) != names and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stored(hub) == names


HEALTH = b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n"


def test_many_bodies_and_other_questions_on_one_connection(hub: LiveHub, owner: Owner) -> None:
    many = uploads(owner, SIZES)
    with dialed(hub) as (client, stream):
        for one in many:
            client.sendall(one.head() + one.data)
            assert answer(stream)[0] == 200
            client.sendall(HEALTH)
            assert answer(stream) == (200, b'{"status":"ok"}')
        last = upload(owner, RNG.randbytes(200_000))
        client.sendall(last.head("Connection: close") + last.data)
        assert answer(stream)[0] == 200
        assert stream.read(1) == b""
    assert all(holds(owner, one) for one in [*many, last])


def test_bodies_that_are_sent_before_the_answers(hub: LiveHub, owner: Owner) -> None:
    many = uploads(owner, SIZES)
    with dialed(hub) as (client, stream):
        client.sendall(b"".join(one.head() + one.data + HEALTH for one in many))
        for _ in many:
            assert answer(stream)[0] == 200
            assert answer(stream) == (200, b'{"status":"ok"}')
    assert all(holds(owner, one) for one in many)


@pytest.mark.parametrize("step", [1_000, 65_536, 300_000])
def test_a_body_in_pieces_of_any_size(hub: LiveHub, owner: Owner, step: int) -> None:
    one = upload(owner, RNG.randbytes(1_500_000))
    request = one.head() + one.data + HEALTH
    with dialed(hub) as (client, stream):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), step):
            client.sendall(request[at : at + step])
            if at % 7 == 0:
                time.sleep(0.003)  # longer than a thread waits for more
        assert [answer(stream)[0], answer(stream)[0]] == [200, 200]
    assert holds(owner, one)


def test_a_client_that_waits_for_leave_gets_it(hub: LiveHub, owner: Owner) -> None:
    one = upload(owner, RNG.randbytes(3 << 20))
    with dialed(hub) as (client, stream):
        client.sendall(one.head("Expect: 100-continue"))
        assert [read_line(stream), read_line(stream)] == [b"HTTP/1.1 100 Continue", b""]
        client.sendall(one.data)
        assert answer(stream)[0] == 200
        client.sendall(HEALTH)
        assert answer(stream)[0] == 200
    assert holds(owner, one)


def test_a_client_that_waits_for_leave_is_refused_instead(hub: LiveHub, owner: Owner) -> None:
    one = upload(owner, RNG.randbytes(3 << 20))
    with dialed(hub) as (client, stream):
        client.sendall(one.head("Expect: 100-continue", length=1 << 30))
        assert answer(stream)[0] == 413


def test_the_first_version_of_the_protocol(hub: LiveHub, owner: Owner) -> None:
    one = upload(owner, RNG.randbytes(3 << 20))
    with dialed(hub) as (client, stream):
        client.sendall(one.head(version="1.0") + one.data)
        assert answer(stream)[0] == 200
        assert stream.read(1) == b""
    assert holds(owner, one)


def test_a_body_of_unknown_length(hub: LiveHub, owner: Owner) -> None:
    one = upload(owner, RNG.randbytes(3 << 20))
    pieces = (one.data[at : at + 400_000] for at in range(0, len(one.data), 400_000))
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    with dialed(hub) as (client, stream):
        client.sendall(one.head("Transfer-Encoding: chunked", length=-1) + body + HEALTH)
        assert [answer(stream)[0], answer(stream)[0]] == [200, 200]
    assert holds(owner, one)


@pytest.mark.parametrize("second", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_body_of_two_lengths_is_refused(hub: LiveHub, owner: Owner, second: str) -> None:
    one = upload(owner, RNG.randbytes(200_000))
    before = stored(hub)
    with dialed(hub) as (client, stream):
        client.sendall(one.head(second) + one.data)
        assert answer(stream)[0] == 400
    wait_until_stored(hub, before)


def test_a_body_that_is_refused_early_is_dropped_and_the_connection_goes_on(hub: LiveHub, owner: Owner) -> None:
    cas, before = Cas(owner), stored(hub)
    base = urlsplit(cas.base).path
    one = Upload(b"<html>" * 1_000_000, "")
    head = one.head(f"Authorization: Bearer {cas.token}").replace(
        b"PUT ", f"POST {base}/v1/xorbs/default/{'ab' * 32}".encode()
    )
    with dialed(hub) as (client, stream):
        client.sendall(head + one.data + HEALTH + head + one.data)
        for status in (400, 200, 400):
            assert answer(stream)[0] == status
        client.sendall(HEALTH)
        assert answer(stream)[0] == 200
    wait_until_stored(hub, before)


def test_a_body_that_is_refused_late_is_told_so(hub: LiveHub, owner: Owner) -> None:
    one = upload(owner, BIG)
    wrong = one._replace(data=BIG[:-1] + bytes([BIG[-1] ^ 1]))
    before = stored(hub)
    with dialed(hub) as (client, stream):
        for body, status in ((wrong, 422), (one, 200)):
            client.sendall(one.head() + body.data)
            assert answer(stream)[0] == status
    assert len(stored(hub)) == len(before) + 1


def test_forty_stuck_clients_hold_no_thread(hub: LiveHub, owner: Owner) -> None:
    stuck, fast, before = upload(owner, BIG), upload(owner, RNG.randbytes(9 << 20)), stored(hub)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(dial(hub)) for _ in range(40)]
        for number, client in enumerate(slow):
            client.sendall(stuck.head() + stuck.data[: 70_000 * number])
        with dialed(hub) as (client, stream):
            client.sendall(fast.head() + fast.data)
            assert answer(stream)[0] == 200
        slow[7].sendall(stuck.data[70_000 * 7 :])
        with slow[7].makefile("rb", buffering=0) as stream:
            assert answer(stream)[0] == 200
    assert holds(owner, stuck)
    assert holds(owner, fast)
    path = hub.hub.parts.store.file
    wait_until_stored(hub, before | {path(one.tag.decode()) for one in (stuck, fast)})


@contextlib.contextmanager
def ended(hub: LiveHub, count: int) -> Iterator[None]:
    """After the block the hub has answered, or given up, that many uploads more than before, and none of their bytes is left."""
    before, told = stored(hub), hub.log().count('"PUT"')
    yield
    deadline = time.monotonic() + 20
    while hub.log().count('"PUT"') < told + count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stored(hub) == before
    assert not any(word in hub.log() for word in ("ASGI callable", "failure"))


def open_sockets() -> int:
    """How many sockets this process, which is the hub as well, has open."""

    def is_socket(number: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        return False

    return sum(map(is_socket, os.listdir("/proc/self/fd")))


@pytest.mark.parametrize(
    ("way", "share"),
    [("close", 0.0), ("close", 0.003), ("close", 0.3), ("close", 0.999), ("half", 0.0), ("half", 0.3), ("reset", 0.5)],
)
def test_nothing_is_left_of_clients_that_leave(hub: LiveHub, owner: Owner, way: str, share: float) -> None:
    one, sockets = upload(owner, BIG), open_sockets()
    with contextlib.ExitStack() as stack, ended(hub, 4):
        leaving = [stack.enter_context(dial(hub)) for _ in range(4)]
        for client in leaving:
            client.sendall(one.head() + BIG[: int(len(BIG) * share)])
        for client in leaving:
            if way == "half":
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
                continue
            if way == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    deadline = time.monotonic() + 20
    while open_sockets() > sockets and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_sockets() <= sockets


def test_bytes_that_are_no_question_do_not_follow_a_body(hub: LiveHub, owner: Owner) -> None:
    one = upload(owner, RNG.randbytes(3 << 20))
    with dialed(hub) as (client, stream):
        client.sendall(one.head() + one.data + b"\0\0 this is no HTTP\r\n\r\n")
        told = b"".join(iter(lambda: stream.read(1 << 16), b""))
        assert [line for line in told.split(b"\r\n") if line.startswith(b"HTTP/")][-1] == b"HTTP/1.1 400 Bad Request"
    assert owner.talk.get("/health").status_code == 200


def test_whatever_comes_and_however_it_is_cut(hub: LiveHub, owner: Owner) -> None:
    rng = random.Random(7)
    for _ in range(25):
        many = uploads(owner, [rng.choice(SIZES[:4]) for _ in range(rng.randrange(1, 4))])
        request = b"".join(one.head() + one.data + HEALTH * rng.randrange(3) for one in many)
        cut = rng.choice([len(request), rng.randrange(len(request))])
        with dialed(hub) as (client, stream):
            for start, end in itertools.pairwise(sorted({0, cut, *(rng.randrange(cut + 1) for _ in range(5))})):
                client.sendall(request[start:end])
                time.sleep(rng.choice([0, 0.004]))
            client.sendall(rng.randbytes(rng.randrange(3)) if cut < len(request) else b"")
            if cut == len(request):
                for _ in range(request.count(b" HTTP/1.1\r\n")):
                    assert answer(stream)[0] == 200
    assert owner.talk.get("/health").status_code == 200


def test_a_push_that_came_zipped_is_unzipped(hub: LiveHub, owner: Owner) -> None:
    body = zlib.compress(RNG.randbytes(2 << 20), wbits=zlib.MAX_WBITS | 16)
    url = f"/{owner.repo}.git/git-receive-pack"
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-git-receive-pack-request"}
    assert owner.talk.client.post(url, content=body, headers=headers).status_code == 400


class Impatient(NamedTuple):
    hub: LiveHub
    owner: Owner


@pytest.fixture
def impatient() -> Iterator[Impatient]:
    with LiveHub(limits=Limits(request_stall_s=0.4, request_least_rate=1 << 20)) as hub:
        talk = Talk(hub.url, hub.user("slow"))
        talk.create("slow/repo").raise_for_status()
        yield Impatient(hub, Owner("slow", "", talk, "slow/repo"))
        talk.close()


def xorb_head(owner: Owner, length: int) -> bytes:
    cas = Cas(owner)
    place = f"{urlsplit(cas.base).path}/v1/xorbs/default/{'ab' * 32}"
    head = f"POST {place} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {cas.token}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("sent", [0, 100, 65_000, 400_000])
def test_a_xorb_that_stops_coming_ends_and_leaves_nothing(impatient: Impatient, sent: int) -> None:
    hub, owner = impatient
    body = make_xorb([RNG.randbytes(100_000) for _ in range(10)]).body
    before = stored(hub)
    with dialed(hub) as (client, stream):
        client.sendall(xorb_head(owner, len(body)) + body[:sent])
        assert answer(stream)[0] == 504
        wait_until_stored(hub, before)
        client.sendall(body[sent:] + HEALTH)  # what comes too late is dropped
        assert answer(stream)[0] == 200


def test_a_body_that_only_drips_ends_and_leaves_nothing(impatient: Impatient) -> None:
    hub, owner = impatient
    before, deadline = stored(hub), time.monotonic() + 20
    body = make_xorb([RNG.randbytes(100_000)]).body
    drops = iter(body)
    with dialed(hub) as (client, stream):
        client.sendall(xorb_head(owner, len(body)))
        while not select.select([client], [], [], 0.05)[0] and time.monotonic() < deadline:
            client.sendall(bytes([next(drops)]))  # never as long apart as a body may stall
        assert answer(stream)[0] == 504
    wait_until_stored(hub, before)


@pytest.mark.slow
def test_a_hub_that_stops_waits_some_seconds_for_bodies_and_leaves_nothing_of_them(tmp_path: Path) -> None:
    with LiveHub(str(tmp_path / "data")) as hub, contextlib.ExitStack() as stack:
        talk = Talk(hub.url, hub.user("owner"))
        stack.callback(talk.close)
        talk.create("owner/repo").raise_for_status()
        one, before = upload(Owner("owner", "", talk, "owner/repo"), BIG), stored(hub)
        for number in range(20):
            stack.enter_context(dial(hub)).sendall(one.head() + BIG[: 300_000 * number])
        deadline = time.monotonic() + 20
        while len(stored(hub)) < len(before) + 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        hub.stop()
        assert stored(hub) == before
