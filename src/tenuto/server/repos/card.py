"""The front matter of a README: YAML, read safely and within bounds."""

import datetime
import math
import re
from typing import Any

import yaml

FRONT_MATTER_BYTES = 1 << 16
_DEPTH = 50
_MOST_VALUES = 8_000
_OPENING = re.compile(r"\s*---[ \t]*\r?\n")
_NO_TEXT = re.compile(r"[\ud800-\udfff\0]")
_CLOSING = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)


class CardError(ValueError):
    """The front matter cannot be used; the text says why."""


class _Loader(yaml.SafeLoader):
    """YAML's safe types, without aliases (a few lines of them can stand for gigabytes), bottomless nesting and very many values."""

    depth = 0
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise CardError("aliases (*name) are not allowed")
        if self.depth >= _DEPTH:
            raise CardError(f"it is nested deeper than {_DEPTH} levels")
        self.values += 1
        if self.values > _MOST_VALUES:
            raise CardError(f"it holds more than {_MOST_VALUES:,} values")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def front_matter(text: str) -> str | None:
    """The YAML between the first two lines of `---`, or None if there is none; raises CardError if it is too long."""
    opening = _OPENING.match(text.removeprefix("\ufeff")[: FRONT_MATTER_BYTES + 10])
    if not opening:
        return None
    rest = text.removeprefix("\ufeff")[opening.end() :][: FRONT_MATTER_BYTES + 1]
    closing = _CLOSING.search(rest)
    if closing:
        return rest[: closing.start()]
    if len(rest) > FRONT_MATTER_BYTES:
        raise CardError(f"it is longer than {FRONT_MATTER_BYTES} characters")
    return None


def read_card(text: str) -> dict[str, object] | None:
    """The front matter of a README as JSON values, or None if there is none. Raises CardError."""
    source = front_matter(text)
    if source is None or not source.strip():
        return None
    try:
        value = _plain(yaml.load(source, Loader=_Loader))  # noqa: S506  # a SafeLoader with more bounds
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise CardError(" ".join(str(error).split())[:500]) from error
    if not isinstance(value, dict):
        raise CardError("it must be a mapping of keys to values")
    return value


def _plain(value: object) -> object:
    """`value` with nothing in it that JSON lacks."""
    if isinstance(value, dict):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value if isinstance(value, int | float | None) else _text(str(value))


def _text(text: str) -> str:
    """`text` with a mark in place of what YAML can escape and nobody can store: half surrogates and NUL."""
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)
