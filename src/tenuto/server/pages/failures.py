"""What a browser shows when a page is refused or is not there: what happened, and what to do."""

from typing import NamedTuple
from urllib.parse import quote

from tenuto.core.errors import TenutoError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.core.wire import error_headers
from tenuto.server.exchange import Answer, Call
from tenuto.server.pages.render import render, repo_url


class _Advice(NamedTuple):
    """The heading of a failure, and what helps; `signs_in` if signing in may."""

    heading: str
    text: str
    signs_in: bool = False


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
    "EntryNotFound": _Advice("There is no such file", "It may be in another version, or have moved."),
    "UserNotFound": _Advice("Nobody has this name here", "Check how it is spelled."),
    "NoToken": _Advice("Please sign in", "This page is for people whom the hub knows.", signs_in=True),
    "BadToken": _Advice("Please sign in again", "Your session has ended, or its token was revoked.", signs_in=True),
    "GatedRepo": _Advice(
        "Access is restricted",
        "The authors want to know who uses these files. Ask for access on the page of the repository.",
    ),
    "Forbidden": _Advice("You may not do this", "Ask somebody who administers it, or sign in as somebody else."),
    "TooLarge": _Advice(
        "This is too much for a page",
        "Large files go by `tenuto push`, `hf upload` or git; large tables and texts can be downloaded.",
    ),
    "RateLimited": _Advice("Too many requests", "Wait a minute, then load the page anew."),
    "InternalError": _Advice(
        "The hub failed", "It is not your fault. Try again; if it stays so, tell whoever runs this hub."
    ),
}


def wants_page(call: Call) -> bool:
    """Whether whoever asks is a browser, and no API is asked."""
    return "text/html" in call.headers.get("accept", "") and not call.raw_path.startswith("/api/")


def failure_page(call: Call, error: TenutoError, status: int) -> Answer:
    """The page that tells of `error`, with the headers that programs read it from."""
    advice = _ADVICE.get(error.code, _Advice("This did not work", error.hint or "Go back, and try it another way."))
    sign_in = (
        f"/login?next={quote(call.place if call.method in {'GET', 'HEAD'} else '/', safe='')}"
        if advice.signs_in and not call.actor.is_known
        else ""
    )
    repo_page = _repo_page(call) if error.code == "GatedRepo" else ""
    values = {"advice": advice, "error": error, "code": status, "sign_in": sign_in, "repo_page": repo_page}
    return render("failure.html", call, status=status, headers=error_headers(error), **values)


def _repo_page(call: Call) -> str:
    params = call.params
    return repo_url(RepoId(RepoKind(params["kind"]), params["namespace"], params["name"]))
