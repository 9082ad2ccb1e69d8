"""Large objects: what was not sent whole and right is never seen."""

import hashlib
import itertools
import os
import time

import httpx2
import pytest

from tenuto.server.signing import Claims
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, some_file
from tests.server.conftest import Owner
from tests.server.talk import large


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def offer(owner: Owner, data: bytes, **kwargs) -> dict:
    return owner.talk.batch(owner.repo, (sha256(data), len(data)), **kwargs).json()["objects"][0]


def spool_is_empty(hub: LiveHub) -> bool:
    """Nothing is left of uploads that failed. The connection may end a moment before its files do."""
    places = [hub.hub.parts.spool, hub.hub.parts.store.spool]
    for _ in range(100):
        if not any(os.listdir(place) for place in places if os.path.isdir(place)):
            return True
        time.sleep(0.02)
    return False


def is_visible(hub: LiveHub, owner: Owner, oid: str) -> bool:
    held = "actions" not in owner.talk.batch(owner.repo, (oid, 1)).json()["objects"][0]
    found = owner.talk.batch(owner.repo, (oid, 1), operation="download").json()["objects"][0]
    return hub.hub.parts.store.has(oid) or (held and "error" not in found)


def test_an_upload_in_one_piece(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(50_000)
    answer = offer(owner, data)
    assert answer["authenticated"]
    assert owner.talk.put(answer["actions"]["upload"]["href"], data).status_code == 200
    verify = answer["actions"]["verify"]["href"]
    assert httpx2.post(verify, json={"oid": sha256(data), "size": len(data)}).status_code == 200
    assert httpx2.post(verify, json={"oid": sha256(data), "size": 1}).status_code == 404
    assert offer(owner, data) == {"oid": sha256(data), "size": len(data)}
    download = offer(owner, data, operation="download")["actions"]["download"]["href"]
    assert httpx2.get(download).content == data
    part = httpx2.get(download, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert spool_is_empty(hub)


def test_an_object_that_was_cut_short_is_asked_for_again(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(2 << 20)
    oid = owner.talk.put_large(owner.repo, data)
    owner.talk.commit(owner.repo, large("a.bin", oid, len(data))).raise_for_status()
    path = hub.hub.parts.store.file(oid)
    os.chmod(path, 0o644)
    os.truncate(path, 1 << 20)
    assert "actions" in offer(owner, data)
    owner.talk.put_large(owner.repo, data)
    assert "actions" not in offer(owner, data)
    assert owner.talk.read(owner.repo, "a.bin").content == data


def test_clients_that_ask_how_send_by_xet_what_is_not_here_as_a_whole(owner: Owner) -> None:
    every, whole, chunked = ("basic", "multipart", "xet"), os.urandom(1000), some_file()
    new, size = ("d" * 64, 200_000), len(chunked.content)

    def transfer(*objects: tuple[str, int], transfers=every, operation: str = "upload") -> str:
        answer = owner.talk.batch(owner.repo, *objects, transfers=transfers, operation=operation)
        return str(answer.json()["transfer"])

    assert transfer(new) == "xet"
    assert transfer(new, transfers=("basic", "xet", "ssh")) == "basic", "an agent of git-lfs"
    assert transfer(new, operation="download") == "basic"
    Cas(owner).put_file(chunked)
    assert transfer((chunked.sha256, size), new) == "xet"
    assert transfer((chunked.sha256, size)) == "basic", "nothing is to be sent"
    oid = owner.talk.put_large(owner.repo, whole)
    assert transfer((oid, 1000), new) == "multipart", "by Xet it would be sent again"


def test_an_object_of_no_bytes(owner: Owner) -> None:
    oid = owner.talk.put_large(owner.repo, b"")
    owner.talk.commit(owner.repo, large("empty.bin", oid, 0)).raise_for_status()
    assert owner.talk.read(owner.repo, "empty.bin").content == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"wrong bytes of the right size!!", 422), (b"short", 422), (b"right bytes and more " * 9, 413), (b"", 422)],
)
def test_wrong_bytes_are_never_seen(hub: LiveHub, owner: Owner, sent: bytes, status: int) -> None:
    data = f"right bytes of {owner.name}".encode().ljust(31)
    href = offer(owner, data)["actions"]["upload"]["href"]
    answer = owner.talk.put(href, sent)
    assert answer.status_code == status
    assert not is_visible(hub, owner, sha256(data))
    if status == 422 and len(sent) == len(data):
        assert sha256(data) in answer.json()["error"]
        assert sha256(sent) in answer.json()["error"]
    assert owner.talk.commit(owner.repo, large("x", sha256(data), len(data))).status_code == 400
    assert spool_is_empty(hub)
    assert owner.talk.put(href, data).status_code == 200


def test_more_bytes_than_announced_are_not_even_taken_in(hub: LiveHub, owner: Owner) -> None:
    data = b"x" * 1000
    href = offer(owner, data)["actions"]["upload"]["href"]
    pieces = itertools.chain([data], itertools.repeat(b"y" * 65_536, 400))
    assert httpx2.put(href, content=pieces).status_code == 413
    assert spool_is_empty(hub)


def test_a_claimed_size_that_is_wrong_stores_nothing(hub: LiveHub, owner: Owner) -> None:
    data = b"some bytes"
    answer = owner.talk.batch(owner.repo, (sha256(data), 7)).json()["objects"][0]
    assert owner.talk.put(answer["actions"]["upload"]["href"], data).status_code == 413
    assert not is_visible(hub, owner, sha256(data))
    owner.talk.put_large(owner.repo, data)
    assert "error" in owner.talk.batch(owner.repo, (sha256(data), 7)).json()["objects"][0]


def parts_of(answer: dict, data: bytes) -> list[tuple[str, bytes]]:
    header = dict(answer["actions"]["upload"]["header"])
    size = int(header.pop("chunk_size"))
    assert sorted(header) == [f"{n:05d}" for n in range(1, len(header) + 1)]
    return [(header[key], data[index * size : (index + 1) * size]) for index, key in enumerate(sorted(header))]


def send_parts(answer: dict, data: bytes) -> list[dict]:
    tags = []
    for number, (href, piece) in enumerate(parts_of(answer, data), 1):
        sent = httpx2.put(href, content=piece)
        assert sent.status_code == 200
        tags.append({"partNumber": number, "etag": sent.headers["ETag"]})
    return tags


def in_parts(owner: Owner, data: bytes) -> dict:
    answer = owner.talk.batch(owner.repo, (sha256(data), len(data)), transfers=("basic", "multipart")).json()
    assert answer["transfer"] == "multipart"
    return answer["objects"][0]


def test_an_upload_in_parts(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    assert len(parts_of(answer, data)) == 4
    tags = send_parts(answer, data)
    done = httpx2.post(answer["actions"]["upload"]["href"], json={"oid": sha256(data), "parts": tags})
    assert done.status_code == 200, done.text
    owner.talk.commit(owner.repo, large("m.bin", sha256(data), len(data))).raise_for_status()
    assert owner.talk.read(owner.repo, "m.bin").content == data
    assert spool_is_empty(hub)


def test_parts_may_be_sent_again_and_in_any_order(owner: Owner) -> None:
    data = os.urandom(200_000)
    answer = in_parts(owner, data)
    tags = {}
    for number, (href, piece) in reversed(list(enumerate(parts_of(answer, data), 1))):
        httpx2.put(href, content=bytes(len(piece))).raise_for_status()
        tags[number] = httpx2.put(href, content=piece).headers["ETag"]
    parts = [{"partNumber": number, "etag": tags[number]} for number in sorted(tags)]
    done = httpx2.post(answer["actions"]["upload"]["href"], json={"oid": sha256(data), "parts": parts})
    assert done.status_code == 200


def test_parts_that_are_not_the_object_are_never_seen(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(150_000)
    answer = in_parts(owner, data)
    href = answer["actions"]["upload"]["href"]
    forged = send_parts(answer, bytes(len(data)))
    complete = {"oid": sha256(data), "parts": forged}
    assert httpx2.post(href, json=complete).status_code == 422
    assert not is_visible(hub, owner, sha256(data))
    for parts in ([], forged[:-1], forged[::-1], [*forged, forged[0]], [{**one, "etag": "x"} for one in forged]):
        assert httpx2.post(href, json={**complete, "parts": parts}).status_code == 400
    assert httpx2.post(href, json={**complete, "oid": "f" * 64}).status_code == 400
    first, piece = parts_of(answer, data)[0]
    assert httpx2.put(first, content=piece + b"x").status_code == 413
    assert httpx2.put(first, content=piece[:-1]).status_code == 422
    right = {"oid": sha256(data), "parts": send_parts(answer, data)}
    assert httpx2.post(href, json=right).status_code == 200


def test_small_objects_and_old_clients_get_one_piece(owner: Owner) -> None:
    for size, transfers in ((10, ("basic", "multipart")), (200_000, ("basic",)), (200_000, ("basic", "ssh"))):
        answer = owner.talk.batch(owner.repo, ("d" * 64, size), transfers=transfers).json()
        assert answer["transfer"] == "basic"
        assert answer["objects"][0]["actions"]["upload"]["header"] == {}


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "upload", "objects": [{"oid": "x", "size": 1}]},
        {"operation": "upload", "objects": [{"oid": "A" * 64, "size": 1}]},
        {"operation": "upload", "objects": [{"oid": "../" * 20 + "aaaa", "size": 1}]},
        {"operation": "upload", "objects": [{"oid": "a" * 64, "size": "1"}]},
        {"operation": "upload", "objects": [{"oid": "a" * 64, "size": 1.5}]},
        {"operation": "steal", "objects": []},
        {"operation": "upload", "objects": [{"oid": "a" * 64, "size": 1}], "hash_algo": "md5"},
        {},
        [],
    ],
)
def test_batches_that_do_not_fit(owner: Owner, body: object) -> None:
    answer = owner.talk.post(f"/{owner.repo}.git/info/lfs/objects/batch", body)
    assert answer.status_code == 400
    assert answer.json()["message"] == answer.json()["error"]


def test_limits_of_a_batch(owner: Owner) -> None:
    objects = [(f"{number:064x}", 1) for number in range(257)]
    assert owner.talk.batch(owner.repo, *objects).status_code == 413
    assert len(owner.talk.batch(owner.repo, *objects[1:]).json()["objects"]) == 256
    for size in (-1, 1 << 60):
        assert owner.talk.batch(owner.repo, ("a" * 64, size)).json()["objects"][0]["error"]["code"] == 422


def test_links_are_bound_to_operation_object_and_time(hub: LiveHub, owner: Owner) -> None:
    data = b"bound to one object"
    actions = offer(owner, data)["actions"]
    upload = actions["upload"]["href"]
    other = upload.replace(sha256(data), "e" * 64)
    assert owner.talk.put(other, b"x").status_code == 403
    assert owner.talk.put(actions["verify"]["href"].replace("verify", "upload"), data).status_code == 403
    assert owner.talk.put(upload[:-3] + "xxx", data).status_code == 403
    assert owner.talk.put(upload.partition("?")[0], data).status_code == 403
    assert httpx2.get(upload).status_code == 404
    signer, now_s = hub.hub.parts.signer, hub.hub.parts.now_ms() // 1000
    claims = Claims("upload", 1, sha256(data), len(data), 1, now_s - 1)
    assert owner.talk.put(f"{hub.url}/lfs/upload/{sha256(data)}?link={signer.sign(claims)}", data).status_code == 403
    assert not is_visible(hub, owner, sha256(data))


def test_links_end_with_the_token_they_were_made_for(hub: LiveHub, owner: Owner) -> None:
    data = b"revoked"
    oid = owner.talk.put_large(owner.repo, data)
    upload = offer(owner, b"other")["actions"]["upload"]["href"]
    download = offer(owner, data, operation="download")["actions"]["download"]["href"]
    assert httpx2.get(download).content == data
    (token,) = hub.hub.list_tokens(owner.name)
    hub.hub.revoke_token(token.id)
    assert httpx2.get(download).status_code == 403
    assert owner.talk.put(upload, b"other").status_code == 403
    assert not hub.hub.parts.store.has(sha256(b"other"))
    assert hub.hub.parts.store.has(oid)


def test_links_end_when_the_repo_is_gone_or_hidden(hub: LiveHub, owner: Owner, speak) -> None:
    data = b"gone"
    owner.talk.put_large(owner.repo, data)
    upload = offer(owner, b"late")["actions"]["upload"]["href"]
    mine = offer(owner, data, operation="download")["actions"]["download"]["href"]
    theirs = speak(None).batch(owner.repo, (sha256(data), len(data)), operation="download").json()
    anybody = theirs["objects"][0]["actions"]["download"]["href"]
    assert httpx2.get(anybody).content == data
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"visibility": "private"}).raise_for_status()
    assert (httpx2.get(anybody).status_code, httpx2.get(mine).status_code) == (404, 200)
    owner.talk.delete(owner.repo).raise_for_status()
    owner.talk.create(owner.repo).raise_for_status()
    assert httpx2.get(mine).status_code == 404
    assert owner.talk.put(upload, b"late").status_code == 404
    assert not hub.hub.parts.store.has(sha256(b"late"))


def test_git_lfs_is_asked_to_log_in(hub: LiveHub, owner: Owner, make_owner, speak) -> None:
    stranger, hidden = speak(None), make_owner(private=True)
    body = {"operation": "upload", "objects": []}
    for repo in (owner.repo, hidden.repo, "nobody/nothing"):
        answer = stranger.post(f"/{repo}.git/info/lfs/objects/batch", body)
        assert answer.status_code == 401
        assert answer.headers["LFS-Authenticate"].startswith("Basic")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    with_password = httpx2.post(
        f"{hub.url}/{hidden.repo}.git/info/lfs/objects/batch", json=body, auth=("anything", hidden.token)
    )
    assert with_password.status_code == 200
    assert with_password.headers["Content-Type"] == "application/vnd.git-lfs+json"
    wrong = httpx2.post(f"{hub.url}/{owner.repo}.git/info/lfs/objects/batch", json=body, auth=("x", "hf_wrong"))
    assert (wrong.status_code, wrong.headers["X-Error-Code"]) == (401, "BadToken")
