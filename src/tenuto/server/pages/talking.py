"""Begin a discussion in a browser, and say something in one."""

from tenuto.server.access import Action
from tenuto.server.community.discussions import Thread, check_comment, check_title
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.render import redirect, repo_url
from tenuto.server.pages.talk import LATEST
from tenuto.server.permit import check_again

FORM_BYTES = 1 << 18


def begin(parts: Parts, call: Call) -> Answer:
    """Open a discussion. Raises UsageError (BadRequest, TooLarge) for a title or a text that is none."""
    form = call.form()
    title, text = check_title(form.get("title", "")), check_comment(_text(form))
    with parts.database.write() as connection:
        thread = Thread(connection, check_again(parts, connection, call, Action.DISCUSS))
        made = thread.open(call.actor, title, "open", False, parts.now_ms())
        thread.comment(made.number, call.actor, text, parts.now_ms())
    return redirect(f"{repo_url(call.repo.id)}/discussions/{made.number}")


def comment(parts: Parts, call: Call) -> Answer:
    """Say something in a discussion. Raises UsageError (BadRequest, TooLarge), NotFoundError (EntryNotFound)."""
    text = check_comment(_text(call.form()))
    with parts.database.write() as connection:
        thread = Thread(connection, check_again(parts, connection, call, Action.DISCUSS))
        found = thread.find(call.params["num"])
        thread.comment(found.number, call.actor, text, parts.now_ms())
        after = thread.before_latest(found.number, LATEST)
    return redirect(f"{repo_url(call.repo.id)}/discussions/{found.number}{f'?after={after}' if after else ''}")


def _text(form: dict[str, str]) -> str:
    return form.get("text", "").replace("\r\n", "\n")
