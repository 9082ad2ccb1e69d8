"""What people write as Markdown, as HTML that is safe to show: the one door to markdown-it and nh3.

Everything passes a list of tags and attributes that are harmless; nothing else does. Pictures come from the same repo only, links are
told apart from ours, and names of anchors cannot be those of the page.
"""

import re
from collections.abc import Sequence
from functools import cache
from urllib.parse import unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tenuto.core.errors import UsageError
from tenuto.core.ids import RepoId
from tenuto.core.paths import check_path
from tenuto.server.pages.highlight import as_html
from tenuto.server.pages.render import Html, place_url, trusted

_SHOWN_CHARACTERS = (40_000, 15_000, 5_000)
"""Of a longer text the beginning is shown; of one that becomes too much as HTML, less of it."""
_MOST_LINES = 2_000
"""A line of few signs may cost as much as a long one."""
PAGE_BYTES = 60_000
_WHOLE_BYTES = 1 << 20
_CODE_CHARACTERS = 10_000
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_ANCHOR = "card-"
_TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q"),
    *("s", "samp", "small", "span", "strong", "sub", "summary", "sup"),
    *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
}
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "details": {"open"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "span": {"class"},
    **{tag: {"align"} for tag in ("div", "p", "td", "th")},
    **{tag: {"align", "id"} for tag in ("h1", "h2", "h3", "h4", "h5", "h6")},
}
_VALUES = {
    "align": re.compile(r"left|right|center"),
    "class": re.compile(r"[ksmcn]"),
    "width": re.compile(r"\d{1,4}%?"),
    "height": re.compile(r"\d{1,4}%?"),
    "id": re.compile(_ANCHOR + r"[\w-]{1,80}"),
}
_TEXT_ALIGN = re.compile(r"text-align:(left|right|center)")


def markdown_html(text: str, repo: RepoId, revision: str, folder: str = "", most_bytes: int = PAGE_BYTES) -> Html:
    """Markdown as safe HTML, with its relative links led to the files of a repo beside `folder`; no more than fits into a page."""
    links = _Links(repo, revision, folder)
    for beginning in dict.fromkeys(_beginning(text, characters) for characters in _SHOWN_CHARACTERS):
        html = _cleaned(beginning, links)
        if len(html.encode()) <= most_bytes:
            return trusted(html)
    return trusted("<pre>{}</pre>").format(text[: _SHOWN_CHARACTERS[-1]])


def whole_html(text: str, repo: RepoId, revision: str) -> Html:
    """All of a text that is agreed to: as Markdown, or as it was written where that would become too much."""
    html = _cleaned(text, _Links(repo, revision, ""))
    return trusted(html) if len(html.encode()) <= _WHOLE_BYTES else trusted("<pre>{}</pre>").format(text)


def _beginning(text: str, characters: int) -> str:
    """Whole paragraphs, as far as that goes; all of a text that is not longer."""
    lines = text[: characters + 1].split("\n", _MOST_LINES)
    shown = "\n".join(lines[:_MOST_LINES])[:characters]
    return shown if shown == text else shown.rpartition("\n\n")[0] or shown


def _cleaned(text: str, links: "_Links") -> str:
    return nh3.clean(
        _parser().render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=links.keep,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )


class _Links:
    """Says what becomes of each attribute."""

    def __init__(self, repo: RepoId, revision: str, folder: str) -> None:
        self._repo, self._revision, self._folder = repo, revision, folder

    def keep(self, tag: str, name: str, value: str) -> str | None:
        """The value that an attribute may have, or None if it may not be there."""
        if name == "href":
            return self._href(value)
        if name == "src":
            return self._picture(value)
        rule = _VALUES.get(name)
        return value if rule is None or rule.fullmatch(value) else None

    def _href(self, value: str) -> str | None:
        if value.startswith("#"):
            return f"#{_ANCHOR}{_slug(unquote(value[1:]))}"
        if _is_elsewhere(value):
            return value
        path = self._path(value)
        return place_url(self._repo, "blob", self._revision, path) if path else None

    def _picture(self, value: str) -> str | None:
        if _is_elsewhere(value):
            return None
        path = self._path(value)
        is_picture = path is not None and path.lower().endswith(_PICTURES)
        return place_url(self._repo, "resolve", self._revision, path or "") if is_picture else None

    def _path(self, value: str) -> str | None:
        """The path in the repo that a relative address means, or None if it means none."""
        relative = unquote(value.partition("#")[0].partition("?")[0])
        parts: list[str] = [] if relative.startswith("/") else [part for part in self._folder.split("/") if part]
        for part in relative.split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in {"", "."}:
                parts.append(part)
        try:
            return check_path("/".join(parts)) if parts else None
        except UsageError:
            return None


def _is_elsewhere(value: str) -> bool:
    try:
        split = urlsplit(value)
    except ValueError:
        return True
    return bool(split.scheme or split.netloc)


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")[:80]


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _code})
    parser.enable(["table", "strikethrough"])
    parser.core.ruler.push("anchors", lambda state: _mark(state.tokens))
    return parser


def _code(text: str, language: str, _attributes: str) -> str:
    return as_html(text, language.lower()) if len(text) <= _CODE_CHARACTERS else ""


def _mark(tokens: Sequence[Token]) -> None:
    """Headings get names, and cells of tables say how they are aligned without a style."""
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            slug = _slug(tokens[index + 1].content)
            if slug:
                token.attrSet("id", _ANCHOR + slug)
        elif token.type in {"th_open", "td_open"}:
            match = _TEXT_ALIGN.fullmatch(str(token.attrGet("style") or ""))
            if match:
                token.attrSet("align", match[1])
