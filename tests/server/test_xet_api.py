"""Chunks over the wire, without a client that helps: tokens, files in every way, what is told of chunks."""

import time
from collections.abc import Callable

import httpx2
import pytest

from tenuto.server.signing import Claims
from tenuto.server.xet import telling as xet_telling
from tenuto.store.xet import hashes
from tenuto.store.xet.shard import XorbBlock, read_shard
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import RNG, Cas, committed, read_back, some_file, some_xorb
from tests.server.conftest import Owner
from tests.server.talk import Talk, large
from tests.store.xet_build import File, file_block, make_xorb, shard, xorb_block

Make = Callable[..., Owner]


def test_a_token_comes_as_json_and_in_headers(owner: Owner) -> None:
    for revision in ("main", "None", "refs%2Fpr%2F1", "0" * 40):
        answer = owner.talk.get(f"/api/models/{owner.repo}/xet-write-token/{revision}")
        said = answer.json()
        assert answer.headers["x-xet-cas-url"] == said["casUrl"]
        assert answer.headers["x-xet-access-token"] == said["accessToken"]
        assert answer.headers["x-xet-token-expiration"] == str(said["exp"])
        assert 600 <= said["exp"] - time.time() <= 3601


def test_who_gets_a_token(make_owner: Make, speak: Callable[[str | None], Talk], hub: LiveHub) -> None:
    public, private, other = make_owner(), make_owner(private=True), make_owner()
    reader = speak(hub.user(public.name, "read"))

    def status(talk: Talk, repo: str, right: str) -> int:
        return talk.get(f"/api/models/{repo}/xet-{right}-token/main").status_code

    assert [status(speak(None), public.repo, right) for right in ("read", "write")] == [200, 401]
    assert [status(other.talk, public.repo, right) for right in ("read", "write")] == [200, 403]
    assert [status(reader, public.repo, right) for right in ("read", "write")] == [200, 403]
    for talk in (speak(None), other.talk):
        assert [status(talk, private.repo, right) for right in ("read", "write")] == [404, 404]
        assert status(talk, "nobody/nothing", "read") == 404


def test_a_token_is_good_for_its_repo_and_right_only(make_owner: Make) -> None:
    owner, other = make_owner(), make_owner()
    mine, theirs, reading = Cas(owner), Cas(other), Cas(owner, right="read")
    xorb = some_xorb()
    mine.token, theirs.token = theirs.token, mine.token
    for cas in (mine, theirs):
        assert cas.put_xorb(xorb).status_code == 403
        assert cas.send("GET", f"v1/chunks/default/{xorb.name}").status_code == 403
        assert cas.send("GET", f"v2/reconstructions/{xorb.name}").status_code == 403
    assert reading.put_xorb(xorb).status_code == 403
    assert reading.grant(xorb.name) == 403
    assert reading.send("POST", "v2/shards").status_code == 403
    reading.token = "none"
    assert reading.send("GET", f"v2/reconstructions/{xorb.name}").status_code == 403


def test_a_token_ends(hub: LiveHub, owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb()
    scope, generation = map(int, cas.base.split("/")[-2:])
    signer = hub.hub.parts.signer
    for wrong in (
        Claims("xet-write", scope, str(generation), 0, 1, int(time.time()) - 1),
        Claims("xet-write", scope, str(generation + 1), 0, 1, int(time.time()) + 99),
        Claims("xet-data", scope, str(generation), 0, 1, int(time.time()) + 99),
    ):
        cas.token = signer.sign(wrong)
        assert cas.put_xorb(xorb).status_code == 403
    revoked = Cas(owner)
    token = next(one for one in hub.hub.list_tokens(owner.name))
    hub.hub.revoke_token(token.id)
    assert revoked.put_xorb(xorb).status_code == 403


def test_a_file_of_chunks_is_read_in_every_way(owner: Owner) -> None:
    cas, file = Cas(owner), some_file()
    cas.put_file(file)
    committed(owner, file)
    content = file.content
    head = owner.talk.client.head(f"/{owner.repo}/resolve/main/a.bin")
    assert (head.headers["content-length"], head.headers["etag"]) == (str(len(content)), f'"{file.sha256}"')
    read_back(owner, file)
    for start, end in ((0, 0), (5, 8999), (len(content) - 1, len(content) + 50), (2999, 3001)):
        part = owner.talk.read(owner.repo, "a.bin", headers={"Range": f"bytes={start}-{end}"})
        assert (part.status_code, part.content) == (206, content[start : end + 1])
        for version in (1, 2):
            assert cas.fetch(file.name, f"bytes={start}-{end}", version).startswith(content[start : end + 1])
    assert cas.fetch(file.name) == content
    batch = owner.talk.batch(owner.repo, (file.sha256, len(content)), operation="download").json()["objects"][0]
    assert httpx2.get(batch["actions"]["download"]["href"], trust_env=False).content == content
    assert owner.talk.listing(owner.repo)["a.bin"]["lfs"]["oid"] == file.sha256


def test_a_small_file_of_chunks_travels_in_a_pack(owner: Owner) -> None:
    file = some_file()
    Cas(owner).put_file(file)
    committed(owner, file)
    answer = owner.talk.post(f"/api/models/{owner.repo}/pack/main", {"paths": [".gitattributes", "a.bin"]})
    assert answer.status_code == 200
    assert answer.content.endswith(file.content)


def test_clients_are_told_to_use_xet_for_large_files_only(hub: LiveHub, owner: Owner) -> None:
    cas, small, block = Cas(owner), some_file(), make_xorb([RNG.randbytes(131_072)])
    huge = File([(block, 0, 1)] * 512)
    committed_whole = owner.talk.put_large(owner.repo, b"stored whole")
    for number, file in enumerate((small, huge)):
        cas.put_file(file)
        committed(owner, file, f"{number}.bin")
    assert owner.talk.commit(owner.repo, large("2.bin", committed_whole)).status_code == 200
    heads = [owner.talk.client.head(f"/{owner.repo}/resolve/main/{number}.bin").headers for number in range(3)]
    assert [head.get("x-xet-hash") for head in heads] == [None, huge.name, None]
    token_url = heads[1]["link"].removeprefix("<").partition(">")[0]
    assert token_url == f"{hub.url}/api/models/{owner.repo}/xet-read-token/{heads[1]['x-repo-commit']}"
    assert owner.talk.get(token_url).json()["casUrl"] == cas.base
    listed = owner.talk.listing(owner.repo)
    assert [listed[f"{number}.bin"].get("xetHash") for number in range(3)] == [None, huge.name, None]
    paths = owner.talk.post(f"/api/models/{owner.repo}/paths-info/main", {"paths": ["0.bin", "1.bin", "2.bin"]}).json()
    assert [one.get("xetHash") for one in paths] == [small.name, huge.name, None]


def test_a_second_shard_needs_no_xorb_of_its_own(owner: Owner) -> None:
    cas, first, second = Cas(owner), some_xorb(), some_xorb(3)
    cas.put_file(File([(first, 0, 6)]))
    mixed = File([(first, 4, 6), (second, 0, 3), (first, 0, 2)])
    assert cas.put_xorb(second).json() == {"was_inserted": True}
    assert cas.put_shard(shard([file_block(mixed)]))["result"] == 1
    assert cas.put_shard(shard([file_block(mixed)]))["result"] == 0
    committed(owner, mixed)
    read_back(owner, mixed)
    assert cas.fetch(mixed.name) == mixed.content


def test_many_files_share_one_xorb_and_one_shard(owner: Owner) -> None:
    cas, xorb = Cas(owner), some_xorb(40, 50)
    files = [File([(xorb, k, k + 1)]) for k in range(40)]
    cas.put_xorb(xorb)
    answer = cas.send("POST", "v1/shards", shard([file_block(one) for one in files], [xorb_block(xorb)]))
    assert answer.json() == {"result": 1}
    lines = [large(f"{k}.bin", one.sha256, len(one.content)) for k, one in enumerate(files)]
    assert owner.talk.commit(owner.repo, *lines).status_code == 200
    for k in (0, 17, 39):
        read_back(owner, files[k], f"{k}.bin")


def test_an_empty_file_and_what_lies_beyond_the_end(owner: Owner) -> None:
    cas, empty, file = Cas(owner), File([]), some_file()
    assert cas.put_shard(shard([file_block(empty)]))["type"] == "result"
    answer = cas.send("GET", f"v2/reconstructions/{'0' * 64}").json()
    assert answer == {"offset_into_first_range": 0, "terms": [], "xorbs": {}}
    committed(owner, empty, "empty")
    assert owner.talk.read(owner.repo, "empty").content == b""
    cas.put_file(file)
    size = len(file.content)
    for version in (1, 2):
        answer = cas.send("GET", f"v{version}/reconstructions/{file.name}", Range=f"bytes={size}-{size + 5}")
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")


def test_paths_of_older_clients(owner: Owner) -> None:
    cas, file = Cas(owner), some_file()
    xorb = file.parts[0][0]
    assert cas.send("POST", f"xorb/default/{xorb.name}", xorb.body).json() == {"was_inserted": True}
    assert cas.send("POST", f"xorbs/default/{xorb.name}", xorb.body).json() == {"was_inserted": False}
    body = shard([file_block(file)]) + b"tables and a footer"
    assert cas.send("POST", "shards", body).json() == {"result": 1}
    assert cas.send("POST", f"shard/default/{'a' * 64}", body).json() == {"result": 0}
    for path in ("reconstruction", "reconstructions"):
        assert "fetch_info" in cas.send("GET", f"{path}/{file.name}").json()
    for path in ("chunk", "chunks"):
        assert cas.send("GET", f"{path}/default/{hashes.to_text(xorb.hashes[:32])}").status_code == 200


def told(cas: Cas, one: bytes) -> tuple[bytes, list[XorbBlock]]:
    answer = cas.send("GET", f"v1/chunks/default/{hashes.to_text(one)}")
    assert answer.status_code == 200
    key = answer.content[-128:-96]
    return key, [block for block in read_shard(memoryview(answer.content)) if isinstance(block, XorbBlock)]


def test_the_first_chunk_of_a_file_and_marked_chunks_are_told_under_a_key(owner: Owner) -> None:
    number = 0
    while not hashes.is_marked(hashes.chunk_hash(b"chunk %d" % number)):
        number += 1
    marked = b"chunk %d" % number
    xorb, before = make_xorb([b"first", b"second", marked, b"last"]), some_xorb(3)
    cas, file = Cas(owner), File([(before, 0, 3), (xorb, 0, 4)])
    cas.put_file(file)
    for one in (before.hashes[:32], hashes.chunk_hash(marked)):
        key, blocks = told(cas, one)
        assert {block.hash for block in blocks} == {xorb.name, before.name}
        for block in blocks:
            source = xorb if block.hash == xorb.name else before
            chunks = [source.hashes[at : at + 32] for at in range(0, len(source.hashes), 32)]
            assert block.hashes == b"".join(hashes.keyed_hash(key, chunk) for chunk in chunks)
    assert told(cas, hashes.chunk_hash(marked))[1][0].hash == xorb.name
    for unknown in (b"second", b"first", b"never"):
        answer = cas.send("GET", f"v1/chunks/default/{hashes.to_text(hashes.chunk_hash(unknown))}")
        assert answer.status_code == 404
    first = cas.send("GET", f"v1/chunks/default/{hashes.to_text(before.hashes[:32])}").content
    assert first == cas.send("GET", f"v1/chunks/default/{hashes.to_text(before.hashes[:32])}").content


def test_two_repos_use_different_keys(make_owner: Make) -> None:
    file = some_file()
    keys = set()
    for owner in (make_owner(), make_owner()):
        Cas(owner).put_file(file)
        keys.add(told(Cas(owner), file.parts[0][0].hashes[:32])[0])
    assert len(keys) == 2


def test_all_of_a_file_is_told_so_that_no_end_of_it_is_sent_anew_but_no_more_than_is_worth_it(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    cas = Cas(owner)
    file = File([(make_xorb([b"xorb %d" % number]), 0, 1) for number in range(40)])
    for xorb, _, _ in file.parts:
        cas.put_xorb(xorb)
    assert cas.put_shard(shard([file_block(file)]))["type"] == "result"
    for most in (40, 32):
        first = told(cas, file.parts[0][0].hashes)[1]
        assert [block.hash for block in first] == [part[0].name for part in file.parts[:most]]
        monkeypatch.setattr(xet_telling, "_TOLD_XORBS", 32)
