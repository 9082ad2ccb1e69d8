"""What is forged, cut, too large or a bomb is refused with a reason and leaves nothing behind: no file, no row, on any way in."""

import gzip
import hashlib
import json
import os
import secrets
import socket
import zlib
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import func, select

from tenuto.core.pack import frame_head
from tenuto.server.git_wire.protocol import ZERO_ID, Mark, packet
from tenuto.server.schema import metadata
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, some_file, some_xorb
from tests.server.conftest import Owner
from tests.server.talk import large, small
from tests.store.xet_build import chunk, file_block, shard

DATA = bytes(range(256)) * 600
OID = hashlib.sha256(DATA).hexdigest()
HEADER = b'{"key":"header","value":{"summary":"x"}}\n'


def kept(hub: LiveHub) -> tuple[dict[str, int], set[str]]:
    """How many rows each table has, and every file that holds bytes of users, whole or on its way in."""
    with hub.hub.parts.database.read() as connection:
        rows = {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in metadata.sorted_tables
        }
    folders = [os.path.join(hub.data_dir, name) for name in ("store-v1", "spool")]
    found = {os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names}
    return rows, {path for path in found if os.path.isfile(path)}


def link_for(owner: Owner, size: int = len(DATA)) -> str:
    return owner.talk.batch(owner.repo, (OID, size)).json()["objects"][0]["actions"]["upload"]["href"]


def in_parts(owner: Owner, content: bytes) -> httpx2.Response:
    """All parts of an object, and the request that joins them."""
    found = owner.talk.batch(owner.repo, (OID, len(DATA)), transfers=("multipart",)).json()["objects"][0]
    upload, tags = found["actions"]["upload"], []
    size = int(upload["header"]["chunk_size"])
    for number in range(1, len(upload["header"])):
        piece = content[(number - 1) * size : number * size]
        sent = owner.talk.put(upload["header"][f"{number:05d}"], piece)
        if sent.status_code != 200:
            return sent
        tags.append({"partNumber": number, "etag": sent.headers["ETag"]})
    return owner.talk.post(upload["href"], {"oid": OID, "parts": tags})


def lines(owner: Owner, *values: bytes) -> httpx2.Response:
    return owner.talk.client.post(f"/api/models/{owner.repo}/commit/main", content=b"".join(values))


def push(owner: Owner, pack: bytes, **headers: str) -> httpx2.Response:
    body = packet(f"{ZERO_ID} {'1' * 40} refs/heads/new\0report-status\n".encode()) + Mark.FLUSH.value + pack
    if headers:
        body = gzip.compress(body)
    return owner.talk.client.post(f"/{owner.repo}.git/git-receive-pack", content=body, headers=headers)


def pack_of(owner: Owner, body: bytes) -> httpx2.Response:
    return owner.talk.client.put(f"/api/models/{owner.repo}/pack", content=body)


def bomb() -> bytes:
    """A git pack with one blob that says it is small and unpacks to 64 MiB."""
    head = b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([0x35])
    body = head + zlib.compress(bytes(64 << 20))
    return body + hashlib.sha1(body).digest()


FORGED = some_file()
BOMB = chunk(bytes(131072), 1)[:5] + b"\1\0\0" + chunk(bytes(131072), 1)[8:]
Send = Callable[[Owner], httpx2.Response]
REFUSED: dict[str, Send] = {
    "an object of other bytes": lambda owner: owner.talk.put(link_for(owner), DATA[::-1]),
    "an object too short": lambda owner: owner.talk.put(link_for(owner), DATA[:-1]),
    "an object too long": lambda owner: owner.talk.put(link_for(owner), DATA + b"x"),
    "an object of another size than announced": lambda owner: owner.talk.put(link_for(owner, 7), DATA),
    "a link without its signature": lambda owner: owner.talk.put(link_for(owner).partition("?")[0], DATA),
    "a link with other claims": lambda owner: owner.talk.put(link_for(owner).replace("link=W", "link=X"), DATA),
    "a link for another object": lambda owner: owner.talk.put(link_for(owner).replace(OID, "f" * 64), DATA),
    "parts of other bytes": lambda owner: in_parts(owner, DATA[::-1]),
    "a pack of other bytes": lambda owner: pack_of(owner, frame_head(OID, 3) + b"abc"),
    "a pack that is cut": lambda owner: pack_of(owner, frame_head(OID, len(DATA)) + DATA[:-1]),
    "a pack with one lie": lambda owner: pack_of(owner, frame_head(OID, len(DATA)) + DATA + frame_head("0" * 64, 0)),
    "a pack of paths": lambda owner: pack_of(owner, frame_head("../../x", 1) + b"x"),
    "a pack that claims too much": lambda owner: pack_of(owner, b"\x40\x00\xff\xff\xff\xff" + b"0" * 64),
    "a commit that names what is not here": lambda owner: owner.talk.commit(owner.repo, large("x", OID, len(DATA))),
    "a commit that is cut": lambda owner: lines(owner, HEADER, json.dumps(small("a", b"x")).encode()[:-9]),
    "a commit that is deep": lambda owner: lines(owner, HEADER, b'{"key":' * 5000),
    "a commit with one bad path": lambda owner: owner.talk.commit(owner.repo, small("a", b"x"), small("../b", b"x")),
    "a commit with a line too long": lambda owner: lines(owner, HEADER, b'{"key":"file"' + b" " * (2 << 20)),
    "a xorb with another name": lambda owner: Cas(owner).put_xorb(some_xorb(), some_xorb().body),
    "a xorb that is a bomb": lambda owner: Cas(owner).put_xorb(some_xorb(), BOMB),
    "a shard of nothing here": lambda owner: Cas(owner).send("POST", "v1/shards", shard([file_block(FORGED)])),
    "a shard that is no shard": lambda owner: Cas(owner).send("POST", "v1/shards", b"HFRepoMetaData" + bytes(100)),
    "a push that is cut": lambda owner: push(owner, b"PACK\0\0\0\2\0\0\0\1"),
    "a push that is a bomb": lambda owner: push(owner, bomb()),
    "a push that is zipped twice": lambda owner: push(owner, gzip.compress(bomb()), **{"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_leaves_nothing(hub: LiveHub, owner: Owner, name: str) -> None:
    before = kept(hub)
    answer = REFUSED[name](owner)
    if answer.status_code == 200:  # git is told inside of its own answer
        assert b"ng refs/heads/new" in answer.content
    else:
        assert 400 <= answer.status_code < 500
        assert answer.headers["X-Error-Message"]
        assert answer.headers["X-Error-Message"] in answer.text.replace('\\"', '"')
    assert kept(hub) == before


@pytest.mark.parametrize("way", ["object", "commit", "pack", "xorb", "shard", "push"])
def test_a_body_that_ends_in_the_middle_leaves_nothing(hub: LiveHub, owner: Owner, way: str) -> None:
    cas = Cas(owner)
    target = {
        "object": ("PUT", link_for(owner)),
        "commit": ("POST", f"{hub.url}/api/models/{owner.repo}/commit/main"),
        "pack": ("PUT", f"{hub.url}/api/models/{owner.repo}/pack"),
        "xorb": ("POST", f"{cas.base}/v1/xorbs/default/{some_xorb().name}"),
        "shard": ("POST", f"{cas.base}/v2/shards"),
        "push": ("POST", f"{hub.url}/{owner.repo}.git/git-receive-pack"),
    }
    method, url = target[way]
    token = cas.token if way in {"xorb", "shard"} else owner.token
    place = urlsplit(url)
    before = kept(hub)
    name = secrets.token_hex(8)
    head = f"{method} {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n"
    head += f"X-Amzn-Trace-Id: {name}\r\n"
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as raw:
        raw.sendall(f"{head}Content-Length: {len(DATA)}\r\n\r\n".encode() + DATA[:-100])
    hub.wait_until_ended(name)
    assert kept(hub) == before


@pytest.mark.parametrize("name", ["Authorization", "X-Amzn-Trace-Id", "Range", "If-None-Match", "Cookie"])
def test_a_header_that_is_too_long_is_refused_or_harmless(hub: LiveHub, owner: Owner, name: str) -> None:
    before = kept(hub)
    for size in (5_000, 60_000, 2_000_000):
        try:
            answer = httpx2.get(
                f"{hub.url}/{owner.repo}/resolve/main/.gitattributes", headers={name: "x" * size}, trust_env=False
            )
        except httpx2.TransportError:
            continue  # the connection was closed on it
        assert answer.status_code < 500
        assert len(answer.headers.get("X-Request-Id", "")) <= 64
    assert owner.talk.get("/health").status_code == 200
    assert kept(hub) == before
