"""The description of the hub's own API as OpenAPI 3.1, made from the table of routes."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import msgspec

from tenuto.core.ids import RepoKind
from tenuto.core.wire import PreuploadRequest
from tenuto.server.access import Action
from tenuto.server.api import moves
from tenuto.server.api import repos as repo_api
from tenuto.server.api import uploads as upload_api
from tenuto.server.api.absent import Absence
from tenuto.server.community import routes as discussion_api
from tenuto.server.content import listing as listing_api
from tenuto.server.content import packs, squash, storage
from tenuto.server.gates import asking, deciding, showing
from tenuto.server.gates.form import Answers
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people import organization_api, profiles, service_api, token_api, user_api
from tenuto.server.people.tokens import TokenWish
from tenuto.server.repos import search
from tenuto.server.routing import Handler, Route
from tenuto.server.signin import invitation_api
from tenuto.server.space import space_api

PATH = "/api/openapi.json"
_PAGE = "limit# cursor"
_LIST = f"{_PAGE} full? expand* cardData? sort author search* gated? filter* pipeline_tag*"
_TREE = f"{_PAGE} recursive? expand?"

BODIES: Mapping[Handler, type] = {
    asking.ask: Answers,
    deciding.grant: deciding.GrantRequest,
    deciding.handle: deciding.Handling,
    deciding.handle_many: deciding.Handlings,
    discussion_api.add_comment: discussion_api.CommentRequest,
    discussion_api.change_status: discussion_api.StatusRequest,
    discussion_api.create: discussion_api.OpenRequest,
    discussion_api.edit_comment: discussion_api.EditRequest,
    discussion_api.merge_proposal: discussion_api.MergeRequest,
    discussion_api.rename: discussion_api.TitleRequest,
    listing_api.paths_info: listing_api.PathsRequest,
    moves.move: moves.MoveRequest,
    organization_api.found: organization_api.OrganizationRequest,
    organization_api.put_member: organization_api.MemberRequest,
    organization_api.rename: organization_api.OrganizationChange,
    packs.send: packs.PackRequest,
    repo_api.create: repo_api.RepoRequest,
    repo_api.delete: repo_api.RepoRequest,
    repo_api.settings: repo_api.SettingsRequest,
    service_api.change_one: service_api.ServiceChange,
    service_api.make: service_api.ServiceRequest,
    squash.super_squash: squash.SquashRequest,
    storage.duplicate: storage.DuplicateRequest,
    storage.purge: storage.PurgeRequest,
    token_api.make: TokenWish,
    upload_api.create_branch: upload_api.BranchRequest,
    upload_api.create_tag: upload_api.TagRequest,
    upload_api.preupload: PreuploadRequest,
    upload_api.validate_yaml: upload_api.CardCheck,
    user_api.add: user_api.UserRequest,
    user_api.change_one: user_api.UserChange,
    invitation_api.make: invitation_api.LinkRequest,
}
"""The JSON that a handler takes."""

QUERIES: Mapping[Handler, str] = {
    discussion_api.details: "diff?",
    discussion_api.list_discussions: "type status author p#",
    listing_api.commits: f"{_PAGE} expand*",
    listing_api.info: "expand* blobs?",
    listing_api.paths_info: "expand?",
    listing_api.refs: "include_prs?",
    listing_api.tree: _TREE,
    organization_api.members: _PAGE,
    profiles.likers: _PAGE,
    search.list_datasets: _LIST,
    search.list_models: _LIST,
    search.list_spaces: _LIST,
    showing.list_requests: _PAGE,
    space_api.show: "limit#",
    storage.list_objects: _PAGE,
    upload_api.preupload: "create_pr?",
    upload_api.receive_commit: "create_pr?",
}
"""The query that a handler reads: `name` a text, `name#` a number, `name?` a flag, `name*` may come several times."""

_WORD = re.compile(r"\{(\w+)\*?\}")
_TYPES: Mapping[str, Mapping[str, object]] = {
    "#": {"type": "integer", "minimum": 1},
    "?": {"type": "boolean"},
    "*": {"type": "array", "items": {"type": "string"}},
    "": {"type": "string"},
}
_PLACES: Mapping[str, Mapping[str, object]] = {
    "T": {"type": "string", "enum": [kind.plural for kind in RepoKind]},
    "num": {"type": "integer", "minimum": 1},
    "status": {"type": "string", "enum": ["pending", "accepted", "rejected"]},
    "comment": {"type": "string", "pattern": "^[0-9a-f]{24}$"},
}
_FAILURE = {
    "description": "What went wrong: the code also stands in the header X-Error-Code, the message in X-Error-Message.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
}
_FAILURE_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "hint": {"type": ["string", "null"]}},
}


def openapi_route(routes: Sequence[Route]) -> Route:
    """The route that describes these ones."""
    description = cache(partial(describe, routes))

    def answer(parts: Parts, call: Call) -> Answer:
        """The description of this API."""
        return json_answer({**description(), "servers": [{"url": call.base_url}]})

    return Route("GET", PATH, Action.SERVE, answer)


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The description of those routes that are an API, and are there."""
    used = list(dict.fromkeys(BODIES.values()))
    bodies, schemas = msgspec.json.schema_components(used, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        if route.pattern.startswith("/api/") and not isinstance(route.handler, Absence):
            operation = _operation(route, dict(zip(used, bodies, strict=True)))
            paths.setdefault(_WORD.sub(r"{\1}", route.pattern), {})[route.method.lower()] = operation
    token = {"type": "http", "scheme": "bearer", "description": "A token of the hub; facts of public repos need none."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenuto hub", "version": "1", "license": {"name": "Apache-2.0"}},
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {"schemas": {**schemas, "Failure": _FAILURE_SCHEMA}, "securitySchemes": {"token": token}},
    }


def _operation(route: Route, schemas: Mapping[type, Mapping[str, object]]) -> dict[str, object]:
    module = (inspect.getmodule(route.handler) or inspect).__name__.rpartition("server.")[2]
    operation: dict[str, object] = {
        "operationId": _operation_id(route),
        "summary": (inspect.getdoc(route.handler) or "").partition("\n")[0],
        "tags": [module.removesuffix("_api").replace(".", " ")],
        "parameters": [*_path_parameters(route.pattern), *_query_parameters(QUERIES.get(route.handler, ""))],
        "responses": {"default": _FAILURE, "200": {"description": "It is so, or it was done."}},
    }
    if body := BODIES.get(route.handler):
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[body]}}}
    elif route.streams:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.action in {Action.SERVE, Action.BROWSE}:
        operation["security"] = [{}]
    return operation


def _operation_id(route: Route) -> str:
    words = [one.strip("{}*") for one in route.pattern.split("/") if one not in {"", "api", "{namespace}", "{name}"}]
    return "_".join([route.method.lower(), *words]).replace("-", "_")


def _path_parameters(pattern: str) -> list[dict[str, object]]:
    found = []
    for word in _WORD.findall(pattern):
        schema = _PLACES.get(word, {"type": "string", "minLength": 1})
        found.append({"name": word, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameters(words: str) -> list[dict[str, object]]:
    split = [(word.rstrip("#?*"), word[len(word.rstrip("#?*")) :]) for word in words.split()]
    return [{"name": name, "in": "query", "schema": dict(_TYPES[mark])} for name, mark in split]
