"""The page on which whoever administers a repo sees who asks for access, decides, lets in, and sets up the gate."""

from typing import NamedTuple, cast

import msgspec
from msgspec import UNSET, UnsetType

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.server.access import Gate, Standing
from tenuto.server.api.repos import SettingsRequest, change_settings
from tenuto.server.gates.book import Book, Request
from tenuto.server.gates.deciding import GrantRequest, Handlings, Verdict, decide_many, let_in
from tenuto.server.gates.showing import LISTS
from tenuto.server.gates.states import NEXT, Event
from tenuto.server.gates.terms import form_of
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.render import redirect, repo_url
from tenuto.server.pages.telling import Told, telling, told

_PAGE = 50
_STATES = ("pending", "accepted", "rejected", "revoked", "expired", "outdated", "all")
_DECISIONS = {"accept": "accepted", "reject": "rejected", "revoke": "revoked", "reopen": "pending"}
_CHOSEN = "request-"
_EVENTS = {"accept": Event.ACCEPT, "reject": Event.REJECT, "revoke": Event.REVOKE, "reopen": Event.REOPEN}
_WORDS: dict[Verdict, str] = {
    "accepted": "Accepted",
    "rejected": "Rejected",
    "revoked": "Took back the access of",
    "pending": "To be decided anew:",
}
_MOST_NAMES = 5


class Line(NamedTuple):
    """One request in the list."""

    request: Request
    answers: list[tuple[str, str]]
    is_outdated: bool
    """Whether it agreed to terms that hold no more."""


def requests_page(parts: Parts, call: Call) -> Answer:
    """The requests in one state, oldest first, and the gate as it is set up."""
    state = call.text("state") or Standing.PENDING.value
    if state not in _STATES:
        raise UsageError(f"{state[:40]!r} is not one of {', '.join(_STATES)}")
    with parts.database.read() as connection:
        book = Book(connection, call.repo.key, parts.now_ms())
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        found = list(
            book.page(LISTS[state] if state == "all" else [Standing(state)], call.number("after", 0, 2**62), _PAGE + 1)
        )
        return page.render(
            "gate/requests.html",
            "access",
            state=state,
            states=_STATES,
            found=[_line(one, book.is_outdated(one)) for one in found[:_PAGE]],
            next=found[_PAGE - 1].id if len(found) > _PAGE else None,
            book=book,
            counts=book.counts(),
            fault=form_of(git).fault,
            is_open=call.repo.gate is Gate.OPEN,
            told=told(parts, call),
            deeds={deed for deed, event in _EVENTS.items() if any(one.standing in NEXT[event] for one in found)},
        )


def _line(one: Request, is_outdated: bool) -> Line:
    fields: dict[str, object] = msgspec.json.decode(one.fields)
    words = {True: "yes", False: "no", None: ""}
    shown = ((name, words[value] if isinstance(value, bool | None) else str(value)) for name, value in fields.items())
    return Line(one, list(shown), is_outdated)


def decide(parts: Parts, call: Call) -> Answer:
    """Take in one of the forms of the page, and lead back to it, saying what was done."""
    form = call.form()
    deed = form.get("deed", "")
    if deed in _DECISIONS:
        became = _decide(parts, call, form, cast("Verdict", _DECISIONS[deed]))
    elif deed == "grant":
        became = _let_in(parts, call, form)
    elif deed == "set":
        became = _set_up(parts, call, form)
    else:
        raise UsageError("the form does not say what to do")
    query = {"state": form["state"]} if form.get("state") in _STATES else {}
    return redirect(telling(parts, call, f"{repo_url(call.repo.id)}/access", became, **query))


def _decide(parts: Parts, call: Call, form: dict[str, str], verdict: Verdict) -> Told:
    chosen = [key.removeprefix(_CHOSEN) for key in form if key.startswith(_CHOSEN)]
    everybody = form.get("all") == "true"
    if not chosen and not everybody:
        return Told(undone="Nobody was chosen.")
    wanted = Handlings(
        status=verdict,
        request_ids=[] if everybody else chosen,
        all=everybody,
        days=_days(form),
        rejection_reason=form.get("reason") or None,
    )
    outcome = decide_many(parts, call, wanted)
    undone = [f"{one.name}: {one.error}." for one in outcome.failed[:3]]
    if outcome.more:
        undone.append("There are more: send it again for the next ones.")
    if not outcome.done and not undone:
        undone.append("Nobody is waiting.")
    if outcome.outdated:
        undone.insert(0, f"{_names(outcome.outdated)} must agree to the new terms first.")
    return Told(f"{_WORDS[verdict]} {_names(outcome.done)}." if outcome.done else "", " ".join(undone))


def _names(names: list[str]) -> str:
    some, more = names[:_MOST_NAMES], len(names) - _MOST_NAMES
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")


def _let_in(parts: Parts, call: Call, form: dict[str, str]) -> Told:
    user = form.get("user", "").strip()
    wanted = GrantRequest(user=user, days=_days(form))
    try:
        let_in(parts, call, wanted)
    except (NotFoundError, UsageError) as error:
        return Told(undone=f"{error.message}.")
    return Told(f"{user} was let in.")


def _set_up(parts: Parts, call: Call, form: dict[str, str]) -> Told:
    days = form.get("grant_days", "").strip()
    gate = form.get("gate", "")
    wanted = SettingsRequest(
        gated=gate if gate in {"auto", "manual"} else False,
        takes_requests=form.get("takes_requests") == "true",
        grant_days=_number(days) if days else None,
    )
    change_settings(parts, call, wanted)
    return Told("The gate is set up.")


def _days(form: dict[str, str]) -> int | UnsetType | None:
    text = form.get("days", "").strip()
    return _number(text) if text else UNSET


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text[:20]!r} is not a number of days")
    return int(text[:9])
