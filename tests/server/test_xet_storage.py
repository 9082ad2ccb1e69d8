"""Xorbs are the storage: what is kept, what is mended, what ends a download, what goes."""

import collections
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tenuto.server.holdings.chunks import drop_files
from tenuto.store.xet import hashes
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import RNG, Cas, committed, data_link, read_back, some_xorb
from tests.server.conftest import Owner
from tests.store.xet_build import File, file_block, make_xorb, shard, xorb_block

Make = Callable[..., Owner]


def test_the_first_body_of_a_xorb_stays(hub: LiveHub, owner: Owner) -> None:
    raws = [b"the same bytes, packed otherwise " * 40] * 3
    plain, packed = make_xorb(raws), make_xorb(raws, 1)
    cas = Cas(owner)
    assert cas.put_xorb(plain).json() == {"was_inserted": True}
    assert cas.put_xorb(packed).json() == {"was_inserted": False}
    with hub.hub.parts.xorbs.folder.open(plain.name) as file:
        assert file.read() == plain.body


def test_bytes_without_a_row_and_rows_without_bytes_are_mended_by_the_next_upload(hub: LiveHub, owner: Owner) -> None:
    raws = [b"some bytes, packed this way or that " * 30] * 3
    plain, packed, cas = make_xorb(raws), make_xorb(raws, 2), Cas(owner)
    xorbs = hub.hub.parts.xorbs
    with xorbs.folder.receive() as incoming:  # a process that was killed before its transaction ended
        incoming.write(packed.body)
        incoming.seal(packed.name)
        xorbs.folder.publish(packed.name, incoming)
    assert cas.grant(plain.name) == 404
    cas.put_file(File([(plain, 0, 3)]))
    assert cas.fetch(File([(plain, 0, 3)]).name) == b"".join(raws)
    xorbs.folder.delete(plain.name)
    assert cas.grant(plain.name) == 404
    assert cas.put_xorb(packed).json() == {"was_inserted": False}
    assert cas.grant(plain.name) == 200
    file = File([(plain, 0, 3)])
    committed(owner, file)
    read_back(owner, file)


def test_nothing_is_remembered_of_a_xorb_that_came_anew_in_another_packing(hub: LiveHub, owner: Owner) -> None:
    raws, cas, xorbs = [RNG.randbytes(9000) + bytes(9000) for _ in range(6)], Cas(owner), hub.hub.parts.xorbs
    file = File([(make_xorb(raws), 0, 6)])
    for scheme in (1, 2, [0, 1, 2] * 2, 1):
        xorb = make_xorb(raws, scheme)
        cas.put_file(File([(xorb, 0, 6)]))
        for _ in range(2):
            assert httpx2.get(data_link(cas, file), trust_env=False).content == xorb.body
        assert xorbs.table(xorb.name) == xorb.table()
        assert xorbs.told(xorb.name, bytes(32)).stored_bytes == len(xorb.body)
        os.rename(xorbs.folder.file(xorb.name), os.path.join(hub.data_dir, "set-aside"))


def test_no_table_of_bytes_that_are_gone_is_remembered(hub: LiveHub, owner: Owner) -> None:
    raws, cas, xorbs = [RNG.randbytes(500) + bytes(500) for _ in range(3)], Cas(owner), hub.hub.parts.xorbs
    packings = [make_xorb(raws, scheme) for scheme in (0, 1)]
    name = packings[0].name
    cas.put_xorb(packings[0])
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            xorbs.table(name)

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(ask) for _ in range(2)]
        try:
            for number in range(1, 25):
                xorbs.folder.delete(name)
                assert cas.put_xorb(packings[number % 2]).status_code == 200
                assert xorbs.table(name) == packings[number % 2].table()
        finally:
            over.set()
        assert [one.result() for one in asking] == [None, None]


def test_a_xorb_that_was_cut_short_is_sent_again(hub: LiveHub, owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb()
    file = File([(xorb, 0, 6)])
    cas.put_file(file)
    committed(owner, file)
    path = hub.hub.parts.xorbs.folder.file(xorb.name)
    assert cas.grant(xorb.name) == 200
    os.chmod(path, 0o644)
    os.truncate(path, len(xorb.body) - 1)
    assert cas.grant(xorb.name) == 404
    cas.put_xorb(xorb)
    assert cas.grant(xorb.name) == 200
    read_back(owner, file)


def test_a_file_whose_chunks_were_lost_is_taken_in_from_others(hub: LiveHub, owner: Owner) -> None:
    cas, old = Cas(owner), some_xorb()
    new = make_xorb([*old.raws, b"the same chunks in other company"])
    before, after = File([(old, 0, 6)]), File([(new, 0, 6)])
    assert before.name == after.name
    cas.put_file(before)
    committed(owner, before)
    first = f"v1/chunks/default/{hashes.to_text(old.hashes[:32])}"
    told = cas.send("GET", first).content
    assert hashes.from_text(old.name) in told
    assert "actions" not in owner.talk.batch(owner.repo, (before.sha256, len(before.content))).json()["objects"][0]
    hub.hub.parts.xorbs.folder.delete(old.name)
    assert "actions" in owner.talk.batch(owner.repo, (before.sha256, len(before.content))).json()["objects"][0]
    assert hashes.from_text(old.name) not in cas.send("GET", first).content, "a client would not send it again"
    cas.put_file(after)
    read_back(owner, before)
    assert cas.fetch(before.name) == before.content


def test_damage_ends_a_download_short_and_the_log_says_so(hub: LiveHub, owner: Owner) -> None:
    xorb = make_xorb([RNG.randbytes(100_000) for _ in range(50)])
    cas, file = Cas(owner), File([(xorb, 0, 50)])
    cas.put_file(file)
    committed(owner, file)
    path = hub.hub.parts.xorbs.folder.file(xorb.name)
    os.chmod(path, 0o644)
    with open(path, "r+b") as damaged:
        damaged.seek(100_008 * 30 + 5000)
        damaged.write(b"damage")
    got = bytearray()
    with owner.talk.client.stream("GET", f"/{owner.repo}/resolve/main/a.bin") as answer:
        assert answer.headers["content-length"] == str(len(file.content))
        with pytest.raises(httpx2.RemoteProtocolError):
            collections.deque(map(got.extend, answer.iter_raw()), 0)
    assert file.content.startswith(bytes(got))
    assert len(got) <= 3_000_000
    end = owner.talk.read(owner.repo, "a.bin", headers={"Range": f"bytes={31 * 100_000}-"})
    assert end.content == file.content[31 * 100_000 :]
    with httpx2.stream("GET", data_link(cas, file), trust_env=False) as answer:
        got = bytearray()
        with pytest.raises(httpx2.RemoteProtocolError):
            collections.deque(map(got.extend, answer.iter_raw()), 0)
    assert xorb.body.startswith(bytes(got))
    assert len(got) <= 30 * 100_008
    assert hub.log().count(f"chunk 30 of the stored xorb {xorb.name} is damaged") == 2


def test_damage_before_the_sha256_is_known_is_no_fault_of_the_client(hub: LiveHub, owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb()
    cas.put_xorb(xorb)
    path = hub.hub.parts.xorbs.folder.file(xorb.name)
    os.chmod(path, 0o644)
    with open(path, "r+b") as damaged:
        damaged.seek(500)
        damaged.write(b"damage")
    line = cas.put_shard(shard([file_block(File([(xorb, 0, 6)]))]))
    assert "chunk 0 of the stored xorb" in str(line["message"])
    assert cas.send("POST", "v1/shards", shard([file_block(File([(xorb, 0, 6)]))])).status_code == 500


def test_dropping_files_frees_their_bytes_and_moves_the_address_on(hub: LiveHub, owner: Owner) -> None:
    cas, shared, own = Cas(owner), some_xorb(), some_xorb()
    kept, dropped = File([(shared, 0, 6)]), File([(shared, 0, 3), (own, 0, 6)])
    pending = some_xorb()
    cas.put_file(kept)
    cas.put_file(dropped)
    cas.put_xorb(pending)
    committed(owner, kept)
    link = data_link(cas, kept)
    parts, scope = hub.hub.parts, int(cas.base.split("/")[-2])
    with parts.database.write() as connection:
        gone = drop_files(parts.database, connection, scope, [dropped.sha256])
    assert sorted(gone) == sorted([own.name, pending.name])
    assert parts.xorbs.free(gone) == len(own.body) + len(pending.body)
    read_back(owner, kept)
    assert httpx2.get(link, trust_env=False).status_code == 200
    assert cas.send("GET", f"v2/reconstructions/{dropped.name}").status_code == 404
    # A client in the middle of an upload refers to what is gone: it is told so, and its next token leads elsewhere.
    assert cas.put_xorb(own).status_code == 409
    assert "dropped stored data" in str(cas.put_shard(shard([file_block(kept)]))["message"])
    fresh = Cas(owner)
    assert fresh.base != cas.base
    assert fresh.grant(shared.name) == 200
    assert fresh.grant(own.name) == 404
    fresh.put_file(dropped)
    committed(owner, dropped, "again.bin")
    read_back(owner, dropped, "again.bin")


def test_a_repo_deleted_during_an_upload(owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb()
    assert owner.talk.delete(owner.repo).status_code == 200
    assert cas.put_xorb(xorb).status_code == 404
    assert cas.send("POST", "v2/shards", shard([])).status_code == 404


def test_a_large_shard_is_read_from_a_file(owner: Owner) -> None:
    xorb = make_xorb([b"%d" % number for number in range(3000)])
    cas = Cas(owner)
    cas.put_xorb(xorb)
    files = [File([(xorb, number, number + 1)]) for number in range(3000)] + [
        File([(xorb, number, number + 2), (xorb, 0, 1)]) for number in range(2000)
    ]
    body = shard([file_block(one) for one in files], [xorb_block(xorb)])
    assert len(body) > 1 << 20
    assert cas.put_shard(body) == {"type": "result", "result": 1}
    for file in (files[7], files[-1]):
        assert cas.fetch(file.name) == file.content
        assert hashlib.sha256(file.content).hexdigest() == file.sha256
