"""Discussions that are begun and gone on with in a browser."""

import pytest

from tests.server.conftest import Owner

HTML = {"Accept": "text/html"}


def send(talk, path: str, fields: dict[str, str], expected: int = 303):
    answer = talk.client.post(path, data=fields, headers=HTML, follow_redirects=False)
    assert answer.status_code == expected, answer.text[:500]
    return answer


def test_people_talk_about_a_repo(owner: Owner, make_owner, speak) -> None:
    place, other = f"/{owner.repo}/discussions", make_owner()
    begun = send(other.talk, place, {"title": "Owls?", "text": "Does it **hear**\r\nthem?"})
    assert begun.headers["Location"] == f"{place}/1"
    send(owner.talk, f"{place}/1", {"text": "It does."})
    page = speak(None).get(f"{place}/1", headers=HTML).text
    assert "<strong>hear</strong>" in page
    assert page.index("It does.") > page.index("Owls?")
    assert "Sign in</a> to say something" in page
    found = owner.talk.get(f"/api/models/{owner.repo}/discussions/1").json()
    assert [event["data"]["latest"]["raw"] for event in found["events"]] == ["Does it **hear**\nthem?", "It does."]


@pytest.mark.parametrize(
    "fields",
    [{}, {"title": "x"}, {"title": " ", "text": "y"}, {"title": "a\nb", "text": "y"}, {"title": "x", "text": " "}],
)
def test_what_says_nothing_is_refused(owner: Owner, fields: dict[str, str]) -> None:
    send(owner.talk, f"/{owner.repo}/discussions", fields, 400)
    assert owner.talk.get(f"/api/models/{owner.repo}/discussions").json()["count"] == 0


def test_a_comment_needs_a_discussion_and_an_account(owner: Owner, speak) -> None:
    send(owner.talk, f"/{owner.repo}/discussions/7", {"text": "x"}, 404)
    send(speak(None), f"/{owner.repo}/discussions", {"title": "x", "text": "y"}, 401)
