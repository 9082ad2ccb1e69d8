"""The description of the API says what handlers read, and whatever is sent by it is never met with a failure of the hub."""

import ast
import inspect
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from scripts.clients import ensure

from tenuto.server.api.absent import Absence
from tenuto.server.api.openapi import BODIES, PATH, QUERIES, describe
from tenuto.server.routes import make_routes
from tenuto.server.routing import Handler, Route
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, small

ROUTES = [
    one
    for one in make_routes()
    if one.pattern.startswith("/api/") and one.pattern != PATH and not isinstance(one.handler, Absence)
]
MARKS = {"text": "", "number": "#", "flag": "?"}


def code_of(handler: Handler) -> Iterator[ast.AST]:
    """What runs for a handler: it, and the functions of its own module that it names."""
    module = inspect.getmodule(handler)
    assert module is not None
    functions = {
        node.name: node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.FunctionDef)
    }
    found, waiting = set(), [handler.__name__]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found.add(name)
            for node in ast.walk(functions[name]):
                yield node
                if isinstance(node, ast.Name):
                    waiting.append(node.id)


def read_by(handler: Handler) -> tuple[set[str], set[str]]:
    """The types of JSON and the words of the query that a handler reads."""
    bodies, words = set(), set()
    for node in code_of(handler):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "call"
        ):
            first = node.args[0] if node.args else None
            if node.func.attr == "json" and first:
                bodies.add(ast.unparse(first).partition(" |")[0])
            elif node.func.attr in MARKS and isinstance(first, ast.Constant):
                words.add(f"{first.value}{MARKS[node.func.attr]}")
    return bodies, words


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
def test_bodies_and_queries_are_described(route: Route) -> None:
    bodies, words = read_by(route.handler)
    described = BODIES.get(route.handler)
    if bodies:
        assert described is not None, f"say in openapi.BODIES that {route.handler.__name__} takes {bodies}"
        assert described.__name__ in bodies or bodies == {"Answers"}
    unsaid = {word.rstrip("#?") for word in words} - {
        word.rstrip("#?*") for word in QUERIES.get(route.handler, "").split()
    }
    assert not unsaid, f"say in openapi.QUERIES that {route.handler.__name__} reads {unsaid}"


def test_the_tables_name_routes_that_are_there() -> None:
    handlers = {route.handler for route in make_routes()}
    assert set(BODIES) - handlers == set()
    assert set(QUERIES) - handlers == set()


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    operations = [one for path in describe(ROUTES)["paths"].values() for one in path.values()]
    assert len(operations) == len(ROUTES)
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert all(one["summary"] for one in operations)


def test_the_schemas_are_schemas(hub: LiveHub) -> None:
    with Talk(hub.url, None).client as client:
        answer = client.get(PATH).json()
    assert answer["openapi"] == "3.1.0"
    assert answer["servers"] == [{"url": hub.url}]
    for schema in answer["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


KEPT = ["delete_repos_delete", "post_repos_move"]
"""What would take the repo away that all others are tried on; a table of cells tries these (test_policy.py)."""


KNOWN = {
    "T": "models",
    "namespace": "fuzz",
    "name": "repo",
    "rev": "main",
    "num": "1",
    "user": "fuzz",
    "account": "fuzz",
    "organization": "fuzzers",
    "service": "fuzz-machine",
}


def fuzz(hub: LiveHub, place: Path, token: str, examples: int) -> None:
    """No operation answers 5xx to anything that schemathesis makes of its description."""
    settings = place / "schemathesis.toml"
    lines = [f'"path.{word}" = "{value}"' for word, value in KNOWN.items()]
    settings.write_text("\n".join(["[parameters]", *lines]), encoding="utf-8")
    python = ensure("schemathesis")
    command = [os.path.join(os.path.dirname(python), "schemathesis"), "--config-file", str(settings), "run"]
    command += [hub.url + PATH, "--header", f"Authorization: Bearer {token}", "--checks", "not_a_server_error"]
    command += [
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        str(examples),
        "--workers",
        "2",
        "--no-color",
    ]
    for name in KEPT:
        command += ["--exclude-operation-id", name]
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(place / "hypothesis"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=900, check=False)
    # An error in the tool itself (Python 3.11 stumbles over its lambdas) fails its run, and is none of ours.
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested, done.stdout[-3000:] + done.stderr[-2000:]
    assert int(tested[1]) == len(ROUTES) - len(KEPT)
    assert " FAILURES " not in done.stdout, done.stdout[-6000:]
    failed = [line for line in hub.log().splitlines() if json.loads(line).get("status", 0) >= 500]
    assert not failed
    assert '"failure"' not in hub.log()


def made(hub: LiveHub) -> str:
    """The token of somebody with an organization, a service, and a gated repo, that has a file, a discussion and a request."""
    token = hub.user("fuzz")
    owner, asker = Talk(hub.url, token), Talk(hub.url, hub.user("asker"))
    owner.create("fuzz/repo").raise_for_status()
    owner.commit("fuzz/repo", small("a.txt", b"text")).raise_for_status()
    owner.post("/api/models/fuzz/repo/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
    owner.client.put("/api/models/fuzz/repo/settings", json={"gated": "manual"}).raise_for_status()
    asker.client.post("/fuzz/repo/ask-access", json={}, follow_redirects=False)
    owner.post("/api/organizations", {"name": "fuzzers"}).raise_for_status()
    owner.post("/api/accounts/fuzz/services", {"name": "fuzz-machine", "role": "read"}).raise_for_status()
    for talk in (owner, asker):
        talk.close()
    return token


@pytest.mark.wire
def test_nothing_that_fits_the_description_makes_the_hub_fail(hub: LiveHub, tmp_path: Path) -> None:
    fuzz(hub, tmp_path, made(hub), examples=1)


@pytest.mark.slow
@pytest.mark.wire
def test_nothing_at_all_that_fits_the_description_makes_the_hub_fail(tmp_path: Path) -> None:
    with LiveHub() as hub:
        made(hub)
        fuzz(hub, tmp_path, hub.admin_token, examples=40)
