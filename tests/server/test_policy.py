"""Every route, asked by everybody, of every sort of repo: the answer to each is written down here. A route without a row fails."""

import itertools
from typing import NamedTuple

import httpx2
import pytest

from tenuto.server.absent import Absence
from tenuto.server.routes import make_routes
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, small

OK, NO_TOKEN, BAD_TOKEN, FORBIDDEN, HIDDEN = "let in", "NoToken", "BadToken", "Forbidden", "RepoNotFound"
GATED, GATED_401 = "GatedRepo", "GatedRepo for nobody"
REFUSALS = {NO_TOKEN, BAD_TOKEN, FORBIDDEN, HIDDEN, GATED}
STATUS = {NO_TOKEN: 401, BAD_TOKEN: 401, FORBIDDEN: 403, HIDDEN: 404, GATED: 403, GATED_401: 401}

CALLERS = ("nobody", "stranger", "reader", "pending", "writer", "admin", "bad")
"""`reader` was accepted at the gate; its token, like those of `stranger` and `pending`, may write to what is its own."""
SORTS = ("public", "private", "gated")

_EVERYBODY = {sort: dict.fromkeys(CALLERS, OK) for sort in SORTS}


def _table(public: tuple[str, str], gated: tuple[str, str, str, str]) -> dict[str, dict[str, str]]:
    """Answers by sort of repo and caller, from what nobody and strangers get of a public repo, and what nobody, strangers, the
    accepted and the pending get of a gated one. A private one is hidden from all of them."""
    own = {"writer": OK, "admin": OK, "bad": BAD_TOKEN}
    nobody, stranger = public
    return {
        "public": {"nobody": nobody, "stranger": stranger, "reader": stranger, "pending": stranger, **own},
        "private": {"nobody": HIDDEN, "stranger": HIDDEN, "reader": HIDDEN, "pending": HIDDEN, **own},
        "gated": dict(zip(("nobody", "stranger", "reader", "pending"), gated, strict=True)) | own,
    }


TABLES = {
    "same for everybody": _EVERYBODY,
    "browse": {sort: {**dict.fromkeys(CALLERS, OK), "bad": BAD_TOKEN} for sort in SORTS},
    "known": {sort: {**dict.fromkeys(CALLERS, OK), "nobody": NO_TOKEN, "bad": BAD_TOKEN} for sort in SORTS},
    "see": _table((OK, OK), (OK, OK, OK, OK)),
    "read": _table((OK, OK), (GATED_401, GATED, OK, GATED)),
    "engage": _table((NO_TOKEN, OK), (NO_TOKEN, OK, OK, OK)),
    "propose": _table((NO_TOKEN, OK), (GATED_401, GATED, OK, GATED)),
    "own": _table((NO_TOKEN, FORBIDDEN), (NO_TOKEN, FORBIDDEN, FORBIDDEN, FORBIDDEN)),
}

API, WEB = "/api/{T}/{namespace}/{name}", "/{W}/{namespace}/{name}"
ROWS = {
    "same for everybody": """
        GET /health | GET /api/agent-harnesses | HEAD /api/telemetry/{topic*} | POST /v1/telemetry | POST /api/validate-yaml
        POST /oauth/device | POST /oauth/token | GET /oauth/authorize-device | POST /oauth/authorize-device""",
    "browse": """
        GET /api/models | GET /api/datasets | GET /api/spaces | GET /api/users/{user}/overview | GET /api/users/{user}/likes
        GET /api/organizations/{organization}/overview""",
    "known": """
        GET /api/whoami-v2 | GET /api/settings/repositories | GET /api/organizations/{organization}/settings/repositories""",
    "see": """
        GET API | GET API/revision/{rev} | GET API/tree/{rev} | GET API/tree/{rev}/{path*} | POST API/paths-info/{rev} | GET API/refs
        GET API/commits/{rev} | GET API/likers | GET API/discussions | GET API/discussions/{num}""",
    "read": """
        GET WEB/resolve/{rev}/{path*} | GET WEB/raw/{rev}/{path*} | GET API/auth-check | GET API/xet-read-token/{rev} | POST API/pack/{rev}
        POST API/lfs-files/duplicate | POST WEB.git/info/lfs/objects/batch | GET WEB.git/info/lfs/locks
        GET WEB/info/refs | GET WEB.git/info/refs | POST WEB/git-upload-pack | POST WEB.git/git-upload-pack""",
    "engage": """
        POST API/like | DELETE API/like | POST WEB/ask-access | POST API/user-access-request/cancel
        POST API/discussions | POST API/discussions/{num}/comment | POST API/discussions/{num}/comment/{comment}/edit
        POST API/discussions/{num}/comment/{comment}/hide | POST API/discussions/{num}/title | POST API/discussions/{num}/status""",
    "own": """
        GET API/auth-check/write | PUT API/settings | POST API/preupload/{rev} | POST API/commit/{rev} | PUT API/pack
        POST API/branch/{branch} | DELETE API/branch/{branch} | POST API/tag/{rev} | DELETE API/tag/{tag}
        POST API/super-squash/{branch} | GET API/xet-write-token/{rev} | GET API/lfs-files | POST API/lfs-files/batch
        GET API/user-access-request/{status} | POST API/user-access-request/handle | POST API/user-access-request/grant
        GET WEB/user-access-report | POST API/discussions/{num}/merge | POST WEB/git-receive-pack | POST WEB.git/git-receive-pack
        POST WEB.git/info/lfs/locks | POST WEB.git/info/lfs/locks/verify | POST WEB.git/info/lfs/locks/{lock}/unlock
        POST /api/repos/move | DELETE /api/repos/delete | POST /api/repos/create""",
}
PROPOSALS = ("POST API/preupload/{rev}", "POST API/commit/{rev}", "GET API/xet-write-token/{rev}")
"""With `create_pr` these are asked for as `propose`."""


class Row(NamedTuple):
    """A route, and the table of its answers."""

    method: str
    pattern: str
    table: str
    query: str = ""


def rows() -> list[Row]:
    found = []
    for table, text in ROWS.items():
        for one in (part.strip() for line in text.splitlines() for part in line.split("|")):
            if one:
                method, _, pattern = one.partition(" ")
                found.append(Row(method, pattern.replace("API", API).replace("WEB", WEB), table))
    for one in PROPOSALS:
        method, _, pattern = one.partition(" ")
        found.append(Row(method, pattern.replace("API", API), "propose", "?create_pr=1"))
    return found


def test_every_route_has_a_row() -> None:
    listed = {(row.method, row.pattern) for row in rows()}
    elsewhere = {(one.method, one.pattern) for one in make_routes() if one.link or isinstance(one.handler, Absence)}
    routes = {(route.method, route.pattern) for route in make_routes()} - elsewhere
    assert routes - listed == set(), "say above who may use these routes"
    assert listed - routes == set()


class World(NamedTuple):
    """One repo of each sort, of one owner, and everybody who asks."""

    repos: dict[str, str]
    talks: dict[str, Talk]


@pytest.fixture(scope="module")
def world(hub: LiveHub):
    owner = Talk(hub.url, hub.user("writer"))
    repos = {sort: f"writer/{sort}" for sort in SORTS}
    for sort, repo in repos.items():
        owner.create(repo, private=sort == "private").raise_for_status()
        owner.commit(repo, small("a.txt", b"text")).raise_for_status()
        owner.post(f"/api/models/{repo}/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
    owner.client.put(f"/api/models/{repos['gated']}/settings", json={"gated": "manual"}).raise_for_status()
    tokens = {name: hub.user(name) for name in ("stranger", "reader", "pending")}
    talks = {name: Talk(hub.url, token) for name, token in tokens.items()}
    talks |= {"nobody": Talk(hub.url, None), "writer": owner, "admin": Talk(hub.url, hub.admin_token)}
    talks["bad"] = Talk(hub.url, "hf_unknown")
    base = f"/api/models/{repos['gated']}/user-access-request"
    owner.post(f"{base}/grant", {"user": "reader"}).raise_for_status()
    talks["pending"].client.post(f"/{repos['gated']}/ask-access", json={}, follow_redirects=False)
    yield World(repos, talks)
    for talk in talks.values():
        talk.close()


def body_of(row: Row, repo: str) -> dict:
    """A body that names the repo where the route takes it from there, and changes nothing that others of these tests need."""
    namespace, name = repo.split("/")
    oid = "a" * 64
    if row.pattern.startswith("/api/repos"):
        if row.pattern.endswith("move"):
            return {"json": {"fromRepo": repo, "toRepo": repo, "type": "model"}}
        return {"json": {"name": name, "organization": namespace}}
    if row.pattern.endswith("objects/batch"):
        return {"json": {"operation": "download", "objects": [{"oid": oid, "size": 1}]}}
    if row.method in {"GET", "HEAD"}:
        return {}
    return {"content": b"{", "headers": {"Content-Type": "application/json"}}


def ask(world: World, row: Row, sort: str, caller: str) -> httpx2.Response:
    repo = world.repos[sort]
    words = {
        "T": "models",
        "rev": "main",
        "path*": "a.txt",
        "num": "1",
        "branch": "none",
        "tag": "none",
        "status": "pending",
    }
    words |= {"topic*": "x/y", "user": "writer", "organization": "writer", "comment": "0" * 24, "lock": "1"}
    path = row.pattern.replace("/{W}", "").replace("{namespace}/{name}", repo)
    for word, value in words.items():
        path = path.replace("{" + word + "}", value)
    if path.endswith("info/refs"):
        path += "?service=git-upload-pack"
    assert "{" not in path
    return world.talks[caller].client.request(
        row.method, path + row.query, follow_redirects=False, **body_of(row, repo)
    )


def expected(row: Row, sort: str, caller: str) -> str:
    wanted = TABLES[row.table][sort][caller]
    if row.pattern == "/api/repos/create" and wanted == HIDDEN:
        # The namespace is known by its name; what is in it shows neither here nor there.
        return NO_TOKEN if caller == "nobody" else FORBIDDEN
    return wanted


def found(answer: httpx2.Response) -> tuple[str, int]:
    code = answer.headers.get("X-Error-Code", "")
    if code not in REFUSALS:
        return OK, 0
    return (GATED_401 if (code, answer.status_code) == (GATED, 401) else code), answer.status_code


def status_of(row: Row, outcome: str, caller: str) -> int:
    """git and git-lfs send their token only after a 401, also where nobody may learn that there is a repo."""
    if outcome == OK:
        return 0
    is_basic = ".git/" in row.pattern or row.pattern.endswith(("/info/refs", "/git-upload-pack", "/git-receive-pack"))
    return 401 if is_basic and caller == "nobody" else STATUS[outcome]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.method} {row.pattern}{row.query}")
def test_who_may(world: World, row: Row) -> None:
    for sort, caller in itertools.product(SORTS, CALLERS):
        if row.pattern == "/api/repos/delete" and caller in {"writer", "admin"}:
            continue  # that they may is tested where nobody needs the repo afterwards
        if "organizations" in row.pattern and caller in {"stranger", "reader", "pending"}:
            continue  # answered like a namespace that does not exist: not a matter of a repo
        outcome = expected(row, sort, caller)
        answer = ask(world, row, sort, caller)
        assert found(answer) == (outcome, status_of(row, outcome, caller)), (sort, caller, answer.text[:300])
        assert answer.status_code < 500


@pytest.mark.parametrize("caller", ["writer", "admin"])
def test_who_may_delete(world: World, caller: str, owner: Owner, hub: LiveHub) -> None:
    talk = owner.talk if caller == "writer" else world.talks["admin"]
    assert talk.delete(owner.repo).status_code == 200
    assert talk.get(f"/api/models/{owner.repo}").status_code == 404


def test_a_token_that_only_reads_changes_nothing(world: World, hub: LiveHub) -> None:
    reads = Talk(hub.url, hub.hub.create_token("writer", "read"))
    talks = {**world.talks, "writer": reads}
    for row in rows():
        if row.table in {"own", "propose"}:
            for sort in SORTS:
                answer = ask(world._replace(talks=talks), row, sort, "writer")
                assert (answer.status_code, answer.headers.get("X-Error-Code")) == (403, FORBIDDEN), row
    reads.close()
