"""What a README says of a model or dataset: its licence, and its first words."""

import os
import re
from typing import NamedTuple

EXCERPT_CHARACTERS = 300
_READ_BYTES = 64 << 10
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_LICENSE = re.compile(
    r"^license:[ \t]*(?:\r?\n[ \t]*-[ \t]*|\[[ \t]*)?['\"]?([A-Za-z0-9][A-Za-z0-9.+_-]*)", re.MULTILINE
)
_NOISE = re.compile(r"<!--.*?-->|!\[[^\]]*\]\([^)]*\)|<[^>]*>", re.DOTALL)
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")


class Card(NamedTuple):
    """The licence as the card names it, and the first words of the text; None where nothing is said."""

    license: str | None = None
    excerpt: str | None = None


def read_card(folder: str) -> Card:
    """The card of a folder; an empty one if it has no README, or none that can be read."""
    try:
        name = next((name for name in sorted(os.listdir(folder)) if name.lower() == "readme.md"), None)
        if name is None:
            return Card()
        with open(os.path.join(folder, name), "rb") as file:
            text = file.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return Card()
    return parse_card(text)


def parse_card(text: str) -> Card:
    """Licence and first words of a README; what looks like a token is left out."""
    front = _FRONT.match(text)
    license_name = _LICENSE.search(front[1]) if front else None
    words = " ".join(_NOISE.sub(" ", text[front.end() :] if front else text).split())
    words = _TOKEN.sub("[token]", words)
    if len(words) > EXCERPT_CHARACTERS:
        words = words[:EXCERPT_CHARACTERS].rsplit(" ", 1)[0] + "…"
    return Card(license_name[1] if license_name else None, words or None)
