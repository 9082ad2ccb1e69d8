"""Objects in parts over the network: sent again, completed twice, after a restart, and by clients that lie."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tenuto.core.errors import StorageError
from tenuto.server import db
from tenuto.server.hub import Limits
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk
from tests.server.test_lfs import in_parts, parts_of, send_parts, sha256, spool_is_empty


def complete(answer: dict, data: bytes, tags: list[dict]) -> httpx2.Response:
    href = answer["actions"]["upload"]["href"]
    return httpx2.post(href, json={"oid": sha256(data), "parts": tags}, timeout=30)


def test_requests_to_complete_that_come_together_all_succeed(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: complete(answer, data, tags).status_code, range(8)))
    assert done == [200] * 8
    assert hub.hub.parts.store.read(sha256(data)) == data
    assert spool_is_empty(hub)


def test_what_a_busy_hub_could_not_publish_may_be_completed_again(
    hub: LiveHub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 20)
    with hub.hub.parts.database.write(), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: complete(answer, data, tags).status_code, range(4))) == [503] * 4
    monkeypatch.undo()
    assert complete(answer, data, tags).status_code == 200
    assert owner.talk.batch(owner.repo, (sha256(data), len(data))).json()["objects"][0].get("actions") is None
    assert hub.hub.parts.store.read(sha256(data)) == data
    assert spool_is_empty(hub)


def test_what_was_collected_before_it_was_published_is_to_be_sent_again(
    hub: LiveHub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    with monkeypatch.context() as patch, hub.hub.parts.database.write():
        patch.setattr(db, "BUSY_TIMEOUT_MS", 20)
        assert complete(answer, data, tags).status_code == 503
    hub.hub.parts.store.delete(sha256(data))
    assert complete(answer, data, tags).status_code == 503
    assert complete(answer, data, tags).status_code == 409
    assert complete(answer, data, send_parts(answer, data)).status_code == 200
    assert hub.hub.parts.store.read(sha256(data)) == data


def test_requests_to_complete_that_come_together_are_all_refused_in_good_order(
    hub: LiveHub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)

    def refuse(sealed: object) -> None:
        raise StorageError("no room left", code="DiskFull")

    with monkeypatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(hub.hub.parts.store, "publish", refuse)
        answers = list(pool.map(lambda _: complete(answer, data, tags), range(8)))
    assert sorted(one.status_code for one in answers) == [409] * 7 + [507]
    assert not [one.text for one in answers if hub.data_dir in one.text]
    assert complete(answer, data, send_parts(answer, data)).status_code == 200
    assert spool_is_empty(hub)


def test_parts_are_dropped_when_the_object_came_by_another_way(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    owner.talk.put_large(owner.repo, data)
    assert complete(answer, data, tags).status_code == 200
    assert spool_is_empty(hub)


def test_a_request_that_is_refused_at_once_changes_no_part(owner: Owner) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    href, piece = parts_of(answer, data)[1]
    assert httpx2.put(href, content=piece + b"x").status_code == 413
    assert complete(answer, data, tags).status_code == 200


def test_a_part_that_was_cut_short_is_to_be_sent_again(owner: Owner) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    href, piece = parts_of(answer, data)[1]
    assert httpx2.put(href, content=piece[:-1]).status_code == 422
    assert complete(answer, data, tags).status_code == 409
    tags[1]["etag"] = httpx2.put(href, content=piece).headers["ETag"]
    assert complete(answer, data, tags).status_code == 200


def test_the_tag_of_a_part_ends_when_other_bytes_take_its_place(owner: Owner) -> None:
    data = os.urandom(200_001)
    answer = in_parts(owner, data)
    tags = send_parts(answer, data)
    href, piece = parts_of(answer, data)[0]
    other = httpx2.put(href, content=bytes(len(piece))).headers["ETag"]
    assert complete(answer, data, tags).status_code == 409
    assert complete(answer, data, [{"partNumber": 1, "etag": other}, *tags[1:]]).status_code == 422
    assert complete(answer, data, send_parts(answer, data)).status_code == 200


LIMITS = Limits(multipart_from=1000, part=300_000)


def begun(hub: LiveHub, data: bytes) -> dict:
    """Links to send an object in parts of 300 kB to a new repo."""
    token = hub.user("ann")
    with closing(Talk(hub.url, token)) as talk:
        talk.create("ann/repo").raise_for_status()
        return in_parts(Owner("ann", token, talk, "ann/repo"), data)


def test_an_upload_goes_on_after_a_restart_of_the_hub(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    with LiveHub(str(tmp_path), limits=LIMITS) as hub:
        answer = begun(hub, data)
        first = [httpx2.put(href, content=piece).headers["ETag"] for href, piece in parts_of(answer, data)[:2]]
        before = hub.url
    with LiveHub(str(tmp_path), limits=LIMITS) as hub:
        answer = json.loads(json.dumps(answer).replace(before, hub.url))
        rest = [httpx2.put(href, content=piece).headers["ETag"] for href, piece in parts_of(answer, data)[2:]]
        tags = [{"partNumber": number, "etag": tag} for number, tag in enumerate(first + rest, 1)]
        assert complete(answer, data, tags).status_code == 200
        assert hub.hub.parts.store.read(sha256(data)) == data


def test_a_connection_that_hangs_does_not_keep_another_from_sending_its_part(tmp_path: Path) -> None:
    data = os.urandom(400_000)
    with LiveHub(str(tmp_path), limits=LIMITS) as hub:
        answer = begun(hub, data)
        href, piece = parts_of(answer, data)[0]
        place = urlsplit(href)
        head = f"PUT {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(piece)}\r\n"
        with socket.create_connection((place.hostname, place.port)) as hanging:
            hanging.sendall(f"{head}X-Amzn-Trace-Id: hanging\r\n\r\n".encode() + b"x" * 200_000)
            while not any(
                file.read_bytes().startswith(b"x") for file in Path(hub.hub.parts.store.spool).glob("blocks-*")
            ):
                time.sleep(0.01)  # it has to be the one that began first
            tags = send_parts(answer, data)
            hanging.sendall(bytes(len(piece) - 200_000))
            hub.wait_until_ended("hanging")
        assert complete(answer, data, tags).status_code == 200
        assert hub.hub.parts.store.read(sha256(data)) == data
