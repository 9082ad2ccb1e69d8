"""A download that runs when its right ends: it ends short, by whichever way the bytes go and however the right ended."""

import contextlib
import hashlib
import json
import random
import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, data_link
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small
from tests.store.xet_build import File, make_xorb

RNG = random.Random(7)
# All of them larger than what goes out between two looks at the right (16 MiB), and than what the sockets of a loopback swallow.
LONG = RNG.randbytes(24 << 20)
MANY = {f"part-{number}.bin": RNG.randbytes(1_000_000) for number in range(24)}
_WINDOW_BYTES = 1 << 16


class World(NamedTuple):
    """A gated repo with files of every sort, its owner, and somebody who was let in."""

    hub: LiveHub
    owner: Owner
    name: str
    token: str
    chunks: File

    @property
    def api(self) -> str:
        return f"/api/models/{self.owner.repo}"

    def set(self, **settings: object) -> None:
        self.owner.talk.client.put(f"{self.api}/settings", json=settings).raise_for_status()

    def handle(self, status: str) -> None:
        body = {"user": self.name, "status": status}
        self.owner.talk.post(f"{self.api}/user-access-request/handle", body).raise_for_status()


@pytest.fixture(scope="module")
def world(hub: LiveHub) -> Iterator[World]:
    token = hub.user("keeper")
    talk = Talk(hub.url, token)
    talk.create("keeper/repo").raise_for_status()
    owner = Owner("keeper", token, talk, "keeper/repo")
    oid = talk.put_large(owner.repo, LONG)
    parts = [large(path, talk.put_large(owner.repo, data)) for path, data in MANY.items()]
    talk.commit(owner.repo, large("long.bin", oid, len(LONG)), *parts).raise_for_status()
    for start in range(0, 24, 8):  # what git sends as objects of its own
        lines = [small(f"text-{number}.txt", RNG.randbytes(950_000)) for number in range(start, start + 8)]
        talk.commit(owner.repo, *lines).raise_for_status()
    xorb = make_xorb([RNG.randbytes(100_000) for _ in range(240)], [0] * 240)
    file = File([(xorb, 0, 240)])
    Cas(owner).put_file(file)
    committed(owner, file, "chunks.bin")
    yield World(hub, owner, "guest", hub.user("guest"), file)
    talk.close()


@pytest.fixture(autouse=True)
def let_in(world: World) -> None:
    """The guest has access to a gated repo, and nothing else is special."""
    world.set(gated="manual", private=False)
    base = f"{world.api}/user-access-request"
    world.owner.talk.post(f"{base}/grant", {"user": world.name, "days": 1})


class Download:
    """A request whose answer is taken as slowly as one likes."""

    def __init__(
        self, world: World, method: str, url: str, body: bytes = b"", *headers: str, token: str | None = ""
    ) -> None:
        address = urlsplit(url if "://" in url else world.hub.url + url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW_BYTES)
        self._socket.settimeout(30)
        self._socket.connect((address.hostname, address.port))
        place = f"{address.path}?{address.query}" if address.query else address.path
        lines = [f"{method} {place} HTTP/1.1", "Host: hub", f"Content-Length: {len(body)}", *headers]
        if token is not None:
            lines.append(f"Authorization: Bearer {token or world.token}")
        self._socket.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)
        self.stream = self._socket.makefile("rb", buffering=0)
        head = b""
        while not head.endswith(b"\r\n\r\n") and (more := self.stream.read(1)):
            head += more
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines if line)
        self.length = int(self.headers["content-length"])

    def rest(self) -> int:
        """How many bytes came until the end."""
        size = 0
        with contextlib.suppress(ConnectionError):
            while more := self.stream.read(1 << 20):
                size += len(more)
                if size == self.length:
                    break
        self._socket.close()
        return size


def resolve(world: World) -> Download:
    return Download(world, "GET", f"/{world.owner.repo}/resolve/main/long.bin")


def chunks(world: World) -> Download:
    return Download(world, "GET", f"/{world.owner.repo}/resolve/main/chunks.bin")


def link(world: World) -> Download:
    talk = Talk(world.hub.url, world.token)
    found = talk.batch(world.owner.repo, (hashlib.sha256(LONG).hexdigest(), len(LONG)), operation="download").json()
    talk.close()
    return Download(world, "GET", found["objects"][0]["actions"]["download"]["href"], token=None)


def xet(world: World) -> Download:
    talk = Talk(world.hub.url, world.token)
    cas = Cas(Owner(world.name, world.token, talk, world.owner.repo), right="read")
    talk.close()
    return Download(world, "GET", data_link(cas, world.chunks), token=None)


def pack(world: World) -> Download:
    body = json.dumps({"paths": list(MANY)}).encode()
    return Download(world, "POST", f"{world.api}/pack/main", body, "Content-Type: application/json")


def git(world: World) -> Download:
    head = world.owner.talk.head(world.owner.repo)
    wants = f"want {head} ofs-delta\n"
    body = f"{len(wants) + 4:04x}{wants}00000009done\n".encode()
    headers = ("Content-Type: application/x-git-upload-pack-request",)
    return Download(world, "POST", f"/{world.owner.repo}.git/git-upload-pack", body, *headers)


WAYS: list[Callable[[World], Download]] = [resolve, chunks, link, xet, pack, git]


@pytest.mark.parametrize("way", WAYS)
def test_a_revoked_grant_ends_it(world: World, way: Callable[[World], Download]) -> None:
    running = way(world)
    assert running.status in {200, 206}
    assert running.headers["cache-control"] == "private, no-store"
    world.handle("revoked")
    got = running.rest()
    assert got < running.length, "nobody may take it for whole"


@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_concern_it_leaves_it_alone(world: World, way: Callable[[World], Download]) -> None:
    running = way(world)
    world.owner.talk.commit(world.owner.repo, small("unrelated.txt", RNG.randbytes(9))).raise_for_status()
    assert running.rest() == running.length


def test_a_repo_that_becomes_private_ends_it(world: World) -> None:
    running = resolve(world)
    world.set(private=True)
    assert running.rest() < running.length


def test_a_gate_that_is_put_up_ends_what_anybody_downloads(world: World) -> None:
    world.set(gated=False)
    running = Download(world, "GET", f"/{world.owner.repo}/resolve/main/long.bin", token=None)
    assert running.headers["cache-control"] == "private, no-cache"
    world.set(gated="auto")
    assert running.rest() < running.length


def test_a_repo_that_is_deleted_ends_it(world: World, make_owner: Callable[..., Owner]) -> None:
    owner = make_owner()
    oid = owner.talk.put_large(owner.repo, LONG)
    owner.talk.commit(owner.repo, large("long.bin", oid, len(LONG))).raise_for_status()
    running = Download(world, "GET", f"/{owner.repo}/resolve/main/long.bin", token=None)
    owner.talk.delete(owner.repo).raise_for_status()
    assert running.rest() < running.length


def test_a_repo_that_is_renamed_ends_nothing(world: World, make_owner: Callable[..., Owner]) -> None:
    owner = make_owner()
    oid = owner.talk.put_large(owner.repo, LONG)
    owner.talk.commit(owner.repo, large("long.bin", oid, len(LONG))).raise_for_status()
    running = Download(world, "GET", f"/{owner.repo}/resolve/main/long.bin", token=None)
    body = {"fromRepo": owner.repo, "toRepo": f"{owner.name}/moved", "type": "model"}
    owner.talk.post("/api/repos/move", body).raise_for_status()
    assert running.rest() == running.length


def test_a_token_that_is_revoked_ends_it(world: World) -> None:
    token = world.hub.hub.create_token(world.name, "read", "short")
    running = Download(world, "GET", f"/{world.owner.repo}/resolve/main/long.bin", token=token)
    hub = world.hub.hub
    (facts,) = [one for one in hub.list_tokens(world.name) if one.name == "short"]
    assert hub.revoke_token(facts.id)
    assert running.rest() < running.length


def test_a_grant_that_comes_to_its_end_ends_it(world: World) -> None:
    """Nobody changes anything: only the clock goes on."""
    parts = world.hub.hub.parts
    running, clock = resolve(world), parts.now_ms
    object.__setattr__(parts, "now_ms", lambda: clock() + 2 * 86_400_000)
    try:
        assert running.rest() < running.length
    finally:
        object.__setattr__(parts, "now_ms", clock)


def test_an_upload_whose_right_ended_counts_for_nothing(world: World) -> None:
    data = RNG.randbytes(1 << 20)
    oid = hashlib.sha256(data).hexdigest()
    token = world.hub.hub.create_token("keeper", "write", "doomed")
    talk = Talk(world.hub.url, token)
    href = talk.batch(world.owner.repo, (oid, len(data))).json()["objects"][0]["actions"]["upload"]["href"]
    talk.close()
    address = urlsplit(href)
    with socket.create_connection((address.hostname, address.port), 30) as connection:
        head = f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: hub\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data[:-1])
        (facts,) = [one for one in world.hub.hub.list_tokens("keeper") if one.name == "doomed"]
        world.hub.hub.revoke_token(facts.id)
        connection.sendall(data[-1:])
        answer = connection.makefile("rb").readline()
    assert int(answer.split()[1]) in {401, 403}
    assert oid not in {one["oid"] for one in world.owner.talk.get(f"{world.api}/lfs-files").json()}
