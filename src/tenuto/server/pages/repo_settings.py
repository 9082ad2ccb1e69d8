"""Make a repo in the browser; show or hide it, give it another name, delete it."""

from typing import Any

from sqlalchemy import Connection

from tenuto.core.errors import ConflictError, TenutoError, UsageError
from tenuto.core.ids import RepoId, RepoKind, check_name
from tenuto.server.access import Action, Gate, Repo, any_in, may
from tenuto.server.api.moves import move_repo
from tenuto.server.api.repos import SettingsRequest, change_settings, delete, make_repo
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.render import redirect, render, repo_url
from tenuto.server.pages.telling import Told, telling, told

FORM_BYTES = 1 << 16
_MOST_OWNERS = 100
_GATES = {
    Gate.OPEN: "Everybody who sees the repository",
    Gate.AUTO: "Whoever asks and agrees to the terms",
    Gate.MANUAL: "Whom you accept, of those who ask",
}


def new(parts: Parts, call: Call) -> Answer:
    """The form by which a repo is made."""
    return _new_form(call, {}, "")


def _new_form(call: Call, form: dict[str, str], fault: str) -> Answer:
    names = [call.actor.name, *sorted(call.actor.rights)][:_MOST_OWNERS]
    owners = [name for name in names if may(call.actor, Action.CREATE, any_in(name))]
    kinds = [RepoKind.MODEL.value, RepoKind.DATASET.value]
    values: dict[str, Any] = {"owners": owners, "kinds": kinds, "gates": _GATES, "form": form, "fault": fault}
    return render("new.html", call, status=409 if fault else 200, **values)


def repo_of_form(parts: Parts, connection: Connection, call: Call) -> Repo | None:
    """The repo as it would be; the policy decides about its namespace. Raises UsageError (BadAddress, BadRequest)."""
    form = call.form()
    kinds = {kind.value: kind for kind in RepoKind}
    if form.get("kind") not in kinds:
        raise UsageError("the form does not say what kind of repo it is")
    namespace, name = check_name(form.get("owner", ""), "namespace"), check_name(form.get("name", ""), "repo name")
    return Repo(0, RepoId(kinds[form["kind"]], namespace, name))


def make(parts: Parts, call: Call) -> Answer:
    """Make a repo, and lead to its page; if there is one of that name, the form comes back and says so."""
    form = call.form()
    try:
        repo = make_repo(parts, call, private=form.get("private") == "true", gate=_gate_of(form))
    except ConflictError as error:
        return _new_form(call, form, error.message)
    return redirect(repo_url(repo.id))


def _gate_of(form: dict[str, str]) -> Gate:
    gates = {gate.value: gate for gate in _GATES}
    if form.get("gate", "") not in gates:
        raise UsageError("the form does not say who may read the files")
    return gates[form.get("gate", "")]


def settings(parts: Parts, call: Call) -> Answer:
    """The forms by which a repo is shown, hidden, named anew and deleted."""
    return _settings_page(parts, call, {})


def _settings_page(parts: Parts, call: Call, form: dict[str, str], fault: TenutoError | None = None) -> Answer:
    with parts.database.read() as connection:
        page = RepoPage(call, GitReader(connection, call.repo.key, parts.cache))
        status = fault.http_status if fault else 200
        values = {"told": told(parts, call), "form": form, "fault": fault}
        return page.render("repo_settings.html", "settings", status=status, **values)


def save(parts: Parts, call: Call) -> Answer:
    """Take in one of these forms; what cannot be done is said above them, and what was typed stays."""
    form = call.form()
    try:
        return _do(parts, call, form)
    except TenutoError as error:
        return _settings_page(parts, call, form, error)


def _do(parts: Parts, call: Call, form: dict[str, str]) -> Answer:
    place = f"{repo_url(call.repo.id)}/settings"
    match form.get("deed"):
        case "visibility" if form.get("private") in {"true", "false"}:
            change_settings(parts, call, SettingsRequest(private=form["private"] == "true"))
            return redirect(telling(parts, call, place, Told("Saved.")))
        case "move":
            kind, name = call.repo.id.kind, check_name(form.get("name", ""), "repo name")
            to = RepoId(kind, check_name(form.get("owner", ""), "namespace"), name)
            move_repo(parts, call, to)
            return redirect(repo_url(to))
        case "delete":
            if form.get("name") != call.repo.id.full_name:
                raise UsageError("the name that was typed is not that of the repo", hint="nothing was deleted")
            delete(parts, call)
            return redirect(f"/{call.repo.id.namespace}")
    raise UsageError("the form does not say what to do")
