"""What an account does about its own access to a gated repo: see what it is asked, ask, withdraw (docs/gates.md)."""

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from tenuto.core.errors import AccessDeniedError, ConflictError, NotFoundError, UsageError
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Action, Gate, Repo, Right, Standing, may
from tenuto.server.audit import Deed, record
from tenuto.server.forgery import CSRF_FIELD
from tenuto.server.gates.book import Book, Request
from tenuto.server.gates.form import Answers, Form, check_answers
from tenuto.server.gates.states import Event
from tenuto.server.gates.terms import form_of, keep_terms
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import right_text
from tenuto.server.permit import check_again
from tenuto.server.schema import memberships

_WRITE_TO_THEM = "write to the authors of the repo: only they can let you in"


def check_gated(repo: Repo) -> Gate:
    """The gate of a repo; raises UsageError (BadRequest) if it is open."""
    if repo.gate is Gate.OPEN:
        raise UsageError(f"{repo.id.full_name} is not gated", hint="its files are there for everybody who sees it")
    return repo.gate


class Sight(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How the caller stands with the gate; times as text."""

    state: str
    passes: bool
    request_id: str | None = None
    asked_at: str | None = None
    expires_at: str | None = None
    reason: str | None = None
    fields: Answers = {}


class Gateway(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that a page or a program needs to let somebody ask. Without a caller who is known, `own` is None."""

    gated: str | bool
    takes_requests: bool
    grant_days: int | None
    form: Form
    own: Sight | None
    requests: dict[str, int] | UnsetType = UNSET
    """How many there are in each state, for whoever administers the repo."""


def see_gateway(parts: Parts, call: Call) -> Gateway:
    """What is asked at the gate of a repo, and how the caller stands with it."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        return gateway_of(parts, call, connection, form_of(git))


def gateway_of(parts: Parts, call: Call, connection: Connection, form: Form) -> Gateway:
    """The same, where the form was read already."""
    book = Book(connection, call.repo.key, parts.now_ms())
    own = _sight(call, book.find(call.actor.user_id)) if call.actor.is_known else None
    administers = may(call.actor, Action.ADMINISTER, call.repo)
    counts = {one.value: count for one, count in book.counts().items()} if administers else UNSET
    return Gateway(call.repo.gate.value or False, book.takes_requests, book.grant_days, form, own, counts)


def _sight(call: Call, own: Request | None) -> Sight:
    passes = may(call.actor, Action.READ, call.repo)
    if own is None:
        return Sight(call.repo.standing.value or "none", passes)
    return Sight(
        state=call.repo.standing.value or own.standing.value,
        passes=passes,
        request_id=str(own.id),
        asked_at=timestamp_text(own.created_ms),
        expires_at=timestamp_text(own.expires_ms) if own.expires_ms else None,
        reason=own.reason,
        fields=msgspec.json.decode(own.fields),
    )


def show_form(parts: Parts, call: Call) -> Answer:
    """The same, as an answer."""
    return json_answer(see_gateway(parts, call))


def ask(parts: Parts, call: Call) -> Answer:
    """Ask to be let in, or agree to terms that changed; asking again changes nothing. Where the gate is `auto` that is enough.

    With `terms` in the query, only if these are what is agreed to at this moment. Whoever takes JSON is told the state, others are led to
    the page of the repo. Raises AccessDeniedError (Forbidden) for who was turned
    away, and where nobody may ask; UsageError (BadRequest, TooLarge), ConflictError.
    """
    answers = _answers(call)
    with parts.database.write() as connection:
        repo = check_again(parts, connection, call, Action.ENGAGE)
        gate = check_gated(repo)
        form = keep_terms(parts, connection, repo.key)
        if form.fault:
            raise ConflictError(
                f"what {repo.id.full_name} asks at its gate cannot be read: {form.fault}",
                hint="tell its authors: they have to mend the front matter of README.md",
            )
        if call.text("terms") not in {None, form.terms}:
            raise ConflictError("the terms changed while you read them", hint="read them again")
        book = Book(connection, repo.key, parts.now_ms())
        request = book.of_account(call.actor.user_id)
        _check_may_ask(repo, book, request)
        if call.actor.owner_id:  # else whoever was turned away would come back as a machine
            for account_id in _people_behind(connection, call.actor.owner_id):
                _check_not_turned_away(book.of_account(account_id))
        event = Event.ENTER if gate is Gate.AUTO else Event.ASK
        standing: Standing | None = request.standing
        if not _is_settled(request, event, form):
            kept = msgspec.json.encode(check_answers(form, answers)).decode()
            standing = book.step(request, event, _row(book, request, event, kept, form.terms))
            _record(parts, connection, call, repo, standing)
    if "application/json" in call.headers.get("accept", ""):
        return json_answer({"state": standing})
    return Answer(303, {"Location": f"{call.base_url}/{call.repo.id.web_path}"})


def _answers(call: Call) -> Answers:
    answers: Answers = call.json(Answers) if call.is_json else dict(call.form())
    answers.pop(CSRF_FIELD, None)
    return answers


def _people_behind(connection: Connection, owner_id: int) -> list[int]:
    """The account that a service acts for, and of an organization those who administer it."""
    here = (memberships.c.organization_id == owner_id) & (memberships.c.right == right_text(Right.ADMIN))
    return [owner_id, *connection.execute(select(memberships.c.user_id).where(here)).scalars()]


def _check_not_turned_away(request: Request) -> None:
    said = f". They say: {request.reason}" if request.reason else ""
    if request.standing is Standing.REJECTED:
        raise AccessDeniedError(f"the request of {request.name} was rejected{said}", hint=_WRITE_TO_THEM)
    if request.standing is Standing.REVOKED:
        raise AccessDeniedError(f"the access of {request.name} was taken back{said}", hint=_WRITE_TO_THEM)


def _check_may_ask(repo: Repo, book: Book, request: Request) -> None:
    _check_not_turned_away(request)
    if not book.takes_requests and request.standing not in {Standing.ACCEPTED, Standing.OUTDATED}:
        raise AccessDeniedError(
            f"{repo.id.full_name} takes no requests for access at the moment", hint="its authors let in whom they name"
        )


def _is_settled(request: Request, event: Event, form: Form) -> bool:
    """Whether to ask again changes nothing."""
    if request.standing is Standing.PENDING:
        return event is Event.ASK and request.terms == form.terms
    return request.standing is Standing.ACCEPTED


def _row(book: Book, request: Request, event: Event, fields: str, terms: str) -> dict[str, object]:
    agreed: dict[str, object] = {"fields": fields, "terms": terms}
    if request.standing is Standing.OUTDATED:
        return agreed
    asked = {"created_ms": book.now_ms, "reviewer_id": None, "reason": None}
    if event is Event.ASK:
        return agreed | asked | {"reviewed_ms": None, "expires_ms": None}
    return agreed | asked | {"reviewed_ms": book.now_ms, "expires_ms": book.end_of_grant(book.grant_days)}


def _record(parts: Parts, connection: Connection, call: Call, repo: Repo, after: Standing | None) -> None:
    deeds = [Deed.ACCESS_REQUEST, Deed.ACCESS_ACCEPT] if after is Standing.ACCEPTED else [Deed.ACCESS_REQUEST]
    for deed in deeds:
        record(connection, call.origin, deed, parts.now_ms(), repo=repo, subject=call.actor.name)


def withdraw(parts: Parts, call: Call) -> Answer:
    """Take one's own request back while it is pending; raises NotFoundError (UserNotFound) if there is none."""
    _withdraw(parts, call)
    return json_answer({"ok": True})


def withdraw_on_page(parts: Parts, call: Call) -> Answer:
    """The same, by the form of a page, which leads back to the repo."""
    _withdraw(parts, call)
    return Answer(303, {"Location": f"{call.base_url}/{call.repo.id.web_path}"})


def _withdraw(parts: Parts, call: Call) -> None:
    with parts.database.write() as connection:
        repo = check_again(parts, connection, call, Action.ENGAGE)
        book = Book(connection, repo.key, parts.now_ms())
        request = book.of_account(call.actor.user_id)
        if book.step(request, Event.WITHDRAW, {}) is None:
            raise no_step(request, Event.WITHDRAW)
        record(connection, call.origin, Deed.ACCESS_WITHDRAW, parts.now_ms(), repo=repo, subject=call.actor.name)


_DONE = {
    Event.ACCEPT: "accepted",
    Event.REJECT: "rejected",
    Event.REVOKE: "revoked",
    Event.REOPEN: "pending again",
    Event.GRANT: "granted",
    Event.WITHDRAW: "taken back",
}


def no_step(request: Request, event: Event) -> NotFoundError:
    """There is no request that this could be done with: none at all, or one that it is done with, or one in another state."""
    state = request.standing.value
    if not request.id:
        hint = "whoever did not ask is let in by a grant" if event in {Event.ACCEPT, Event.REVOKE} else ""
        return NotFoundError(no_request(request.name).message, code="UserNotFound", hint=hint)
    what = f"is {state} already" if _DONE[event] == state else f"is {state}: it cannot be {_DONE[event]}"
    return NotFoundError(f"the request of {request.name} {what}", code="UserNotFound")


def no_request(who: str, more: str = "") -> NotFoundError:
    """There is nothing to decide."""
    return NotFoundError(f"there is no access request of {who}{more}", code="UserNotFound")
