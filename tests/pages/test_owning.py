"""Making, hiding, naming anew and deleting a repo in a browser, and the log of it."""

import datetime
import html
from collections.abc import Callable

from huggingface_hub import HfApi
from playwright.sync_api import BrowserContext, expect

from tenuto.core.ids import RepoId
from tenuto.server.pages.snippets import freeing
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import large, small

HTML = {"Accept": "text/html"}


def send(owner: Owner, path: str, fields: dict[str, str], expected: int = 303):
    answer = owner.talk.client.post(path, data=fields, headers=HTML, follow_redirects=False)
    assert answer.status_code == expected, answer.text[:500]
    return answer


def test_a_repo_is_made_where_one_may(owner: Owner, make_owner) -> None:
    form = owner.talk.get("/new", headers=HTML).text
    assert f"<option>{owner.name}</option>" in form
    made = send(owner, "/new", {"kind": "dataset", "owner": owner.name, "name": "birds", "private": "true"})
    assert made.headers["Location"] == f"/datasets/{owner.name}/birds"
    assert owner.talk.get(f"/api/datasets/{owner.name}/birds").json()["private"] is True
    again = send(owner, "/new", {"kind": "dataset", "owner": owner.name, "name": "birds"}, 409)
    assert "already" in again.text
    assert 'value="birds"' in again.text
    assert send(owner, "/new", {"kind": "model", "owner": make_owner().name, "name": "x"}, 403)
    assert send(owner, "/new", {"kind": "model", "owner": owner.name, "name": "../x"}, 400)
    assert send(owner, "/new", {"kind": "planet", "owner": owner.name, "name": "x"}, 400)


def test_a_repo_is_hidden_named_anew_and_deleted(owner: Owner, speak) -> None:
    page = f"/{owner.repo}/settings"
    send(owner, page, {"deed": "visibility", "private": "true"})
    assert speak(None).get(f"/{owner.repo}", headers=HTML).status_code == 404
    moved = send(owner, page, {"deed": "move", "owner": owner.name, "name": "other"})
    assert moved.headers["Location"] == f"/{owner.name}/other"
    assert owner.talk.get(f"/{owner.repo}", headers=HTML, follow_redirects=False).status_code == 307
    page = f"/{owner.name}/other/settings"
    assert "nothing was deleted" not in owner.talk.get(page, headers=HTML).text
    send(owner, page, {"deed": "delete", "name": "other"}, 400)
    send(owner, page, {"deed": "nothing"}, 400)
    send(owner, page, {"deed": "delete", "name": f"{owner.name}/other"})
    assert owner.talk.get(f"/{owner.name}/other", headers=HTML).status_code == 404


def test_the_log_says_what_was_done(hub: LiveHub, owner: Owner, speak) -> None:
    send(owner, f"/{owner.repo}/settings", {"deed": "visibility", "private": "true"})
    send(owner, f"/{owner.repo}/settings", {"deed": "visibility", "private": "false"})
    page = owner.talk.get(f"/{owner.repo}/audit", headers=HTML).text
    assert page.count(f'<td class="nowrap">{owner.name}</td>') >= 3
    assert "private yes" in page
    assert speak(None).get(f"/{owner.repo}/audit", headers=HTML).status_code == 401
    admin = speak(hub.admin_token)
    found = admin.get(f"/settings/audit?actor={owner.name}", headers=HTML).text
    assert owner.repo in found
    assert "Nothing was done yet" in admin.get("/settings/audit?actor=no-such-name", headers=HTML).text
    assert owner.talk.get("/settings/audit", headers=HTML).status_code == 403


def test_an_owner_makes_a_repo_with_the_mouse(hub: LiveHub, owner: Owner, visit: Callable[..., BrowserContext]) -> None:
    page = visit(owner.token).new_page()
    page.goto(hub.url)
    page.get_by_role("link", name="New", exact=True).click()
    page.get_by_label("A dataset").check()
    page.get_by_label("Name").fill("dawn")
    page.get_by_role("button", name="Make it").click()
    expect(page).to_have_url(f"{hub.url}/datasets/{owner.name}/dawn")
    expect(page.get_by_text("There is no card yet")).to_be_visible()


def test_what_uses_the_space_is_told(owner: Owner, make_owner) -> None:
    owner.talk.commit(owner.repo, small("a.bin", b"1" * 5000), small("b.txt", b"2" * 300)).raise_for_status()
    owner.talk.commit(owner.repo, small("a.bin", b"3" * 5000)).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/storage", headers=HTML).text
    row = page.partition(f'href="/{owner.repo}/blob/main/a.bin"')[2].partition("</tr>")[0]
    assert [cell.partition("<")[0] for cell in row.split('<td class="number">')[1:]] == ["2", "5 kB", "10 kB", "10 kB"]
    own = owner.talk.get("/settings/storage", headers=HTML).text
    assert owner.repo in own
    assert "in 1 repository" in own
    other = make_owner()
    assert other.talk.get(f"/settings/storage?owner={owner.name}", headers=HTML).status_code == 404


def test_the_lines_that_free_space_do_what_they_say(hub: LiveHub, owner: Owner) -> None:
    owner.talk.create(owner.repo, kind="dataset").raise_for_status()
    sha256 = owner.talk.put_large(f"datasets/{owner.repo}", b"large" * 1000)
    owner.talk.commit(owner.repo, large("big.bin", sha256), kind="datasets").raise_for_status()
    page = owner.talk.get(f"/datasets/{owner.repo}/storage", headers=HTML).text
    assert "How to free space" in page
    today = datetime.datetime.now(datetime.UTC)
    assert f">{today.day} {today:%b %Y}</time>" in page
    api = HfApi(endpoint=hub.url, token=owner.token)
    api.create_branch(owner.repo, branch="NAME", repo_type="dataset")
    api.create_tag(owner.repo, tag="NAME", repo_type="dataset")
    ends, squash, purge = (
        one.text.partition("\n\n")[2] for one in freeing(RepoId.parse(f"datasets/{owner.repo}"), hub.url)
    )
    assert html.escape(squash, quote=True).replace("&#x27;", "&#39;") in page
    for lines in (ends, squash, purge.replace("PATH", "big.bin")):
        exec(lines.partition("\n")[2], {"api": api})
    refs = api.list_repo_refs(owner.repo, repo_type="dataset")
    assert ([one.name for one in refs.branches], refs.tags) == (["main"], [])
    assert len(api.list_repo_commits(owner.repo, repo_type="dataset")) == 1
    assert list(api.list_lfs_files(owner.repo, repo_type="dataset")) == []
