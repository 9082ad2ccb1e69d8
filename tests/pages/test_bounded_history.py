"""What is read of the history, and of differences, for a page is bounded by what there is to read."""

import re

import pytest

from tenuto.server.pages import history_page
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


def test_of_wide_folders_fewer_versions_are_looked_at(owner: Owner) -> None:
    names = [f"{number:04d}-{'x' * 240}" for number in range(2500)]
    owner.talk.commit(owner.repo, *[small(f"d/{name}", b"0") for name in names]).raise_for_status()
    for number in range(15):
        owner.talk.commit(owner.repo, small(f"d/{names[number]}", b"1")).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/tree/main/d", headers=HTML).text
    assert re.search(rf"{names[14]}</a>.*?/commit/", page, re.DOTALL)
    last = owner.talk.get(f"/{owner.repo}/blob/main/d/{names[14]}", headers=HTML).text
    first = owner.talk.get(f"/{owner.repo}/blob/main/d/{names[0]}", headers=HTML).text
    assert "/commit/" in last
    assert "/commit/" not in first


def test_of_narrow_folders_all_versions_are_looked_at(owner: Owner) -> None:
    for number in range(30):
        owner.talk.commit(owner.repo, small(f"a/b/{number}.txt", b"0")).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/tree/main/a/b", headers=HTML).text
    assert "earlier" not in page
    assert "/commit/" in owner.talk.get(f"/{owner.repo}/blob/main/a/b/0.txt", headers=HTML).text


def test_of_very_many_differences_the_first_are_looked_for(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_page, "_MOST_COMPARED", 50)
    lines = [small(f"d{number:03d}/a.txt", b"%d" % number) for number in range(60)]
    owner.talk.commit(owner.repo, *lines).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/commit/main", headers=HTML).text
    assert "More than 25 files differ" in page
    assert "no more than these were looked for" in page
    page = owner.talk.get(f"/{owner.repo}/commit/main?path=d059/a.txt", headers=HTML).text
    assert '<span class="add">+59</span>' in page
