"""Two versions are chosen without typing, and compared; the same one twice, and one that is not there, are said to be so."""

import re

import pytest

from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


@pytest.fixture
def heads(owner: Owner) -> list[str]:
    """The newest commits of a repo, newest first."""
    for text in (b"one\n", b"two\n", b"three\n"):
        owner.talk.commit(owner.repo, small("a.txt", text)).raise_for_status()
    found = owner.talk.get(f"/api/models/{owner.repo}/commits/main").json()
    return [one["id"] for one in found]


def page_of(owner: Owner, path: str, status: int = 200) -> str:
    answer = owner.talk.get(f"/{owner.repo}/{path}", headers=HTML)
    assert answer.status_code == status
    return answer.text


def test_the_page_opens_with_the_last_change_and_offers_others(owner: Owner, heads: list[str]) -> None:
    page = page_of(owner, "compare")
    assert f'name="from" value="{heads[1][:12]}"' in page
    assert "1 file differs" in page
    offered = re.findall(r'<option value="([^"]+)"', page)
    assert offered[0] == "main"
    assert {one[:12] for one in heads} <= set(offered)


def test_the_same_version_twice_is_said_to_be_so(owner: Owner, heads: list[str]) -> None:
    page = page_of(owner, f"compare?from=main&to={heads[0][:12]}")
    assert "the same version twice: choose two" in page
    assert "0 files" not in page


def test_a_version_that_is_not_there_keeps_the_form_and_what_was_typed(owner: Owner, heads: list[str]) -> None:
    page = page_of(owner, "compare?from=nowhere&to=main", 404)
    assert 'role="alert"' in page
    assert "Invalid rev id" not in page
    assert 'value="nowhere"' in page
    assert 'name="to" value="main"' in page


def test_the_history_compares_each_change_with_the_one_before_and_with_the_head(owner: Owner, heads: list[str]) -> None:
    links = re.findall(r'href="(/[^"]+/compare\?[^"]+)"', page_of(owner, "commits/main"))
    assert f"/{owner.repo}/compare?from={heads[1][:12]}&amp;to={heads[0][:12]}" in links
    assert f"/{owner.repo}/compare?from={heads[1][:12]}&amp;to=main" in links
    assert f"/{owner.repo}/compare?from={heads[0][:12]}&amp;to=main" not in links
    for link in links:
        answer = owner.talk.get(link.replace("&amp;", "&"), headers=HTML)
        assert answer.status_code == 200
        assert "the same version twice" not in answer.text
