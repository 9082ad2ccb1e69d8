"""What it means to save a card: whether it can be read, how its form looks to whoever asks, and what its author should know before."""

from typing import NamedTuple

from sqlalchemy import Connection

from tenuto.server.access import Gate
from tenuto.server.gates.book import Book
from tenuto.server.gates.form import Form, misread_fields, read_form
from tenuto.server.git.objects import DEFAULT_BRANCH
from tenuto.server.http.exchange import Call
from tenuto.server.hub import Parts
from tenuto.server.pages.markdown import whole_html
from tenuto.server.pages.render import Html
from tenuto.server.repos.card import CardError, read_card

README = "README.md"


class Checked(NamedTuple):
    """`fault` says why a card cannot be saved; `warning` what it brings about that its author may not expect."""

    form: Form = Form()
    fault: str = ""
    warning: str = ""


def check_card(parts: Parts, connection: Connection, call: Call, text: str) -> Checked:
    """What is to say of a README before it becomes that of the branch of the call."""
    try:
        card = read_card(text)
    except CardError as error:
        return Checked(fault=f"The front matter cannot be used: {error}.")
    form = read_form(card)
    if form.fault:
        return Checked(form, f"The form for access cannot be used: {form.fault}.")
    warnings = [f"{name!r} is asked as text: {what!r} is no kind of question." for name, what in misread_fields(card)]
    if call.repo.gate is not Gate.OPEN and call.params["rev"] == DEFAULT_BRANCH:
        book = Book(connection, call.repo.key, parts.now_ms())
        if count := book.count_outdated_by(form.terms):
            who = f"{count:,} people who have access" if count > 1 else "1 person who has access"
            warnings.append(f"The terms change: {who} must agree anew before reading on.")
    return Checked(form, warning=" ".join(warnings))


class FormPreview(NamedTuple):
    """The form as it stands before whoever asks for access."""

    form: Form
    prompt: Html | None


def preview_form(call: Call, form: Form) -> FormPreview | None:
    """None for a card that asks nothing."""
    if form == Form():
        return None
    return FormPreview(form, whole_html(form.prompt, call.repo.id, DEFAULT_BRANCH) if form.prompt else None)
