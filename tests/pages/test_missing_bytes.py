"""What cannot be read is told on the page of plots, and not remembered: when it is there again, it is drawn."""

import hashlib
import json

import pytest

from tenuto.server.pages import samples
from tenuto.testing.live_hub import LiveHub
from tests.pages.world import tone
from tests.server.conftest import Owner
from tests.server.talk import large, small

HTML = {"Accept": "text/html"}


def test_a_log_whose_bytes_are_not_there_is_no_empty_one(hub: LiveHub, owner: Owner) -> None:
    log, store = b"step,loss\n0,2\n1,1\n", hub.hub.parts.store
    oid = owner.talk.put_large(owner.repo, log)
    owner.talk.commit(owner.repo, large("metrics.csv", oid, len(log))).raise_for_status()
    assert store.delete(oid)
    for _ in range(2):
        page = owner.talk.get(f"/{owner.repo}/insights", headers=HTML)
        assert page.status_code == 200
        assert oid in page.text
        assert "No log" not in page.text
        assert "polyline" not in page.text
    store.put(log)
    assert "polyline" in owner.talk.get(f"/{owner.repo}/insights", headers=HTML).text


def test_what_a_log_brings_beyond_its_bounds_is_told(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("metrics.jsonl", b'{"a":1}\n{"a":2}\n{a')).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/insights", headers=HTML).text
    assert "polyline" in page
    assert "metrics.jsonl: it is no JSON" in page


def test_recordings_and_tables_whose_bytes_are_not_there_are_told(hub: LiveHub, owner: Owner) -> None:
    name, store = f"{owner.name}/data", hub.hub.parts.store
    owner.talk.create(name, kind="dataset").raise_for_status()
    sound, short = tone(0.5), tone(0.2)
    prefix = "datasets/"
    answer = owner.talk.batch(name, *((oid, size) for oid, size in _named(sound, short)), prefix=prefix).json()
    for body, one in zip((sound, short), answer["objects"], strict=True):
        owner.talk.put(one["actions"]["upload"]["href"], body).raise_for_status()
    lines = [large(f"train/{number}.wav", oid, size) for number, (oid, size) in enumerate(_named(sound, short))]
    wide = small("test/metadata.jsonl", b'{"duration"')
    owner.talk.commit(name, *lines, wide, kind="datasets").raise_for_status()
    missing = _named(sound)[0][0]
    assert store.delete(missing)
    for _ in range(2):
        page = owner.talk.get(f"/datasets/{name}/insights", headers=HTML).text
        assert missing in page
        assert "test/metadata.jsonl: it is no JSON" in page
        assert "the 1 that were looked at last 0.2 seconds" in page
    store.put(sound)
    page = owner.talk.get(f"/datasets/{name}/insights", headers=HTML).text
    assert "all together last 0.7 seconds" in page
    assert missing not in page


def _named(*bodies: bytes) -> list[tuple[str, int]]:
    return [(hashlib.sha256(body).hexdigest(), len(body)) for body in bodies]


def test_one_huge_number_hides_nothing(owner: Owner) -> None:
    name = f"{owner.name}/data"
    owner.talk.create(name, kind="dataset").raise_for_status()
    rows = [{"duration": 10**400, "label": "\ud800"}, {"duration": 2.5, "label": "wren"}]
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    owner.talk.commit(name, small("train/metadata.jsonl", body), kind="datasets").raise_for_status()
    page = owner.talk.get(f"/datasets/{name}/insights", headers=HTML)
    assert page.status_code == 200
    assert "wren" in page.text
    assert "2.5 seconds" in page.text


def test_recordings_are_heard_for_a_while_and_no_longer(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{owner.name}/data"
    owner.talk.create(name, kind="dataset").raise_for_status()
    sounds = [small(f"train/wren/{number}.wav", tone(0.1 + number / 100)) for number in range(5)]
    owner.talk.commit(name, *sounds, kind="datasets").raise_for_status()
    monkeypatch.setattr(samples, "_HEARING_S", -1)
    page = owner.talk.get(f"/datasets/{name}/insights", headers=HTML).text
    assert "5 recordings" in page
    assert "wren" in page
    assert "Durations" not in page
