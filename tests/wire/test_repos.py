"""Repos, branches, tags, pull requests, moves and squashes, through stock clients of every age."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest
from sqlalchemy import update

from tenuto.server.schema import access_requests, users
from tenuto.testing.live_hub import LiveHub
from tests.wire.client import Client, RefusedError
from tests.wire.conftest import OWNER, Repo
from tests.wire.content import write

pytestmark = pytest.mark.wire


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, {"f.txt": b"first"}) / "f.txt"


def refusal(repo: Repo, step: str, **words: object) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        repo.do(step, **words)
    return caught.value


def test_the_client_is_of_the_age_that_it_is_tested_as(client: Client) -> None:
    major, minor = client.do("version").split(".")[:2]
    assert (int(major), int(minor)) == client.age


def test_a_repo_is_made_once_and_deleted_once(repo: Repo) -> None:
    assert repo.do("create_repo", exist_ok=True, private=repo.private)["repo_id"] == repo.name
    assert refusal(repo, "create_repo").status == 409
    assert repo.do("repo_exists") is True
    info = repo.do("repo_info")
    assert (info["id"], info["private"]) == (repo.name, repo.private)
    assert repo.files() == set()
    repo.do("delete_repo")
    assert repo.do("repo_exists") is False
    assert "RepositoryNotFoundError" in refusal(repo, "delete_repo").classes
    repo.do("delete_repo", missing_ok=True)


def test_who_may_see_it(repo: Repo, file: Path, hub: LiveHub) -> None:
    repo.put(file, "f.txt")
    for token in (False, hub.user()):
        if repo.private:
            assert "RepositoryNotFoundError" in refusal(repo, "repo_info", token=token).classes
            error = refusal(repo, "hf_hub_download", filename="f.txt", token=token, cache_dir=str(file.parent / "new"))
            assert "RepositoryNotFoundError" in error.classes
        else:
            assert repo.get("f.txt", token=token, cache_dir=str(file.parent / "new")) == b"first"
        assert refusal(repo, "delete_repo", token=token).status in {401, 403, 404}
    repo.do("update_repo_settings", private=not repo.private)
    assert repo.do("repo_info")["private"] is not repo.private


def test_missing_things_are_told_apart(repo: Repo) -> None:
    assert "EntryNotFoundError" in refusal(repo, "hf_hub_download", filename="nope").classes
    assert "RevisionNotFoundError" in refusal(repo, "hf_hub_download", filename="x", revision="nope").classes
    assert "RevisionNotFoundError" in refusal(repo, "repo_info", revision="nope").classes
    gone = Repo(repo.client, f"{repo.name}-gone", repo.kind, repo.private)
    assert "RepositoryNotFoundError" in refusal(gone, "hf_hub_download", filename="x").classes
    assert "RepositoryNotFoundError" in refusal(gone, "snapshot_download").classes


def test_other_refusals_have_their_class_and_say_why(repo: Repo, file: Path, hub: LiveHub) -> None:
    repo.put(file, "f.txt")
    repo.do("create_tag", tag="v1")
    assert "BadRequestError" in refusal(repo, "upload_file", **upload(file), revision="v1").classes
    unknown = refusal(repo, "repo_info", token="hf_unknown")
    assert (unknown.status, "RepositoryNotFoundError" in unknown.classes) == (401, False)
    assert "Invalid credentials" in str(unknown)
    card = write(file.parent, {"README.md": b"---\nlicense: [\n---\n"}) / "README.md"
    assert "ValueError" in refusal(repo, "upload_file", path_or_fileobj=str(card), path_in_repo="README.md").classes
    with pytest.raises(RefusedError, match="this hub has no webhooks") as absent:
        repo.client.do("list_webhooks")
    assert absent.value.status == 501
    reader = refusal(repo, "upload_file", **upload(file), token=hub.hub.create_token(OWNER, "read"))
    assert (reader.status, f"this token of {OWNER} may only read" in str(reader)) == (403, True)
    stranger = refusal(repo, "upload_file", **upload(file), token=hub.user())
    assert stranger.status == (404 if repo.private else 403)


def upload(file: Path) -> dict[str, str]:
    return {"path_or_fileobj": str(file), "path_in_repo": "again.txt"}


def test_branches_and_tags(repo: Repo, file: Path) -> None:
    first = repo.put(file, "f.txt")["oid"]
    repo.do("create_branch", branch="feat/one")
    repo.do("create_branch", branch="feat/one", exist_ok=True)
    file.write_bytes(b"second")
    second = repo.put(file, "f.txt", revision="feat/one")["oid"]
    repo.do("create_tag", tag="v1/ü#50%", revision="feat/one", tag_message="a note")
    assert refusal(repo, "create_tag", tag="v1/ü#50%").status == 409
    refs = repo.do("list_repo_refs")
    assert {one["name"]: one["target_commit"] for one in refs["branches"]} == {"main": first, "feat/one": second}
    assert [one["name"] for one in refs["tags"]] == ["v1/ü#50%"]
    for revision in ("feat/one", "v1/ü#50%", second, "refs/heads/feat/one"):
        assert repo.get("f.txt", revision=revision) == b"second"
    assert repo.get("f.txt", revision=first[:8]) == b"first"
    titles = [one["title"] for one in repo.do("list_repo_commits", revision="feat/one")]
    assert len(titles) == 3
    repo.do("delete_tag", tag="v1/ü#50%")
    repo.do("delete_branch", branch="feat/one")
    assert "RevisionNotFoundError" in refusal(repo, "delete_branch", branch="feat/one").classes
    assert "RevisionNotFoundError" in refusal(repo, "repo_info", revision="feat/one").classes


def test_a_file_is_proposed_and_merged(repo: Repo, file: Path) -> None:
    before = repo.head
    made = repo.put(file, "f.txt", create_pr=True, commit_message="please take it")
    assert made["pr_url"].endswith(f"/discussions/{made['pr_num']}")
    assert repo.head == before
    proposal = f"refs/pr/{made['pr_num']}"
    assert repo.get("f.txt", revision=proposal) == b"first"
    file.write_bytes(b"second")
    repo.put(file, "f.txt", revision=proposal)
    details = repo.do("get_discussion_details", discussion_num=made["pr_num"])
    assert (details["status"], details["is_pull_request"], details["title"]) == ("open", True, "please take it")
    repo.do("merge_pull_request", discussion_num=made["pr_num"], comment="thanks")
    assert repo.get("f.txt") == b"second"
    assert repo.do("get_discussion_details", discussion_num=made["pr_num"])["status"] == "merged"


def test_a_pull_request_is_opened_talked_about_and_closed(repo: Repo, file: Path) -> None:
    number = repo.do("pull_request", title="an idea", description="of mine")
    repo.put(file, "f.txt", revision=f"refs/pr/{number}")
    repo.do("comment_discussion", discussion_num=number, comment="nice")
    assert "diff" in repo.do("get_discussion_details", discussion_num=number)
    repo.do("change_discussion_status", discussion_num=number, new_status="closed")
    listed = repo.do("get_repo_discussions")
    assert [(one["num"], one["status"]) for one in listed] == [(number, "closed")]
    refs = repo.do("list_repo_refs", include_pull_requests=True)
    assert [one["ref"] for one in refs["pull_requests"]] == [f"refs/pr/{number}"]
    assert repo.files() == set()


def test_a_stranger_may_propose_to_a_public_repo_and_not_merge(
    make_repo: Callable[..., Repo], file: Path, hub: LiveHub
) -> None:
    repo, stranger = make_repo("model"), hub.user()
    made = repo.put(file, "f.txt", create_pr=True, token=stranger)
    assert refusal(repo, "merge_pull_request", discussion_num=made["pr_num"], token=stranger).status == 403
    assert repo.files() == set()
    repo.do("merge_pull_request", discussion_num=made["pr_num"])
    assert repo.files() == {"f.txt"}


def test_the_old_name_leads_to_the_new_one(repo: Repo, file: Path) -> None:
    repo.put(file, "f.txt")
    moved = Repo(repo.client, f"{repo.name}-moved", repo.kind, repo.private)
    repo.client.do("move_repo", from_id=repo.name, to_id=moved.name, repo_type=repo.kind)
    assert moved.get("f.txt") == b"first"
    assert repo.do("repo_info")["id"] == moved.name
    assert repo.get("f.txt") == b"first"
    file.write_bytes(b"second")
    repo.put(file, "f.txt")
    assert moved.get("f.txt") == b"second"
    weights = bytes(range(256)) * 15_000
    file.write_bytes(weights)
    repo.put(file, "weights.safetensors")
    assert moved.get("weights.safetensors") == repo.get("weights.safetensors") == weights


def test_a_history_is_squashed(repo: Repo, file: Path) -> None:
    for content in (b"1", b"2", b"3"):
        file.write_bytes(content)
        repo.put(file, "f.txt")
    repo.do("super_squash_history", commit_message="all of it")
    assert [one["title"] for one in repo.do("list_repo_commits")] == ["all of it"]
    assert repo.get("f.txt") == b"3"


def names(found: list[dict[str, Any]]) -> set[str]:
    return {one["id"] for one in found}


def test_repos_are_found(repo: Repo, hub: LiveHub) -> None:
    step, number = f"list_{repo.kind}s", repo.name.partition("/")[2]
    assert repo.name in names(repo.client.do(step, author=OWNER, search=number, sort="last_modified", limit=1000))
    assert names(repo.client.do(step, author="nobody-at-all")) == set()
    seen = names(repo.client.do(step, author=OWNER, search=number, token=hub.user()))
    assert (repo.name in seen) is not repo.private


def ask_for_access(repo: Repo, token: str) -> None:
    """What a person does on the page of a repo; no client has a call for it."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(f"{repo.client.url}/{repo.root}/ask-access", b"{}", headers)
    with pytest.raises(HTTPError, match="303"):
        build_opener(NoRedirect).open(request)


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def test_gates(repo: Repo, file: Path, hub: LiveHub) -> None:
    if repo.private:
        repo.do("update_repo_settings", private=False)
    repo.put(file, "f.txt")
    repo.do("update_repo_settings", gated="manual")
    user = f"guest-{repo.name.partition('/')[2]}-{repo.client.make}".replace(".", "-")
    token = hub.user(user)

    def attempt(number: int) -> bytes:
        return repo.get("f.txt", token=token, cache_dir=str(file.parent / f"attempt{number}"))

    with pytest.raises(RefusedError, match="GatedRepoError"):
        attempt(1)
    ask_for_access(repo, token)
    (request,) = repo.do("list_pending_access_requests")
    assert (request["username"], request["status"]) == (user, "pending")
    repo.do("accept_access_request", user=user)
    assert attempt(2) == b"first"
    assert [one["username"] for one in repo.do("list_accepted_access_requests")] == [user]
    repo.do("cancel_access_request", user=user)
    assert [one["username"] for one in repo.do("list_pending_access_requests")] == [user]
    repo.do("reject_access_request", user=user, rejection_reason="no")
    assert [one["username"] for one in repo.do("list_rejected_access_requests")] == [user]
    with pytest.raises(RefusedError, match="GatedRepoError"):
        attempt(3)
    with pytest.raises(RefusedError, match="GatedRepoError"):
        repo.do("auth_check", token=token)
    other = hub.user(f"{user}-2")
    repo.do("grant_access", user=f"{user}-2")
    assert repo.get("f.txt", token=other, cache_dir=str(file.parent / "granted")) == b"first"


def test_states_that_only_we_know_stand_in_the_lists_that_clients_know(repo: Repo, file: Path, hub: LiveHub) -> None:
    if repo.private:
        repo.do("update_repo_settings", private=False)
    repo.put(file, "f.txt")
    repo.do("update_repo_settings", gated="manual")
    start = f"state-{repo.name.partition('/')[2]}-{repo.client.make}".replace(".", "-")
    tokens = {state: hub.user(f"{start}-{state}") for state in ("revoked", "expired")}
    for state in tokens:
        repo.do("grant_access", user=f"{start}-{state}")
    decide(repo, hub, user=f"{start}-revoked", status="revoked")
    with hub.hub.parts.database.write() as connection:
        row = update(access_requests).where(access_requests.c.user_id == users.c.id, users.c.name == f"{start}-expired")
        connection.execute(row.values(expires_ms=1))
    assert [one["username"] for one in repo.do("list_accepted_access_requests")] == []
    rejected = {one["username"] for one in repo.do("list_rejected_access_requests")}
    assert rejected == {f"{start}-{state}" for state in tokens}
    for state, token in tokens.items():
        with pytest.raises(RefusedError, match="GatedRepoError"):
            repo.get("f.txt", token=token, cache_dir=str(file.parent / state))
        repo.do("accept_access_request", user=f"{start}-{state}")
        assert repo.get("f.txt", token=token, cache_dir=str(file.parent / f"again-{state}")) == b"first"


def decide(repo: Repo, hub: LiveHub, **body: str) -> None:
    """What no client has a call for."""
    address = f"{repo.client.url}/api/{repo.kind}s/{repo.name}/user-access-request/handle"
    headers = {"Authorization": f"Bearer {hub.hub.create_token(OWNER, 'write')}", "Content-Type": "application/json"}
    with urlopen(Request(address, json.dumps(body).encode(), headers)) as answer:
        assert answer.status == 200
