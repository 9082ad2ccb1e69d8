"""The form of a gate in a terminal: each question is asked until its answer is good, so that nothing is lost at the end."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tenuto.hub.gates import Field, Form

_HINTS = {"date_picker": " (2026-01-31)", "country": " (two letters, such as AT)"}
_YES, _NO = {"y", "yes"}, {"n", "no"}


def form_texts(form: "Form") -> Iterator[str]:
    """What the authors say, in the order of the page."""
    yield from (form.heading, form.description, form.prompt)


def ask_for(field: "Field", note: Callable[[str], None]) -> str:
    """A good answer to a question. Raises click.Abort for who does not go on."""
    if field.type == "checkbox":
        confirm(field.name, note)
        return "true"
    choices = f" ({', '.join(option.label for option in field.options)})" if field.options else ""
    while True:
        text = str(click.prompt(field.name + (choices or _HINTS.get(field.type, "")), err=True)).strip()
        answer = _answer(field, text)
        if answer is not None:
            return answer
        note(f"error: {text!r} is no answer to that")


def confirm(question: str, note: Callable[[str], None]) -> None:
    """Return if the answer is yes; raises click.Abort if it is no."""
    while (text := str(click.prompt(f"{question} [y/n]", err=True)).strip().lower()) not in _YES | _NO:
        note(f"error: {text!r} is neither y nor n")
    if text in _NO:
        raise click.Abort


def _answer(field: "Field", text: str) -> str | None:
    """What is kept of an answer, None if it is not good. A choice is named by what people read, or by what is kept, in any case."""
    if field.options:
        named = {key.lower(): one.value for one in field.options for key in (one.value, one.label)}
        return named.get(text.lower())
    if field.type == "date_picker":
        return text if _is_date(text) else None
    if field.type == "country":
        return text.upper() if len(text) == 2 and text.isascii() and text.isalpha() else None
    return text or None


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
