"""What stands before the bytes of a gated repo, as its page shows it: what the authors say and ask, and how the caller stands."""

from typing import NamedTuple

from tenuto.server.access import Gate
from tenuto.server.gates.asking import Gateway, gateway_of
from tenuto.server.gates.form import Form
from tenuto.server.gates.terms import form_of
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import rights_of
from tenuto.server.pages.markdown import whole_html
from tenuto.server.pages.render import Html

_BUTTON_CHARACTERS = 80
_ASKS = {"none", "expired", "outdated"}


class GateBox(NamedTuple):
    """A gate as somebody stands before it; `state` is a word of `Standing`, or `none`."""

    gateway: Gateway
    prompt: Html | None
    button: str
    state: str
    is_manual: bool
    asks: bool
    """Whether there is something to fill in and send."""


def _prompt(parts: Parts, call: Call, text: str) -> Html | None:
    """The terms as Markdown, made once: they are always shown as a whole."""
    key = ("prompt", call.repo.id, text)
    return parts.remembered.once(key, lambda: whole_html(text, call.repo.id, "main")) if text else None


def gate_box(parts: Parts, call: Call, git: GitReader, form: Form | None = None) -> GateBox | None:
    """What a caller sees who may not read the files; None for those who may. `form` is that of the repo, if it was read already."""
    if call.repo.gate is Gate.OPEN or rights_of(call).reads:
        return None
    gateway = gateway_of(parts, call, git.connection, form_of(git) if form is None else form)
    state = gateway.own.state if gateway.own else "none"
    is_manual = call.repo.gate is Gate.MANUAL
    asks = state in _ASKS or (state == "pending" and not is_manual)
    return GateBox(
        gateway=gateway,
        prompt=_prompt(parts, call, gateway.form.prompt),
        button=gateway.form.button[:_BUTTON_CHARACTERS] or "Access repository",
        state=state,
        is_manual=is_manual,
        asks=call.actor.is_known
        and asks
        and not gateway.form.fault
        and (gateway.takes_requests or state == "outdated"),
    )
