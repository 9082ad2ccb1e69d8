"""Who may do what over the wire: strangers learn nothing, hashes open nothing."""

import hashlib
from collections.abc import Callable

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small

SECRET = b"secret bytes of a private repo"


@pytest.fixture
def hidden(make_owner: Callable[..., Owner]) -> Owner:
    owner = make_owner(private=True)
    oid = owner.talk.put_large(owner.repo, SECRET)
    owner.talk.commit(owner.repo, large("m.bin", oid, len(SECRET)), small("a.txt", b"text")).raise_for_status()
    return owner


def requests_for(repo: str) -> list[tuple[str, str, dict]]:
    """Every route that names a repo, with a body that fits."""
    namespace, name = repo.split("/")
    oid = hashlib.sha256(SECRET).hexdigest()
    api, batch = f"/api/models/{repo}", f"/{repo}.git/info/lfs/objects/batch"
    ref = {"name": "refs/heads/main"}
    commit = b'{"key":"header","value":{"summary":"x"}}\n{"key":"file","value":{"path":"evil","content":"x"}}\n'
    return [
        ("GET", api, {}),
        ("GET", f"{api}/revision/main", {}),
        ("GET", f"{api}/revision/nowhere", {}),
        ("GET", f"{api}/tree/main", {}),
        ("GET", f"{api}/tree/main/a.txt", {}),
        ("GET", f"{api}/tree/main/nothing", {}),
        ("POST", f"{api}/paths-info/main", {"data": {"paths": "a.txt"}}),
        ("GET", f"{api}/refs", {}),
        ("GET", f"{api}/commits/main", {}),
        ("GET", f"{api}/auth-check", {}),
        ("GET", f"{api}/auth-check/write", {}),
        ("HEAD", f"/{repo}/resolve/main/m.bin", {}),
        ("GET", f"/{repo}/resolve/main/m.bin", {}),
        ("GET", f"/{repo}/resolve/main/nothing", {}),
        ("GET", f"/{repo}/raw/main/m.bin", {}),
        ("PUT", f"{api}/settings", {"json": {"visibility": "public"}}),
        ("POST", f"{api}/preupload/main", {"json": {"files": []}}),
        ("POST", f"{api}/commit/main", {"content": commit}),
        ("POST", f"{api}/branch/x", {"json": {}}),
        ("DELETE", f"{api}/branch/main", {}),
        ("POST", f"{api}/tag/main", {"json": {"tag": "v1"}}),
        ("DELETE", f"{api}/tag/v1", {}),
        ("POST", batch, {"json": {"operation": "download", "objects": [{"oid": oid, "size": len(SECRET)}]}}),
        ("POST", batch, {"json": {"operation": "upload", "ref": ref, "objects": [{"oid": oid, "size": len(SECRET)}]}}),
        ("POST", f"/{repo}.git/info/lfs/locks/verify", {"json": {}}),
        ("DELETE", "/api/repos/delete", {"json": {"name": name, "organization": namespace}}),
    ]


def answer_of(talk: Talk, request: tuple[str, str, dict]) -> tuple:
    method, path, kwargs = request
    answer = talk.client.request(method, path, **kwargs)
    ignored = {"x-request-id", "date"}
    headers = {key: value for key, value in answer.headers.items() if key not in ignored}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("who", ["nobody", "user"])
def test_a_hidden_repo_is_answered_like_one_that_never_was(hub: LiveHub, hidden: Owner, speak, who: str) -> None:
    talk = speak(None if who == "nobody" else hub.user())
    head = hidden.talk.head(hidden.repo)
    for real, unknown in zip(requests_for(hidden.repo), requests_for(f"{hidden.name}/nope"), strict=True):
        answer = answer_of(talk, real)
        assert answer == answer_of(talk, unknown), real
        assert answer[0] == (401 if who == "nobody" and ".git" in real[1] else 404), real
        assert answer[1]["x-error-code"] == "RepoNotFound", real
        assert SECRET not in answer[2]
    assert hidden.talk.head(hidden.repo) == head


def test_the_owner_and_the_administrator_see_it(hub: LiveHub, hidden: Owner, speak) -> None:
    reader = speak(hub.hub.create_token(hidden.name, "read"))
    for talk in (hidden.talk, reader, speak(hub.admin_token)):
        assert talk.read(hidden.repo, "m.bin").content == SECRET
        assert talk.get(f"/api/models/{hidden.repo}/auth-check").status_code == 200


def changing(repo: str) -> list[tuple[str, str, dict]]:
    reading = (
        "/revision/",
        "/tree/",
        "/paths-info/",
        "/refs",
        "/commits/",
        "/auth-check",
        "/resolve/",
        "/raw/",
        "/locks/",
    )
    found = [one for one in requests_for(repo) if not any(part in one[1] for part in reading)]
    return [one for one in found if one[0] != "GET" and one[2].get("json", {}).get("operation") != "download"]


def test_a_public_repo_is_for_all_to_read_and_for_its_owner_to_change(hub: LiveHub, owner: Owner, speak) -> None:
    owner.talk.commit(owner.repo, small("a.txt", b"text")).raise_for_status()
    before = owner.talk.listing(owner.repo)
    reader = speak(hub.hub.create_token(owner.name, "read"))
    for talk, status, code in (
        (speak(None), 401, "NoToken"),
        (speak(hub.user()), 403, "Forbidden"),
        (reader, 403, "Forbidden"),
    ):
        assert talk.read(owner.repo, "a.txt").content == b"text"
        assert talk.get(f"/api/models/{owner.repo}").json()["id"] == owner.repo
        requests = changing(owner.repo)
        assert len(requests) == 9
        for request in requests:
            answer = answer_of(talk, request)
            assert (answer[0], answer[1]["x-error-code"]) == (status, code), request
    assert owner.talk.listing(owner.repo) == before


def test_a_token_that_is_unknown_is_refused_even_where_none_is_needed(owner: Owner, speak) -> None:
    talk = speak("hf_unknown")
    for request in [*requests_for(owner.repo), ("GET", "/api/whoami-v2", {})]:
        status, headers, _ = answer_of(talk, request)
        assert (status, headers["x-error-code"]) == (401, "BadToken")
        assert headers["x-error-message"] == "Invalid credentials in Authorization header"


@pytest.mark.parametrize("header", ["Bearer", "Token x", "Basic !!!", "Basic dXNlcg==", "x", "Basic " + "A" * 9000])
def test_credentials_that_are_none(hub: LiveHub, owner: Owner, header: str) -> None:
    for path in (f"/api/models/{owner.repo}", "/api/whoami-v2"):
        answer = owner.talk.client.get(path, headers={"Authorization": header})
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (401, "BadToken")


def test_a_password_opens_git_routes_only(hub: LiveHub, owner: Owner) -> None:
    import httpx2

    assert httpx2.get(f"{hub.url}/api/whoami-v2", auth=("u", owner.token)).status_code == 401


def test_knowing_a_hash_opens_nothing(hub: LiveHub, hidden: Owner, owner: Owner) -> None:
    oid = hashlib.sha256(SECRET).hexdigest()
    assert hub.hub.parts.store.has(oid)
    unknown = "0" * 64
    reading = [owner.talk.batch(owner.repo, (one, len(SECRET)), operation="download").json() for one in (oid, unknown)]
    assert (
        reading[0]["objects"][0]["error"]
        == reading[1]["objects"][0]["error"]
        == {"code": 404, "message": "Object does not exist"}
    )
    offered = owner.talk.batch(owner.repo, (oid, len(SECRET))).json()["objects"][0]
    assert "upload" in offered["actions"], "it must be sent, although the store has it"
    for line in (large("x", oid, len(SECRET)), large("x", oid)):
        assert owner.talk.commit(owner.repo, line).status_code == 400
    wrong = owner.talk.put(offered["actions"]["upload"]["href"], bytes(len(SECRET)))
    assert wrong.status_code == 422
    assert owner.talk.commit(owner.repo, large("x", oid)).status_code == 400
    assert owner.talk.put(offered["actions"]["upload"]["href"], SECRET).status_code == 200
    owner.talk.commit(owner.repo, large("x", oid)).raise_for_status()
    assert owner.talk.read(owner.repo, "x").content == SECRET


def test_two_repos_of_one_object_do_not_depend_on_each_other(hub: LiveHub, hidden: Owner, owner: Owner) -> None:
    oid = owner.talk.put_large(owner.repo, SECRET)
    owner.talk.commit(owner.repo, large("x", oid)).raise_for_status()
    hidden.talk.delete(hidden.repo).raise_for_status()
    assert owner.talk.read(owner.repo, "x").content == SECRET


def test_a_repo_made_anew_under_an_old_name_has_nothing_of_the_old_one(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    old = talk.commit(repo, small("a.txt", b"old")).json()["commitOid"]
    oid = talk.put_large(repo, b"old object")
    talk.delete(repo).raise_for_status()
    assert talk.get(f"/api/models/{repo}").status_code == 404
    talk.create(repo).raise_for_status()
    assert talk.get(f"/api/models/{repo}/revision/{old}").headers["X-Error-Code"] == "RevisionNotFound"
    assert talk.commit(repo, large("x", oid)).status_code == 400
    assert set(talk.listing(repo)) == {".gitattributes"}


def test_namespaces(hub: LiveHub, owner: Owner, speak) -> None:
    assert speak(None).create("x/y").headers["X-Error-Code"] == "NoToken"
    assert owner.talk.create("somebody/else").headers["X-Error-Code"] == "Forbidden"
    admin = speak(hub.admin_token)
    assert admin.create("acme/model").status_code == 200
    assert admin.create("datasets/model").headers["X-Error-Code"] == "BadAddress"
    assert owner.talk.post("/api/repos/create", {"name": "bare"}).json()["name"] == f"{owner.name}/bare"
    assert owner.talk.post("/api/repos/create", {"name": f"{owner.name}/full"}).json()["name"] == f"{owner.name}/full"
    for name in ("a--b", "..", "a b", "x.git", "", "é"):
        assert owner.talk.post("/api/repos/create", {"name": name}).status_code == 400, name


def test_an_existing_repo_is_said_with_its_address(owner: Owner) -> None:
    for name in ("repo", "REPO"):
        answer = owner.talk.create(f"{owner.name}/{name}")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (409, "Exists")
        assert answer.json()["url"].endswith(f"/{owner.name}/{name}")
    assert owner.talk.create(owner.repo, kind="dataset").status_code == 200


def test_showing_and_hiding(owner: Owner, speak) -> None:
    stranger, path = speak(None), f"/api/models/{owner.repo}"
    for body, status in (
        ({"private": True}, 404),
        ({"visibility": "public"}, 200),
        ({"visibility": "private"}, 404),
        ({}, 404),
    ):
        owner.talk.client.put(f"{path}/settings", json=body).raise_for_status()
        assert stranger.get(path).status_code == status
        assert owner.talk.get(path).json()["private"] is (status == 404)
    assert owner.talk.client.put(f"{path}/settings", json={"visibility": "protected"}).status_code == 400
