"""Accounts over HTTP: what is changed shows in the next answer, and what is taken away is gone with the very next request."""

from collections.abc import Callable

import msgspec
import pytest

from tenuto.core.ids import RepoId
from tenuto.server.audit.reading import Entry, Wanted, entries
from tenuto.server.repos.rows import find_repo
from tenuto.server.signing import Claims
from tenuto.testing.live_hub import LiveHub
from tests.server.people.deeds import ACCOUNT_DEEDS
from tests.server.talk import Talk, large, small


def last_deed(hub: LiveHub) -> Entry:
    with hub.hub.parts.database.read() as connection:
        return next(entries(connection, Wanted(limit=1)))


def put(talk: Talk, path: str, body: object):
    return talk.client.put(path, json=body)


def drop(talk: Talk, path: str):
    return talk.client.request("DELETE", path)


@pytest.mark.wire
def test_every_change_of_an_account_from_first_to_last(hub: LiveHub, speak: Callable[..., Talk]) -> None:
    ann, bob, admin = speak(hub.user("ann")), speak(hub.user("bob")), speak(hub.admin_token)
    issued: list[str] = []

    def issue():
        answer = ann.post("/api/accounts/bot/tokens", {"name": "ci", "role": "write", "days": 30})
        issued.append(answer.json()["id"])
        return answer

    steps = {
        "POST /api/organizations": lambda: ann.post("/api/organizations", {"name": "acme", "fullName": "Acme, Inc."}),
        "PUT /api/organizations/{organization}": lambda: put(ann, "/api/organizations/acme", {"fullName": "Acme"}),
        "PUT /api/organizations/{organization}/members/{user}": lambda: put(
            ann, "/api/organizations/acme/members/bob", {"role": "write"}
        ),
        "DELETE /api/organizations/{organization}/members/{user}": lambda: drop(
            ann, "/api/organizations/acme/members/bob"
        ),
        "POST /api/organizations/{organization}/leave": lambda: (
            put(ann, "/api/organizations/acme/members/bob", {"role": "admin"}),
            bob.post("/api/organizations/acme/leave"),
        )[1],
        "POST /api/accounts/{account}/services": lambda: ann.post(
            "/api/accounts/acme/services", {"name": "bot", "role": "write"}
        ),
        "PUT /api/accounts/{account}/services/{service}": lambda: put(
            ann, "/api/accounts/acme/services/bot", {"role": "read"}
        ),
        "POST /api/accounts/{account}/tokens": issue,
        "DELETE /api/accounts/{account}/tokens/{token}": lambda: drop(ann, f"/api/accounts/bot/tokens/{issued[0]}"),
        "POST /api/hub/accounts": lambda: admin.post("/api/hub/accounts", {"name": "cat", "fullName": "Cat"}),
        "PUT /api/hub/accounts/{account}": lambda: put(admin, "/api/hub/accounts/cat", {"disabled": True}),
        "POST /api/hub/invitations": lambda: admin.post(
            "/api/hub/invitations", {"name": "dan", "organization": "acme"}
        ),
    }
    assert steps.keys() == ACCOUNT_DEEDS.keys()
    for route, step in steps.items():
        answer = step()
        assert answer.status_code == 200, (route, answer.text)
        made = last_deed(hub)
        assert (route, made.deed) == (route, ACCOUNT_DEEDS[route])
        assert made.actor in {"ann", "bob", "admin"}
        assert made.request_id == answer.headers["X-Request-Id"]


MISSPELLED = [
    ("POST", "/api/organizations", {"name": "spelled", "fullname": "x"}),
    ("POST", "/api/organizations", {"fullName": "x"}),
    ("PUT", "/api/organizations/{org}", {"fullname": "x"}),
    ("PUT", "/api/organizations/{org}", {}),
    ("PUT", "/api/organizations/{org}/members/{user}", {"role": "read", "right": "admin"}),
    ("POST", "/api/accounts/{org}/services", {"name": "spelled-bot", "right": "read"}),
    ("PUT", "/api/accounts/{org}/services/{org}-bot", {"role": "admin", "disable": True}),
    ("POST", "/api/accounts/{user}/tokens", {"role": "read", "day": 3}),
    (
        "POST",
        "/api/accounts/{user}/tokens",
        {"role": "fine-grained", "scopes": [{"on": "{org}", "right": "read", "repo": "x"}]},
    ),
    ("POST", "/api/hub/accounts", {"name": "spelled-user", "admin": True}),
    ("PUT", "/api/hub/accounts/{user}", {"fullName": "x", "is_admin": True}),
    ("POST", "/api/hub/invitations", {"user": "{user}"}),
    ("POST", "/api/hub/invitations", {"reset": "{user}", "organization": "{org}"}),
]


@pytest.mark.parametrize(("method", "path", "body"), MISSPELLED)
def test_a_field_that_nobody_knows_is_refused_and_nothing_happens(hub: LiveHub, speak, method, path, body) -> None:
    token = hub.user()
    user = speak(token).get("/api/whoami-v2").json()["name"]
    org = f"of-{user}"
    admin = speak(hub.admin_token)
    speak(token).post("/api/organizations", {"name": org, "fullName": "As it was"}).raise_for_status()
    put(admin, f"/api/hub/accounts/{user}", {"admin": True}).raise_for_status()
    speak(token).post(f"/api/accounts/{org}/services", {"name": f"{org}-bot"}).raise_for_status()
    before = last_deed(hub)
    text = msgspec.json.encode(body).decode().replace("{user}", user).replace("{org}", org)
    answer = speak(token).client.request(method, path.format(user=user, org=org), json=msgspec.json.decode(text))
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (400, "BadRequest")
    assert last_deed(hub) == before


def test_stock_clients_see_organizations_and_their_members(hub: LiveHub, speak, stock) -> None:
    token = hub.user("dora")
    dora = speak(token)
    dora.post("/api/organizations", {"name": "choir", "fullName": "The Choir"}).raise_for_status()
    for number in range(3):
        hub.user(f"singer-{number}")
        put(dora, f"/api/organizations/choir/members/singer-{number}", {"role": "read"}).raise_for_status()
    api = stock(token)
    (membership,) = api.whoami()["orgs"]
    assert (membership["name"], membership["fullname"], membership["roleInOrg"]) == ("choir", "The Choir", "admin")
    assert [one.username for one in api.list_organization_members("choir")] == [
        "dora",
        "singer-0",
        "singer-1",
        "singer-2",
    ]
    assert len(dora.get("/api/organizations/choir/members?limit=2").json()) == 2
    assert 'rel="next"' in dora.get("/api/organizations/choir/members?limit=2").headers["Link"]
    assert [one.name for one in api.get_user_overview("dora").orgs] == ["choir"]
    overview = api.get_organization_overview("choir")
    assert (overview.fullname, overview.num_users) == ("The Choir", 4)
    assert dora.get("/api/organizations/dora/members").status_code == 404
    assert api.create_repo("choir/song").repo_id == "choir/song"


def test_a_service_says_for_whom_it_acts_and_a_narrow_token_what_it_is_good_for(hub: LiveHub, speak) -> None:
    eve = speak(hub.user("eve"))
    eve.create("eve/one", private=True).raise_for_status()
    eve.post("/api/accounts/eve/services", {"name": "eves-bot"}).raise_for_status()
    wish = {
        "role": "fineGrained",
        "readsGated": True,
        "scopes": [{"on": "eve", "right": "read"}, {"on": "eve/one", "right": "write"}],
    }
    token = eve.post("/api/accounts/eves-bot/tokens", wish).json()["token"]
    who = speak(token).get("/api/whoami-v2").json()
    assert (who["name"], who["serviceOf"], who["orgs"]) == ("eves-bot", "eve", [])
    assert who["auth"]["accessToken"]["fineGrained"] == {
        "canReadGatedRepos": True,
        "scoped": [
            {"entity": {"type": "namespace", "name": "eve"}, "permissions": ["read"]},
            {"entity": {"type": "repo", "name": "eve/one"}, "permissions": ["write"]},
        ],
        "global": [],
    }
    (listed,) = eve.get("/api/accounts/eves-bot/tokens").json()
    assert (listed["role"], listed["scopes"]) == ("fineGrained", wish["scopes"])
    assert token not in str(listed)


def test_no_token_makes_one_that_is_stronger(hub: LiveHub, speak) -> None:
    fay = speak(hub.user("fay"))
    wish = {"role": "fineGrained", "scopes": [{"on": "fay", "right": "admin"}]}
    narrow = speak(fay.post("/api/accounts/fay/tokens", wish).json()["token"])
    reads = speak(hub.hub.create_token("fay", "read"))
    fay.post("/api/accounts/fay/services", {"name": "fays-bot", "role": "admin"}).raise_for_status()
    bot = speak(fay.post("/api/accounts/fays-bot/tokens", {"role": "write"}).json()["token"])
    before = len(fay.get("/api/accounts/fay/tokens").json())
    for weak in (narrow, reads, bot, speak(hub.admin_token), speak(hub.user("gus"))):
        for account in ("fay", "fays-bot"):
            if weak.client.headers["authorization"] == f"Bearer {hub.admin_token}" and account == "fays-bot":
                continue  # who administers the hub administers the namespace
            answer = weak.post(f"/api/accounts/{account}/tokens", {"role": "write"})
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "Forbidden"), account
    assert len(fay.get("/api/accounts/fay/tokens").json()) == before


def test_a_scope_tells_nobody_what_is_private(hub: LiveHub, speak) -> None:
    hugo, ivy = speak(hub.user("hugo")), speak(hub.user("ivy"))
    hugo.create("hugo/secret", private=True).raise_for_status()
    answers = [
        ivy.post("/api/accounts/ivy/tokens", {"role": "fineGrained", "scopes": [{"on": on, "right": "read"}]})
        for on in ("hugo/secret", "hugo/not-there")
    ]
    assert {(one.status_code, one.text, one.headers["X-Error-Code"]) for one in answers} == {
        (404, answers[0].text, "RepoNotFound")
    }


class Watched:
    """Somebody who reads a private repo: by token, by a link that was signed for it, and as a service; each was let in before."""

    def __init__(self, hub: LiveHub, speak: Callable[..., Talk], name: str) -> None:
        self.owner = speak(hub.user(f"{name}-owner"))
        self.organization, self.user = f"{name}-house", name
        self.owner.post("/api/organizations", {"name": self.organization}).raise_for_status()
        self.token = hub.user(name)
        put(self.owner, f"/api/organizations/{self.organization}/members/{name}", {"role": "read"}).raise_for_status()
        self.repo = f"{self.organization}/secret"
        self.owner.create(self.repo, private=True).raise_for_status()
        oid = self.owner.put_large(self.repo, name.encode() * 1000)
        self.owner.commit(self.repo, small("a.txt", b"a"), large("b.bin", oid)).raise_for_status()
        self.talk = speak(self.token)
        batch = self.talk.batch(self.repo, (oid, len(name) * 1000), operation="download")
        link = batch.json()["objects"][0]["actions"]["download"]["href"]
        nobody = speak(None)
        self.asks = (
            lambda: self.talk.read(self.repo, "a.txt"),
            lambda: self.talk.get(f"/api/models/{self.repo}"),
            lambda: nobody.get(link),
        )
        for _ in range(2):
            assert [one().status_code for one in self.asks] == [200, 200, 200]

    def statuses(self) -> list[int]:
        return [one().status_code for one in self.asks]


def test_a_revoked_token_ends_at_once_with_its_links(hub: LiveHub, speak) -> None:
    watched = Watched(hub, speak, "kim")
    (token,) = hub.hub.list_tokens("kim")
    assert drop(watched.talk, f"/api/accounts/kim/tokens/{token.id}").status_code == 200
    assert watched.statuses() == [401, 401, 403]


def test_a_disabled_account_ends_at_once_and_comes_back(hub: LiveHub, speak) -> None:
    watched, admin = Watched(hub, speak, "lea"), speak(hub.admin_token)
    assert put(admin, "/api/hub/accounts/lea", {"disabled": True}).status_code == 200
    assert watched.statuses() == [401, 401, 403]
    assert put(admin, "/api/hub/accounts/lea", {"disabled": False}).status_code == 200
    assert watched.statuses() == [200, 200, 200]


def test_a_removed_member_sees_nothing_at_once(hub: LiveHub, speak) -> None:
    watched = Watched(hub, speak, "max")
    assert drop(watched.owner, f"/api/organizations/{watched.organization}/members/max").status_code == 200
    assert watched.statuses() == [404, 404, 404]


def test_a_service_of_a_disabled_owner_ends_at_once(hub: LiveHub, speak) -> None:
    noa, admin = speak(hub.user("noa")), speak(hub.admin_token)
    noa.create("noa/secret", private=True).raise_for_status()
    noa.commit("noa/secret", small("a.txt", b"a")).raise_for_status()
    noa.post("/api/accounts/noa/services", {"name": "noas-bot"}).raise_for_status()
    bot = speak(noa.post("/api/accounts/noas-bot/tokens", {}).json()["token"])
    assert [bot.read("noa/secret", "a.txt").status_code for _ in range(2)] == [200, 200]
    put(noa, "/api/accounts/noa/services/noas-bot", {"disabled": True}).raise_for_status()
    assert bot.read("noa/secret", "a.txt").status_code == 401
    put(noa, "/api/accounts/noa/services/noas-bot", {"disabled": False}).raise_for_status()
    assert bot.read("noa/secret", "a.txt").status_code == 200
    put(admin, "/api/hub/accounts/noa", {"disabled": True}).raise_for_status()
    assert bot.read("noa/secret", "a.txt").status_code == 401


def test_a_name_that_was_closed_is_given_to_nobody_else(hub: LiveHub, speak) -> None:
    """Fault 13: a grant belongs to an account, and no other account gets its name."""
    admin, pia = speak(hub.admin_token), speak(hub.user("pia"))
    pia.create("pia/gated").raise_for_status()
    pia.commit("pia/gated", small("a.txt", b"a")).raise_for_status()
    put(pia, "/api/models/pia/gated/settings", {"gated": "manual"}).raise_for_status()
    old = speak(hub.user("quin"))
    pia.post("/api/models/pia/gated/user-access-request/grant", {"user": "quin"}).raise_for_status()
    assert old.read("pia/gated", "a.txt").status_code == 200
    put(admin, "/api/hub/accounts/quin", {"disabled": True}).raise_for_status()
    for name in ("quin", "QUIN"):
        assert admin.post("/api/hub/accounts", {"name": name}).status_code == 409
        assert pia.post("/api/organizations", {"name": name}).status_code == 409
        assert pia.post("/api/accounts/pia/services", {"name": name}).status_code == 409


def test_a_namespace_that_has_repos_is_taken_by_nobody_on_his_own(hub: LiveHub, speak) -> None:
    admin, uma = speak(hub.admin_token), speak(hub.user("uma"))
    admin.create("orphaned/model", private=True).raise_for_status()
    for name in ("orphaned", "Orphaned"):
        assert uma.post("/api/organizations", {"name": name}).status_code == 409
        assert uma.post("/api/accounts/uma/services", {"name": name}).status_code == 409
    assert uma.get("/api/models/orphaned/model").status_code == 404
    assert admin.post("/api/hub/accounts", {"name": "orphaned"}).status_code == 200, "who governs the hub settles it"


def test_a_token_that_expires_ends_at_once_with_its_links(hub: LiveHub, speak) -> None:
    watched, parts = Watched(hub, speak, "vic"), hub.hub.parts
    days = 1
    token = watched.talk.post("/api/accounts/vic/tokens", {"role": "read", "days": days}).json()["token"]
    talk, clock = speak(token), parts.now_ms
    assert [talk.read(watched.repo, "a.txt").status_code for _ in range(3)] == [200, 200, 200]
    signer, oid = parts.signer, "0" * 64
    with parts.database.read() as connection:
        repo = find_repo(connection, RepoId.parse(watched.repo))
    claims = Claims("download", repo.key, oid, 1, hub.hub.list_tokens("vic")[-1].id, clock() // 1000 + 10**6)
    link = f"/lfs/download/{oid}?link={signer.sign(claims)}"
    before = speak(None).get(link)
    object.__setattr__(parts, "now_ms", lambda: clock() + days * 86_400_000)
    try:
        assert talk.read(watched.repo, "a.txt").status_code == 401
        assert talk.client.head(f"/{watched.repo}/resolve/main/a.txt").status_code == 401
        after = speak(None).get(link)
    finally:
        object.__setattr__(parts, "now_ms", clock)
    assert (before.status_code, after.status_code) == (404, 403), "the link ends with its token"
    assert talk.read(watched.repo, "a.txt").status_code == 200


def test_services_are_changed_through_their_own_owner_alone(hub: LiveHub, speak) -> None:
    rob, sue = speak(hub.user("rob")), speak(hub.user("sue"))
    rob.post("/api/accounts/rob/services", {"name": "robs-bot"}).raise_for_status()
    answer = put(sue, "/api/accounts/sue/services/robs-bot", {"role": "admin"})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "UserNotFound")
    assert rob.get("/api/accounts/rob/services").json()[0]["role"] == "read"


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30, "1e3", "٣"])
def test_ids_of_tokens_that_are_none(hub: LiveHub, speak, number: str) -> None:
    tom = speak(hub.user("tom"))
    assert drop(tom, f"/api/accounts/tom/tokens/{number}").status_code == 404


def test_what_a_service_makes_is_its_owners(hub: LiveHub, speak) -> None:
    ann = speak(hub.user("ann-of-machines"))
    made = {}
    for right in ("read", "write"):
        name = f"machine-that-may-{right}"
        ann.post("/api/accounts/ann-of-machines/services", {"name": name, "role": right}).raise_for_status()
        answer = ann.post(f"/api/accounts/{name}/tokens", {"name": "job", "role": "write"}).json()
        made[right] = speak(answer["token"])
        assert made[right].create(f"{name}/own").headers["X-Error-Code"] == "Forbidden"
    assert made["read"].client.post("/api/repos/create", json={"name": "song"}).headers["X-Error-Code"] == "Forbidden"
    answer = made["write"].client.post("/api/repos/create", json={"name": "song"})
    assert answer.json()["name"] == "ann-of-machines/song"
