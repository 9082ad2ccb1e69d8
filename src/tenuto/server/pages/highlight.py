"""Colours for source text: which pieces of a line are keywords, texts, numbers, notes and names. The one door to pygments."""

import html
import time
from collections.abc import Iterator
from functools import cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType

HIGHLIGHT_BYTES = 128 << 10
"""Longer texts are shown without colours: it would take too long."""
BUDGET_S = 0.3
_LINE_CHARACTERS = 2000

_LEXERS = {
    "bash": "bash",
    "c": "c",
    "cfg": "ini",
    "cpp": "cpp",
    "css": "css",
    "diff": "diff",
    "go": "go",
    "h": "c",
    "html": "html",
    "ini": "ini",
    "ipynb": "json",
    "js": "javascript",
    "json": "json",
    "jsonl": "json",
    "md": "markdown",
    "patch": "diff",
    "py": "python",
    "python": "python",
    "rs": "rust",
    "sh": "bash",
    "sql": "sql",
    "svg": "xml",
    "toml": "toml",
    "ts": "typescript",
    "xml": "xml",
    "yaml": "yaml",
    "yml": "yaml",
}
_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (Keyword, "k"),
    (Name.Tag, "k"),
    (String, "s"),
    (Number, "m"),
    (Name.Attribute, "n"),
    (Name.Class, "n"),
    (Name.Decorator, "n"),
    (Name.Function, "n"),
)

Piece = tuple[str, str]
"""The class of a piece of text, empty for none, and the text."""


def languages() -> frozenset[str]:
    """What names a language here: endings of files, and words behind the fence of a block of code."""
    return frozenset(_LEXERS)


def plain_lines(text: str) -> list[list[Piece]]:
    """The lines of a text, without colours."""
    return [[("", line)] for line in text.split("\n")]


def lines(text: str, language: str, budget_s: float = BUDGET_S) -> list[list[Piece]]:
    """The lines of a text, each as pieces; without colours if the language is not known, or the text or a line is long.

    Some texts, made for it, take a lexer very long: what is left when the budget of processor time is spent has no colours.
    """
    is_long = len(text) > HIGHLIGHT_BYTES or any(len(line) > _LINE_CHARACTERS for line in text.split("\n"))
    if language not in _LEXERS or is_long:
        return plain_lines(text)
    made: list[list[Piece]] = [[]]
    for word, value in _pieces(_lexer(language), text, budget_s):
        for index, part in enumerate(value.split("\n")):
            if index:
                made.append([])
            if part:
                _append(made[-1], word, part)
    return made


def as_html(text: str, language: str) -> str:
    """A short text as HTML, for a block of code in a card; escaped."""
    pieces = [
        "".join(
            f'<span class="{word}">{html.escape(part)}</span>' if word else html.escape(part) for word, part in line
        )
        for line in lines(text, language, BUDGET_S / 10)
    ]
    return "\n".join(pieces)


@cache
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(_LEXERS[language], stripnl=False, ensurenl=False)


def _pieces(lexer: Lexer, text: str, budget_s: float) -> Iterator[Piece]:
    end_s = time.thread_time() + budget_s
    shown = 0
    for at, kind, value in lexer.get_tokens_unprocessed(text):
        if at != shown or time.thread_time() > end_s:
            break
        yield _class_of(kind), value
        shown += len(value)
    if shown < len(text):
        yield "", text[shown:]


def _class_of(kind: _TokenType) -> str:
    return next((word for family, word in _CLASSES if kind[: len(family)] == family), "")


def _append(line: list[Piece], word: str, part: str) -> None:
    if line and line[-1][0] == word:
        line[-1] = (word, line[-1][1] + part)
    else:
        line.append((word, part))
