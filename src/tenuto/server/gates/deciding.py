"""What whoever administers a gated repo does about requests: accept, reject, revoke, reopen, grant; one or many (docs/gates.md)."""

import datetime
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.server.access import Action, Repo, Standing
from tenuto.server.accounts import user_id_of
from tenuto.server.audit import record
from tenuto.server.gates.asking import check_gated, no_request, no_step
from tenuto.server.gates.book import Book, Request
from tenuto.server.gates.states import DEEDS, Event
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import check_again

MOST_AT_ONCE = 1000
MOST_DAYS = 36_500
REASON_CHARACTERS = 1000
Verdict = Literal["pending", "accepted", "rejected", "revoked"]
_EVENTS: dict[Verdict, Event] = {
    "pending": Event.REOPEN,
    "accepted": Event.ACCEPT,
    "rejected": Event.REJECT,
    "revoked": Event.REVOKE,
}


class Terms(msgspec.Struct, frozen=True, rename="camel"):
    """What goes with a decision: when the grant ends (`days` null: never; neither: as the repo has it), and why."""

    days: int | UnsetType | None = UNSET
    expires_at: str | None = None
    rejection_reason: str | None = None

    @property
    def says_end(self) -> bool:
        """Whether the end of a grant is said, be it that there is none."""
        return self.days is not UNSET or self.expires_at is not None

    def end(self, book: Book) -> int | None:
        """When a grant of this moment ends; raises UsageError (BadRequest)."""
        if self.expires_at is not None:
            return _end_at(self.expires_at, book.now_ms)
        return book.end_of_grant(book.grant_days if self.days is UNSET else check_days(self.days))


def check_days(days: int | None) -> int | None:
    """How long a grant is good, None for as long as there is no other word; raises UsageError (BadRequest)."""
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise UsageError(f"a grant is for 1 to {MOST_DAYS} days")
    return days


def _end_at(text: str, now_ms: int) -> int:
    try:
        end_ms = round(datetime.datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError("expiresAt is a time such as 2026-01-31T12:00:00.000Z") from error
    if not now_ms < end_ms <= now_ms + MOST_DAYS * 86_400_000:
        raise UsageError("expiresAt is a time to come")
    return end_ms


class Handling(Terms, frozen=True, rename="camel", kw_only=True):
    """What becomes of the request of a user, or of the request with an id; with `was`, only if it is in that state by then."""

    status: Verdict
    user: str | None = None
    request_id: str | None = None
    was: str | None = None


def handle(parts: Parts, call: Call) -> Answer:
    """Decide about one request; raises NotFoundError (UserNotFound) if there is none that this can be decided of."""
    wanted = call.json(Handling)
    if (wanted.user is None) is (wanted.request_id is None):
        raise UsageError("name exactly one of user and requestId")
    with parts.database.write() as connection:
        desk = _Desk(parts, connection, call)
        request = desk.find(wanted.user, wanted.request_id)
        if wanted.was not in {None, request.standing.value}:
            raise no_request(request.name, f" that is {wanted.was}: it is {request.standing.value} by now")
        after = desk.decide(request, _EVENTS[wanted.status], wanted)
    return json_answer({"state": after.value})


class GrantRequest(Terms, frozen=True, rename="camel", kw_only=True):
    """Whom to let in."""

    user: str


def grant(parts: Parts, call: Call) -> Answer:
    """Let an account in, whether it asked or not, and whatever the terms are; raises UsageError if it has access as it is."""
    let_in(parts, call, call.json(GrantRequest))
    return json_answer({})


def let_in(parts: Parts, call: Call, wanted: GrantRequest) -> None:
    """The same, for a caller that brings it as a value."""
    with parts.database.write() as connection:
        desk = _Desk(parts, connection, call)
        request = desk.find(wanted.user)
        if request.standing is Standing.ACCEPTED and not wanted.says_end:
            raise UsageError(f"{request.name} has access already")
        desk.decide(request, Event.GRANT, wanted)


class Handlings(Terms, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What becomes of many requests: of users, with ids, or of all that are pending."""

    status: Verdict
    users: list[str] = []
    request_ids: list[str] = []
    all: bool = False


class Failure(msgspec.Struct, frozen=True):
    """One of many that was not decided, and why."""

    name: str
    error: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of many: names of those decided about, the others with the reason, and whether more are still pending.

    Those of `outdated` are accepted, and read nothing before they agree to the terms that hold now.
    """

    done: list[str]
    failed: list[Failure]
    more: bool
    outdated: list[str] = []


def handle_many(parts: Parts, call: Call) -> Answer:
    """Decide about many requests; what cannot be decided does not keep others from it."""
    return json_answer(decide_many(parts, call, call.json(Handlings)))


def decide_many(parts: Parts, call: Call, wanted: Handlings) -> Outcome:
    """The same, for a caller that brings it as a value."""
    if wanted.all is bool(wanted.users or wanted.request_ids):
        raise UsageError("name users and requestIds, or say all")
    if len(wanted.users) + len(wanted.request_ids) > MOST_AT_ONCE:
        raise UsageError(f"{MOST_AT_ONCE} requests are decided at once at most", code="TooLarge")
    done: list[str] = []
    failed: list[Failure] = []
    outdated: list[str] = []
    with parts.database.write() as connection:
        desk = _Desk(parts, connection, call)
        for request in desk.find_many(wanted, failed):
            try:
                if desk.decide(request, _EVENTS[wanted.status], wanted) is Standing.OUTDATED:
                    outdated.append(request.name)
                done.append(request.name)
            except (NotFoundError, UsageError) as error:
                failed.append(Failure(request.name, error.message))
        more = wanted.all and bool(done) and bool(desk.waiting(wanted, 1))
    return Outcome(done, failed, more, outdated)


class _Desk:
    """One transaction of somebody who administers a gated repo, and still does."""

    def __init__(self, parts: Parts, connection: Connection, call: Call) -> None:
        self._connection, self._call = connection, call
        self._repo: Repo = check_again(parts, connection, call, Action.ADMINISTER)
        check_gated(self._repo)
        self.book = Book(connection, self._repo.key, parts.now_ms())

    def find(self, user: str | None, request_id: str | None = None) -> Request:
        """The request of a user, who may have none, or with an id; raises NotFoundError (UserNotFound)."""
        if user is not None:
            return self.book.of_account(user_id_of(self._connection, user))
        found = self.book.by_ids(_numbers([request_id or ""]))
        if not found:
            raise no_request(str(request_id)[:40])
        return found[0]

    def find_many(self, wanted: Handlings, failed: list[Failure]) -> list[Request]:
        """The requests that are meant; names and ids without one go into `failed`."""
        if wanted.all:
            return self.waiting(wanted, MOST_AT_ONCE)
        named, numbered = self.book.by_names(wanted.users), self.book.by_ids(_numbers(wanted.request_ids))
        names, ids = {one.name.lower() for one in named}, {str(one.id) for one in numbered}
        lacking = [one for one in wanted.users if one.lower() not in names]
        lacking += [one for one in wanted.request_ids if one not in ids]
        failed.extend(Failure(one[:96], no_request(one[:96]).message) for one in lacking)
        return list({one.id: one for one in (*named, *numbered)}.values())

    def waiting(self, wanted: Handlings, limit: int) -> list[Request]:
        """What is pending, and can be decided so."""
        return self.book.waiting(limit, can_enter=wanted.status == Standing.ACCEPTED.value)

    def decide(self, request: Request, event: Event, terms: Terms) -> Standing:
        """Take one step, and tell the audit log; how the account stands then. Raises NotFoundError (UserNotFound), UsageError, ConflictError."""
        is_granted = event in {Event.ACCEPT, Event.GRANT}
        if is_granted:
            _check_can_enter(request)
            if request.standing is Standing.ACCEPTED and terms.says_end:
                event = Event.PROLONG
        after = self.book.step(request, event, self._row(event, terms))
        if after is None:
            raise no_step(request, event)
        record(
            self._connection, self._call.origin, DEEDS[event], self.book.now_ms, repo=self._repo, subject=request.name
        )
        return Standing.OUTDATED if event is Event.ACCEPT and self.book.is_outdated(request) else after

    def _row(self, event: Event, terms: Terms) -> dict[str, object]:
        if event is Event.REOPEN:
            return {"reviewed_ms": None, "reviewer_id": None, "reason": None, "expires_ms": None}
        row: dict[str, object] = {"reviewed_ms": self.book.now_ms, "reviewer_id": self._call.actor.user_id}
        if event in {Event.REJECT, Event.REVOKE}:
            reason = " ".join((terms.rejection_reason or "").split())[:REASON_CHARACTERS]
            return row | {"reason": reason or None, "expires_ms": None}
        agreed: dict[str, object] = {"terms": None} if event is Event.GRANT else {}
        return row | agreed | {"reason": None, "expires_ms": terms.end(self.book)}


def _check_can_enter(request: Request) -> None:
    if request.is_closed:
        raise NotFoundError(f"the account {request.name} is closed", code="UserNotFound")
    if request.kind == "organization":
        raise UsageError(f"{request.name} is an organization", hint="let its members in, or its services")


def _numbers(texts: Iterable[str]) -> list[int]:
    """Those of the texts that can be ids."""
    return [int(one) for one in texts if one.isascii() and one.isdecimal() and len(one) < 18]  # fits 64 bits
