"""Discussions as rows: a title, a status, and what was said and done, in order (hub-protocol section 9.2)."""

import html
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, func, insert, select, update

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Actor, Repo
from tenuto.server.schema import discussion_events, discussions, users

TITLE_CHARACTERS = 300
COMMENT_CHARACTERS = 1 << 16
VERSIONS_CHARACTERS = 1 << 20
PULL_REQUESTS = "refs/pr/"

Status = Literal["draft", "open", "closed", "merged"]


class Discussion(NamedTuple):
    """A discussion or pull request. `author` is None for a user who is gone."""

    number: int
    title: str
    author_id: int | None
    author: str | None
    created_ms: int
    status: Status
    is_pull_request: bool
    merge_oid: str | None

    @property
    def ref(self) -> str:
        """The branch of a pull request."""
        return f"{PULL_REQUESTS}{self.number}"

    def summary(self, repo: Repo) -> dict[str, object]:
        """What lists show."""
        answer: dict[str, object] = {
            "num": self.number,
            "title": self.title,
            "createdAt": timestamp_text(self.created_ms),
            "status": self.status,
            "isPullRequest": self.is_pull_request,
            "repo": {"name": repo.id.full_name, "type": repo.id.kind.value},
        }
        return {**answer, "author": {"name": self.author}} if self.author else answer


class Revision(msgspec.Struct, frozen=True):
    """A comment as it was written at some time."""

    raw: str
    time_ms: int
    author: str


class CommentData(msgspec.Struct, frozen=True):
    """A comment: its versions, the newest last. A hidden one keeps none of them."""

    versions: list[Revision] = []
    hidden: bool = False


class Event(NamedTuple):
    """Something that was said or done."""

    id: int
    kind: Literal["comment", "status-change", "title-change"]
    author_id: int | None
    author: str | None
    created_ms: int
    data: str

    def shown(self) -> dict[str, object]:
        """The event as clients read it."""
        return event_answer(f"{self.id:024x}", self.kind, self.created_ms, self.author, self._data())

    def _data(self) -> object:
        if self.kind != "comment":
            return msgspec.json.decode(self.data)
        comment = msgspec.json.decode(self.data, type=CommentData)
        versions = [_version(one) for one in comment.versions]
        latest = versions[-1] if versions else _version(Revision("This comment has been hidden", self.created_ms, ""))
        return {"edited": len(versions) > 1, "hidden": comment.hidden, "latest": latest, "history": versions[:-1]}


def _version(one: Revision) -> dict[str, object]:
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in one.raw.split("\n\n"))
    answer: dict[str, object] = {"raw": one.raw, "html": paragraphs, "updatedAt": timestamp_text(one.time_ms)}
    return {**answer, "author": {"name": one.author}} if one.author else answer


def event_answer(name: str, kind: str, time_ms: int, author: str | None, data: object) -> dict[str, object]:
    """An event as clients read it; without an author it is shown as that of a deleted user."""
    answer: dict[str, object] = {"id": name, "type": kind, "createdAt": timestamp_text(time_ms), "data": data}
    return {**answer, "author": {"name": author}} if author else answer


def check_title(title: str) -> str:
    """Return a title without blanks around it; raises UsageError (BadRequest) if it is empty, too long or of several lines."""
    title = title.strip()
    if not title or len(title) > TITLE_CHARACTERS or not title.isprintable():
        raise UsageError(f"a title is one line of 1 to {TITLE_CHARACTERS} characters")
    return title


def check_comment(text: str) -> str:
    """Return a comment; raises UsageError (BadRequest, TooLarge) if it is empty or too long."""
    if not text.strip():
        raise UsageError("the comment is empty")
    if len(text) > COMMENT_CHARACTERS:
        raise UsageError(f"a comment may have {COMMENT_CHARACTERS} characters", code="TooLarge")
    return text


def rewritten(data: CommentData, version: Revision) -> CommentData:
    """A comment with one more version; raises UsageError (TooLarge) if all of them together are too long to be read at once."""
    versions = [*data.versions, version]
    if sum(len(one.raw) for one in versions) > VERSIONS_CHARACTERS:
        message = f"all versions of a comment may have {VERSIONS_CHARACTERS:,} characters together"
        raise UsageError(message, code="TooLarge", hint="write another comment")
    return CommentData(versions)


_COLUMNS = (
    discussions.c.number,
    discussions.c.title,
    discussions.c.author_id,
    users.c.name,
    discussions.c.created_ms,
    discussions.c.status,
    discussions.c.is_pull_request,
    discussions.c.merge_oid,
)
_STATUSES = {"open": ("open", "draft"), "closed": ("closed", "merged")}


class Thread:
    """The discussions of one repo, seen through one connection."""

    def __init__(self, connection: Connection, repo: Repo) -> None:
        self._connection, self._repo = connection, repo

    def open(self, actor: Actor, title: str, status: Status, is_pull_request: bool, now_ms: int) -> Discussion:
        """A new discussion under the next number, which was never used before in this repo."""
        highest = select(func.max(discussions.c.number)).where(discussions.c.repo_id == self._repo.key)
        number = int(self._connection.execute(highest).scalar() or 0) + 1
        made = Discussion(number, title, actor.user_id, actor.name, now_ms, status, is_pull_request, None)
        row = {key: value for key, value in made._asdict().items() if key != "author"}
        self._connection.execute(insert(discussions).values({"repo_id": self._repo.key, **row}))
        return made

    def find(self, number: str) -> Discussion:
        """The discussion of that number; raises NotFoundError (EntryNotFound)."""
        if number.isascii() and number.isdecimal() and len(number) < 10:
            row = self._connection.execute(self._rows().where(discussions.c.number == int(number))).first()
            if row:
                return Discussion(*row)
        raise NotFoundError(f"there is no discussion {number[:40]} here", code="EntryNotFound")

    def page(
        self, *, is_pull_request: bool | None, status: str | None, author: str | None, start: int, limit: int
    ) -> tuple[int, list[Discussion]]:
        """How many discussions there are of that sort, and a page of them, newest first."""
        query = self._rows()
        if is_pull_request is not None:
            query = query.where(discussions.c.is_pull_request == is_pull_request)
        if status is not None:
            query = query.where(discussions.c.status.in_(_STATUSES[status]))
        if author is not None:
            query = query.where(users.c.name == author)
        count = self._connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        query = query.order_by(discussions.c.number.desc()).offset(start).limit(limit)
        return int(count), [Discussion(*row) for row in self._connection.execute(query)]

    def _rows(self) -> Select[*tuple[Any, ...]]:
        query = select(*_COLUMNS).outerjoin(users, users.c.id == discussions.c.author_id)
        return query.where(discussions.c.repo_id == self._repo.key)

    def change(self, number: int, **values: object) -> None:
        """Write other values into the row of a discussion."""
        here = (discussions.c.repo_id == self._repo.key) & (discussions.c.number == number)
        self._connection.execute(update(discussions).where(here).values(values))

    def events(self, number: int, only: int | None = None) -> list[Event]:
        """What was said and done in a discussion, oldest first; with `only`, the one event with that id, if it is there."""
        query = self._events(number)
        return self._read(query if only is None else query.where(discussion_events.c.id == only))

    def events_behind(self, number: int, after: int, limit: int) -> list[Event]:
        """The first events behind the one with the id `after`, at most `limit` of them, oldest first."""
        return self._read(self._events(number).where(discussion_events.c.id > after).limit(limit))

    def before_latest(self, number: int, few: int) -> int:
        """The id of the event behind which the latest `few` come; 0 if there are no more than these."""
        here = (discussion_events.c.repo_id == self._repo.key) & (discussion_events.c.number == number)
        query = select(discussion_events.c.id).where(here).order_by(discussion_events.c.id.desc())
        return int(self._connection.execute(query.offset(few).limit(1)).scalar() or 0)

    def _events(self, number: int) -> Select[*tuple[Any, ...]]:
        columns = (discussion_events.c.id, discussion_events.c.kind, discussion_events.c.author_id, users.c.name)
        query = select(*columns, discussion_events.c.created_ms, discussion_events.c.data)
        query = query.outerjoin(users, users.c.id == discussion_events.c.author_id)
        here = (discussion_events.c.repo_id == self._repo.key) & (discussion_events.c.number == number)
        return query.where(here).order_by(discussion_events.c.id)

    def _read(self, query: Select[*tuple[Any, ...]]) -> list[Event]:
        return [Event(*row) for row in self._connection.execute(query)]

    def add(self, number: int, actor: Actor, kind: str, data: object, now_ms: int) -> Event:
        """Add an event to the end of a discussion."""
        row = {
            "repo_id": self._repo.key,
            "number": number,
            "kind": kind,
            "author_id": actor.user_id,
            "created_ms": now_ms,
            "data": msgspec.json.encode(data).decode(),
        }
        made = self._connection.execute(insert(discussion_events).values(row).returning(discussion_events.c.id))
        return self.events(number, int(made.scalar_one()))[0]

    def comment(self, number: int, actor: Actor, text: str, now_ms: int) -> Event:
        """Add a comment; raises UsageError (BadRequest, TooLarge)."""
        data = CommentData([Revision(check_comment(text), now_ms, actor.name)])
        return self.add(number, actor, "comment", data, now_ms)

    def rewrite(self, event: Event, data: CommentData) -> None:
        """Replace what a comment holds."""
        text = msgspec.json.encode(data).decode()
        here = discussion_events.c.id == event.id
        self._connection.execute(update(discussion_events).where(here).values(data=text))
