"""The form at a gate: what a card may say, what answers fit, and terms that are kept in step with the README on `main`."""

import contextlib
import hashlib
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from sqlalchemy import select

from tenuto.core.errors import UsageError
from tenuto.server.gates.form import Form, check_answers, read_form
from tenuto.server.schema import repos
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.git_client import Clone, address
from tests.server.talk import Talk, gone, large, small

CARD = {
    "extra_gated_heading": " Come in ",
    "extra_gated_prompt": "You agree.",
    "extra_gated_description": "We look at each request.",
    "extra_gated_button_content": "Agree",
    "extra_gated_fields": {
        "Company": "text",
        "Country": "country",
        "Day": "date_picker",
        "Purpose": {"type": "select", "options": ["Research", {"label": "Something else", "value": "other"}]},
        "I agree": "checkbox",
        "Odd": "hologram",
    },
}
FORM = read_form(CARD)
GOOD = {"Company": "X", "Country": "AT", "Day": "2026-01-31", "Purpose": "Something else", "I agree": "on", "Odd": "y"}


def test_a_card_becomes_a_form() -> None:
    assert (FORM.heading, FORM.prompt, FORM.button) == ("Come in", "You agree.", "Agree")
    assert [(one.name, one.type) for one in FORM.fields] == [
        ("Company", "text"),
        ("Country", "country"),
        ("Day", "date_picker"),
        ("Purpose", "select"),
        ("I agree", "checkbox"),
        ("Odd", "text"),
    ]
    assert [(one.label, one.value) for one in FORM.fields[3].options] == [
        ("Research", "Research"),
        ("Something else", "other"),
    ]


def test_terms_are_prompt_and_fields_and_nothing_else() -> None:
    assert read_form(None).terms == read_form({"extra_gated_heading": "x"}).terms == ""
    assert len(FORM.terms) == 64
    assert (
        read_form({**CARD, "extra_gated_heading": "x", "extra_gated_button_content": "y", "license": "mit"}).terms
        == FORM.terms
    )
    assert read_form({**CARD, "extra_gated_prompt": "You agree!"}).terms != FORM.terms
    assert read_form({**CARD, "extra_gated_fields": {"Company": "text"}}).terms != FORM.terms


def test_names_that_no_field_can_have() -> None:
    assert read_form({"extra_gated_fields": {"csrf": "text", " ": "text", "": "text"}}) == Form()


def test_all_that_is_agreed_to_is_shown_and_named() -> None:
    text = "word " * 13_000
    form = read_form({"extra_gated_prompt": text, "extra_gated_fields": {"I agree " * 100: "checkbox"}})
    assert (form.prompt, form.fields[0].name) == (text.strip(), "I agree " * 100)
    assert form.terms != read_form({"extra_gated_prompt": f"{text} or not"}).terms
    assert check_answers(form, {"I agree " * 100: True}) == {"I agree " * 100: True}


@pytest.mark.parametrize(
    "fields",
    [
        {f"field {number}": "text" for number in range(101)},
        {"x" * 1001: "text"},
        {"Country": {"type": "select", "options": list(range(1001))}},
        {"Country": {"type": "select", "options": ["x" * 1001]}},
    ],
    ids=["fields", "name", "choices", "choice"],
)
def test_of_what_is_too_much_nothing_is_left_out_unseen(fields: dict[str, object]) -> None:
    form = read_form({"extra_gated_prompt": "You agree.", "extra_gated_fields": fields})
    assert form.fault
    assert form == Form(fault=form.fault)


def test_long_questions_leave_room_for_answers() -> None:
    names = [f"{number} {'x' * 900}" for number in range(60)]
    answers = dict.fromkeys(names, "y" * 100)
    assert check_answers(read_form({"extra_gated_fields": dict.fromkeys(names, "text")}), answers) == answers


def test_good_answers_are_kept_in_the_order_of_the_form() -> None:
    kept = check_answers(FORM, {"More": "z", **GOOD})
    assert kept == {**GOOD, "Purpose": "other", "I agree": True, "More": "z"}
    assert list(kept) == [*CARD["extra_gated_fields"], "More"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Company", ""),
        ("Company", None),
        ("Company", "x" * 5000),
        ("Country", "  "),
        ("Day", "tomorrow"),
        ("Day", "20260131"),
        ("Day", "2026-02-30"),
        ("Purpose", "World domination"),
        ("Purpose", ""),
        ("I agree", False),
        ("I agree", "no"),
        ("I agree", None),
    ],
)
def test_answers_that_do_not_fit_are_named(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name):
        check_answers(FORM, {**GOOD, name: value})  # type: ignore[dict-item]


def test_every_field_that_lacks_is_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        check_answers(FORM, {})
    assert all(repr(name) in caught.value.message for name in CARD["extra_gated_fields"])


def test_what_nobody_asked_for_is_bounded() -> None:
    with pytest.raises(UsageError) as caught:
        check_answers(Form(), {"x": "y" * 20_000})
    assert caught.value.code == "TooLarge"
    with pytest.raises(UsageError):
        check_answers(Form(), {str(number): "y" for number in range(500)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)
KEYS = st.sampled_from([*CARD, "extra_gated_fields"])


@given(st.dictionaries(KEYS, JSON), st.dictionaries(st.text(), st.none() | st.booleans() | st.text()))
def test_no_card_and_no_answers_break_it(card: dict[str, object], answers: dict[str, str | bool | None]) -> None:
    form = read_form(card)
    assert read_form(card) == form
    with contextlib.suppress(UsageError):
        assert all(one.name in check_answers(form, {**answers}) for one in form.fields)


def card(prompt: str) -> bytes:
    return f"---\nextra_gated_prompt: {prompt}\n---\nhello\n".encode()


def terms_of(hub: LiveHub, repo: str) -> str:
    with hub.hub.parts.database.read() as connection:
        return str(connection.execute(select(repos.c.terms).where(repos.c.name_key == repo)).scalar_one())


def terms(prompt: str) -> str:
    return read_form({"extra_gated_prompt": prompt}).terms


class TestTermsFollowMain:
    def test_a_commit(self, owner: Owner, hub: LiveHub) -> None:
        assert terms_of(hub, owner.repo) == ""
        for prompt in ("one", "two", "one"):
            owner.talk.commit(owner.repo, small("README.md", card(prompt))).raise_for_status()
            assert terms_of(hub, owner.repo) == terms(prompt)
        owner.talk.commit(owner.repo, small("other.txt", b"x")).raise_for_status()
        assert terms_of(hub, owner.repo) == terms("one")
        owner.talk.commit(owner.repo, gone("README.md")).raise_for_status()
        assert terms_of(hub, owner.repo) == ""

    def test_another_branch_changes_nothing(self, owner: Owner, hub: LiveHub) -> None:
        owner.talk.commit(owner.repo, small("README.md", card("one"))).raise_for_status()
        owner.talk.post(f"/api/models/{owner.repo}/branch/side").raise_for_status()
        owner.talk.commit(owner.repo, small("README.md", card("two")), rev="side").raise_for_status()
        assert terms_of(hub, owner.repo) == terms("one")

    def test_a_merge_and_a_squash(self, owner: Owner, hub: LiveHub) -> None:
        api = f"/api/models/{owner.repo}"
        owner.talk.commit(owner.repo, small("README.md", card("one"))).raise_for_status()
        number = owner.talk.post(f"{api}/discussions", {"title": "t", "pullRequest": True}).json()["num"]
        owner.talk.commit(owner.repo, small("README.md", card("two")), rev=f"refs/pr/{number}").raise_for_status()
        assert terms_of(hub, owner.repo) == terms("one")
        owner.talk.post(f"{api}/discussions/{number}/merge").raise_for_status()
        assert terms_of(hub, owner.repo) == terms("two")
        owner.talk.post(f"{api}/super-squash/main").raise_for_status()
        assert terms_of(hub, owner.repo) == terms("two")

    def test_a_push(self, owner: Owner, hub: LiveHub, tmp_path: Path) -> None:
        clone = Clone.of(address(hub.url, owner.repo, owner.token), tmp_path / "clone")
        for prompt in ("one", "two"):
            clone.commit(**{"README.md": card(prompt)})
            clone.git("push", "-q", "origin", "HEAD:main")
            assert terms_of(hub, owner.repo) == terms(prompt)

    def test_files_deleted_for_good(self, owner: Owner, hub: LiveHub) -> None:
        oid = owner.talk.put_large(owner.repo, b"large" * 500)
        owner.talk.commit(owner.repo, small("README.md", card("one")), large("m.bin", oid)).raise_for_status()
        body = {"deletions": {"sha": [oid], "rewriteHistory": True}}
        owner.talk.post(f"/api/models/{owner.repo}/lfs-files/batch", body).raise_for_status()
        assert terms_of(hub, owner.repo) == terms("one")

    def test_a_readme_without_front_matter_has_no_terms(self, owner: Owner, hub: LiveHub) -> None:
        owner.talk.commit(owner.repo, small("README.md", b"\xff\xfe extra_gated_prompt")).raise_for_status()
        assert terms_of(hub, owner.repo) == ""

    @pytest.mark.parametrize("body", [b"---\nextra_gated_prompt: [\n---\n", card("x" * 70_000)], ids=["broken", "long"])
    def test_terms_that_cannot_be_read_stay_and_nobody_agrees(self, owner: Owner, hub, speak, body: bytes) -> None:
        TestAgreeing().gated(owner, "auto")
        guest, late = speak(hub.user()), speak(hub.user())
        assert TestAgreeing().ask(guest, owner.repo) == 303
        owner.talk.commit(owner.repo, small("README.md", body)).raise_for_status()
        owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "auto"}).raise_for_status()
        assert terms_of(hub, owner.repo) == terms("one")
        assert guest.read(owner.repo, "a.txt").status_code == 200
        refused = late.client.post(f"/{owner.repo}/ask-access", json={})
        assert (refused.status_code, "cannot be read" in refused.json()["error"]) == (409, True)
        page = late.client.get(f"/{owner.repo}", headers={"Accept": "text/html"}).text
        assert "they have to mend the front matter" in page
        assert "ask-access" not in page
        own = owner.talk.client.get(f"/{owner.repo}/access", headers={"Accept": "text/html"}).text
        assert "Mend the front matter of README.md" in own

    def test_a_page_shows_long_terms_to_their_end(self, owner: Owner, hub, speak) -> None:
        owner.talk.commit(owner.repo, small("README.md", card("word " * 13_000 + "THE END"))).raise_for_status()
        owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "auto"}).raise_for_status()
        guest = speak(hub.user())
        assert "THE END" in guest.client.get(f"/{owner.repo}", headers={"Accept": "text/html"}).text
        assert guest.get(f"/api/models/{owner.repo}/access-form").json()["form"]["prompt"].endswith("THE END")


class TestAgreeing:
    def gated(self, owner: Owner, gate: str) -> None:
        owner.talk.commit(owner.repo, small("README.md", card("one")), small("a.txt", b"bytes")).raise_for_status()
        owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": gate}).raise_for_status()

    def ask(self, talk: Talk, repo: str, query: str = "", **answers: object) -> int:
        return talk.client.post(f"/{repo}/ask-access{query}", json=answers, follow_redirects=False).status_code

    @pytest.mark.parametrize("gate", ["auto", "manual"])
    def test_a_changed_text_is_agreed_to_anew_and_nobody_decides_again(
        self, owner: Owner, hub, speak, gate: str
    ) -> None:
        self.gated(owner, gate)
        name = f"agrees-{owner.name}"
        guest = speak(hub.user(name))
        assert self.ask(guest, owner.repo) == 303
        if gate == "manual":
            body = {"user": name, "status": "accepted"}
            owner.talk.post(f"/api/models/{owner.repo}/user-access-request/handle", body).raise_for_status()
        assert guest.read(owner.repo, "a.txt").content == b"bytes"
        owner.talk.commit(owner.repo, small("README.md", card("one") + b"more text\n")).raise_for_status()
        assert guest.read(owner.repo, "a.txt").status_code == 200, "the text that is agreed to is the same"
        owner.talk.commit(owner.repo, small("README.md", card("two"))).raise_for_status()
        refused = guest.read(owner.repo, "a.txt")
        assert (refused.status_code, "terms have changed" in refused.headers["X-Error-Message"]) == (403, True)
        assert self.ask(guest, owner.repo) == 303
        assert guest.read(owner.repo, "a.txt").status_code == 200

    def test_nobody_agrees_to_what_it_did_not_read(self, owner: Owner, hub, speak) -> None:
        self.gated(owner, "auto")
        guest = speak(hub.user())
        form = guest.get(f"/api/models/{owner.repo}/access-form").json()["form"]
        owner.talk.commit(owner.repo, small("README.md", card("two"))).raise_for_status()
        assert self.ask(guest, owner.repo, f"?terms={form['terms']}") == 409
        assert self.ask(guest, owner.repo, f"?terms={terms('two')}") == 303

    def test_a_form_of_a_page_is_filled_in(self, owner: Owner, hub, speak) -> None:
        text = b"---\nextra_gated_fields:\n  Company: text\n  I agree: checkbox\n---\n"
        owner.talk.commit(owner.repo, small("README.md", text)).raise_for_status()
        owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "auto"}).raise_for_status()
        guest = speak(hub.user())
        for data, status in (({"Company": "X"}, 400), ({"Company": "X", "I agree": "on", "csrf": "abc"}, 303)):
            sent = guest.client.post(f"/{owner.repo}/ask-access", data=data, follow_redirects=False)
            assert sent.status_code == status, sent.text
        own = guest.get(f"/api/models/{owner.repo}/access-form").json()["own"]
        assert own["fields"] == {"Company": "X", "I agree": True}


def test_the_digest_stays_what_it_is() -> None:
    """Grants hold it: made in another way, all of them would be outdated."""
    assert (
        FORM.terms
        == hashlib.sha256(
            b'["You agree.",[{"name":"Company","type":"text","options":[]},{"name":"Country","type":"country","options":[]},'
            b'{"name":"Day","type":"date_picker","options":[]},{"name":"Purpose","type":"select","options":'
            b'[{"label":"Research","value":"Research"},{"label":"Something else","value":"other"}]},'
            b'{"name":"I agree","type":"checkbox","options":[]},{"name":"Odd","type":"text","options":[]}]]'
        ).hexdigest()
    )
