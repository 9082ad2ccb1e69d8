"""Every route, asked by everybody, of every sort of repo: the answer to each is written down here. A route without a row fails."""

import itertools
from typing import NamedTuple

import httpx2
import pytest
from sqlalchemy import insert, select, update

from tenuto.server.access import Right
from tenuto.server.api.absent import Absence
from tenuto.server.routes import make_routes
from tenuto.server.schema import access_requests, memberships, services, users
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, small

OK, NO_TOKEN, BAD_TOKEN, FORBIDDEN, HIDDEN = "let in", "NoToken", "BadToken", "Forbidden", "RepoNotFound"
GATED, GATED_401 = "GatedRepo", "GatedRepo for nobody"
REFUSALS = {NO_TOKEN, BAD_TOKEN, FORBIDDEN, HIDDEN, GATED}
STATUS = {NO_TOKEN: 401, BAD_TOKEN: 401, FORBIDDEN: 403, HIDDEN: 404, GATED: 403, GATED_401: 401}

CALLERS = (
    "nobody",
    "stranger",
    "pending",
    "expired",
    "granted",
    "member",
    "writer",
    "service",
    "owner",
    "admin",
    "revoked",
    "bad",
)
"""The repos belong to an organization: `member` has the right to read there, `writer` and `service` to write, `owner` to administer.
`granted` was let through the gates, `expired` was so once, `pending` asked. Their tokens may write to what is their own."""
SORTS = ("public", "private", "auto", "manual")
STRANGERS = ("stranger", "pending", "expired", "granted")
_DEAD = {"revoked": BAD_TOKEN, "bad": BAD_TOKEN}

_EVERYBODY = {sort: dict.fromkeys(CALLERS, OK) for sort in SORTS}


def _table(nobody: str, strangers: str, at_a_gate: tuple[str, str, str], **insiders: str) -> dict[str, dict[str, str]]:
    """Answers by sort of repo and caller, from what nobody and strangers get of a public repo, what nobody, strangers and the granted get
    of a gated one, and what those inside get of each who do not get everything. A private one is hidden from all others."""
    inside = {**dict.fromkeys(("member", "writer", "service", "owner", "admin"), OK), **insiders, **_DEAD}
    gated = {"nobody": at_a_gate[0], **dict.fromkeys(STRANGERS, at_a_gate[1]), "granted": at_a_gate[2], **inside}
    return {
        "public": {"nobody": nobody, **dict.fromkeys(STRANGERS, strangers), **inside},
        "private": {**dict.fromkeys(("nobody", *STRANGERS), HIDDEN), **inside},
        "auto": gated,
        "manual": gated,
    }


_OUTSIDE = (NO_TOKEN, FORBIDDEN, (NO_TOKEN, FORBIDDEN, FORBIDDEN))
TABLES = {
    "same for everybody": _EVERYBODY,
    "browse": {sort: {**dict.fromkeys(CALLERS, OK), **_DEAD} for sort in SORTS},
    "known": {sort: {**dict.fromkeys(CALLERS, OK), "nobody": NO_TOKEN, **_DEAD} for sort in SORTS},
    "see": _table(OK, OK, (OK, OK, OK)),
    "read": _table(OK, OK, (GATED_401, GATED, OK)),
    "engage": _table(NO_TOKEN, OK, (NO_TOKEN, OK, OK)),
    "propose": _table(NO_TOKEN, OK, (GATED_401, GATED, OK)),
    "write": _table(*_OUTSIDE, member=FORBIDDEN),
    "manage": {
        sort: {**dict.fromkeys(CALLERS, OK), "nobody": NO_TOKEN, "service": FORBIDDEN, **_DEAD} for sort in SORTS
    },
    "namespace": {
        sort: {**dict.fromkeys(CALLERS, FORBIDDEN), "nobody": NO_TOKEN, "owner": OK, "admin": OK, **_DEAD}
        for sort in SORTS
    },
    "govern": {sort: {**dict.fromkeys(CALLERS, FORBIDDEN), "nobody": NO_TOKEN, "admin": OK, **_DEAD} for sort in SORTS},
    "administer": _table(*_OUTSIDE, member=FORBIDDEN, writer=FORBIDDEN, service=FORBIDDEN),
}

API, WEB = "/api/{T}/{namespace}/{name}", "/{W}/{namespace}/{name}"
ROWS = {
    "same for everybody": """
        GET /health | GET /api/openapi.json | GET /api/agent-harnesses | HEAD /api/telemetry/{topic*} | POST /v1/telemetry
        POST /api/validate-yaml | POST /oauth/device | POST /oauth/token
        GET /static/{file}""",
    "browse": """
        GET /api/models | GET /api/datasets | GET /api/spaces | GET /api/users/{user}/overview | GET /api/users/{user}/likes
        GET /api/organizations/{organization}/overview | GET /
        GET /api/organizations/{organization}/members | GET /login | POST /login | POST /logout | GET /join | POST /join
        GET /oauth/authorize-device | POST /oauth/authorize-device | GET /login/elsewhere | GET /login/elsewhere/back | POST /login/elsewhere
        GET /models | GET /datasets | GET /spaces | GET /{namespace}""",
    "known": """
        GET /new | GET /api/whoami-v2 | GET /api/settings/repositories | GET /api/organizations/{organization}/settings/repositories""",
    "manage": """
        POST /api/organizations | POST /api/organizations/{organization}/leave
        GET /settings | POST /settings/profile | POST /settings/password | POST /settings/sessions | POST /settings/elsewhere
        POST /settings/elsewhere/remove
        GET /settings/tokens | POST /settings/tokens | POST /settings/tokens/revoke
        GET /settings/storage | GET /settings/services | POST /settings/services
        GET /settings/service/{service} | POST /settings/service/{service}/change | POST /settings/service/{service}/tokens
        POST /settings/service/{service}/tokens/revoke
        GET /organizations/new | POST /organizations/new | POST /organizations/{organization}/leave""",
    "namespace": """
        PUT /api/organizations/{organization} | PUT /api/organizations/{organization}/members/{user}
        DELETE /api/organizations/{organization}/members/{user}
        GET /api/accounts/{account}/services | POST /api/accounts/{account}/services
        PUT /api/accounts/{account}/services/{service} | GET /api/accounts/{account}/tokens
        GET /organizations/{organization}/settings | POST /organizations/{organization}/settings/members
        POST /organizations/{organization}/settings/services
        GET /organizations/{organization}/service/{service} | POST /organizations/{organization}/service/{service}/change
        POST /organizations/{organization}/service/{service}/tokens
        POST /organizations/{organization}/service/{service}/tokens/revoke
        POST /api/accounts/{account}/tokens | DELETE /api/accounts/{account}/tokens/{token}""",
    "govern": """
        GET /settings/audit | GET /api/hub/accounts | POST /api/hub/accounts | PUT /api/hub/accounts/{account}
        POST /api/hub/invitations | GET /settings/people | POST /settings/people/invite | POST /settings/people/change""",
    "see": """
        GET API | GET API/revision/{rev} | GET API/tree/{rev} | GET API/tree/{rev}/{path*} | POST API/paths-info/{rev} | GET API/refs
        GET API/commits/{rev} | GET API/likers | GET API/access-form | GET API/discussions | GET API/discussions/{num}
        GET WEB | GET WEB/tree/{rev} | GET WEB/tree/{rev}/{path*} | GET WEB/blob/{rev}/{path*} | GET WEB/commits/{rev}
        GET WEB/commit/{rev} | GET WEB/compare | GET WEB/insights | GET WEB/discussions | GET WEB/discussions/{num}""",
    "read": """
        GET WEB/resolve/{rev}/{path*} | GET WEB/raw/{rev}/{path*} | GET API/auth-check | GET API/xet-read-token/{rev} | POST API/pack/{rev}
        POST API/lfs-files/duplicate | POST WEB.git/info/lfs/objects/batch | GET WEB.git/info/lfs/locks
        GET WEB/info/refs | GET WEB.git/info/refs | POST WEB/git-upload-pack | POST WEB.git/git-upload-pack""",
    "engage": """
        POST WEB/discussions | POST WEB/discussions/{num} | POST API/like | DELETE API/like | POST WEB/ask-access | POST WEB/withdraw-access
        POST API/user-access-request/cancel
        POST API/discussions | POST API/discussions/{num}/comment | POST API/discussions/{num}/comment/{comment}/edit
        POST API/discussions/{num}/comment/{comment}/hide | POST API/discussions/{num}/title | POST API/discussions/{num}/status""",
    "write": """
        GET WEB/edit/{rev}/{path*} | POST WEB/edit/{rev}/{path*} | GET WEB/upload/{rev} | GET WEB/upload/{rev}/{path*} | POST WEB/upload/{rev}
        GET API/auth-check/write | POST API/preupload/{rev} | POST API/commit/{rev} | PUT API/pack
        POST API/branch/{branch} | DELETE API/branch/{branch} | POST API/tag/{rev} | DELETE API/tag/{tag}
        POST API/super-squash/{branch} | GET API/xet-write-token/{rev} | GET API/lfs-files
        POST API/discussions/{num}/merge | POST WEB/git-receive-pack | POST WEB.git/git-receive-pack
        POST WEB.git/info/lfs/locks | POST WEB.git/info/lfs/locks/verify | POST WEB.git/info/lfs/locks/{lock}/unlock
        POST /api/repos/create | POST /new""",
    "administer": """
        PUT API/settings | GET WEB/settings | POST WEB/settings | GET WEB/audit | GET WEB/storage | POST API/lfs-files/batch | GET API/usage
        GET API/user-access-request/{status} | POST API/user-access-request/handle | POST API/user-access-request/grant
        POST API/user-access-request/handle-many | GET WEB/access | POST WEB/access
        GET WEB/user-access-report | POST /api/repos/move | DELETE /api/repos/delete""",
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
    """One repo of each sort, of one organization, and everybody who asks."""

    repos: dict[str, str]
    talks: dict[str, Talk]


def settle(hub: LiveHub) -> None:
    """The organization, who belongs to it, the service that acts for it, and a grant that is over."""
    with hub.hub.parts.database.write() as connection:
        ids = dict(connection.execute(select(users.c.name, users.c.id)).all())
        kinds = {"house": "organization", "service": "service"}
        for name, kind in kinds.items():
            connection.execute(update(users).where(users.c.name == name).values(kind=kind))
        for name, right in {"member": "read", "writer": "write", "owner": "admin"}.items():
            row = {"organization_id": ids["house"], "user_id": ids[name], "right": right, "created_ms": 0}
            connection.execute(insert(memberships).values(row))
        connection.execute(
            insert(services).values(service_id=ids["service"], owner_id=ids["house"], right=Right.WRITE.name.lower())
        )
        of_expired = access_requests.c.user_id == ids["expired"]
        connection.execute(update(access_requests).where(of_expired).values(expires_ms=1))


@pytest.fixture(scope="module")
def world(hub: LiveHub):
    tokens = {name: hub.user(name) for name in CALLERS if name not in {"nobody", "admin", "bad"}}
    founder = Talk(hub.url, hub.user("house"))
    repos = {sort: f"house/{sort}" for sort in SORTS}
    for sort, repo in repos.items():
        founder.create(repo, private=sort == "private").raise_for_status()
        founder.commit(repo, small("a.txt", b"text")).raise_for_status()
        founder.post(f"/api/models/{repo}/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
    talks = {name: Talk(hub.url, token) for name, token in tokens.items()}
    talks |= {
        "nobody": Talk(hub.url, None),
        "admin": Talk(hub.url, hub.admin_token),
        "bad": Talk(hub.url, "hf_unknown"),
    }
    for gate in ("auto", "manual"):
        founder.client.put(f"/api/models/{repos[gate]}/settings", json={"gated": gate}).raise_for_status()
        for name in ("granted", "expired"):
            founder.post(f"/api/models/{repos[gate]}/user-access-request/grant", {"user": name}).raise_for_status()
    talks["pending"].client.post(f"/{repos['manual']}/ask-access", json={}, follow_redirects=False)
    for token in hub.hub.list_tokens("revoked"):
        assert hub.hub.revoke_token(token.id)
    settle(hub)
    yield World(repos, talks)
    for talk in (founder, *talks.values()):
        talk.close()


def body_of(row: Row, repo: str) -> dict:
    """A body that names the repo where the route takes it from there, and changes nothing that others of these tests need."""
    namespace, name = repo.split("/")
    oid = "a" * 64
    if row.pattern.startswith("/api/repos"):
        if row.pattern.endswith("move"):
            return {"json": {"fromRepo": repo, "toRepo": repo, "type": "model"}}
        return {"json": {"name": name, "organization": namespace}}
    if row.pattern == "/new":
        return {"data": {"kind": "model", "owner": namespace, "name": name}}
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
    words |= {
        "topic*": "x/y",
        "user": "writer",
        "organization": "writer",
        "comment": "0" * 24,
        "lock": "1",
        "file": "style.css",
        "namespace": "writer",
        "account": "service" if row.pattern.count("/tokens") else "house",
        "service": "service",
        "token": "0",
    }
    if row.table == "namespace":
        words |= {"organization": "house", "user": "nobody-of-that-name"}
    path = row.pattern.replace("/{W}", "").replace("{namespace}/{name}", repo)
    for word, value in words.items():
        path = path.replace("{" + word + "}", value)
    if path.endswith("info/refs"):
        path += "?service=git-upload-pack"
    assert "{" not in path
    more = body_of(row, repo)
    client = world.talks[caller].client
    more["headers"] = {**more.get("headers", {}), "Origin": str(client.base_url).rstrip("/")}
    return client.request(row.method, path + row.query, follow_redirects=False, **more)


def expected(row: Row, sort: str, caller: str) -> str:
    wanted = TABLES[row.table][sort][caller]
    if row.pattern in {"/api/repos/create", "/new"} and wanted == HIDDEN:
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
        if row.pattern == "/api/repos/delete" and caller in {"owner", "admin"}:
            continue  # that they may is tested where nobody needs the repo afterwards
        if row.pattern.endswith("settings/repositories") and caller in STRANGERS:
            continue  # answered like a namespace that does not exist: not a matter of a repo
        outcome = expected(row, sort, caller)
        answer = ask(world, row, sort, caller)
        assert found(answer) == (outcome, status_of(row, outcome, caller)), (sort, caller, answer.text[:300])
        assert answer.status_code < 500


@pytest.mark.parametrize("caller", ["owner", "admin"])
def test_who_may_delete(world: World, caller: str) -> None:
    repo = f"house/doomed-by-{caller}"
    world.talks["writer"].create(repo).raise_for_status()
    assert world.talks[caller].delete(repo).status_code == 200
    assert world.talks[caller].get(f"/api/models/{repo}").status_code == 404


def test_a_token_that_only_reads_changes_nothing(world: World, hub: LiveHub) -> None:
    reads = Talk(hub.url, hub.hub.create_token("owner", "read"))
    talks = {**world.talks, "owner": reads}
    for row in rows():
        if row.table in {"write", "administer", "propose", "manage", "namespace", "govern"}:
            for sort in SORTS:
                answer = ask(world._replace(talks=talks), row, sort, "owner")
                assert (answer.status_code, answer.headers.get("X-Error-Code")) == (403, FORBIDDEN), row
    reads.close()
