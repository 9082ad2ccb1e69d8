"""Looks into files, for their pages. Each reads a bounded part and gives what a template shows, or nothing."""

from typing import NamedTuple

import msgspec

from tenuto.inspect.findings import Inspection, Limits
from tenuto.inspect.look import look_at
from tenuto.inspect.source import Source
from tenuto.server.http.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.highlight import HIGHLIGHT_BYTES, Piece, lines, plain_lines
from tenuto.server.pages.markdown import markdown_html
from tenuto.server.pages.pace import paced
from tenuto.server.pages.render import weight

TEXT_BYTES = 2 << 20
_PAGE_LINES = 500
_PAGE_BYTES, _LINE_BYTES, _PIECE_BYTES = 66_000, 75, 20
_LINE_CHARACTERS = 1000
_JSON_BYTES = 1 << 20
_NODES, _TREE_BYTES, _KEY_CHARACTERS, _VALUE_CHARACTERS = 600, 45_000, 120, 200


_LIMITS = Limits(content_bytes=0, text_bytes=4 << 20, items=5000, steps=100_000, listed=100, findings=20)
_MOST_FINDINGS, _FACT_CHARACTERS = 20, 2000
_SOUND_WORDS = {
    "rate_hz": ("Sample rate", "Hz"),
    "duration_s": ("Duration", "s"),
    "bits": ("Bits per sample", ""),
    "pcm_md5": ("MD5 of the samples", ""),
}


class Preview(NamedTuple):
    """What a template shows: the name of the piece of it, and values for that."""

    kind: str
    values: dict[str, object]


def text(source: Source, file: File, call: Call) -> Preview | None:
    """A page of the lines of a text, with colours if its language is known; nothing for what is no text."""
    if file.size > TEXT_BYTES:
        return None
    try:
        whole = source.read(0, source.size).decode()
    except UnicodeDecodeError:
        return None
    if "\0" in whole:
        return None
    first = call.number("line", 1, 10**9) - 1
    whole = whole.replace("\r\n", "\n").removesuffix("\n")
    count = whole.count("\n") + 1
    if file.size <= HIGHLIGHT_BYTES:
        found = lines(whole, file.ending)[first : first + _PAGE_LINES]
    else:
        found = plain_lines(_part(whole, first)) if first < count else []
    shown: list[list[Piece]] = []
    room = _PAGE_BYTES
    for line in found:
        shown.append(_cut(line))
        room -= sum(weight(part) + (_PIECE_BYTES if word else 0) for word, part in shown[-1]) + _LINE_BYTES
        if room <= 0:
            break
    following = first + len(shown)
    return Preview(
        "text",
        {
            "lines": list(enumerate(shown, first + 1)),
            "count": count,
            "next": following + 1 if following < count else 0,
            "previous": max(first - _PAGE_LINES, 0) + 1 if first else 0,
        },
    )


def _part(text: str, first: int) -> str:
    """A page of lines behind the first so many; the lines of a long text are not all made for that."""
    start = 0
    for _ in range(first):
        start = text.index("\n", start) + 1
    end = start
    for _ in range(_PAGE_LINES):
        end = text.find("\n", end) + 1
        if not end:
            return text[start:]
    return text[start : end - 1]


def _cut(line: list[Piece]) -> list[Piece]:
    """A line, as far as it is shown."""
    shown: list[Piece] = []
    left = _LINE_CHARACTERS
    for word, part in line:
        if left <= 0:
            return [*shown, ("c", " …")]
        shown.append((word, part[:left]))
        left -= len(part)
    return shown


def markdown(source: Source, file: File, call: Call) -> Preview | None:
    """Markdown as it is meant to be read."""
    if file.size > TEXT_BYTES:
        return None
    whole = source.read(0, source.size).decode(errors="replace")
    folder = file.path.rpartition("/")[0]
    return Preview("prose", {"text": markdown_html(whole, call.repo.id, call.params["rev"], folder)})


def shortened(text: str, characters: int) -> str:
    """A text, or its beginning with a mark that it goes on."""
    return text if len(text) <= characters else f"{text[:characters]}…"


def inspected(source: Source, file: File, call: Call) -> Preview | None:
    """What a look at the structure of a file tells, without running anything of it: a Parquet footer, a pickle, an archive."""
    found = look_at(paced(source), file.name, _LIMITS)
    if found.format == "unknown":
        return None
    return Preview(
        "facts", {"format": found.format, "facts": _facts(found), "findings": found.findings[:_MOST_FINDINGS]}
    )


def _facts(found: Inspection) -> list[tuple[str, str]]:
    """What a look found, as pairs of a word and a text."""
    facts = []
    for key, value in found.facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        facts.append((key.replace("_", " "), shortened(shown, _FACT_CHARACTERS)))
    return facts


class Node(NamedTuple):
    """A value in a tree: its key, and its text or what is below it."""

    key: str
    text: str
    below: "list[Node] | None"


def json_tree(source: Source, file: File, call: Call) -> Preview | None:
    """The values of a JSON file as a tree that opens; as text if it is large or no JSON."""
    if file.size > _JSON_BYTES:
        return text(source, file, call)
    try:
        value = msgspec.json.decode(source.read(0, source.size))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text(source, file, call)
    budget = _Budget()
    return Preview("tree", {"root": _node("", value, budget, 0), "is_all": not budget.is_spent})


class _Budget:
    """How much of a tree may still be shown."""

    def __init__(self) -> None:
        self._nodes, self._room = _NODES, _TREE_BYTES
        self.is_spent = False

    def take(self, text: str) -> bool:
        """Whether there is room for one more node with that text."""
        self._nodes, self._room = self._nodes - 1, self._room - weight(text) - 60
        self.is_spent = self.is_spent or self._nodes < 0 or self._room < 0
        return not self.is_spent


_DEPTH = 20


def _node(key: str, value: object, budget: _Budget, depth: int) -> Node:
    key = shortened(key, _KEY_CHARACTERS)
    if isinstance(value, dict | list) and depth < _DEPTH:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        below = []
        for name, one in items:
            if not budget.take(shortened(str(name), _KEY_CHARACTERS)):
                break
            below.append(_node(str(name), one, budget, depth + 1))
        size = len(value)
        return Node(key, f"{size} {'keys' if isinstance(value, dict) else 'items'}", below)
    shown = shortened(msgspec.json.encode(value).decode(), _VALUE_CHARACTERS) if depth < _DEPTH else "…"
    budget.take(shown)
    return Node(key, shown, None)


def sound(source: Source, file: File, call: Call) -> Preview | None:
    """A recording that can be heard and looked at."""
    found = look_at(paced(source), file.name, _LIMITS)
    return Preview("sound", {"facts": _sound_facts(found), "rate": found.facts.get("rate_hz", "")})


def _sound_facts(found: Inspection) -> list[tuple[str, str]]:
    """The same facts, with names and units as people write them."""
    facts = []
    for (key, value), (word, text) in zip(found.facts.items(), _facts(found), strict=True):
        name, unit = _SOUND_WORDS.get(key, (word.capitalize(), ""))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        facts.append((name, f"{value:,} {unit}".rstrip() if is_number else text))
    return facts


def picture(source: Source, file: File, call: Call) -> Preview | None:
    """A picture."""
    return Preview("picture", {})
