"""Links and tokens of chunks that were handed out: each route that takes one looks at the right behind it anew."""

import collections
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from sqlalchemy import update

from tenuto.server.access import Action
from tenuto.server.routes import make_routes
from tenuto.server.routing import Route
from tenuto.server.schema import access_requests
from tenuto.server.signing import Claims
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, small

LINKED = [route for route in make_routes() if route.link]
REFUSALS = {"GatedRepo", "RepoNotFound", "Forbidden", "BadToken"}
OID = "a" * 64


class World(NamedTuple):
    """A gated repo, and somebody who was let in and holds links of every kind."""

    hub: LiveHub
    owner: Owner
    name: str
    token_id: int
    key: int

    def set(self, **settings: object) -> None:
        self.owner.talk.client.put(f"/api/models/{self.owner.repo}/settings", json=settings).raise_for_status()

    def handle(self, status: str) -> None:
        body = {"user": self.name, "status": status}
        self.owner.talk.post(f"/api/models/{self.owner.repo}/user-access-request/handle", body).raise_for_status()

    def expire(self, expires_ms: int | None = 1) -> None:
        with self.hub.hub.parts.database.write() as connection:
            here = access_requests.c.repo_id == self.key
            connection.execute(update(access_requests).where(here).values(expires_ms=expires_ms))

    def card(self, text: bytes) -> None:
        line = small("README.md", b"---\nextra_gated_prompt: " + text + b"\n---\n")
        self.owner.talk.commit(self.owner.repo, line).raise_for_status()

    def outcomes(self) -> dict[str, int]:
        """How many of the routes end in which way."""
        talk = Talk(self.hub.url, None)
        found = collections.Counter(self.outcome(talk, route) for route in LINKED)
        talk.close()
        return dict(found)

    def outcome(self, talk: Talk, route: Route) -> str:
        """How the policy answers somebody who comes with a link for the route: the code of the refusal, or nothing."""
        life_s = int(time.time()) + 3600
        oid = "1" if "{scope}" in route.pattern else OID  # of chunks, the generation
        claims = Claims(route.link, self.key, oid, 5, self.token_id, life_s, upload="c" * 32, part=1, part_bytes=5)
        link = self.hub.hub.parts.signer.sign(claims)
        path = route.pattern.replace("{oid}", oid).replace("{scope}", str(self.key)).replace("{hash}", "b" * 64)
        if "{scope}" in route.pattern:
            answer = talk.client.request(route.method, path, headers={"Authorization": f"Bearer {link}"})
        else:
            answer = talk.client.request(route.method, f"{path}?link={link}")
        assert answer.status_code < 500, self.hub.log()[-1500:]
        code = answer.headers.get("X-Error-Code", "")
        return code if code in REFUSALS else ""


@pytest.fixture(scope="module")
def world(hub: LiveHub) -> Iterator[World]:
    token = hub.user("holder")
    talk = Talk(hub.url, token)
    talk.create("holder/repo").raise_for_status()
    hub.user("guest")
    (facts,) = hub.hub.list_tokens("guest")
    key = int(talk.get("/api/models/holder/repo").json()["_id"])
    made = World(hub, Owner("holder", token, talk, "holder/repo"), "guest", facts.id, key)
    made.card(b"old")
    made.set(gated="auto")
    guest = Talk(hub.url, hub.hub.create_token("guest", "write"))
    guest.client.post("/holder/repo/ask-access", json={}, follow_redirects=False)
    guest.close()
    yield made
    talk.close()


ENDS: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "revoked": (lambda world: world.handle("revoked"), lambda world: world.handle("accepted")),
    "rejected": (lambda world: world.handle("rejected"), lambda world: world.handle("accepted")),
    "pending again": (lambda world: world.handle("pending"), lambda world: world.handle("accepted")),
    "expired": (World.expire, lambda world: world.expire(None)),
    "outdated": (lambda world: world.card(b"new"), lambda world: world.card(b"old")),
    "private": (lambda world: world.set(private=True), lambda world: world.set(private=False)),
}


def test_there_are_routes_with_links() -> None:
    assert len(LINKED) > 15
    assert {route.action for route in LINKED} == {Action.READ, Action.PROPOSE}


@pytest.mark.parametrize("name", ENDS)
def test_links_end_with_the_right_behind_them(world: World, name: str) -> None:
    end, restore = ENDS[name]
    assert world.outcomes() == {"": len(LINKED)}, "they are good as long as the right is"
    end(world)
    try:
        assert world.outcomes() == {"RepoNotFound" if name == "private" else "GatedRepo": len(LINKED)}
    finally:
        restore(world)
    assert world.outcomes() == {"": len(LINKED)}


def test_links_end_with_their_token(world: World) -> None:
    token = world.hub.hub.create_token(world.name, "write", "doomed")
    (facts,) = [one for one in world.hub.hub.list_tokens(world.name) if one.name == "doomed"]
    doomed = world._replace(token_id=facts.id)
    assert token
    assert doomed.outcomes() == {"": len(LINKED)}
    world.hub.hub.revoke_token(facts.id)
    assert doomed.outcomes() == {"Forbidden": len(LINKED)}
