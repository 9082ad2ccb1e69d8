"""Fault 11: of a repo that an outsider may not see, each route says what it says of one that never was."""

from collections.abc import Iterator

import httpx2
import pytest

from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, small
from tests.server.test_policy import REFUSALS, Row, World, ask, rows

OWNER, OUTSIDERS = "owner", ("nobody", "stranger", "granted", "reader")
OF_A_REPO = [
    row for row in rows() if "{name}" in row.pattern or row.pattern in {"/api/repos/move", "/api/repos/delete"}
]
OF_THIS_MOMENT = {"x-request-id", "date", "content-length"}


@pytest.fixture(scope="module")
def world(hub: LiveHub) -> Iterator[World]:
    """Repos that were public, read and gone through by all of them before."""
    tokens = {name: hub.user(name) for name in (OWNER, "stranger", "granted", "writer", "reader")}
    talks = {name: Talk(hub.url, token) for name, token in tokens.items()} | {"nobody": Talk(hub.url, None)}
    talks["reader"].close()
    talks["reader"] = Talk(hub.url, hub.hub.create_token("reader", "read"))
    owner = talks[OWNER]
    repos = {why: f"{OWNER}/named-{why}" for why in ("deleted", "private", "renamed", "another", "unknown")}
    for why in ("deleted", "private", "renamed"):
        repo = repos[why]
        owner.create(repo).raise_for_status()
        owner.commit(repo, small("a.txt", b"a")).raise_for_status()
        owner.client.put(f"/api/models/{repo}/settings", json={"gated": "auto"}).raise_for_status()
        owner.post(f"/api/models/{repo}/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
        talks["granted"].client.post(f"/{repo}/ask-access", json={}, follow_redirects=False)
        assert talks["granted"].client.head(f"/{repo}/resolve/main/a.txt").status_code == 200
    owner.delete(repos["deleted"]).raise_for_status()
    owner.client.put(f"/api/models/{repos['private']}/settings", json={"private": True}).raise_for_status()
    move = {"fromRepo": repos["renamed"], "toRepo": repos["another"], "type": "model"}
    owner.post("/api/repos/move", move).raise_for_status()
    owner.client.put(f"/api/models/{repos['another']}/settings", json={"private": True}).raise_for_status()
    yield World(repos, talks)
    for talk in talks.values():
        talk.close()


def told(answer: httpx2.Response, repo: str) -> tuple[int, str, dict[str, str]]:
    """All that an answer tells, but for the name that was asked for."""
    name = repo.partition("/")[2]
    headers = {key: value for key, value in answer.headers.items() if key not in OF_THIS_MOMENT}
    return (
        answer.status_code,
        answer.text.replace(name, "NAME"),
        {k: v.replace(name, "NAME") for k, v in headers.items()},
    )


@pytest.mark.parametrize("row", OF_A_REPO, ids=lambda row: f"{row.method} {row.pattern}{row.query}")
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_no_route_tells_what_is_hidden_from_what_never_was(world: World, row: Row, accept: str) -> None:
    for caller in OUTSIDERS:
        world.talks[caller].client.headers["Accept"] = accept
        answers = {why: told(ask(world, row, why, caller), repo) for why, repo in world.repos.items()}
        assert {why: answer for why, answer in answers.items() if answer != answers["unknown"]} == {}, caller
        status, _, headers = answers["unknown"]
        assert status in {401, 403, 404}
        assert headers["x-error-code"] in REFUSALS
        assert status == 404 or headers["x-error-code"] == "RepoNotFound" or row.table in {"write", "administer"}


def test_they_are_there_for_their_owner(world: World) -> None:
    row = next(row for row in OF_A_REPO if row.method == "GET" and row.pattern.endswith("/refs"))
    statuses = {why: ask(world, row, why, OWNER).status_code for why in world.repos}
    assert statuses == {"deleted": 404, "private": 200, "renamed": 307, "another": 200, "unknown": 404}
