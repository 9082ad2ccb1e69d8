"""Repos as a whole: create, delete, settings; and what is asked of the hub by everybody (hub-protocol section 5.2)."""

import contextlib
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from tenuto.core.errors import ConflictError, IntegrityError, UsageError
from tenuto.core.ids import RepoId, RepoKind, check_name
from tenuto.server.access import Action, Gate, Repo
from tenuto.server.accounts import check_namespace
from tenuto.server.audit import Deed, Fact, record
from tenuto.server.content.commits import begin
from tenuto.server.gates.deciding import check_days
from tenuto.server.gates.terms import keep_terms
from tenuto.server.http.exchange import Answer, Call, error_answer, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import check_again
from tenuto.server.quota import guard
from tenuto.server.repos.rows import (
    create_repo,
    delete_repo,
    find_repo,
    set_gate,
    set_grant_days,
    set_private,
    set_takes_requests,
)

_Visibility = Literal["public", "private", "protected"]


class RepoRequest(msgspec.Struct, frozen=True):
    """Names a repo to create or delete; the namespace is the caller's own if it is left out."""

    name: str
    organization: str | None = None
    type: RepoKind | None = None
    visibility: _Visibility | None = None
    private: bool | None = None
    gated: Literal["auto", "manual"] | None = None

    def repo_id(self, call: Call) -> RepoId:
        """The id of the repo; raises UsageError (BadAddress)."""
        namespace, mark, name = self.name.rpartition("/")
        namespace = namespace if mark else self.organization or call.actor.home
        kind = self.type or RepoKind.MODEL
        return RepoId(kind, check_name(namespace, "namespace") if namespace else "", check_name(name, "repo name"))


class SettingsRequest(msgspec.Struct, frozen=True, rename="camel"):
    """Settings to change; what is left out stays. `grant_days` null: whoever is let in stays so."""

    visibility: _Visibility | None = None
    private: bool | None = None
    gated: bool | str | None = None
    takes_requests: bool | None = None
    grant_days: int | UnsetType | None = UNSET

    @property
    def gate(self) -> Gate | None:
        """The gate to put up, or None to leave it as it is; raises UsageError (BadRequest)."""
        if self.gated is None:
            return None
        if self.gated is True or self.gated not in {False, "auto", "manual"}:
            raise UsageError("gated must be auto, manual or false")
        return Gate(str(self.gated or ""))


def _wants_private(request: RepoRequest | SettingsRequest) -> bool | None:
    if request.visibility == "protected":
        raise UsageError("this hub has no protected repos", hint="use public or private")
    return request.private if request.visibility is None else request.visibility == "private"


def repo_to_create(parts: Parts, connection: Connection, call: Call) -> Repo | None:
    """The repo as it would be; the policy decides about its namespace."""
    return Repo(0, call.json(RepoRequest).repo_id(call))


def repo_to_delete(parts: Parts, connection: Connection, call: Call) -> Repo | None:
    """The repo that the body names, if it exists."""
    return find_repo(connection, call.json(RepoRequest).repo_id(call))


def create(parts: Parts, call: Call) -> Answer:
    """Make a repo with a branch `main`."""
    request = call.json(RepoRequest)
    repo_id = call.repo.id
    url = f"{call.base_url}/{repo_id.web_path}"
    try:
        repo = make_repo(parts, call, private=bool(_wants_private(request)), gate=Gate(request.gated or ""))
    except ConflictError as error:
        answer = error_answer(error)
        assert isinstance(answer.body, bytes)
        return answer._replace(body=msgspec.json.encode({**msgspec.json.decode(answer.body), "url": url}))
    made = {"url": url, "name": repo_id.full_name, "id": str(repo.key)}
    return json_answer(made | ({"gated": request.gated} if request.gated else {}))


def make_repo(parts: Parts, call: Call, *, private: bool, gate: Gate = Gate.OPEN) -> Repo:
    """The same, for a caller that brings it as a value. Raises UsageError (BadAddress), ConflictError (Exists)."""
    repo_id = call.repo.id
    check_namespace(repo_id.namespace)
    with parts.database.write() as connection:
        repo = create_repo(connection, repo_id, private=private, now_ms=parts.now_ms())
        with guard(connection, repo.key, parts.now_ms()):
            begin(parts, connection, repo, call.actor)
        facts: dict[str, Fact] = {"private": repo.private}
        if gate is not Gate.OPEN:
            set_gate(connection, repo.key, gate)
            facts["gate"] = gate.value
        record(connection, call.origin, Deed.REPO_CREATE, parts.now_ms(), repo=repo, facts=facts)
    return repo


def delete(parts: Parts, call: Call) -> Answer:
    """Drop a repo with everything in it."""
    with parts.database.write() as connection:
        repo = check_again(parts, connection, call, Action.ADMINISTER)
        delete_repo(connection, repo.key)
        record(connection, call.origin, Deed.REPO_DELETE, parts.now_ms(), repo=repo)
    return json_answer({})


def settings(parts: Parts, call: Call) -> Answer:
    """Change visibility and gate of a repo; the answer echoes what was asked."""
    return json_answer(change_settings(parts, call, call.json(SettingsRequest)))


def change_settings(parts: Parts, call: Call, request: SettingsRequest) -> dict[str, object]:
    """The same, for a caller that brings it as a value; what was changed."""
    private, gate = _wants_private(request), request.gate
    days = request.grant_days if request.grant_days is UNSET else check_days(request.grant_days)
    answer: dict[str, object] = {}
    with parts.database.write() as connection:
        repo = check_again(parts, connection, call, Action.ADMINISTER)
        if private is not None:
            set_private(connection, repo.key, private)
            answer |= {"private": private, "visibility": "private" if private else "public"}
        if gate is not None:
            set_gate(connection, repo.key, gate)
            with contextlib.suppress(IntegrityError):  # a damaged repo can be closed all the same
                keep_terms(parts, connection, repo.key)
            answer["gated"] = gate.value or False
        if request.takes_requests is not None:
            set_takes_requests(connection, repo.key, request.takes_requests)
            answer["takesRequests"] = request.takes_requests
        if days is not UNSET:
            set_grant_days(connection, repo.key, days)
            answer["grantDays"] = days
        record(connection, call.origin, Deed.REPO_SETTINGS, parts.now_ms(), repo=repo, facts=_told(answer))
    return answer


def _told(answer: dict[str, object]) -> dict[str, Fact]:
    """What the audit log says of settings that were changed."""
    words = {"private": "private", "gated": "gate", "takesRequests": "requests", "grantDays": "days"}
    values = {words[key]: value for key, value in answer.items() if key in words}
    return {key: "none" if value is False and key == "gate" else cast("Fact", value) for key, value in values.items()}


def allowed(parts: Parts, call: Call) -> Answer:
    """The caller may do what the route stands for: had it not been so, this would not be reached."""
    return json_answer({})


def well(parts: Parts, call: Call) -> Answer:
    """The hub runs, and its database answers."""
    with parts.database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    return json_answer({"status": "ok"})


def ignored(parts: Parts, call: Call) -> Answer:
    """Something that clients send and this hub has no use for."""
    return json_answer({})


def agent_harnesses(parts: Parts, call: Call) -> Answer:
    """Stock clients ask for this daily; there is nothing to tell."""
    return json_answer({"standardEnvVars": [], "harnesses": {}})
