"""What goes wrong is said to people in sentences, without the words of programs."""

import socket

import pytest

from tenuto.core.errors import NotFoundError, UnavailableError, UsageError
from tenuto.server.http.outgoing import fetch
from tenuto.server.http.rates import too_many
from tenuto.server.pages.words import said_of, sentence
from tests.server.conftest import Owner

HTML = {"Accept": "text/html"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the name or the password is wrong", "The name or the password is wrong."),
        ("alice is there already", "alice is there already."),
        ("metadata.csv: it has no rows", "metadata.csv: it has no rows."),
        ("Take another one?", "Take another one?"),
        ("", ""),
    ],
)
def test_a_message_becomes_a_sentence_and_a_name_stays_a_name(text: str, said: str) -> None:
    assert sentence(text) == said


def test_a_failure_is_told_without_the_words_of_programs() -> None:
    gone = said_of(NotFoundError("Invalid rev id: old", code="RevisionNotFound"))
    assert gone == "This repository has no branch, tag or commit called “old”."
    assert said_of(UsageError("the body is too long")) == "The body is too long."


@pytest.mark.parametrize(
    ("wait_s", "said"),
    [(1, "a second"), (90, "90 seconds"), (121, "3 minutes"), (3600, "60 minutes"), (7300, "3 hours")],
)
def test_whoever_has_to_wait_is_told_in_words_how_long(wait_s: int, said: str) -> None:
    assert too_many("requests", wait_s).hint == f"try again in {said}"


def test_pages_of_failures_speak_to_people(owner: Owner) -> None:
    page = owner.talk.get("/a/b/c/d/e/f", headers=HTML).text
    assert "route" not in page
    page = owner.talk.get(f"/{owner.repo}/tree/nowhere", headers=HTML).text
    assert "Invalid rev id" not in page
    assert "called “nowhere”" in page
    many = owner.talk.client.post("/new", content=b"x" * 70_000, headers=HTML)
    assert many.status_code == 413
    assert "larger than 65.5 kB." in many.text


def test_the_owner_of_an_empty_profile_is_told_what_to_do(hub, speak, make_owner) -> None:
    name = make_owner().name
    empty = f"{name}-empty"
    token = hub.user(empty)
    own = speak(token).get(f"/{empty}", headers=HTML).text
    assert 'href="/new">Make a repository' in own
    assert f"tenuto repo create {empty}/NAME" in own
    assert "nothing here that you may see" in speak(None).get(f"/{empty}", headers=HTML).text


def test_an_issuer_that_is_not_there_is_told_of_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        url = f"http://127.0.0.1:{closed_soon.getsockname()[1]}"
    with pytest.raises(UnavailableError, match=r"does not answer: it takes no connections$"):
        fetch(f"{url}/x", url)
