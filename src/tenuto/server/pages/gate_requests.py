"""The page on which whoever administers a repo sees who asks for access, decides, lets in, and sets up the gate."""

from typing import NamedTuple, cast
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.server.access import Gate, Standing
from tenuto.server.exchange import Answer, Call
from tenuto.server.gates.book import Book, Request
from tenuto.server.gates.deciding import GrantRequest, Handlings, Verdict, decide_many, let_in
from tenuto.server.gates.showing import LISTS
from tenuto.server.gates.terms import form_of
from tenuto.server.gitstore import GitReader
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.render import redirect, repo_url
from tenuto.server.repo_api import SettingsRequest, change_settings

_PAGE = 50
_STATES = ("pending", "accepted", "rejected", "revoked", "expired", "outdated", "all")
_DECISIONS = {"accept": "accepted", "reject": "rejected", "revoke": "revoked", "reopen": "pending"}
_CHOSEN = "request-"
_SAID_CHARACTERS = 300


class Line(NamedTuple):
    """One request in the list."""

    request: Request
    answers: list[tuple[str, str]]


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
            found=[_line(one) for one in found[:_PAGE]],
            next=found[_PAGE - 1].id if len(found) > _PAGE else None,
            book=book,
            fault=form_of(git).fault,
            is_open=call.repo.gate is Gate.OPEN,
            said=(call.text("said") or "")[:_SAID_CHARACTERS],
        )


def _line(one: Request) -> Line:
    fields: dict[str, object] = msgspec.json.decode(one.fields)
    words = {True: "yes", False: "no", None: ""}
    shown = ((name, words[value] if isinstance(value, bool | None) else str(value)) for name, value in fields.items())
    return Line(one, list(shown))


def decide(parts: Parts, call: Call) -> Answer:
    """Take in one of the forms of the page, and lead back to it, saying what was done."""
    form = call.form()
    deed = form.get("deed", "")
    if deed in _DECISIONS:
        said = _decide(parts, call, form, cast("Verdict", _DECISIONS[deed]))
    elif deed == "grant":
        said = _let_in(parts, call, form)
    elif deed == "set":
        said = _set_up(parts, call, form)
    else:
        raise UsageError("the form does not say what to do")
    query = {"said": said} | ({"state": form["state"]} if form.get("state") in _STATES else {})
    return redirect(f"{repo_url(call.repo.id)}/access?{urlencode(query)}")


def _decide(parts: Parts, call: Call, form: dict[str, str], verdict: Verdict) -> str:
    chosen = [key.removeprefix(_CHOSEN) for key in form if key.startswith(_CHOSEN)]
    everybody = form.get("all") == "true"
    if not chosen and not everybody:
        return "Nothing was chosen."
    wanted = Handlings(
        status=verdict,
        request_ids=[] if everybody else chosen,
        all=everybody,
        days=_days(form),
        rejection_reason=form.get("reason") or None,
    )
    outcome = decide_many(parts, call, wanted)
    said = [f"{len(outcome.done)} decided."] if outcome.done else []
    said += [f"{one.name}: {one.error}." for one in outcome.failed[:3]]
    if outcome.more:
        said.append("There are more: send it again for the next ones.")
    return " ".join(said) or "Nobody is waiting."


def _let_in(parts: Parts, call: Call, form: dict[str, str]) -> str:
    user = form.get("user", "").strip()
    wanted = GrantRequest(user=user, days=_days(form))
    try:
        let_in(parts, call, wanted)
    except (NotFoundError, UsageError) as error:
        return f"{error.message}."
    return f"{user} was let in."


def _set_up(parts: Parts, call: Call, form: dict[str, str]) -> str:
    days = form.get("grant_days", "").strip()
    gate = form.get("gate", "")
    wanted = SettingsRequest(
        gated=gate if gate in {"auto", "manual"} else False,
        takes_requests=form.get("takes_requests") == "true",
        grant_days=_number(days) if days else None,
    )
    change_settings(parts, call, wanted)
    return "The gate is set up."


def _days(form: dict[str, str]) -> int | UnsetType | None:
    text = form.get("days", "").strip()
    return _number(text) if text else UNSET


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text[:20]!r} is not a number of days")
    return int(text[:9])
