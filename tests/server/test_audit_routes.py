"""Every route that changes something leaves a row in the audit log, or stands here with the reason why it does not."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tenuto.server.api.absent import Absence
from tenuto.server.audit.reading import Entry, Wanted, entries, verify
from tenuto.server.routes import make_routes
from tenuto.testing.live_hub import LiveHub
from tests.server.git_client import Clone, address
from tests.server.people.deeds import ACCOUNT_DEEDS, FORM_DEEDS
from tests.server.talk import Talk, large, small

API, WEB = "/api/{T}/{namespace}/{name}", "/{W}/{namespace}/{name}"
_BYTES = "bytes on their way in; the commit that uses them is recorded"
_TALK = "a talk keeps its own history, with names and times"
_READS = "changes nothing"
EXCEPTIONS = {
    "POST /v1/telemetry": _READS,
    "POST /api/validate-yaml": _READS,
    "POST API/paths-info/{rev}": _READS,
    "POST API/pack/{rev}": _READS,
    "POST API/preupload/{rev}": _READS,
    "PUT API/pack": _BYTES,
    "POST WEB.git/info/lfs/objects/batch": _READS,
    "PUT /lfs/upload/{oid}": _BYTES,
    "PUT /lfs/part/{oid}": _BYTES,
    "POST /lfs/complete/{oid}": _BYTES,
    "POST /lfs/verify/{oid}": _READS,
    "POST /xet/{scope}/{oid}/v1/xorb-grants/default/{hash}": _READS,
    "POST /xet/{scope}/{oid}/v1/xorbs/default/{hash}": _BYTES,
    "POST /xet/{scope}/{oid}/xorbs/default/{hash}": _BYTES,
    "POST /xet/{scope}/{oid}/xorb/default/{hash}": _BYTES,
    "POST /xet/{scope}/{oid}/v2/shards": _BYTES,
    "POST /xet/{scope}/{oid}/v1/shards": _BYTES,
    "POST /xet/{scope}/{oid}/shards": _BYTES,
    "POST /xet/{scope}/{oid}/shard/default/{hash}": _BYTES,
    "POST API/like": "a like is public, and touches nothing",
    "DELETE API/like": "a like is public, and touches nothing",
    "POST /oauth/device": "whoever asks is nobody yet; the decision is recorded",
    "POST API/discussions/{num}/comment": _TALK,
    "POST API/discussions/{num}/comment/{comment}/edit": _TALK,
    "POST API/discussions/{num}/comment/{comment}/hide": _TALK,
    "POST API/discussions/{num}/title": _TALK,
    "POST API/discussions/{num}/status": _TALK,
    "POST WEB/discussions": _TALK,
    "POST WEB/discussions/{num}": _TALK,
    "POST WEB/git-upload-pack": _READS,
    "POST WEB.git/git-upload-pack": _READS,
    "POST WEB.git/info/lfs/locks": "a lock stops nobody, and goes with whoever made it",
    "POST WEB.git/info/lfs/locks/verify": _READS,
}
AUDITED = {
    "POST /api/repos/create": "repo.create",
    "DELETE /api/repos/delete": "repo.delete",
    "POST /api/repos/move": "repo.move",
    "PUT API/settings": "repo.settings",
    "POST API/commit/{rev}": "commit",
    "POST API/branch/{branch}": "ref.create",
    "DELETE API/branch/{branch}": "ref.delete",
    "POST API/tag/{rev}": "ref.create",
    "DELETE API/tag/{tag}": "ref.delete",
    "POST API/super-squash/{branch}": "squash",
    "POST API/lfs-files/batch": "purge",
    "POST API/lfs-files/duplicate": "objects.share",
    "POST WEB/ask-access": "access.request",
    "POST API/user-access-request/cancel": "access.withdraw",
    "POST API/user-access-request/handle": "access.reject",
    "POST API/user-access-request/grant": "access.grant",
    "POST API/user-access-request/handle-many": "access.revoke",
    "POST API/discussions": "ref.create",
    "POST API/discussions/{num}/merge": "commit",
    "POST /oauth/authorize-device": "sign-in.ok",
    "POST /oauth/token": "token.create",
    "POST WEB/git-receive-pack": "commit",
    "POST WEB.git/git-receive-pack": "ref.create",
    "POST WEB.git/info/lfs/locks/{lock}/unlock": "lock.break",
}
"""What a call of the route is called in the log; each is made below."""
PAGES = {
    "POST WEB/access": "POST API/user-access-request/handle",
    "POST WEB/withdraw-access": "POST API/user-access-request/cancel",
    "POST WEB/edit/{rev}/{path*}": "POST API/commit/{rev}",
    "POST WEB/upload/{rev}": "POST API/commit/{rev}",
    "POST WEB/settings": "PUT API/settings",
    "POST /new": "POST /api/repos/create",
}
"""Forms that do by the same functions what an audited route does."""
SECRETS = ("hf_", "what-i-filled-in", "content of a file", "because-of-you")


def pattern(short: str) -> tuple[str, str]:
    method, _, rest = short.partition(" ")
    return method, rest.replace("API", API).replace("WEB", WEB)


def test_every_route_that_changes_something_is_audited_or_an_exception() -> None:
    changing = {
        (route.method, route.pattern)
        for route in make_routes()
        if route.method not in {"GET", "HEAD"} and not isinstance(route.handler, Absence)
    }
    told = {pattern(one) for one in (*AUDITED, *EXCEPTIONS, *ACCOUNT_DEEDS, *FORM_DEEDS, *PAGES)}
    assert changing - told == set(), "give them a row in AUDITED, and a step below, or in EXCEPTIONS, with a reason"
    assert told - changing == set()
    assert AUDITED.keys().isdisjoint(EXCEPTIONS)
    assert set(PAGES.values()) <= AUDITED.keys()


class World(NamedTuple):
    hub: LiveHub
    owner: Talk
    other: Talk
    owner_token: str
    folder: Path


@pytest.fixture(scope="module")
def world(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory):
    token = hub.user("olga")
    owner, other = Talk(hub.url, token), Talk(hub.url, hub.user("otto"))
    yield World(hub, owner, other, token, tmp_path_factory.mktemp("clones"))
    owner.close()
    other.close()


def log(hub: LiveHub, since: int = 0) -> list[Entry]:
    with hub.hub.parts.database.read() as connection:
        return [entry for entry in entries(connection) if entry.number > since]


def deeds(world: World, doing: Callable[[], object]) -> list[Entry]:
    """What the log tells of something that is done."""
    before = len(log(world.hub))
    answer = doing()
    assert not isinstance(answer, httpx2.Response) or answer.status_code < 400, answer.text
    return log(world.hub, before)


class Doings:
    """What a person does on a hub, for each audited route, in an order in which each call finds what it needs."""

    repo = "olga/voice"
    api = f"/api/models/{repo}"
    locks = f"/{repo}.git/info/lfs/locks"

    def __init__(self, world: World) -> None:
        self.world, self.owner, self.other = world, world.owner, world.other
        self.nobody = Talk(world.hub.url, None)
        self.sha256 = ""
        self.device: dict[str, str] = {}

    def ask(self) -> None:
        body = {"why": "what-i-filled-in"}
        self.other.client.post(f"/{self.repo}/ask-access", json=body, follow_redirects=False)

    def reject(self) -> httpx2.Response:
        self.ask()
        body = {"status": "rejected", "user": "otto", "rejectionReason": "because-of-you"}
        return self.owner.post(f"{self.api}/user-access-request/handle", body)

    def revoke(self) -> httpx2.Response:
        body = {"status": "revoked", "users": ["otto"], "rejectionReason": "because-of-you"}
        return self.owner.post(f"{self.api}/user-access-request/handle-many", body)

    def share(self) -> httpx2.Response:
        self.sha256 = self.owner.put_large(self.repo, b"twice" * 500)
        self.owner.commit(self.repo, large("twice.bin", self.sha256)).raise_for_status()
        self.owner.create("olga/second").raise_for_status()
        body = {"target": {"name": "olga/second", "type": "model"}, "files": [{"sha256": self.sha256}]}
        return self.owner.post(f"{self.api}/lfs-files/duplicate", body)

    def purge(self) -> httpx2.Response:
        body = {"deletions": {"sha": [self.sha256], "rewriteHistory": True}}
        return self.owner.post(f"{self.api}/lfs-files/batch", body)

    def merge(self) -> httpx2.Response:
        line = small("proposed.txt", b"content of a file")
        self.owner.commit(self.repo, line, rev="refs/pr/1").raise_for_status()
        return self.owner.post(f"{self.api}/discussions/1/merge", {"comment": "fine"})

    def push(self, branch: str, end: str) -> None:
        where = address(self.world.hub.url, self.repo, self.world.owner_token, end)
        clone = Clone.of(where, self.world.folder / f"clone{end}")
        clone.commit(**{f"pushed{end}.txt": b"content of a file"})
        clone.git("push", "-q", "origin", f"HEAD:{branch}")

    def unlock(self) -> httpx2.Response:
        admin = Talk(self.world.hub.url, self.world.hub.admin_token)
        made = admin.post(self.locks, {"path": "a.txt"}).json()["lock"]["id"]
        admin.close()
        return self.owner.post(f"{self.locks}/{made}/unlock", {"force": True})

    def approve(self) -> httpx2.Response:
        self.device = self.nobody.client.post("/oauth/device", data={"client_id": "x"}).json()
        form = {"user_code": self.device["user_code"], "token": self.world.owner_token, "decision": "approve"}
        return self.nobody.client.post("/oauth/authorize-device", data=form, headers={"Origin": self.world.hub.url})

    def fetch(self) -> httpx2.Response:
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        form = {"grant_type": grant, "device_code": self.device["device_code"], "client_id": "x"}
        return self.nobody.client.post("/oauth/token", data=form)


def steps(world: World, do: Doings) -> dict[str, Callable[[], object]]:
    """A call of each audited route."""
    owner, api, repo = world.owner, Doings.api, Doings.repo
    tag = f"v-{world.owner_token}"
    return {
        "POST /api/repos/create": lambda: owner.create(repo),
        "POST API/commit/{rev}": lambda: owner.commit(repo, small("a.txt", b"content of a file")),
        "POST API/branch/{branch}": lambda: owner.post(f"{api}/branch/side"),
        "DELETE API/branch/{branch}": lambda: owner.client.request("DELETE", f"{api}/branch/side"),
        "POST API/tag/{rev}": lambda: owner.post(f"{api}/tag/main", {"tag": tag, "message": "m"}),
        "DELETE API/tag/{tag}": lambda: owner.client.request("DELETE", f"{api}/tag/{tag}"),
        "POST API/discussions": lambda: owner.post(f"{api}/discussions", {"title": "t", "pullRequest": True}),
        "POST API/discussions/{num}/merge": do.merge,
        "POST API/lfs-files/duplicate": do.share,
        "POST API/lfs-files/batch": do.purge,
        "POST WEB/git-receive-pack": lambda: do.push("main", ""),
        "POST WEB.git/git-receive-pack": lambda: do.push("other", ".git"),
        "POST WEB.git/info/lfs/locks/{lock}/unlock": do.unlock,
        "POST API/super-squash/{branch}": lambda: owner.post(f"{api}/super-squash/main", {}),
        "PUT API/settings": lambda: owner.client.put(f"{api}/settings", json={"gated": "manual"}),
        "POST WEB/ask-access": do.ask,
        "POST API/user-access-request/cancel": lambda: world.other.post(f"{api}/user-access-request/cancel"),
        "POST API/user-access-request/handle": do.reject,
        "POST API/user-access-request/grant": lambda: owner.post(f"{api}/user-access-request/grant", {"user": "otto"}),
        "POST API/user-access-request/handle-many": do.revoke,
        "POST /oauth/authorize-device": do.approve,
        "POST /oauth/token": do.fetch,
        "POST /api/repos/move": lambda: owner.post("/api/repos/move", {"fromRepo": repo, "toRepo": "olga/moved"}),
        "DELETE /api/repos/delete": lambda: owner.delete("olga/moved"),
    }


def test_each_of_them_leaves_its_row(world: World) -> None:
    do = Doings(world)
    doing = steps(world, do)
    assert doing.keys() == AUDITED.keys()
    key = 0
    for route, step in doing.items():
        made = deeds(world, step)
        assert made, route
        last = made[-1]
        assert (route, last.deed) == (route, AUDITED[route])
        assert last.actor in {"olga", "otto"}
        assert (last.actor_id > 0, last.token_id > 0) == (True, True)
        assert last.address == "127.0.0.1"
        assert last.request_id
        if not route.startswith("POST /oauth"):
            key = key or last.repo_id
            is_moved = route == "DELETE /api/repos/delete"
            assert (last.repo_id, last.repo) == (key, "hf://olga/moved" if is_moved else "hf://olga/voice"), route
    do.nobody.close()
    with world.hub.hub.parts.database.read() as connection:
        assert verify(connection).clean
        text = repr(connection.exec_driver_sql("SELECT * FROM audit_log").all())
        under_both = list(entries(connection, Wanted(repo="hf://olga/moved")))
    assert [secret for secret in SECRETS if secret in text.replace("hf_…", "")] == []
    assert {one.repo_id for one in under_both} == {key}
    assert len(under_both) > 20
