"""Discussions and pull requests of a repo, to read."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tenuto.core.errors import NotFoundError
from tenuto.server.community.discussions import CommentData, Discussion, Event, Thread
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.markdown import markdown_html
from tenuto.server.pages.render import Html, weight
from tenuto.server.pages.room import fitting

LATEST = 20
"""How many events the page of the latest ones holds at most."""
_PAGE = 30
_BATCH, _MOST_EVENTS = 10, 60
_PAGE_BYTES, _EVENT_BYTES, _COMMENT_BYTES = 36_000, 300, 30_000
_COMMENT_CHARACTERS = 10_000
_SHORT_CHARACTERS = 5000
"""A comment that is longer may be cut where it is shown among others."""
_PART_CHARACTERS = 12_000
_DEED_CHARACTERS = 500
_MOST_ID = 2**62


class Said(NamedTuple):
    """Something that was said or done; `text` is None for what is no comment. Of a long comment `more` is the id.

    `cost` is what it takes up on the page, or what had to be read for that, if it is more.
    """

    id: int
    author: str
    created_ms: int
    text: Html | None
    deed: str
    more: int
    cost: int


def discussions(parts: Parts, call: Call) -> Answer:
    """A page of discussions, newest first."""
    start = call.number("start", 1, 10**7) - 1
    with parts.database.read() as connection:
        page = RepoPage(call, GitReader(connection, call.repo.key, parts.cache))
        count, found = Thread(connection, call.repo).page(
            is_pull_request=None, status=None, author=None, start=start, limit=_PAGE
        )
        following = start + _PAGE + 1 if start + _PAGE < count else 0
        return page.render("discussions.html", "talk", found=found, count=count, next=following)


def discussion(parts: Parts, call: Call) -> Answer:
    """One of them, with as much of what was said as a page takes; or one of its comments, as it was written."""
    with parts.database.read() as connection:
        page = RepoPage(call, GitReader(connection, call.repo.key, parts.cache))
        thread = Thread(connection, call.repo)
        found: Discussion = thread.find(call.params["num"])
        if call.text("comment"):
            return _as_written(page, thread, found)
        after = call.number("after", 0, _MOST_ID)
        events = _events(thread, found.number, after)
        said = list(fitting((_said(call, event) for event in events), _PAGE_BYTES, _cost))
        goes_on = bool(said) and bool(thread.events_behind(found.number, said[-1].id, 1))
        latest = thread.before_latest(found.number, LATEST) if goes_on else 0
        return page.render(
            "discussion.html",
            "talk",
            found=found,
            said=said,
            is_first=after == 0,
            next=said[-1].id if goes_on else 0,
            latest=latest if said and latest > said[-1].id else 0,
        )


def _events(thread: Thread, number: int, after: int) -> Iterator[Event]:
    """Events behind one of them; read a few at a time, for each may be large."""
    for _ in range(_MOST_EVENTS // _BATCH):
        some = thread.events_behind(number, after, _BATCH)
        yield from some
        if len(some) < _BATCH:
            return
        after = some[-1].id


def _cost(one: Said) -> int:
    return _EVENT_BYTES + weight(one.author) + one.cost


def _said(call: Call, event: Event) -> Said:
    author = event.author or "somebody who is gone"
    if event.kind != "comment":
        data = msgspec.json.decode(event.data)
        deed = ", ".join(f"{key} {value}" for key, value in data.items()) if isinstance(data, dict) else ""
        return Said(
            event.id, author, event.created_ms, None, deed[:_DEED_CHARACTERS], 0, weight(deed[:_DEED_CHARACTERS])
        )
    text = _latest(event)
    if text is None:
        return Said(event.id, author, event.created_ms, None, "a comment that was hidden", 0, 0)
    shown = text[:_COMMENT_CHARACTERS]
    html = markdown_html(shown, call.repo.id, "main", most_bytes=_COMMENT_BYTES)
    more = event.id if len(text) > _SHORT_CHARACTERS else 0
    return Said(event.id, author, event.created_ms, html, "", more, max(len(html.encode()), len(shown)))


def _latest(event: Event) -> str | None:
    """A comment as it stands; None if it was hidden."""
    versions = msgspec.json.decode(event.data, type=CommentData).versions
    return versions[-1].raw if versions else None


def _as_written(page: RepoPage, thread: Thread, found: Discussion) -> Answer:
    """A part of a comment, with the signs that it was written with."""
    wanted, start = page.call.number("comment", 0, _MOST_ID), page.call.number("from", 1, 10**7) - 1
    event = next((one for one in thread.events(found.number, wanted) if one.kind == "comment"), None)
    text = _latest(event) if event else None
    if event is None or text is None:
        raise NotFoundError(f"there is no comment {wanted} in discussion {found.number}", code="EntryNotFound")
    following = start + _PART_CHARACTERS
    return page.render(
        "comment.html",
        "talk",
        found=found,
        author=event.author or "somebody who is gone",
        created_ms=event.created_ms,
        text=text[start:following],
        next=following + 1 if following < len(text) else 0,
    )
