"""What stands before the bytes of a gated repo: what the authors ask (`extra_gated_*` of the card), and how the caller stands."""

from collections.abc import Iterator
from typing import NamedTuple

from tenuto.server.access import Gate, Standing
from tenuto.server.cards import Card
from tenuto.server.exchange import Call
from tenuto.server.pages.forms import CSRF_FIELD
from tenuto.server.pages.frame import rights_of
from tenuto.server.pages.markdown import markdown_html
from tenuto.server.pages.render import Html

_MOST_FIELDS = 50
_MOST_OPTIONS = 300
_CHARACTERS = 2000
_KINDS = {"text": "text", "checkbox": "checkbox", "date_picker": "date", "country": "country", "select": "select"}
_ASKS = {Standing.NONE, Standing.EXPIRED, Standing.OUTDATED}


class Field(NamedTuple):
    """Something to fill in; `kind` is text, checkbox, date, country or select."""

    name: str
    kind: str
    options: tuple[tuple[str, str], ...] = ()
    """Value and label of each choice of a select."""


class GateBox(NamedTuple):
    """A gate as somebody stands before it."""

    heading: str
    description: str
    prompt: Html | None
    button: str
    fields: tuple[Field, ...]
    standing: Standing
    is_manual: bool
    asks: bool
    """Whether there is something to fill in and send."""


def gate_box(call: Call, card: Card) -> GateBox | None:
    """What a caller sees who may not read the files; None for those who may."""
    if call.repo.gate is Gate.OPEN or rights_of(call).reads:
        return None
    prompt = _text(card, "extra_gated_prompt")
    return GateBox(
        heading=_text(card, "extra_gated_heading") or "You need access to see the files",
        description=_text(card, "extra_gated_description"),
        prompt=markdown_html(prompt, call.repo.id, "main") if prompt else None,
        button=_text(card, "extra_gated_button_content")[:80] or "Access repository",
        fields=tuple(_fields(card.get("extra_gated_fields")))[:_MOST_FIELDS],
        standing=call.repo.standing,
        is_manual=call.repo.gate is Gate.MANUAL,
        asks=call.actor.is_known and call.repo.standing in _ASKS,
    )


def _text(card: Card, key: str) -> str:
    value = card.get(key)
    return value.strip()[: _CHARACTERS * 4] if isinstance(value, str) else ""


def _fields(value: object) -> Iterator[Field]:
    if not isinstance(value, dict):
        return
    for name, kind in value.items():
        options = kind.get("options") if isinstance(kind, dict) else None
        word = kind.get("type") if isinstance(kind, dict) else kind
        if name == CSRF_FIELD or not name.strip():
            continue
        yield Field(name[:_CHARACTERS], _KINDS.get(str(word), "text"), tuple(_options(options)))


def _options(value: object) -> Iterator[tuple[str, str]]:
    for one in value[:_MOST_OPTIONS] if isinstance(value, list) else []:
        if isinstance(one, dict):
            label = str(one.get("label") or one.get("value") or "")
            yield str(one.get("value") or label), label
        else:
            yield str(one), str(one)
