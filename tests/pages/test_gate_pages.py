"""Asking at a gate and deciding about it, as people do it: with a real browser, and without scripts."""

import html
import re
import secrets
from collections.abc import Callable
from typing import NamedTuple

import pytest
from playwright.sync_api import BrowserContext, Page

from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, small

CARD = b"""---
extra_gated_prompt: Name the authors.
extra_gated_fields:
  Company: text
  Day: date_picker
  Purpose:
    type: select
    options: [Research, {label: Something else, value: other}]
  I agree: checkbox
---
"""
ANSWERS = {"Company": "X", "Day": "2026-01-31", "Purpose": "Research", "I agree": True}
Visit = Callable[..., BrowserContext]


class Gated(NamedTuple):
    hub: LiveHub
    talk: Talk
    token: str
    repo: str

    @property
    def page(self) -> str:
        return f"{self.hub.url}/{self.repo}"

    def asked(self, name: str) -> Talk:
        talk = Talk(self.hub.url, self.hub.user(name))
        talk.client.post(f"/{self.repo}/ask-access", json=ANSWERS, follow_redirects=False)
        return talk

    def states(self) -> dict[str, str]:
        found = self.talk.get(f"/api/models/{self.repo}/user-access-request/all").json()
        return {one["user"]["user"]: one["state"] for one in found}


@pytest.fixture
def gated(hub: LiveHub):
    name = f"keeper-{secrets.token_hex(3)}"
    token = hub.user(name)
    talk = Talk(hub.url, token)
    talk.create(f"{name}/voices").raise_for_status()
    talk.commit(f"{name}/voices", small("README.md", CARD), small("a.txt", b"bytes")).raise_for_status()
    talk.client.put(f"/api/models/{name}/voices/settings", json={"gated": "manual"}).raise_for_status()
    yield Gated(hub, talk, token, f"{name}/voices")
    talk.close()


def said(page: Page) -> str:
    return page.locator("p.say[role=status]").inner_text()


def fill(page: Page) -> None:
    page.get_by_label("Company").fill("Echo")
    page.get_by_label("Day").fill("2026-01-31")
    page.get_by_label("Purpose").select_option("other")
    page.get_by_label("I agree").check()


@pytest.mark.parametrize("scripts", [True, False])
def test_asking_with_a_browser(gated: Gated, visit: Visit, scripts: bool) -> None:
    name = f"guest-{secrets.token_hex(3)}"
    token = gated.hub.user(name)
    page = visit(token, java_script_enabled=scripts).new_page()
    page.goto(gated.page)
    assert "Name the authors." in page.content()
    fill(page)
    page.get_by_role("button", name="Access repository").click()
    page.wait_for_url(gated.page)
    assert "waiting for the authors" in page.locator("#access").inner_text()
    (entry,) = gated.talk.get(f"/api/models/{gated.repo}/user-access-request/pending").json()
    assert entry["fields"] == {"Company": "Echo", "Day": "2026-01-31", "Purpose": "other", "I agree": True}
    gated.talk.post(
        f"/api/models/{gated.repo}/user-access-request/handle", {"user": name, "status": "accepted"}
    ).raise_for_status()
    page.goto(gated.page)
    assert page.locator("#access").count() == 0


def test_taking_a_request_back_with_a_browser(gated: Gated, visit: Visit) -> None:
    page = visit(gated.hub.user()).new_page()
    page.goto(gated.page)
    fill(page)
    page.get_by_role("button", name="Access repository").click()
    page.wait_for_url(gated.page)
    page.get_by_role("button", name="Take my request back").click()
    page.wait_for_url(gated.page)
    assert page.get_by_role("button", name="Access repository").count() == 1
    assert gated.states() == {}


def test_a_form_that_was_filled_in_under_other_terms_is_not_taken(gated: Gated, visit: Visit) -> None:
    page = visit(gated.hub.user()).new_page()
    page.goto(gated.page)
    fill(page)
    gated.talk.commit(gated.repo, small("README.md", CARD.replace(b"Name", b"Praise"))).raise_for_status()
    with page.expect_response(re.compile("ask-access")) as answer:
        page.get_by_role("button", name="Access repository").click()
    assert answer.value.status == 409
    assert gated.states() == {}


@pytest.mark.parametrize("scripts", [True, False])
def test_deciding_with_a_browser(gated: Gated, visit: Visit, scripts: bool) -> None:
    names = [f"guest-{number}-{secrets.token_hex(3)}" for number in range(4)]
    talks = {name: gated.asked(name) for name in names}
    page = visit(gated.token, java_script_enabled=scripts).new_page()
    page.goto(gated.page)
    page.get_by_role("link", name="Access 4", exact=True).click()
    assert all(name in page.content() for name in names)
    page.get_by_label(f"Choose {names[0]}").check()
    page.get_by_label(re.compile("Days of access")).first.fill("30")
    page.get_by_role("button", name="Accept").click()
    assert said(page) == f"Accepted {names[0]}."
    page.get_by_label("All that are pending").check()
    page.get_by_label("Reason").fill("the course is full")
    page.get_by_role("button", name="Reject").click()
    assert said(page) == f"Rejected {', '.join(names[1:])}."
    assert gated.states() == {names[0]: "accepted", **dict.fromkeys(names[1:], "rejected")}
    refused = talks[names[1]].read(gated.repo, "a.txt")
    assert "They say: the course is full" in refused.headers["X-Error-Message"]
    assert talks[names[0]].read(gated.repo, "a.txt").content == b"bytes"
    page.get_by_role("link", name="accepted 1", exact=True).click()
    page.get_by_label(f"Choose {names[0]}").check()
    page.get_by_text("Take back").first.click()
    page.get_by_role("button", name="Yes, take back").click()
    assert gated.states()[names[0]] == "revoked"
    page.get_by_label("Name of the account").fill(names[2])
    page.get_by_role("button", name="Let in").click()
    assert said(page) == f"{names[2]} was let in."
    assert talks[names[2]].read(gated.repo, "a.txt").content == b"bytes"
    for talk in talks.values():
        talk.close()


def test_setting_up_the_gate_with_a_browser(gated: Gated, visit: Visit) -> None:
    page = visit(gated.token).new_page()
    page.goto(f"{gated.page}/access")
    page.get_by_label("Who may read the files").select_option("auto")
    page.get_by_label("Others can ask for access").uncheck()
    page.get_by_label("Days for which access is given").fill("7")
    page.get_by_role("button", name="Set up the gate").click()
    assert said(page) == "The gate is set up."
    form = gated.talk.get(f"/api/models/{gated.repo}/access-form").json()
    assert (form["gated"], form["takesRequests"], form["grantDays"]) == ("auto", False, 7)
    page.get_by_label("Who may read the files").select_option("off")
    page.get_by_role("button", name="Set up the gate").click()
    assert gated.talk.get(f"/api/models/{gated.repo}").json()["gated"] is False


@pytest.mark.parametrize(
    "form",
    [{}, {"deed": "nothing"}, {"deed": "grant", "user": "x", "days": "many"}, {"deed": "set", "grant_days": "-1"}],
)
def test_forms_that_nobody_made(gated: Gated, form: dict[str, str]) -> None:
    assert gated.talk.client.post(f"/{gated.repo}/access", data=form).status_code == 400


def test_nothing_chosen_and_nobody_known(gated: Gated) -> None:
    for form, text in (
        ({"deed": "accept"}, "Nobody was chosen."),
        ({"deed": "accept", "all": "true"}, "Nobody is waiting."),
        ({"deed": "accept", "request-999": "on"}, "999: there is no access request of 999."),
        ({"deed": "grant", "user": "nobody-at-all"}, "There is no"),
    ):
        sent = gated.talk.client.post(f"/{gated.repo}/access", data=form, follow_redirects=True)
        assert re.search(f'role="alert">[^<]*{re.escape(text)}', sent.text), form
        assert "say-good" not in sent.text


def test_enter_in_the_field_for_the_reason_lets_nobody_in(gated: Gated, visit: Visit) -> None:
    name = f"guest-{secrets.token_hex(3)}"
    gated.asked(name).close()
    page = visit(gated.token, java_script_enabled=False).new_page()
    page.goto(f"{gated.page}/access")
    page.get_by_label(f"Choose {name}").check()
    for label in ("Reason", "Days of access"):
        page.get_by_label(re.compile(label)).first.press("Enter")
    assert gated.states() == {name: "pending"}
    page.get_by_label(re.compile("Reason")).fill("full")
    page.get_by_role("button", name="Reject").click()
    assert said(page) == f"Rejected {name}."
    assert gated.states() == {name: "rejected"}


def test_a_link_makes_the_hub_say_nothing(gated: Gated) -> None:
    sent = gated.talk.client.post(f"/{gated.repo}/access", data={"deed": "set", "gate": "manual"})
    written = sent.headers["location"]
    assert "The gate is set up." in gated.talk.get(written).text
    for address in (
        f"/{gated.repo}/access?said=Words+of+others",
        f"/{gated.repo}/access?done=Words+of+others",
        f"/{gated.repo}/settings?said=Words+of+others",
        written.replace("done=The", "done=Words+of+others+The"),
        written.replace("done=", "undone=").replace("The+gate", "Words+of+others"),
        written.replace("/access", "/settings"),
    ):
        page = gated.talk.get(address).text
        assert "Words of others" not in page
        assert "The gate is set up." not in page


def test_only_what_can_be_done_in_a_state_is_offered(gated: Gated) -> None:
    name = f"guest-{secrets.token_hex(3)}"
    gated.asked(name).close()
    handle = f"/api/models/{gated.repo}/user-access-request/handle"
    for state, deeds in (
        ("pending", {"accept", "reject"}),
        ("rejected", {"accept", "reopen"}),
        ("accepted", {"reject", "revoke", "reopen"}),
        ("revoked", {"accept", "reopen"}),
    ):
        if state != "pending":
            gated.talk.post(handle, {"user": name, "status": state}).raise_for_status()
        page = gated.talk.get(f"/{gated.repo}/access?state={state}").text
        assert set(re.findall('name="deed" value="(accept|reject|revoke|reopen)"', page)) == deeds


def edited(gated: Gated, card: bytes, **fields: str):
    data = {"text": card.decode(), "deed": "save", **fields}
    address = f"/{gated.repo}/edit/main/README.md"
    return gated.talk.client.post(address, data=data, headers={"Accept": "text/html"}, follow_redirects=False)


def test_a_card_that_cannot_be_read_is_not_saved(gated: Gated) -> None:
    for deed, status in (("save", 400), ("preview", 400)):
        refused = edited(gated, b"---\nextra_gated_fields: [broken\n---\nMy words", deed=deed)
        assert refused.status_code == status
        assert "front matter cannot be used" in refused.text
        assert "My words" in refused.text
    assert gated.talk.read(gated.repo, "README.md").content == CARD
    files = [("files", ("README.md", b"---\nextra_gated_fields: [broken\n---\n"))]
    assert gated.talk.client.post(f"/{gated.repo}/upload/main", files=files).status_code == 400
    assert "cannot be read" not in gated.talk.get(f"/{gated.repo}").text
    broken = small("README.md", b"---\nextra_gated_fields: [broken\n---\n")
    gated.talk.commit(gated.repo, broken).raise_for_status()
    assert "What you ask at the gate cannot be read" in gated.talk.get(f"/{gated.repo}").text


def test_a_card_that_changes_the_terms_is_saved_after_a_second_word(gated: Gated) -> None:
    name = f"guest-{secrets.token_hex(3)}"
    gated.asked(name).close()
    gated.talk.post(
        f"/api/models/{gated.repo}/user-access-request/handle", {"user": name, "status": "accepted"}
    ).raise_for_status()
    assert edited(gated, CARD + b"More words").status_code == 303, "the terms are the same"
    card = CARD.replace(b"Name", b"Praise").replace(b"Company: text", b"Company: textt")
    asked = edited(gated, card)
    assert "1 person who has access must agree anew" in asked.text
    assert "is asked as text: &#39;textt&#39; is no kind of question" in asked.text
    assert gated.states() == {name: "accepted"}
    sure = re.search('name="sure" value="([^"]+)"', asked.text)
    assert sure is not None
    assert edited(gated, card, sure=html.unescape(sure[1])).status_code == 303
    assert gated.states() == {name: "outdated"}


def test_the_preview_of_a_card_shows_the_form_as_others_see_it(gated: Gated, visit: Visit) -> None:
    page = visit(gated.token, java_script_enabled=False).new_page()
    page.goto(f"{gated.page}/edit/main/README.md")
    page.get_by_role("button", name="Preview").click()
    form = page.get_by_label("The form for access")
    assert "Name the authors." in form.inner_text()
    assert form.get_by_label("Day").is_disabled()
    assert form.get_by_role("button", name="Access repository").is_disabled()


def test_the_start_page_tells_whoever_administers_a_repo_that_requests_wait(gated: Gated) -> None:
    guests = [gated.asked(f"guest-{secrets.token_hex(3)}") for _ in range(2)]
    assert f'<a href="/{gated.repo}/access">2 requests</a>' in gated.talk.get("/", headers={"Accept": "text/html"}).text
    assert "2 requests" not in guests[0].get("/", headers={"Accept": "text/html"}).text
    for guest in guests:
        guest.close()


def test_whoever_is_accepted_under_terms_that_changed_is_said_to_agree_first(gated: Gated) -> None:
    name = f"guest-{secrets.token_hex(3)}"
    gated.asked(name).close()
    gated.talk.commit(gated.repo, small("README.md", CARD.replace(b"Name", b"Praise"))).raise_for_status()
    assert "must agree to the new terms" in gated.talk.get(f"/{gated.repo}/access").text
    form = {"deed": "accept", "all": "true"}
    page = gated.talk.client.post(f"/{gated.repo}/access", data=form, follow_redirects=True).text
    assert f'role="alert">{name} must agree to the new terms first.' in page
    assert f'role="status">Accepted {name}.' in page
