"""Of a long discussion each page is light, and all of it can be reached."""

import html
import re

import msgspec

from tenuto.server.schema import discussion_events
from tenuto.testing.live_hub import LiveHub
from tests.pages.test_budget import MOST_BYTES, MOST_STATEMENTS, statements, with_all_it_needs
from tests.server.conftest import Owner

HTML = {"Accept": "text/html"}


def say(hub: LiveHub, owner: Owner, texts: list[str]) -> str:
    """A discussion in which all of that was said; written into the database, for thousands of requests take their time."""
    answer = owner.talk.post(f"/api/models/{owner.repo}/discussions", {"title": "A title", "description": texts[0]})
    number = answer.json()["num"]
    repo = int(owner.talk.get(f"/api/models/{owner.repo}").json()["_id"])
    with hub.hub.parts.database.write() as connection:
        rows = [
            {
                "repo_id": repo,
                "number": number,
                "kind": "comment",
                "author_id": None,
                "created_ms": 0,
                "data": _data(text),
            }
            for text in texts[1:]
        ]
        if rows:
            connection.execute(discussion_events.insert(), rows)
    return f"/{owner.repo}/discussions/{number}"


def walk(owner: Owner, path: str) -> list[str]:
    """The pages of it, each led to by the one before."""
    place, pages = path, []
    while place:
        answer = owner.talk.get(place, headers=HTML)
        assert answer.status_code == 200
        assert with_all_it_needs(owner.talk, answer.text) < MOST_BYTES
        pages.append(answer.text)
        following = re.search(r'href="([^"]+)" rel="next"', answer.text)
        place = html.unescape(following[1]) if following else ""
        place = f"{path}{place}" if place.startswith("?") else place
    return pages


def test_each_of_very_many_comments_is_on_one_page(hub: LiveHub, owner: Owner) -> None:
    texts = [f"word-{number}-" for number in range(700)]
    pages = walk(owner, say(hub, owner, texts))
    assert re.findall(r"word-\d+-", "".join(pages)) == texts
    assert len(pages) > 5


def test_long_comments_can_be_read_to_their_end(hub: LiveHub, owner: Owner) -> None:
    long = "".join(f'"{number:06d}"' for number in range(8000))
    path = say(hub, owner, [long, "[a]: b\n" * 9000, "&" * 60_000, "short"])
    pages = walk(owner, path)
    assert "short" in pages[-1]
    links = re.findall(r'href="(\?comment=\d+)"', "".join(pages))
    assert len(links) == 3
    parts = [re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[1] for page in walk(owner, path + links[0])]  # type: ignore[index]
    assert html.unescape("".join(parts)) == long


def test_a_page_of_a_discussion_asks_little(hub: LiveHub, owner: Owner) -> None:
    path = say(hub, owner, [f"a word {number}" for number in range(300)])
    owner.talk.get(path, headers=HTML)
    with statements(hub) as asked:
        owner.talk.get(path, headers=HTML)
    assert len(asked) <= MOST_STATEMENTS


def test_who_said_something_sees_it(hub: LiveHub, owner: Owner) -> None:
    path = say(hub, owner, [f"word-{number}-" for number in range(100)])
    answer = owner.talk.client.post(path, data={"text": "the newest word"}, headers=HTML)
    page = owner.talk.get(answer.headers["Location"], headers=HTML).text
    assert "the newest word" in page
    assert "word-99-" in page
    assert "From the beginning" in page
    assert 'rel="next"' not in page
    assert "The latest ones" in owner.talk.get(path, headers=HTML).text


def test_only_comments_of_the_discussion_are_shown(hub: LiveHub, owner: Owner, make_owner) -> None:
    other = make_owner(private=True)
    secret = say(hub, other, ["only for its owner"])
    say(hub, owner, ["a word"])
    event = other.talk.get(f"/api/models{secret}").json()["events"][0]["id"]
    for query in (f"comment={int(event, 16)}", "comment=999999", "after=99999999999999999999999"):
        answer = owner.talk.get(f"/{owner.repo}/discussions/1?{query}", headers=HTML)
        assert answer.status_code == (404 if "comment" in query else 200)
        assert "only for its owner" not in answer.text


def _data(text: str) -> str:
    return msgspec.json.encode({"versions": [{"raw": text, "time_ms": 0, "author": "x"}]}).decode()


def test_a_comment_is_not_rewritten_without_end(owner: Owner) -> None:
    place = f"/api/models/{owner.repo}/discussions"
    owner.talk.post(place, {"title": "A title", "description": "first"}).raise_for_status()
    event = owner.talk.get(f"{place}/1").json()["events"][0]["id"]
    edit = f"{place}/1/comment/{event}/edit"
    answers = [owner.talk.post(edit, {"content": f"{number}" + "x" * 65_000}) for number in range(17)]
    assert {answer.status_code for answer in answers[:16]} == {200}
    assert (answers[16].status_code, answers[16].headers["X-Error-Code"]) == (413, "TooLarge")
    assert owner.talk.get(f"{place}/1").json()["events"][0]["data"]["latest"]["raw"].startswith("15x")
    owner.talk.post(f"{place}/1/comment/{event}/hide").raise_for_status()
