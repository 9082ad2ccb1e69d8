"""`tenuto access request | withdraw | list | accept | reject | grant | revoke`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import Invocation, LazyGroup, command, invocation

if TYPE_CHECKING:
    from tenuto.hub.gates import Field, Gateway, Outcome, Own, Terms, Verdict

access = LazyGroup(
    "access",
    lazy={
        "request": ("tenuto.cli.access", "Ask for access to a gated repo, or agree to terms that changed."),
        "withdraw": ("tenuto.cli.access", "Take your own request back."),
        "list": ("tenuto.cli.access", "Say who asked for access to your repo."),
        "accept": ("tenuto.cli.access", "Let in who asked."),
        "reject": ("tenuto.cli.access", "Turn away who asked."),
        "grant": ("tenuto.cli.access", "Let in accounts, whether they asked or not."),
        "revoke": ("tenuto.cli.access", "Take access back."),
    },
    help="Gated repos: ask to be let in, and decide who is.",
)
_STATES = ("pending", "accepted", "rejected", "revoked", "expired", "outdated", "all")
_DAYS = click.option("--days", metavar="DAYS", help="For how long; `never` for no end. Else as the repo has it.")
_REASON = click.option("--reason", help="Why; it is told to them.")
_ALL = click.option("--all", "everybody", is_flag=True, help="All requests that are pending.")
_EXAMPLE = "hf://datasets/gamahea/lemm-dataset"


@command(
    "request",
    example=f"tenuto access request {_EXAMPLE} --field Company=Echo --yes",
    exits=(1, 3, 4, 6, 9),
    meanings={1: "asked, and nobody has decided yet"},
)
@click.argument("address")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="Answer a question of the form.")
@click.option("--yes", is_flag=True, help="You have read the terms and agree to them.")
def request(address: str, fields: tuple[str, ...], yes: bool) -> int:
    """Ask for access to a gated repo. In a terminal you are shown the terms, and asked what the authors ask."""
    from tenuto.core.errors import AuthenticationError
    from tenuto.core.ids import RepoId
    from tenuto.hub.gates import GateKeeper

    run = invocation()
    repo = RepoId.parse(address)
    remote = run.remote()
    with remote.session as session:
        if not session.has_token:
            raise AuthenticationError("to ask for access you need a token", hint="run `tenuto login`")
        gate = GateKeeper(remote, repo)
        found = gate.gateway()
        state = found.own.state if found.own else "none"
        if not _is_settled(found):
            state = gate.ask(_answers(run, found, fields, yes), found.form.terms)
            found = gate.gateway()
    report = {"repo": str(repo), "state": state, "passes": bool(found.own and found.own.passes), "page": gate.page}
    report["expires_at"] = found.own.expires_at if found.own else None
    run.printer.report(report, lambda: [_said(str(repo), found)])
    return 0 if report["passes"] else 1


def _is_settled(found: "Gateway") -> bool:
    """Whether there is nothing to ask for, or nothing to do but wait; raises AccessDeniedError for who may not ask."""
    from tenuto.core.errors import AccessDeniedError

    own = found.own
    if own is None or own.passes or not found.gated:
        return True
    if own.state in {"rejected", "revoked"}:
        what = "your request was rejected" if own.state == "rejected" else "your access was taken back"
        said = f". They say: {own.reason}" if own.reason else ""
        raise AccessDeniedError(f"{what}{said}", hint="write to the authors of the repo: only they can let you in")
    if not found.takes_requests and own.state != "outdated":
        raise AccessDeniedError("the repo takes no requests for access at the moment", hint="write to its authors")
    return own.state == "pending" and found.gated != "auto"


def _said(repo: str, found: "Gateway") -> str:
    own = found.own
    if own is None or not found.gated:
        return f"{repo} has no gate: you need no access to be granted"
    if own.passes:
        return f"You have access to {repo}{_until(own)}"
    return f"You asked for access to {repo}, and its authors have not decided yet"


def _until(own: "Own") -> str:
    return f" until {own.expires_at[:10]}" if own.expires_at else ""


def _answers(run: Invocation, found: "Gateway", fields: Sequence[str], yes: bool) -> dict[str, object]:
    """What is sent: from the options, else asked for in a terminal. Raises UsageError (BadCommand) for what lacks."""
    from tenuto.cli.access_form import ask_for, confirm, form_texts
    from tenuto.core.errors import UsageError

    given: dict[str, object] = dict(_pair(one) for one in fields)
    form, asks = found.form, run.printer.is_watched
    changed = found.own and found.own.state == "outdated"
    for text in ("The terms have changed since you agreed to them." if changed else "", *form_texts(form)):
        if text and (asks or not yes or changed):
            run.printer.note(f"{text}\n")
    lacking = [field for field in form.fields if field.name not in given]
    if lacking and not asks:
        raise UsageError(
            f"the authors ask for {', '.join(repr(field.name) for field in lacking)}",
            code="BadCommand",
            hint="answer with " + " ".join(f"--field {_quoted(field)}" for field in lacking),
        )
    for field in lacking:
        given[field.name] = ask_for(field, run.printer.note)
    if form.prompt and not yes:
        if not asks:
            raise UsageError(f"asking means to agree: {form.prompt}", code="BadCommand", hint="add --yes if you do")
        confirm("Do you agree?", run.printer.note)
    return given


def _pair(text: str) -> tuple[str, str]:
    from tenuto.core.errors import UsageError

    name, mark, value = text.partition("=")
    if not mark:
        raise UsageError(f"{text!r} is not NAME=VALUE", code="BadCommand", hint="write --field 'Company=Echo'")
    return name, value


def _quoted(field: "Field") -> str:
    examples = {"checkbox": "yes", "date_picker": "2026-01-31", "country": "AT"}
    value = field.options[0].value if field.options else examples.get(field.type, "…")
    return f"'{field.name}={value}'"


@command("withdraw", example=f"tenuto access withdraw {_EXAMPLE}", exits=(3, 4, 6, 9))
@click.argument("address")
def withdraw(address: str) -> None:
    """Take your own request back, as long as nobody has decided about it."""
    from tenuto.core.ids import RepoId
    from tenuto.hub.gates import GateKeeper

    run = invocation()
    repo, remote = RepoId.parse(address), run.remote()
    with remote.session:
        GateKeeper(remote, repo).withdraw()
    run.printer.report({"repo": str(repo), "withdrawn": True}, lambda: [f"Took your request for {repo} back"])


@command(
    "list",
    example=f"tenuto access list {_EXAMPLE}\ntenuto access list {_EXAMPLE} --state all --csv requests.csv",
    exits=(1, 3, 4, 6, 7, 9),
    meanings={1: "the file is there already"},
)
@click.argument("address")
@click.option("--state", type=click.Choice(_STATES), help="Which ones: those that are pending; in a file, all.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write them, with their answers, for a spreadsheet.")
@click.option("--overwrite", is_flag=True, help="The file may be there already.")
def list_(address: str, state: str | None, csv_file: str | None, overwrite: bool) -> None:
    """Say who asked for access to a repo that you administer, and what they answered."""
    import os
    from typing import cast

    from tenuto.core.errors import ConflictError
    from tenuto.core.ids import RepoId
    from tenuto.hub.gates import GateKeeper, State

    run = invocation()
    repo, remote = RepoId.parse(address), run.remote()
    if csv_file and not overwrite and os.path.lexists(os.path.join(run.root, csv_file)):
        raise ConflictError(f"{csv_file} is there already", code="Exists", hint="add --overwrite, or take another name")
    with remote.session:
        gate = GateKeeper(remote, repo)
        if csv_file:
            run.write(csv_file, gate.report(cast("State", state or "all")))
            run.printer.report({"repo": str(repo), "file": csv_file}, lambda: [f"Wrote {csv_file}"])
            return
        found = list(gate.requests(cast("State", state or "pending")))
    report: list[dict[str, object]] = [
        {
            "id": one.request_id,
            "user": one.name,
            "state": one.state or one.status,
            "asked_at": one.timestamp,
            "expires_at": one.expires_at,
            "reason": one.rejection_reason,
            "reviewer": one.granted_by.user or None,
            "must_agree_anew": one.must_agree_anew,
            "fields": one.fields or {},
        }
        for one in found
    ]
    run.printer.report(
        report, lambda: [_line(one) for one in report] or [f"No {state or 'pending'} requests for {repo}"]
    )


def _line(one: dict[str, object]) -> str:
    fields = one["fields"]
    assert isinstance(fields, dict)
    words = {True: "yes", False: "no", None: ""}
    shown = {name: words[value] if isinstance(value, bool | None) else value for name, value in fields.items()}
    answers = "; ".join(f"{name}: {value}" for name, value in shown.items())
    state = f"{one['state']}" + (f" until {str(one['expires_at'])[:10]}" if one["expires_at"] else "")
    state += f" by {one['reviewer']}" if one["reviewer"] else ""
    state += f" ({one['reason']})" if one["reason"] else ""
    state += ", must agree to the new terms" if one["must_agree_anew"] else ""
    return "  ".join(filter(None, (f"{one['user']}", state, str(one["asked_at"])[:10], answers)))


@command("accept", example=f"tenuto access accept {_EXAMPLE} ann ben --days 90", exits=(1, 3, 4, 6, 9))
@click.argument("address")
@click.argument("users", nargs=-1)
@_ALL
@_DAYS
def accept(address: str, users: tuple[str, ...], everybody: bool, days: str | None) -> int:
    """Let in accounts that asked for access."""
    return _decide(address, "accepted", users, everybody, _terms(days))


@command("reject", example=f"tenuto access reject {_EXAMPLE} ann --reason 'only for students'", exits=(1, 3, 4, 6, 9))
@click.argument("address")
@click.argument("users", nargs=-1)
@_ALL
@_REASON
def reject(address: str, users: tuple[str, ...], everybody: bool, reason: str | None) -> int:
    """Turn away accounts that asked for access. They cannot ask again by themselves."""
    return _decide(address, "rejected", users, everybody, _terms(None, reason))


@command("revoke", example=f"tenuto access revoke {_EXAMPLE} ann --reason 'the course is over'", exits=(1, 3, 4, 6, 9))
@click.argument("address")
@click.argument("users", nargs=-1, required=True)
@_REASON
def revoke(address: str, users: tuple[str, ...], reason: str | None) -> int:
    """Take access back, at once: also from downloads that are running. They cannot ask again by themselves."""
    return _decide(address, "revoked", users, False, _terms(None, reason))


@command("grant", example=f"tenuto access grant {_EXAMPLE} ann --days 30", exits=(1, 3, 4, 6, 9))
@click.argument("address")
@click.argument("users", nargs=-1, required=True)
@_DAYS
def grant(address: str, users: tuple[str, ...], days: str | None) -> int:
    """Let in accounts, whether they asked or not; with --days, change how long those stay who are in."""
    from tenuto.core.errors import NotFoundError, UsageError
    from tenuto.core.ids import RepoId
    from tenuto.hub.gates import GateKeeper, Outcome

    run = invocation()
    repo, remote, terms = RepoId.parse(address), run.remote(), _terms(days)
    done: list[str] = []
    failed: dict[str, str] = {}
    with remote.session:
        gate = GateKeeper(remote, repo)
        for user in users:
            try:
                gate.grant(user, terms)
                done.append(user)
            except (NotFoundError, UsageError) as error:
                if len(users) == 1 or (error.code != "UserNotFound" and "has access" not in error.message):
                    raise
                failed[user] = error.message
    return _report(run, str(repo), "accepted", Outcome(done, failed))


def _terms(days: str | None, reason: str | None = None) -> "Terms":
    from tenuto.core.errors import UsageError
    from tenuto.hub.gates import Terms

    if days is None:
        return Terms(rejection_reason=reason)
    if days != "never" and not (days.isascii() and days.isdecimal() and 0 < int(days) <= 36_500):
        raise UsageError(
            f"{days!r} is not a number of days", code="BadCommand", hint="write --days 30, or --days never"
        )
    return Terms(None if days == "never" else int(days), reason)


def _decide(address: str, verdict: "Verdict", users: Sequence[str], everybody: bool, terms: "Terms") -> int:
    from tenuto.core.errors import UsageError
    from tenuto.core.ids import RepoId
    from tenuto.hub.gates import GateKeeper

    if everybody is bool(users):
        raise UsageError(
            "name the accounts, or say --all", code="BadCommand", hint="`tenuto access list` shows who asked"
        )
    run = invocation()
    repo, remote = RepoId.parse(address), run.remote()
    with remote.session:
        gate = GateKeeper(remote, repo)
        outcome = gate.decide_all(verdict, terms) if everybody else gate.decide(verdict, users, terms)
    return _report(run, str(repo), verdict, outcome)


def _report(run: Invocation, repo: str, verdict: str, outcome: "Outcome") -> int:
    word = {"accepted": "Let in", "rejected": "Turned away", "revoked": "Took back the access of"}[verdict]
    in_full = [name for name in outcome.done if name not in outcome.outdated]
    lines = [f"{word} {', '.join(in_full)}"] if in_full else []
    lines += [f"{name}: accepted, but must agree to the new terms first" for name in outcome.outdated]
    lines += [f"{name}: {why}" for name, why in outcome.failed.items()]
    report = {"repo": repo, "verdict": verdict, "done": outcome.done, "failed": outcome.failed}
    report["must_agree_anew"] = outcome.outdated
    run.printer.report(report, lambda: lines or [f"Nobody waits for access to {repo}"])
    return 1 if outcome.failed else 0
