"""Discussions and pull requests of a repo, to read."""

from typing import NamedTuple

import msgspec

from tenuto.server.discussions import CommentData, Discussion, Event, Thread
from tenuto.server.exchange import Answer, Call
from tenuto.server.gitstore import GitReader
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.markdown import markdown_html
from tenuto.server.pages.render import Html

_PAGE = 40
_CHARACTERS = 60_000


class Said(NamedTuple):
    """Something that was said or done; `text` is None for what is no comment."""

    author: str
    created_ms: int
    text: Html | None
    deed: str


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
    """One of them, with what was said."""
    with parts.database.read() as connection:
        page = RepoPage(call, GitReader(connection, call.repo.key, parts.cache))
        thread = Thread(connection, call.repo)
        found: Discussion = thread.find(call.params["num"])
        said, left = [], _CHARACTERS
        for event in thread.events(found.number):
            shown = _said(call, event)
            left -= len(shown.text or shown.deed)
            if left < 0:
                break
            said.append(shown)
        return page.render("discussion.html", "talk", found=found, said=said, is_all=left >= 0)


def _said(call: Call, event: Event) -> Said:
    author = event.author or "somebody who is gone"
    if event.kind != "comment":
        data = msgspec.json.decode(event.data)
        deed = ", ".join(f"{key} {value}" for key, value in data.items()) if isinstance(data, dict) else ""
        return Said(author, event.created_ms, None, deed[:500])
    comment = msgspec.json.decode(event.data, type=CommentData)
    if not comment.versions:
        return Said(author, event.created_ms, None, "a comment that was hidden")
    return Said(author, event.created_ms, markdown_html(comment.versions[-1].raw, call.repo.id, "main"), "")
