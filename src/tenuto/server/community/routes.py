"""The routes of discussions and pull requests (hub-protocol section 9.2)."""

import re
from typing import Literal

import msgspec
from sqlalchemy import Connection

from tenuto.core.errors import AccessDeniedError, NotFoundError, UsageError
from tenuto.server.access import Action, may, may_steer
from tenuto.server.community.differences import diff_text
from tenuto.server.community.discussions import (
    CommentData,
    Discussion,
    Event,
    Revision,
    Thread,
    check_comment,
    check_title,
    event_answer,
    rewritten,
)
from tenuto.server.community.proposals import BASE, commits_of, find_proposal, merge, open_proposal
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import writing

_PAGE = 50
_COMMENT = re.compile(r"0{9}[0-9a-f]{15}")
_TYPES = {"all": None, None: None, "discussion": False, "pull_request": True}


class OpenRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A new discussion."""

    title: str
    description: str | None = None
    pull_request: bool = False


def create(parts: Parts, call: Call) -> Answer:
    """Open a discussion, or a pull request as a draft whose branch begins at the head of `main`."""
    request, now_ms = call.json(OpenRequest), parts.now_ms()
    title = check_title(request.title)
    action = Action.PROPOSE if request.pull_request else Action.DISCUSS
    with writing(parts, call, action) as connection:
        thread = Thread(connection, call.repo)
        if request.pull_request:
            git = GitReader(connection, call.repo.key, parts.cache)
            made = open_proposal(git, call.repo, call.origin, title, "draft", now_ms)
        else:
            made = thread.open(call.actor, title, "open", False, now_ms)
        if request.description and request.description.strip():
            thread.comment(made.number, call.actor, request.description, now_ms)
    url = f"{call.base_url}/{call.repo.id.web_path}/discussions/{made.number}"
    return json_answer({"num": made.number, "url": url, "pullRequest": made.is_pull_request})


def list_discussions(parts: Parts, call: Call) -> Answer:
    """A page of discussions, newest first."""
    kind, status = call.text("type"), call.text("status")
    if kind not in _TYPES or status not in {None, "all", "open", "closed"}:
        raise UsageError("type is all, discussion or pull_request; status is all, open or closed")
    text = call.text("p") or "0"
    page = 0 if text == "0" else call.number("p", 0, 10**7)
    with parts.database.read() as connection:
        count, found = Thread(connection, call.repo).page(
            is_pull_request=_TYPES[kind],
            status=None if status == "all" else status,
            author=call.text("author"),
            start=page * _PAGE,
            limit=_PAGE,
        )
    shown = [one.summary(call.repo) for one in found]
    return json_answer({"count": count, "start": page * _PAGE, "discussions": shown})


def details(parts: Parts, call: Call) -> Answer:
    """All of a discussion; of a pull request also what it changes, to those who may read the files."""
    with parts.database.read() as connection:
        thread = Thread(connection, call.repo)
        found = thread.find(call.params["num"])
        answer, events = found.summary(call.repo), thread.events(found.number)
        shown = [(one.created_ms, one.shown()) for one in events]
        if found.is_pull_request:
            git = GitReader(connection, call.repo.key, parts.cache)
            facts, commits = _proposal(git, call, found)
            answer |= facts
            shown = sorted([*shown, *commits], key=lambda one: one[0])
    return json_answer({**answer, "events": [event for _, event in shown]})


def _proposal(
    git: GitReader, call: Call, found: Discussion
) -> tuple[dict[str, object], list[tuple[int, dict[str, object]]]]:
    proposal = find_proposal(git, found)
    is_merged = found.merge_oid is not None
    target = {"base": BASE, "mergeCommitId": found.merge_oid} if is_merged else {"base": BASE}
    if proposal is None:
        return {"changes": target, "filesWithConflicts": True}, []
    difference = proposal.compare(git)
    facts: dict[str, object] = {"changes": target, "filesWithConflicts": [] if is_merged else difference.conflicts}
    if call.flag("diff") and may(call.actor, Action.READ, call.repo):
        facts["diff"] = diff_text(git, dict(difference.theirs))
    commits = []
    for one in commits_of(git, proposal):
        data = {"subject": one.message.partition("\n")[0], "oid": one.oid}
        # Times of commits are whole seconds: what was committed within the second of the opening came after it.
        time_ms = max(one.time_ms, found.created_ms)
        commits.append((time_ms, event_answer(one.oid[:24], "commit", time_ms, one.author, data)))
    return facts, commits


class CommentRequest(msgspec.Struct, frozen=True):
    """Something to say."""

    comment: str


def add_comment(parts: Parts, call: Call) -> Answer:
    """Say something in a discussion."""
    text = call.json(CommentRequest).comment
    with writing(parts, call, Action.DISCUSS) as connection:
        thread = Thread(connection, call.repo)
        event = thread.comment(thread.find(call.params["num"]).number, call.actor, text, parts.now_ms())
    return json_answer({"newMessage": event.shown()})


def _steered(connection: Connection, call: Call) -> tuple[Thread, Discussion]:
    """The discussion of a call; raises AccessDeniedError (Forbidden) for those who neither opened it nor may write."""
    thread = Thread(connection, call.repo)
    found = thread.find(call.params["num"])
    if not may_steer(call.actor, call.repo, found.author_id):
        raise AccessDeniedError(f"discussion {found.number} was opened by somebody else", hint="ask the owner")
    return thread, found


class TitleRequest(msgspec.Struct, frozen=True):
    """A new title."""

    title: str


def rename(parts: Parts, call: Call) -> Answer:
    """Give a discussion another title."""
    title = check_title(call.json(TitleRequest).title)
    with writing(parts, call, Action.DISCUSS) as connection:
        thread, found = _steered(connection, call)
        thread.change(found.number, title=title)
        data = {"from": found.title, "to": title}
        event = thread.add(found.number, call.actor, "title-change", data, parts.now_ms())
    return json_answer({"newTitle": event.shown()})


class StatusRequest(msgspec.Struct, frozen=True):
    """A new status, and perhaps why."""

    status: Literal["open", "closed"]
    comment: str | None = None


def change_status(parts: Parts, call: Call) -> Answer:
    """Open or close a discussion. What is merged stays merged."""
    request, now_ms = call.json(StatusRequest), parts.now_ms()
    with writing(parts, call, Action.DISCUSS) as connection:
        thread, found = _steered(connection, call)
        if found.status in {"merged", request.status}:
            raise UsageError(f"discussion {found.number} is {found.status} already")
        thread.change(found.number, status=request.status)
        event = thread.add(found.number, call.actor, "status-change", {"status": request.status}, now_ms)
        if request.comment:
            thread.comment(found.number, call.actor, request.comment, now_ms)
    return json_answer({"newStatus": event.shown()})


class MergeRequest(msgspec.Struct, frozen=True):
    """Something to say at the merge."""

    comment: str | None = None


def merge_proposal(parts: Parts, call: Call) -> Answer:
    """Merge a pull request into `main`."""
    comment, now_ms = (call.json(MergeRequest | None) or MergeRequest()).comment, parts.now_ms()  # type: ignore[arg-type]
    with writing(parts, call, Action.WRITE) as connection:
        thread = Thread(connection, call.repo)
        found = thread.find(call.params["num"])
        if not found.is_pull_request:
            raise UsageError(f"discussion {found.number} is not a pull request")
        git = GitReader(connection, call.repo.key, parts.cache)
        facts = merge(parts, git, call.repo, call.origin, found)
        thread.change(found.number, status="merged", merge_oid=facts.oid)
        thread.add(found.number, call.actor, "status-change", {"status": "merged"}, now_ms)
        if comment:
            thread.comment(found.number, call.actor, comment, now_ms)
    return json_answer({"mergeCommitId": facts.oid})


class EditRequest(msgspec.Struct, frozen=True):
    """The comment as it shall be."""

    content: str


def edit_comment(parts: Parts, call: Call) -> Answer:
    """Rewrite a comment of one's own; its older versions stay readable."""
    text, now_ms = check_comment(call.json(EditRequest).content), parts.now_ms()
    with writing(parts, call, Action.DISCUSS) as connection:
        thread, event, data = _comment(connection, call)
        if event.author_id != call.actor.user_id or data.hidden:
            raise AccessDeniedError("only its author may edit a comment, and only until it is hidden")
        thread.rewrite(event, rewritten(data, Revision(text, now_ms, call.actor.name)))
        (event,) = thread.events(int(call.params["num"]), event.id)
    return json_answer({"updatedComment": event.shown()})


def hide_comment(parts: Parts, call: Call) -> Answer:
    """Take the text of a comment away for good."""
    with writing(parts, call, Action.DISCUSS) as connection:
        thread, event, _ = _comment(connection, call)
        if not may_steer(call.actor, call.repo, event.author_id):
            raise AccessDeniedError("this comment was written by somebody else", hint="ask the owner of the repo")
        thread.rewrite(event, CommentData([], hidden=True))
        (event,) = thread.events(int(call.params["num"]), event.id)
    return json_answer({"updatedComment": event.shown()})


def _comment(connection: Connection, call: Call) -> tuple[Thread, Event, CommentData]:
    thread = Thread(connection, call.repo)
    found, name = thread.find(call.params["num"]), call.params["comment"]
    number = int(name, 16) if _COMMENT.fullmatch(name) else -1
    event = next((one for one in thread.events(found.number, number) if one.kind == "comment"), None)
    if event is None:
        raise NotFoundError(f"there is no comment {name[:40]} in discussion {found.number}", code="EntryNotFound")
    return thread, event, msgspec.json.decode(event.data, type=CommentData)
