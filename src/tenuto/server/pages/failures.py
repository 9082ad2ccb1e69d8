"""What a browser shows when a page is refused or is not there: what happened, and what to do."""

from typing import NamedTuple
from urllib.parse import quote, urlsplit

from tenuto.core.errors import TenutoError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.core.wire import error_headers
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.pages.render import own_place, render, repo_url
from tenuto.server.pages.words import said_of, sentence

LOGIN = "/login"


class _Advice(NamedTuple):
    """The heading of a failure, and what helps where the failure itself does not say so; `signs_in` if signing in may."""

    heading: str
    text: str
    signs_in: bool = False


_OUR_FAULT = "It is not your fault. Try again; if it stays so, tell whoever runs this hub."
_DAMAGED = _Advice("This is damaged on the hub", "Tell whoever runs this hub: `tenuto hub check` says what it is.")
_SILENT = _Advice("Somebody else does not answer", "This hub has to ask another one for that. Try again later.")
_MOVED = _Advice("Somebody was faster", "Load the page anew, look at what changed, and try again.")
_ADVICE = {
    "RepoNotFound": _Advice(
        "There is nothing here that you may see",
        "Check the name. A private repository shows only to those who may read it.",
        signs_in=True,
    ),
    "RouteNotFound": _Advice("There is no such page", "Check the address, or begin at the start page."),
    "RevisionNotFound": _Advice(
        "There is no such version", "The branch, tag or commit was renamed, deleted, or never there."
    ),
    "EntryNotFound": _Advice("This is not here", "Check the name. It may be in another version, or have moved."),
    "ObjectNotFound": _Advice("This is not here", "It was never uploaded whole, or deleted since."),
    "UserNotFound": _Advice("This is not here", "Check how it is spelled, or load anew the page that you come from."),
    "NoToken": _Advice("Please sign in", "This is for people whom the hub knows.", signs_in=True),
    "BadToken": _Advice("Please sign in again", "Whoever you were signed in as is not known any more.", signs_in=True),
    "GatedRepo": _Advice(
        "Access is restricted",
        "The authors want to know who uses these files. Ask for access on the page of the repository.",
    ),
    "Forbidden": _Advice("You may not do this", "Ask somebody who administers it, or sign in as somebody else."),
    "BadPath": _Advice("A file cannot be called so", "Choose another name."),
    "BadAddress": _Advice("Nothing can be called so", "Choose another name."),
    "Exists": _Advice("This is there already", "Choose another name."),
    "Conflict": _Advice("Something stands against it", "Load the page anew, look at how things are, and try again."),
    "StaleParent": _MOVED,
    "TooLarge": _Advice(
        "This is too much for a page",
        "Large files go by `tenuto push`, `hf upload` or git; large tables and texts can be downloaded.",
    ),
    "QuotaExceeded": _Advice(
        "There is no room left", "Delete what is not needed, or ask whoever runs this hub for more."
    ),
    "RateLimited": _Advice("Too many requests", "Wait a minute, then load the page anew."),
    "HubUnavailable": _Advice("The hub is busy", "Wait a moment, then load the page anew."),
    "NotSupported": _Advice("This hub cannot do that", "Try it another way."),
    "NetworkFailure": _SILENT,
    "BadAnswer": _SILENT,
    "Stalled": _Advice("The connection was too slow", "Try again, with less at once."),
    "CorruptObject": _DAMAGED,
    "HashMismatch": _DAMAGED,
    "DiskFull": _Advice("The hub has no room left", "Nothing was kept. Tell whoever runs this hub."),
    "LocalFile": _Advice("The hub failed", _OUR_FAULT),
    "InternalError": _Advice("The hub failed", _OUR_FAULT),
}
_OTHERWISE = _Advice("This did not work", "Go back, and try it another way.")


def wants_page(call: Call) -> bool:
    """Whether whoever asks is a browser, and no API is asked."""
    return "text/html" in call.headers.get("accept", "") and not call.raw_path.startswith("/api/")


def failure_page(call: Call, error: TenutoError, status: int) -> Answer:
    """The page that tells of `error`, with the headers that programs read it from."""
    advice = _ADVICE.get(error.code, _OTHERWISE)
    values = {
        "heading": advice.heading,
        "message": "" if _is_said_by_heading(error) else said_of(error),
        "help": advice.text if advice.signs_in else sentence(error.hint or advice.text),
        "sign_in": _sign_in(call) if advice.signs_in and not call.actor.is_known else "",
        "repo_page": _repo_page(call) if error.code == "GatedRepo" or _is_in_repo(call) else "",
        "back": _form_page(call),
        "code": status,
    }
    return render("failure.html", call, status=status, headers=error_headers(error), **values)


def _is_said_by_heading(error: TenutoError) -> bool:
    return error.code == "NoToken" or (error.code == "RouteNotFound" and not error.hint)


def _sign_in(call: Call) -> str:
    """Where to sign in, to be led back here afterwards, unless this is a form that was sent, or a part of signing in."""
    leads_back = call.method in {"GET", "HEAD"} and not call.raw_path.startswith(LOGIN)
    return f"{LOGIN}?next={quote(call.place, safe='')}" if leads_back else LOGIN


def _form_page(call: Call) -> str:
    """Where the form stood that was sent, as far as the browser says; nothing for what is no form of this hub."""
    came = urlsplit(call.headers.get("referer", ""))
    if call.method != "POST" or not came.netloc or came.netloc != call.headers.get("host"):
        return ""
    return own_place(f"{came.path}?{came.query}" if came.query else came.path)


def _is_in_repo(call: Call) -> bool:
    """Whether this is about a repo that the caller was let into."""
    return call.target is not None and "kind" in call.params


def _repo_page(call: Call) -> str:
    params = call.params
    return repo_url(RepoId(RepoKind(params["kind"]), params["namespace"], params["name"]))
