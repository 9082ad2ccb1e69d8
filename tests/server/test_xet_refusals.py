"""What is not true is refused with a reason and leaves nothing behind; nobody sees what is not his."""

import secrets
import socket
import struct
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2
import pytest

from tenuto.server.signing import Claims
from tenuto.store.xet import hashes
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, data_link, read_back, some_file, some_xorb, stored
from tests.server.conftest import Owner
from tests.server.talk import large
from tests.store.xet_build import File, chunk, file_block, frame, header, record, shard, xorb_block

Make = Callable[..., Owner]


GOOD = some_xorb()
SKIPPED = struct.pack("<II", 0x184D2A50, 4) + b"skip"


def framed(stored: bytes) -> bytes:
    """A chunk that claims to be the first one of the good xorb, packed so."""
    return header(len(stored), 1, len(GOOD.raws[0])) + stored


BAD_XORBS = {
    "a frame to be skipped": (framed(SKIPPED), "does not unpack"),
    "a frame behind one to be skipped": (framed(SKIPPED + frame(GOOD.raws[0])), "does not unpack"),
    "a frame before one to be skipped": (framed(frame(GOOD.raws[0]) + SKIPPED), "does not unpack"),
    "a frame in halves": (framed(frame(GOOD.raws[0][:1000]) + frame(GOOD.raws[0][1000:])), "does not unpack"),
    "a frame that does not end": (framed(frame(GOOD.raws[0])[:-4]), "does not unpack"),
    "empty": (b"", "no chunks"),
    "cut": (GOOD.body[:-1], "ends inside a chunk"),
    "a chunk missing": (GOOD.body[: -8 - len(GOOD.raws[-1])], "expected"),
    "other bytes": (GOOD.body[:-1] + bytes([GOOD.body[-1] ^ 1]), "expected"),
    "chunks in another order": (chunk(GOOD.raws[1]) + chunk(GOOD.raws[0]), "expected"),
    "no xorb at all": (b"<html>" * 50, "version"),
    "a bomb": (chunk(bytes(131072), 1)[:5] + b"\1\0\0" + chunk(bytes(131072), 1)[8:], "does not unpack"),
    "too many bytes": (chunk(bytes(131072), 1) * 513, "67108864"),
    "too many chunks": (chunk(b"x") * 8193, "8192"),
}


@pytest.mark.parametrize("name", BAD_XORBS)
def test_a_xorb_that_is_not_what_it_claims(hub: LiveHub, owner: Owner, name: str) -> None:
    cas, before = Cas(owner), stored(hub)
    body, reason = BAD_XORBS[name]
    answer = cas.put_xorb(GOOD, body)
    assert answer.status_code in {400, 413}
    assert reason in answer.json()["error"]
    assert cas.grant(GOOD.name) == 404
    assert stored(hub) == before


@pytest.mark.parametrize("name", ["abc", "A" * 64, "..%2F" + "a" * 61, "g" * 64])
def test_what_is_no_hash_is_refused_everywhere(owner: Owner, name: str) -> None:
    cas = Cas(owner)
    for method, path in (
        ("POST", f"v1/xorbs/default/{name}"),
        ("POST", f"v1/xorb-grants/default/{name}"),
        ("GET", f"v1/chunks/default/{name}"),
        ("GET", f"v2/reconstructions/{name}"),
    ):
        assert cas.send(method, path).status_code == 400


def test_a_body_that_is_too_long_is_refused_before_it_comes(hub: LiveHub, owner: Owner) -> None:
    cas, before = Cas(owner), stored(hub)
    address = urlsplit(cas.base)
    for path in (f"v1/xorbs/default/{GOOD.name}", "v2/shards"):
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            head = f"POST {address.path}/{path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {cas.token}\r\n"
            raw.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
            assert b" 413 " in raw.recv(100)
    assert stored(hub) == before


def test_a_client_that_goes_away_leaves_nothing(hub: LiveHub, owner: Owner) -> None:
    cas, before = Cas(owner), stored(hub)
    address = urlsplit(cas.base)
    name = secrets.token_hex(8)
    with socket.create_connection((address.hostname, address.port)) as raw:
        head = f"POST {address.path}/v1/xorbs/default/{GOOD.name} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {cas.token}\r\n"
        head += f"X-Amzn-Trace-Id: {name}\r\n"
        raw.sendall(f"{head}Content-Length: {len(GOOD.body)}\r\n\r\n".encode() + GOOD.body[:-100])
    hub.wait_until_ended(name)
    assert stored(hub) == before
    assert cas.grant(GOOD.name) == 404


SHARED = some_xorb()
TRUE = File([(SHARED, 0, 6), (SHARED, 2, 4)])


def changed(block: bytes, record_number: int, offset: int, value: int) -> bytes:
    at = 48 * record_number + offset
    return block[:at] + value.to_bytes(4, "little") + block[at + 4 :]


BAD_SHARDS = {
    "cut": (shard([file_block(TRUE)])[:-60], "ends where"),
    "no shard": (b"{}" * 100, "not a shard"),
    "no proofs": (shard([file_block(TRUE, proofs=False)]), "without the hashes of its terms"),
    "a wrong proof": (shard([changed(file_block(TRUE), 4, 0, 7)]), "does not have the hash"),
    "another file hash": (shard([file_block(TRUE, name="ab" * 32)]), TRUE.name),
    "another sha256": (shard([file_block(TRUE, sha256="cd" * 32)]), TRUE.sha256),
    "a term beyond the xorb": (shard([changed(file_block(TRUE), 1, 44, 7)]), "names chunks 0 to 7"),
    "a term of no chunks": (shard([changed(file_block(TRUE), 2, 40, 4)]), "names chunks 4 to 4"),
    "a term that ends before it starts": (shard([changed(file_block(TRUE), 2, 40, 5)]), "names chunks 5 to 4"),
    "another length": (shard([changed(file_block(TRUE), 1, 36, 99)]), "another length"),
    "an unknown xorb": (shard([file_block(File([(some_xorb(), 0, 2)]))]), "holds no xorb"),
    "an unknown xorb, listed": (shard([], [xorb_block(some_xorb())]), "holds no xorb"),
    "a xorb with another chunk": (shard([], [changed(xorb_block(SHARED), 2, 0, 7)]), "other chunks"),
    "a xorb with another place": (shard([], [changed(xorb_block(SHARED), 2, 32, 7)]), "other chunks"),
    "a xorb with fewer chunks": (shard([], [changed(xorb_block(SHARED), 0, 36, 5)[:-48]]), "other chunks"),
    "a xorb of another size": (shard([], [changed(xorb_block(SHARED), 0, 40, 5)]), "other chunks"),
    "more chunks than bytes": (
        shard([record(b"f" * 32, 3 << 30, 9000) + record(b"x" * 32, 0, 100, 0, 100) * 9000 + bytes(48 * 9001)]),
        "900000 chunks, too many for 900000 bytes",
    ),
    "turns for nothing": (
        shard(
            [
                record(b"f" * 32, 3 << 30, 150_000)
                + (record(b"x" * 32, 0, 999, 0, 1) + record(b"y" * 32, 0, 999, 0, 1)) * 75_000
                + bytes(48 * 150_001)
            ]
        ),
        "149999 turns from xorb to xorb, too many for 149850000 bytes",
    ),
    "a count that the hub is not to believe": (shard([record(b"f" * 32, 3 << 30, 0xFFFFFFFF)]), "ends where"),
    "more than a file may have": (
        shard([record(b"f" * 32, 1 << 31, 300) + record(b"x" * 32, 0, 0xFFFFFFFF, 0, 1) * 300 + bytes(48 * 300)]),
        "may have 1099511627776 bytes",
    ),
}


@pytest.mark.parametrize("name", BAD_SHARDS)
def test_a_shard_that_is_not_true(hub: LiveHub, owner: Owner, name: str) -> None:
    cas, (body, reason) = Cas(owner), BAD_SHARDS[name]
    cas.put_xorb(SHARED)
    line = cas.put_shard(body)
    assert (line["type"], line["retryable"]) == ("error", False)
    assert reason in str(line["message"])
    answer = cas.send("POST", "v1/shards", body)
    assert answer.status_code in {400, 413}
    assert reason in answer.json()["error"]
    assert owner.talk.commit(owner.repo, large("a.bin", TRUE.sha256, len(TRUE.content))).status_code == 400
    assert cas.send("GET", f"v2/reconstructions/{TRUE.name}").status_code == 404
    offer = owner.talk.batch(owner.repo, (TRUE.sha256, len(TRUE.content))).json()["objects"][0]
    assert "upload" in offer["actions"]


def test_one_lie_in_a_shard_keeps_the_truth_beside_it_out(owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb()
    cas.put_xorb(xorb)
    true, lie = File([(xorb, 0, 6)]), File([(xorb, 0, 3)])
    assert cas.put_shard(shard([file_block(true), file_block(lie, sha256="ef" * 32)]))["type"] == "error"
    assert cas.send("GET", f"v2/reconstructions/{true.name}").status_code == 404
    assert cas.put_shard(shard([file_block(true)]))["result"] == 1
    # What was computed once is held against later claims, too.
    again = cas.put_shard(shard([file_block(true, sha256="ef" * 32)]))
    assert true.sha256 in str(again["message"])


def test_a_wrong_size_is_refused_at_the_commit(owner: Owner) -> None:
    cas, file = Cas(owner), some_file()
    cas.put_file(file)
    assert owner.talk.commit(owner.repo, large("a.bin", file.sha256, len(file.content) - 1)).status_code == 400


@pytest.mark.parametrize("private", [True, False])
def test_nothing_of_one_repo_is_to_be_had_through_another(make_owner: Make, private: bool) -> None:
    alice, bob = make_owner(private=private), make_owner()
    file = some_file()
    xorb = file.parts[0][0]
    Cas(alice).put_file(file)
    committed(alice, file)
    cas = Cas(bob)
    assert cas.grant(xorb.name) == 404
    assert cas.send("GET", f"v1/chunks/default/{hashes.to_text(xorb.hashes[:32])}").status_code == 404
    assert [cas.send("GET", f"v{v}/reconstructions/{file.name}").status_code for v in (1, 2)] == [404, 404]
    assert "holds no xorb" in str(cas.put_shard(shard([file_block(file)]))["message"])
    assert "holds no xorb" in str(cas.put_shard(shard([], [xorb_block(xorb)]))["message"])
    assert bob.talk.commit(bob.repo, large("a.bin", file.sha256, len(file.content))).status_code == 400
    for operation in ("upload", "download"):
        one = bob.talk.batch(bob.repo, (file.sha256, len(file.content)), operation=operation).json()["objects"][0]
        assert ("upload" in one["actions"]) if operation == "upload" else (one["error"]["code"] == 404)
    # Whoever has the bytes sends them again, and they are stored once.
    assert cas.put_xorb(xorb).json() == {"was_inserted": True}
    cas.put_file(file)
    committed(bob, file)
    read_back(bob, file)


def test_two_repos_share_bytes_and_the_second_outlives_the_first(hub: LiveHub, make_owner: Make) -> None:
    alice, bob, file = make_owner(), make_owner(), some_file()
    Cas(alice).put_file(file)
    before = stored(hub)
    Cas(bob).put_file(file)
    assert stored(hub) == before
    committed(bob, file)
    assert alice.talk.delete(alice.repo).status_code == 200
    xorb = file.parts[0][0].name
    assert hub.hub.parts.xorbs.free([xorb]) == 0
    read_back(bob, file)
    assert bob.talk.delete(bob.repo).status_code == 200
    assert hub.hub.parts.xorbs.free([xorb]) == len(file.parts[0][0].body)
    assert len(stored(hub)) == len(before) - 1


def test_a_data_link_needs_no_token_and_gives_one_xorb(owner: Owner) -> None:
    cas, file, other = Cas(owner), some_file(), some_file()
    cas.put_file(file)
    cas.put_file(other)
    link, xorb = data_link(cas, file), file.parts[0][0]
    assert httpx2.get(link, trust_env=False).content == xorb.body
    part = httpx2.get(link, headers={"Range": "bytes=10-19"}, trust_env=False)
    assert (part.status_code, part.content) == (206, xorb.body[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(xorb.body)}"
    assert httpx2.get(link.replace(xorb.name, other.parts[0][0].name), trust_env=False).status_code == 403
    assert httpx2.get(link.replace("link=W", "link=X"), trust_env=False).status_code == 403
    assert httpx2.get(link.partition("?")[0], trust_env=False).status_code == 403


def test_a_data_link_gives_no_chunks_of_other_files(owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb()
    mine, beside = File([(xorb, 1, 3)]), File([(xorb, 3, 6)])
    cas.put_xorb(xorb)
    assert cas.put_shard(shard([file_block(mine), file_block(beside)]))["type"] == "result"
    link, table = data_link(cas, mine), xorb.table()
    first, end = table.stored[1], table.stored[3]

    def fetch(start: int, last: int) -> int:
        return httpx2.get(link, headers={"Range": f"bytes={start}-{last}"}, trust_env=False).status_code

    assert [fetch(first, end - 1), fetch(first + 5, first + 9)] == [206, 206]
    assert [fetch(first - 1, end - 1), fetch(first, end), fetch(0, 3), fetch(end, end + 5)] == [403] * 4
    assert httpx2.get(link, trust_env=False).status_code == 403
    assert cas.fetch(beside.name) == beside.content


def test_a_data_link_is_worth_what_its_token_is_worth_now(hub: LiveHub, make_owner: Make, speak) -> None:
    owner, file = make_owner(), some_file()
    cas = Cas(owner)
    cas.put_file(file)
    stranger = owner._replace(talk=speak(None))
    anonymous, own = data_link(Cas(stranger, right="read"), file), data_link(cas, file)
    signer, xorb = hub.hub.parts.signer, file.parts[0][0].name
    scope = int(cas.base.split("/")[-2])
    old = signer.sign(Claims("xet-data", scope, xorb, 0, 0, int(time.time()) - 1))
    assert httpx2.get(f"{hub.url}/xet/data/{xorb}?link={old}", trust_env=False).status_code == 403
    assert owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"private": True}).status_code == 200
    assert httpx2.get(anonymous, trust_env=False).status_code == 404
    assert httpx2.get(own, trust_env=False).status_code == 200
    hub.hub.revoke_token(next(one for one in hub.hub.list_tokens(owner.name)).id)
    assert httpx2.get(own, trust_env=False).status_code == 403


def test_a_data_link_of_one_repo_does_not_open_what_only_another_holds(hub: LiveHub, make_owner: Make) -> None:
    alice, bob, file = make_owner(private=True), make_owner(), some_file()
    Cas(alice).put_file(file)
    xorb, scope = file.parts[0][0].name, int(Cas(bob).base.split("/")[-2])
    forged = hub.hub.parts.signer.sign(Claims("xet-data", scope, xorb, 0, 0, int(time.time()) + 99))
    assert httpx2.get(f"{hub.url}/xet/data/{xorb}?link={forged}", trust_env=False).status_code == 404
