"""No page that refuses a form is a dead end: the form comes back with what was typed, or a link leads back to it."""

import re

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


def refused(owner: Owner, path: str, fields: dict[str, str], status: int, **headers: str) -> str:
    answer = owner.talk.client.post(path, data=fields, headers={**HTML, **headers}, follow_redirects=False)
    assert answer.status_code == status, answer.text[:500]
    return answer.text


def alert(page: str) -> str:
    (found,) = re.findall(r'role="alert">(.*?)</p>', page, re.DOTALL)
    return found


def test_the_forms_of_a_repo_come_back_with_what_was_typed(owner: Owner) -> None:
    owner.talk.create(f"{owner.name}/other").raise_for_status()
    place = f"/{owner.repo}/settings"
    page = refused(owner, place, {"deed": "delete", "name": "wrong"}, 400)
    assert "is not that of the repo" in alert(page)
    assert 'id="sure" name="name" value="wrong"' in page
    page = refused(owner, place, {"deed": "move", "owner": owner.name, "name": "other"}, 409)
    assert "already" in alert(page)
    assert 'id="name" name="name" value="other"' in page
    page = refused(owner, place, {"deed": "move", "owner": "somebody-else", "name": "x"}, 403)
    assert 'value="somebody-else"' in page
    assert alert(page)


def test_other_refusals_lead_back_to_the_page_of_the_form_and_nowhere_else(hub: LiveHub, owner: Owner) -> None:
    form = {"kind": "planet", "owner": owner.name, "name": "x"}
    page = refused(owner, "/new", form, 400, Referer=f"{hub.url}/new?a=b")
    assert re.search(r'href="/new\?a=b">Back to the form', page)
    for elsewhere in ("https://example.org/new", "", "javascript:x", f"{hub.url}//example.org/"):
        page = refused(owner, "/new", form, 400, Referer=elsewhere)
        assert "example.org" not in page
        assert "javascript:x" not in page


def test_what_is_not_in_a_repo_leads_back_to_the_repo_of_those_who_see_it(owner: Owner, speak) -> None:
    owner.talk.commit(owner.repo, small("a.txt", b"a")).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/tree/nowhere", headers=HTML)
    assert page.status_code == 404
    assert f'href="/{owner.repo}">Go to the repository' in page.text
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"private": True}).raise_for_status()
    hidden = speak(None).get(f"/{owner.repo}/tree/nowhere", headers=HTML)
    assert "Go to the repository" not in hidden.text
