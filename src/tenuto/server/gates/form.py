"""What whoever asks for access is told and asked, as the card of the repo says it (`extra_gated_*`), and what of the answers is good."""

import datetime
import hashlib
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from tenuto.core.errors import UsageError
from tenuto.server.forgery import CSRF_FIELD

MOST_FIELDS = 100
MOST_OPTIONS = 1000
NAME_CHARACTERS = 1000
ANSWER_CHARACTERS = 4000
ANSWERS_BYTES = 1 << 14
_YES = {"true", "on", "1", "yes"}

Kind = Literal["text", "checkbox", "date_picker", "country", "select"]
_KINDS: dict[object, Kind] = {
    "text": "text",
    "checkbox": "checkbox",
    "date_picker": "date_picker",
    "country": "country",
    "select": "select",
}
Answers: TypeAlias = dict[str, str | bool | int | float | None]


class Option(msgspec.Struct, frozen=True):
    """One choice of a field: what people read, and what is kept."""

    label: str
    value: str


class Field(msgspec.Struct, frozen=True):
    """One question. All of them must be answered; of a checkbox, yes is the only answer."""

    name: str
    type: Kind
    options: list[Option] = []


class Form(msgspec.Struct, frozen=True):
    """All of it; empty texts stand for those that pages bring along. `terms` names what is agreed to; empty: nothing.

    With a `fault`, the authors ask something, but it cannot be told what: nobody can agree to it.
    """

    heading: str = ""
    prompt: str = ""
    description: str = ""
    button: str = ""
    fields: list[Field] = []
    terms: str = ""
    fault: str = ""


def read_form(card: Mapping[str, object] | None) -> Form:
    """The form that a card describes: all of its texts, for they are agreed to as a whole.

    What a card says in a way that nobody defined is left out: it locks nobody out. What is too much is a fault.
    """
    card = card or {}
    prompt, fields = _text(card, "extra_gated_prompt"), _fields(card.get("extra_gated_fields"))
    if isinstance(fields, str):
        return Form(fault=fields)
    return Form(
        _text(card, "extra_gated_heading"),
        prompt,
        _text(card, "extra_gated_description"),
        _text(card, "extra_gated_button_content"),
        fields,
        _digest(prompt, fields),
    )


def _digest(prompt: str, fields: list[Field]) -> str:
    if not prompt and not fields:
        return ""
    return hashlib.sha256(msgspec.json.encode([prompt, fields])).hexdigest()


def _text(card: Mapping[str, object], key: str) -> str:
    value = card.get(key)
    return value.strip() if isinstance(value, str) else ""


def _fields(value: object) -> list[Field] | str:
    """The questions, or what is too much of them. What guards every form is none: nobody would ever get to know it."""
    if not isinstance(value, dict):
        return []
    fields = [_field(name, one) for name, one in value.items() if name.strip() and name != CSRF_FIELD]
    texts = [text for one in fields for text in (one.name, *(option.label for option in one.options))]
    if len(fields) > MOST_FIELDS or any(len(one.options) > MOST_OPTIONS for one in fields):
        return f"a form has at most {MOST_FIELDS} questions, each with at most {MOST_OPTIONS} choices"
    if any(len(text) > NAME_CHARACTERS for text in texts):
        return f"a question or a choice has at most {NAME_CHARACTERS} characters"
    return fields


def misread_fields(card: Mapping[str, object] | None) -> list[tuple[str, str]]:
    """The questions whose kind nobody defined, and what stands there instead: they are asked as text."""
    fields = (card or {}).get("extra_gated_fields")
    kinds = {name: _kind(value) for name, value in fields.items()} if isinstance(fields, dict) else {}
    return [(name[:100], str(kind)[:100]) for name, kind in kinds.items() if str(kind) not in _KINDS]


def _kind(value: object) -> object:
    return value.get("type") if isinstance(value, dict) else value


def _field(name: str, value: object) -> Field:
    options = _options(value.get("options")) if isinstance(value, dict) else []
    kind = _KINDS.get(str(_kind(value)), "text")
    if kind == "select" and not options:
        kind = "text"
    return Field(name, kind, options if kind == "select" else [])


def _options(value: object) -> list[Option]:
    found = []
    for one in value if isinstance(value, list) else []:
        facts = one if isinstance(one, dict) else {"label": one}
        label = str(facts.get("label", facts.get("value", "")))
        if label:
            found.append(Option(label, str(facts.get("value", label))))
    return found


class _Fault(NamedTuple):
    """What is wrong with an answer."""

    name: str
    reason: str


def check_answers(form: Form, answers: Answers) -> Answers:
    """The answers as they are kept: those to the form in its order, then what else was said.

    Raises UsageError (BadRequest), which names every field that is not answered, and TooLarge.
    """
    kept: Answers = {}
    faults = []
    for field in form.fields:
        value = _answer(field, answers.get(field.name))
        if isinstance(value, _Fault):
            faults.append(value)
        else:
            kept[field.name] = value
    if faults:
        listed = "; ".join(f"{fault.name!r} {fault.reason}" for fault in faults)
        raise UsageError(f"the form is not filled in: {listed}", hint="answer these, too")
    more = {name: value for name, value in answers.items() if name not in kept}
    said = [list(kept.values()), more]  # how long the questions are is for the authors to say
    kept |= more
    if len(kept) > 2 * MOST_FIELDS or len(msgspec.json.encode(said)) > ANSWERS_BYTES:
        raise UsageError(f"what you fill in may have {ANSWERS_BYTES} bytes", code="TooLarge")
    return kept


def _answer(field: Field, value: str | bool | float | None) -> str | bool | _Fault:
    text = "" if value is None else str(value).strip()
    match field.type:
        case "checkbox":
            return True if text.lower() in _YES else _Fault(field.name, "must be ticked")
        case "select":
            values = {key: one.value for one in field.options for key in (one.label, one.value)}
            return values.get(text) or _Fault(field.name, f"is one of {', '.join(one.value for one in field.options)}")
        case "date_picker":
            return text if _is_date(text) else _Fault(field.name, "is a date such as 2026-01-31")
    if not text:
        return _Fault(field.name, "is missing")
    return (
        text if len(text) <= ANSWER_CHARACTERS else _Fault(field.name, f"has more than {ANSWER_CHARACTERS} characters")
    )


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10  # other forms of ISO 8601 are not what a date picker gives
