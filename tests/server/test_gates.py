"""Gated repos: facts are public, bytes are not, on every way; who asks, waits, is let in or turned away."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.git_client import Clone, GitFailed, address
from tests.server.talk import Talk, large, small

pytestmark = pytest.mark.wire
SECRET = b"bytes behind a gate"


@pytest.fixture
def gated(owner: Owner, stock) -> Owner:
    oid = owner.talk.put_large(owner.repo, SECRET)
    owner.talk.commit(
        owner.repo, large("m.bin", oid, len(SECRET)), small("a.txt", SECRET), small("README.md", b"# hi\n")
    ).raise_for_status()
    stock(owner.token).update_repo_settings(owner.repo, gated="manual")
    return owner


def ask(talk: Talk, repo: str, **body: object) -> int:
    return talk.client.post(f"/{repo}/ask-access", json=body, follow_redirects=False).status_code


def ways_to_bytes(repo: str, commit: str) -> list[tuple[str, str, dict]]:
    oid = hashlib.sha256(SECRET).hexdigest()
    batch = {"operation": "download", "objects": [{"oid": oid, "size": len(SECRET)}]}
    return [
        ("GET", f"/{repo}/resolve/main/a.txt", {}),
        ("GET", f"/models/{repo}/resolve/main/a.txt", {}),
        ("HEAD", f"/{repo}/resolve/{commit}/m.bin", {}),
        ("GET", f"/{repo}/resolve/main/nothing", {}),
        ("GET", f"/{repo}/resolve/nowhere/a.txt", {}),
        ("GET", f"/{repo}/resolve/{commit}/README.md", {}),
        ("GET", f"/{repo}/raw/main/a.txt", {}),
        ("POST", f"/{repo}.git/info/lfs/objects/batch", {"json": batch}),
        ("GET", f"/api/models/{repo}/auth-check", {}),
    ]


def test_the_facts_of_a_gated_repo_are_public_and_its_bytes_are_not(
    gated: Owner, hub: LiveHub, speak, stock, tmp_path: Path
) -> None:
    head = gated.talk.head(gated.repo)
    nobody, stranger = speak(None), speak(hub.user("stranger"))
    for talk, status in ((nobody, 401), (stranger, 403)):
        info = talk.get(f"/api/models/{gated.repo}").json()
        assert (info["gated"], info["sha"]) == ("manual", head)
        assert talk.get(f"/api/models/{gated.repo}/tree/main").status_code == 200
        assert talk.get(f"/api/models/{gated.repo}/refs").status_code == 200
        for method, path, more in ways_to_bytes(gated.repo, head):
            answer = talk.client.request(method, path, **more)
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (status, "GatedRepo"), path
            assert SECRET not in answer.content
        assert talk.read(gated.repo, "README.md").content == b"# hi\n", "the card is what people decide by"
    for token in (False, hub.user("other")):
        with pytest.raises(GatedRepoError):
            stock(token).hf_hub_download(gated.repo, "a.txt", cache_dir=tmp_path / "cache")
        with pytest.raises(GatedRepoError):
            stock(token).auth_check(gated.repo)
        assert stock(token).model_info(gated.repo).gated == "manual"
    for token in (gated.token, hub.hub.create_token(gated.name, "read"), hub.admin_token):
        stock(token).auth_check(gated.repo)


def test_from_the_question_to_the_bytes_and_back(gated: Owner, hub: LiveHub, speak, stock, tmp_path: Path) -> None:
    owner, reader_token = stock(gated.token), hub.user("bob", role="read")
    reader, bob = speak(reader_token), stock(reader_token)
    assert ask(reader, gated.repo, Company="X", agree=True) == 303
    assert ask(reader, gated.repo, Company="Y") == 303
    (request,) = owner.list_pending_access_requests(gated.repo)
    assert (request.username, request.status, request.fields) == ("bob", "pending", {"Company": "X", "agree": True})
    with pytest.raises(GatedRepoError, match="awaiting a review"):
        bob.auth_check(gated.repo)
    owner.accept_access_request(gated.repo, "bob")
    path = bob.hf_hub_download(gated.repo, "m.bin", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == SECRET
    assert [one.username for one in owner.list_accepted_access_requests(gated.repo)] == ["bob"]
    assert list(owner.list_pending_access_requests(gated.repo)) == []
    owner.cancel_access_request(gated.repo, request_id=request.request_id)
    with pytest.raises(GatedRepoError):
        bob.auth_check(gated.repo)
    owner.reject_access_request(gated.repo, "bob", rejection_reason="no")
    with pytest.raises(GatedRepoError, match="rejected"):
        bob.auth_check(gated.repo)
    assert ask(reader, gated.repo) == 403, "who was rejected cannot ask again"
    assert [one.username for one in owner.list_rejected_access_requests(gated.repo)] == ["bob"]
    owner.grant_access(gated.repo, "bob")
    bob.auth_check(gated.repo)
    owner.update_repo_settings(gated.repo, gated=False)
    owner.update_repo_settings(gated.repo, gated="auto")
    bob.auth_check(gated.repo)  # the lists outlive the gate


def test_a_link_ends_with_the_right_that_it_was_made_for(gated: Owner, hub: LiveHub, speak, stock) -> None:
    owner, carol = stock(gated.token), speak(hub.user("carol"))
    owner.grant_access(gated.repo, "carol")
    oid = hashlib.sha256(SECRET).hexdigest()
    href = carol.batch(gated.repo, (oid, len(SECRET)), operation="download").json()["objects"][0]["actions"]["download"]
    assert speak(None).get(href["href"]).content == SECRET
    owner.reject_access_request(gated.repo, "carol", rejection_reason=None)
    answer = speak(None).get(href["href"])
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "GatedRepo")


def test_an_open_link_to_a_repo_that_got_a_gate_is_closed(owner: Owner, speak) -> None:
    oid = owner.talk.put_large(owner.repo, SECRET)
    nobody = speak(None)
    found = nobody.batch(owner.repo, (oid, len(SECRET)), operation="download").json()["objects"][0]
    href = found["actions"]["download"]["href"]
    assert nobody.get(href).content == SECRET
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "auto"}).raise_for_status()
    assert nobody.get(href).status_code == 401


def test_where_the_gate_is_auto_asking_is_enough(owner: Owner, hub: LiveHub, speak, stock) -> None:
    talk = speak(hub.user("dave"))
    assert ask(talk, owner.repo) == 400, "it is not gated"
    stock(owner.token).update_repo_settings(owner.repo, gated="manual")
    assert ask(talk, owner.repo) == 303
    stock(owner.token).update_repo_settings(owner.repo, gated="auto")
    assert talk.get(f"/api/models/{owner.repo}/auth-check").status_code == 403
    assert ask(talk, owner.repo) == 303
    assert talk.get(f"/api/models/{owner.repo}/auth-check").status_code == 200
    form = speak(hub.user("erin"))
    answer = form.client.post(f"/{owner.repo}/ask-access", data={"Country": "\u00e9"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{hub.url}/{owner.repo}")
    assert speak(None).post(f"/{owner.repo}/ask-access").status_code == 401
    accepted = stock(owner.token).list_accepted_access_requests(owner.repo)
    assert [(one.username, one.fields) for one in accepted] == [("dave", {}), ("erin", {"Country": "\u00e9"})]


def test_taking_a_request_back(gated: Owner, hub: LiveHub, speak, stock) -> None:
    talk, url = speak(hub.user("frank")), f"/api/models/{gated.repo}/user-access-request/cancel"
    assert talk.post(url).status_code == 404
    ask(talk, gated.repo)
    assert talk.post(url).json() == {"ok": True}
    assert list(stock(gated.token).list_pending_access_requests(gated.repo)) == []
    ask(talk, gated.repo)
    stock(gated.token).accept_access_request(gated.repo, "frank")
    assert talk.post(url).status_code == 404


def status_of(call, *values: object, **more: object) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        call(*values, **more)
    return caught.value.response.status_code


def test_refusals(gated: Owner, make_owner, hub: LiveHub, stock) -> None:
    owner, stranger, other = stock(gated.token), stock(hub.user("gina")), make_owner()
    hub.user("henry")
    for api in (stranger, stock(hub.hub.create_token(gated.name, "read"))):
        assert status_of(lambda api=api: list(api.list_pending_access_requests(gated.repo))) == 403
        assert status_of(api.accept_access_request, gated.repo, "gina") == 403
        assert status_of(api.grant_access, gated.repo, "gina") == 403
    assert status_of(owner.accept_access_request, gated.repo, "unknown-user") == 404
    assert status_of(owner.accept_access_request, gated.repo, "henry") == 404
    for name in ("999", "x", "", "\u0661"):
        assert status_of(owner.cancel_access_request, gated.repo, request_id=name) == 404
    owner.grant_access(gated.repo, "henry")
    assert status_of(owner.grant_access, gated.repo, "henry") == 400
    assert status_of(owner.accept_access_request, gated.repo, "henry") == 404
    assert status_of(stock(other.token).grant_access, other.repo, "henry") == 400, "not gated"
    base = f"/api/models/{gated.repo}"
    for body in ({"status": "accepted"}, {"status": "accepted", "user": "henry", "requestId": "1"}, {"user": "henry"}):
        assert gated.talk.post(f"{base}/user-access-request/handle", body).status_code == 400, body
    assert gated.talk.get(f"{base}/user-access-request/nothing").status_code == 400
    for value in (True, "open", "", 1):
        assert gated.talk.client.put(f"{base}/settings", json={"gated": value}).status_code == 400, value


def test_a_request_of_one_repo_is_not_handled_through_another(gated: Owner, make_owner, hub: LiveHub, speak, stock):
    other = make_owner()
    stock(other.token).update_repo_settings(other.repo, gated="manual")
    ask(speak(hub.user("iris")), gated.repo)
    (request,) = stock(gated.token).list_pending_access_requests(gated.repo)
    assert status_of(stock(other.token).accept_access_request, other.repo, request_id=request.request_id) == 404
    assert [one.status for one in stock(gated.token).list_pending_access_requests(gated.repo)] == ["pending"]


def test_requests_come_in_pages(gated: Owner, hub: LiveHub, stock) -> None:
    names = [f"page-{number}" for number in range(7)]
    for name in names:
        hub.user(name)
        stock(gated.token).grant_access(gated.repo, name)
    url, found, requests = f"/api/models/{gated.repo}/user-access-request/accepted?limit=3", [], 0
    while url:
        answer = gated.talk.get(url)
        found += [one["user"]["user"] for one in answer.json()]
        url, requests = answer.links.get("next", {}).get("url"), requests + 1
    assert (found, requests) == (names, 3)


def test_the_report_names_all_who_asked_and_is_for_the_owner(gated: Owner, hub: LiveHub, speak, stock) -> None:
    ann = speak(hub.user("report-ann"))
    ask(ann, gated.repo, Company="X")
    hub.user("report-bea")
    stock(gated.token).grant_access(gated.repo, "report-bea")
    answer = gated.talk.get(f"/{gated.repo}/user-access-report")
    found = [(one["user"], one["status"], one["fields"]) for one in answer.json()]
    assert found == [("report-ann", "pending", {"Company": "X"}), ("report-bea", "accepted", {})]
    assert all(one["time"].endswith("Z") for one in answer.json())
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{gated.name}-repo-access-report.json"'
    for talk, status in ((ann, 403), (speak(None), 401)):
        assert talk.get(f"/{gated.repo}/user-access-report").status_code == status


def test_a_private_repo_stays_hidden_from_those_who_passed_its_gate(gated: Owner, hub: LiveHub, stock) -> None:
    jack = stock(hub.user("jack"))
    stock(gated.token).grant_access(gated.repo, "jack")
    jack.auth_check(gated.repo)
    stock(gated.token).update_repo_settings(gated.repo, private=True)
    with pytest.raises(RepositoryNotFoundError):
        jack.auth_check(gated.repo)


def test_git_stops_at_the_gate(gated: Owner, hub: LiveHub, stock, tmp_path: Path) -> None:
    kate = hub.user("kate")
    for token in (None, kate):
        with pytest.raises(GitFailed, match=r"could not read Username|403|restricted"):
            Clone.of(address(hub.url, gated.repo, token), tmp_path / "refused")
    stock(gated.token).grant_access(gated.repo, "kate")
    clone = Clone.of(
        address(hub.url, gated.repo, kate),
        tmp_path / "clone",
        "-c",
        "filter.lfs.smudge=",
        "-c",
        "filter.lfs.required=false",
    )
    assert (clone.folder / "a.txt").read_bytes() == SECRET
    stock(gated.token).reject_access_request(gated.repo, "kate", rejection_reason=None)
    with pytest.raises(GitFailed):
        clone.git("fetch", "-q", "origin")


def test_chunks_stop_at_the_gate(owner: Owner, hub: LiveHub, speak, stock, monkeypatch: pytest.MonkeyPatch) -> None:
    api, data = stock(owner.token), b"chunk" * 50_000
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    api.create_commit(owner.repo, [CommitOperationAdd("x.safetensors", data)], commit_message="chunks")
    api.update_repo_settings(owner.repo, gated="manual")
    (info,) = api.get_paths_info(owner.repo, ["x.safetensors"])
    lena = speak(hub.user("lena"))
    token_url = f"/api/models/{owner.repo}/xet-read-token/main"
    assert lena.get(token_url).headers["X-Error-Code"] == "GatedRepo"
    api.grant_access(owner.repo, "lena")
    granted = lena.get(token_url).json()
    plan_url = f"{granted['casUrl']}/v1/reconstructions/{info.xet_hash}"
    bearer = {"Authorization": f"Bearer {granted['accessToken']}"}
    plan = lena.get(plan_url, headers=bearer).json()
    (fetches,) = plan["fetch_info"].values()
    data_url = fetches[0]["url"]
    assert speak(None).get(data_url).status_code == 200
    api.reject_access_request(owner.repo, "lena", rejection_reason=None)
    assert lena.get(plan_url, headers=bearer).status_code == 403, "a token ends with the right that it was given for"
    assert speak(None).get(data_url).status_code == 403


def test_strangers_propose_files_of_chunks(owner: Owner, hub: LiveHub, stock, monkeypatch: pytest.MonkeyPatch) -> None:
    mike, data = stock(hub.user("mike")), b"proposed" * 40_000
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    info = mike.create_commit(
        owner.repo, [CommitOperationAdd("p.safetensors", data)], commit_message="By Xet", create_pr=True
    )
    assert owner.talk.read(owner.repo, "p.safetensors", rev=str(info.pr_revision)).content == data
    stock(owner.token).merge_pull_request(owner.repo, int(info.pr_num or 0))
    assert owner.talk.read(owner.repo, "p.safetensors").content == data
    with pytest.raises(HfHubHTTPError):
        mike.create_commit(owner.repo, [CommitOperationAdd("q.safetensors", data)], commit_message="To main")
