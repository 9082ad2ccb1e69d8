"""What a gated repo shows, and to whom (decision 20): names and sizes to everybody, bytes and what is made from them to those inside."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest
from sqlalchemy import update

from tenuto.server.access import Action, Right
from tenuto.server.api.absent import Absence
from tenuto.server.people.accounts import find_account
from tenuto.server.people.services import add_service
from tenuto.server.routes import make_routes
from tenuto.server.routing import Router
from tenuto.server.schema import access_requests
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, large, small

SECRET = b"a line that only those inside may read"
LARGE = SECRET * 400
OID = hashlib.sha256(LARGE).hexdigest()
CARD = "---\nlicense: mit\nextra_gated_prompt: %s\n---\nRead me\n"
STANDINGS = ("pending", "rejected", "revoked", "expired", "outdated")
OUTSIDE = ("nobody", "stranger", *STANDINGS, "service-of-stranger")
INSIDE = ("granted", "agreed", "service-of-granted", "service-of-keeper", "keeper")


class Shown(NamedTuple):
    """A request. API and WEB stand for the addresses of the repo, HEAD for a commit."""

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = MappingProxyType({})


FACTS = [
    Shown("GET", "API"),
    Shown("GET", "API/revision/main"),
    Shown("GET", "API?expand=siblings&expand=cardData"),
    Shown("GET", "API/tree/HEAD?recursive=true&expand=true"),
    Shown("GET", "API/tree/main/voices"),
    Shown("POST", "API/paths-info/main", {"paths": ["notes.txt", "m.bin"], "expand": True}),
    Shown("GET", "API/refs"),
    Shown("GET", "API/commits/main"),
    Shown("GET", "API/likers"),
    Shown("GET", "API/access-form"),
    Shown("GET", "API/discussions"),
    Shown("GET", "API/discussions/1"),
    Shown("GET", "API/discussions/1?diff=1"),
    Shown("GET", "/api/models?search=keeper&full=true&cardData=true"),
    Shown("GET", "/api/models?gated=true"),
    Shown("GET", "WEB"),
    Shown("GET", "WEB/tree/main"),
    Shown("GET", "WEB/tree/main/voices"),
    Shown("GET", "WEB/insights"),
    Shown("GET", "WEB/blob/main/notes.txt"),
    Shown("GET", "WEB/blob/main/metrics.csv"),
    Shown("GET", "WEB/blob/main/adapter_config.json"),
    Shown("GET", "WEB/blob/main/m.bin"),
    Shown("GET", "WEB/commits/main"),
    Shown("GET", "WEB/commit/HEAD"),
    Shown("GET", "WEB/compare?from=main&to=refs/pr/1"),
    Shown("GET", "WEB/discussions"),
    Shown("GET", "WEB/discussions/1"),
    Shown("GET", "WEB/resolve/main/README.md"),
]
BYTES = [
    Shown("GET", "WEB/resolve/main/notes.txt"),
    Shown("HEAD", "WEB/resolve/main/notes.txt"),
    Shown("GET", "WEB/resolve/HEAD/m.bin"),
    Shown("GET", "WEB/resolve/main/m.bin", headers={"Range": "bytes=0-9"}),
    Shown("GET", "WEB/resolve/main/m.bin", headers={"If-None-Match": f'"{OID}"'}),
    Shown("GET", "WEB/resolve/main/m.bin", headers={"If-Range": f'"{OID}"', "Range": "bytes=5-"}),
    Shown("GET", "WEB/resolve/refs%2Fpr%2F1/README.md"),
    Shown("GET", "WEB/resolve/HEAD/README.md"),
    Shown("GET", "WEB/raw/main/README.md"),
    Shown("GET", "WEB/raw/main/notes.txt"),
    Shown("POST", "API/pack/main", {"paths": ["notes.txt"]}),
    Shown(
        "POST",
        "WEB.git/info/lfs/objects/batch",
        {"operation": "download", "objects": [{"oid": OID, "size": len(LARGE)}]},
    ),
    Shown("GET", "API/xet-read-token/main"),
    Shown("GET", "API/auth-check"),
    Shown("GET", "WEB/info/refs?service=git-upload-pack"),
    Shown("GET", "WEB.git/info/refs?service=git-upload-pack"),
]
INSIDERS_ONLY = [
    Shown("GET", "WEB/user-access-report"),
    Shown("GET", "API/user-access-request/all"),
    Shown("GET", "API/lfs-files"),
]
ELSEWHERE = {
    "POST /{W}/{namespace}/{name}/git-upload-pack",  # by the real git in test_gates.py, and in test_gate_running.py
    "POST /{W}/{namespace}/{name}.git/git-upload-pack",
    "POST /api/{T}/{namespace}/{name}/lfs-files/duplicate",
    "GET /{W}/{namespace}/{name}.git/info/lfs/locks",
}
"""They want more than a line; test_policy.py says of each who may."""
ROUTER = Router(make_routes())
OF_THE_REPO = [one for one in (*FACTS, *BYTES, *INSIDERS_ONLY) if not one.path.startswith("/api/models?")]


def place(path: str, repo: str, head: str) -> str:
    """The address that a line of the tables means."""
    return path.replace("API", f"/api/models/{repo}").replace("WEB", f"/{repo}").replace("HEAD", head)


class World(NamedTuple):
    hub: LiveHub
    repo: str
    talks: dict[str, Talk]

    def ask(self, shown: Shown, caller: str):
        path = place(shown.path, self.repo, self.head)
        content = None if shown.body is None else json.dumps(shown.body).encode()
        headers = {"Accept": "*/*", **shown.headers} | ({"Content-Type": "application/json"} if content else {})
        return self.talks[caller].client.request(
            shown.method, path, content=content, headers=headers, follow_redirects=False
        )

    @property
    def head(self) -> str:
        return self.talks["keeper"].head(self.repo)


def serve(hub: LiveHub, name: str, owner: str, right: Right) -> str:
    """A token of a new service that acts for somebody."""
    with hub.hub.changing() as change:
        add_service(change, name, find_account(change.connection, owner), right)
    return hub.hub.create_token(name, "read")


@pytest.fixture(scope="module")
def world(hub: LiveHub):
    names = ("keeper", "stranger", *STANDINGS, "granted", "agreed")
    tokens = {name: hub.user(name) for name in names}
    talks = {name: Talk(hub.url, token) for name, token in tokens.items()} | {"nobody": Talk(hub.url, None)}
    keeper, repo = talks["keeper"], "keeper/gated"
    api = f"/api/models/{repo}"
    keeper.create(repo).raise_for_status()
    oid = keeper.put_large(repo, LARGE)
    card = (CARD % "old").encode()
    lines = [small("README.md", card), small("notes.txt", SECRET), large("m.bin", oid, len(LARGE))]
    config = json.dumps({"base_model_name_or_path": SECRET.decode(), "peft_type": "LORA", "r": 8}).encode()
    table = b"step," + SECRET + b"\n1,2\n2,3\n"
    lines += [small("adapter_config.json", config), small("metrics.csv", table), small("voices/a.txt", SECRET)]
    keeper.commit(repo, *lines).raise_for_status()
    keeper.post(f"{api}/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
    proposed = (small("notes.txt", SECRET + b" and more"), small("README.md", card + SECRET))
    keeper.commit(repo, *proposed, rev="refs/pr/1").raise_for_status()
    keeper.client.put(f"{api}/settings", json={"gated": "manual"}).raise_for_status()
    for name in (*STANDINGS, "agreed"):
        assert talks[name].client.post(f"/{repo}/ask-access", json={}, follow_redirects=False).status_code == 303
    decisions = {"rejected": ["rejected"], "accepted": ["revoked", "expired", "outdated", "agreed"]}
    for status, users in decisions.items():
        keeper.post(f"{api}/user-access-request/handle-many", {"status": status, "users": users}).raise_for_status()
    keeper.post(f"{api}/user-access-request/handle", {"status": "revoked", "user": "revoked"}).raise_for_status()
    keeper.post(f"{api}/user-access-request/grant", {"user": "granted"}).raise_for_status()
    with hub.hub.parts.database.write() as connection:
        expired = find_account(connection, "expired").id
        rows = update(access_requests).where(access_requests.c.user_id == expired)
        connection.execute(rows.values(expires_ms=1))
    keeper.commit(repo, small("README.md", (CARD % "new").encode())).raise_for_status()
    talks["agreed"].client.post(f"/{repo}/ask-access", json={}, follow_redirects=False)
    for owner, right in (("stranger", Right.WRITE), ("granted", Right.READ), ("keeper", Right.READ)):
        name = f"service-of-{owner}"
        talks[name] = Talk(hub.url, serve(hub, name, owner, right))
    yield World(hub, repo, talks)
    for talk in talks.values():
        talk.close()


def label(shown: Shown) -> str:
    return f"{shown.method} {shown.path} {' '.join(shown.headers)}".strip()


def routes_of(shown: list[Shown]) -> set[str]:
    found = (ROUTER.find(one.method, place(one.path, "a/b", OID[:40]).partition("?")[0]) for one in shown)
    return {f"{one[0].method} {one[0].pattern}" for one in found if one}


def test_no_route_is_forgotten() -> None:
    """Whatever shows something of a repo to those who only see it, or lets them read it, stands in one of the tables."""
    routes = [one for one in make_routes() if not one.link and not isinstance(one.handler, Absence)]
    seeing = {f"{one.method} {one.pattern}" for one in routes if one.action is Action.SEE}
    reading = {f"{one.method} {one.pattern}" for one in routes if one.action is Action.READ}
    assert seeing - routes_of(FACTS) == set(), "give it a line in FACTS"
    assert reading - routes_of(BYTES) - ELSEWHERE == set(), "give it a line in BYTES"


@pytest.mark.parametrize("shown", FACTS, ids=label)
def test_facts_are_for_everybody_and_hold_no_bytes(world: World, shown: Shown) -> None:
    for caller in (*OUTSIDE, *INSIDE):
        answer = world.ask(shown, caller)
        assert answer.status_code == 200, (caller, answer.text[:300])
        assert caller in INSIDE or SECRET not in answer.content, caller


@pytest.mark.parametrize(
    "path",
    [
        "WEB",
        "WEB/insights",
        "WEB/blob/main/notes.txt",
        "WEB/blob/main/metrics.csv",
        "WEB/compare?from=main&to=refs/pr/1",
    ],
)
def test_those_inside_see_it_on_the_same_pages(world: World, path: str) -> None:
    assert SECRET in world.ask(Shown("GET", path), "keeper").content


@pytest.mark.parametrize("shown", BYTES, ids=label)
def test_bytes_are_for_those_inside(world: World, shown: Shown) -> None:
    for caller in OUTSIDE:
        answer = world.ask(shown, caller)
        expected = 401 if caller == "nobody" else 403
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (expected, "GatedRepo"), caller
        assert SECRET not in answer.content
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert not {"ETag", "X-Linked-Etag", "X-Linked-Size", "X-Repo-Commit", "X-Xet-Hash"} & set(answer.headers)
    for caller in INSIDE:
        answer = world.ask(shown, caller)
        assert answer.status_code in {200, 206, 304}, (caller, answer.text)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert {"Authorization", "Cookie"} <= {word.strip() for word in answer.headers["Vary"].split(",")}


@pytest.mark.parametrize("shown", INSIDERS_ONLY, ids=label)
def test_who_asked_is_for_who_decides(world: World, shown: Shown) -> None:
    for caller in (*OUTSIDE, *INSIDE):
        status = world.ask(shown, caller).status_code
        assert status == {"nobody": 401, "keeper": 200}.get(caller, 403), caller


@pytest.mark.parametrize("shown", OF_THE_REPO, ids=label)
def test_a_private_one_does_not_exist_for_others(world: World, shown: Shown) -> None:
    settings = f"/api/models/{world.repo}/settings"
    keeper = world.talks["keeper"].client
    keeper.put(settings, json={"private": True}).raise_for_status()
    try:
        for caller in (*OUTSIDE, "granted", "service-of-granted"):
            answer = world.ask(shown, caller)
            basic = 401 if caller == "nobody" and (".git" in shown.path or "info/refs" in shown.path) else 404
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (basic, "RepoNotFound"), caller
            assert answer.headers["Cache-Control"] == "private, no-store"
        assert world.ask(shown, "keeper").status_code in {200, 206, 304}
    finally:
        keeper.put(settings, json={"private": False}).raise_for_status()


def test_a_service_asks_for_itself(world: World) -> None:
    talk, keeper = world.talks["service-of-stranger"], world.talks["keeper"]
    assert talk.client.post(f"/{world.repo}/ask-access", json={}, follow_redirects=False).status_code == 303
    base = f"/api/models/{world.repo}/user-access-request"
    keeper.post(f"{base}/handle", {"user": "service-of-stranger", "status": "accepted"}).raise_for_status()
    assert talk.read(world.repo, "notes.txt").content == SECRET
    assert world.talks["stranger"].read(world.repo, "notes.txt").status_code == 403, "it is not a grant of its owner"
    keeper.post(f"{base}/handle", {"user": "service-of-stranger", "status": "pending"}).raise_for_status()
    assert talk.post(f"{base}/cancel").status_code == 200


def test_the_service_of_who_lost_access_lost_it_as_well(world: World) -> None:
    keeper, base = world.talks["keeper"], f"/api/models/{world.repo}/user-access-request"
    service = world.talks["service-of-granted"]
    assert service.read(world.repo, "notes.txt").content == SECRET
    keeper.post(f"{base}/handle", {"user": "granted", "status": "revoked"}).raise_for_status()
    assert service.read(world.repo, "notes.txt").status_code == 403
    keeper.post(f"{base}/grant", {"user": "granted"}).raise_for_status()
    assert service.read(world.repo, "notes.txt").content == SECRET


def test_who_was_turned_away_does_not_come_back_as_a_machine(world: World) -> None:
    settings = f"/api/models/{world.repo}/settings"
    keeper = world.talks["keeper"].client
    keeper.put(settings, json={"gated": "auto"}).raise_for_status()
    for owner in ("rejected", "revoked"):
        talk = Talk(world.hub.url, serve(world.hub, f"machine-of-{owner}", owner, Right.WRITE))
        asked = talk.client.post(f"/{world.repo}/ask-access", json={}, follow_redirects=False)
        assert (asked.status_code, owner in asked.json()["error"]) == (403, True)
        assert talk.read(world.repo, "notes.txt").status_code == 403
        talk.close()
    keeper.put(settings, json={"gated": "manual"}).raise_for_status()


def test_a_machine_that_was_let_in_is_turned_away_with_its_owner(world: World) -> None:
    base = f"/api/models/{world.repo}/user-access-request"
    keeper = world.talks["keeper"]
    owner = Talk(world.hub.url, world.hub.user("owner-of-two"))
    machine = Talk(world.hub.url, serve(world.hub, "machine-of-two", "owner-of-two", Right.WRITE))
    for name in ("owner-of-two", "machine-of-two"):
        keeper.post(f"{base}/grant", {"user": name}).raise_for_status()
    assert machine.read(world.repo, "notes.txt").content == SECRET
    keeper.post(f"{base}/handle", {"user": "owner-of-two", "status": "revoked"}).raise_for_status()
    assert machine.read(world.repo, "notes.txt").status_code == 403
    for talk in (owner, machine):
        talk.close()


def test_who_was_turned_away_does_not_come_back_by_an_organization(world: World) -> None:
    settings, base = f"/api/models/{world.repo}/settings", f"/api/models/{world.repo}/user-access-request"
    keeper = world.talks["keeper"]
    sly = Talk(world.hub.url, world.hub.user("sly"))
    sly.client.post(f"/{world.repo}/ask-access", json={}, follow_redirects=False)
    keeper.post(f"{base}/handle", {"user": "sly", "status": "rejected"}).raise_for_status()
    sly.post("/api/organizations", {"name": "sly-club"}).raise_for_status()
    sly.post("/api/accounts/sly-club/services", {"name": "sly-machine", "role": "read"}).raise_for_status()
    token = sly.post("/api/accounts/sly-machine/tokens", {"name": "x", "role": "write"}).json()["token"]
    machine = Talk(world.hub.url, token)
    keeper.client.put(settings, json={"gated": "auto"}).raise_for_status()
    try:
        asked = machine.client.post(f"/{world.repo}/ask-access", json={}, follow_redirects=False)
        assert asked.status_code == 403
        assert machine.read(world.repo, "notes.txt").status_code == 403
    finally:
        keeper.client.put(settings, json={"gated": "manual"}).raise_for_status()
    for talk in (sly, machine):
        talk.close()
