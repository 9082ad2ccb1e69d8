"""The one door to the templates: a template, the call, and values become an answer that a browser shows."""

import datetime
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tenuto.core.ids import RepoId
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.pages.assets import asset_path
from tenuto.server.pages.forms import CSRF_FIELD, csrf_token
from tenuto.server.pages.words import said_of, sentence

Html: TypeAlias = Markup
"""HTML that is shown as it is."""

PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept, Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def render(
    template: str, call: Call, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
) -> Answer:
    """The page that a template of `templates/` makes of `values`. All text is escaped; a value that is missing is an error.

    A template finds beside its values: `call`, `actor`, and `csrf_field`, which stands in every form that is sent by POST.
    """
    field = Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, csrf_token(call))
    text = _environment().get_template(template).render(call=call, actor=call.actor, csrf_field=field, **values)
    return Answer(status, {**PAGE_HEADERS, **(headers or {})}, text.encode())


def redirect(place: str) -> Answer:
    """The answer to a form that was taken in: go and see `place`, a path of this hub; any other one is the start page."""
    return Answer(303, {"Location": quote(own_place(place), safe="/?&=#%:@!$'()*+,;~-._"), "Cache-Control": "no-store"})


def own_place(text: str) -> str:
    """`text` if it is a path of this hub, else the start page: what a link or a form says may lead nowhere else."""
    return text if text.startswith("/") and text[1:2] not in {"/", "\\"} and text.isprintable() else "/"


def trusted(html: str) -> Html:
    """HTML that a template shall show as it is: only what this hub made or cleaned itself."""
    return Markup(html)  # noqa: S704  # that is what this function is for


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tenuto.server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size_text,
        "day": day_text,
        "moment": moment_text,
        "count": count_text,
        "sentence": sentence,
        "said": said_of,
    }
    environment.globals |= {"asset": asset_path, "repo_url": repo_url, "place_url": place_url, "with_query": with_query}
    return environment


def repo_url(repo: RepoId) -> str:
    """Where the page of a repo is."""
    return f"/{repo.web_path}"


def place_url(repo: RepoId, view: str, revision: str = "", path: str = "") -> str:
    """Where a view of a repo is: `tree`, `blob`, `resolve`, `commits` and so on, at a revision and a path in it."""
    place = f"/{repo.web_path}/{view}"
    if revision:
        place += f"/{quote(revision, safe='')}"
    return f"{place}/{quote(path)}" if path else place


def with_query(call: Call, **changed: object) -> str:
    """The address of the same page with other values in its query; None takes a value away."""
    kept = {key: values for key, values in call.query.items() if key not in changed}
    kept |= {key: [str(value)] for key, value in changed.items() if value is not None}
    return f"{call.raw_path}?{urlencode(kept, doseq=True)}" if kept else call.raw_path


def weight(text: str) -> int:
    """How many bytes a text takes in a page, where some characters are written as several."""
    return len(escape(text).encode())


def size_text(size_bytes: float) -> str:
    """A size as people read it, in powers of 1000."""
    index = 0
    while size_bytes >= 999.5 and index < len(_UNITS) - 1:
        size_bytes, index = size_bytes / 1000, index + 1
    return (
        f"{size_bytes:.0f} {_UNITS[index]}" if index == 0 or size_bytes >= 99.5 else f"{size_bytes:.2g} {_UNITS[index]}"
    )


def count_text(number: int, word: str) -> str:
    """A number of things: `1 file`, `2,000 files`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _time(time_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)


def day_text(time_ms: int) -> str:
    """The day of a time, as `3 Mar 2026`."""
    return date_text(_time(time_ms))


def date_text(day: datetime.date) -> str:
    """A day as people write it."""
    return f"{day.day} {day:%b %Y}"


def moment_text(time_ms: int) -> str:
    """A time to the second, for machines and for those who point at it."""
    return f"{_time(time_ms):%Y-%m-%dT%H:%M:%SZ}"
