"""What all pages share: headers, assets, failures, and how values become text."""

import re

import pytest

from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.http.exchange import Call
from tenuto.server.pages.assets import asset_path
from tenuto.server.pages.render import place_url, redirect, size_text, with_query
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_page_carries_its_guards(speak) -> None:
    answer = speak(None).get("/", headers=HTML)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_what_a_page_needs_is_kept_for_good_under_the_hash_of_its_content(speak) -> None:
    talk = speak(None)
    text = talk.get("/", headers=HTML).text
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert asset_path("style.css") in found
    for path in set(found):
        answer = talk.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert talk.get("/static/style.css").status_code == 404
    assert talk.get("/static/..%2Frender.py").status_code == 404


def test_a_browser_is_told_of_failures_on_a_page_and_a_program_in_json(speak) -> None:
    talk = speak(None)
    page = talk.get("/no/such/page/<script>", headers=HTML)
    assert (page.status_code, page.headers["X-Error-Code"]) == (404, "RouteNotFound")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "There is no such page" in page.text
    assert "<script>" not in page.text
    assert talk.get("/no/such/page/x").json()["code"] == "RouteNotFound"
    assert talk.get("/api/models/a/b", headers=HTML).json()["code"] == "RepoNotFound"


MISSING = "Check the name. It may be in another version, or have moved."
SAID = [
    ("GET", "/nobody-{0}", "There is no account nobody-{0}", "Check how it is spelled"),
    ("GET", "/{0}/none", "Repository not found", "shows only to those who may read it"),
    ("GET", "/{1}/tree/nope", "nope", "renamed, deleted, or never there"),
    ("GET", "/{1}/blob/main/none.txt", "There is no file none.txt at main", MISSING),
    ("GET", "/{1}/discussions/99", "There is no discussion 99 here", MISSING),
    ("GET", "/{1}/edit/main/blob", "blob is no text", "upload another file in its place"),
    ("GET", "/{1}/access?state=odd", "is not one of pending", "try it another way"),
    ("GET", "/settings/people", "{0} has no right to govern", "Ask the owner"),
    ("GET", "/join", "This hub takes new people by invitation", "Ask whoever runs it for a link"),
    ("GET", "/join?code=x", "This link is no longer good", "Ask whoever sent it for a new one"),
    ("POST", "/{1}/upload/main", "This form brings no files", "Choose some files"),
    ("POST", "/{1}/access", "The form does not say what to do", "try it another way"),
    ("POST", "/{1}/ask-access", "{1} is not gated", "its files are there for everybody"),
    ("POST", "/{1}/withdraw-access", "There is no access request of {0}", "load anew"),
    ("POST", "/settings/sessions", "This browser is signed in no longer", 'role="alert"'),
    ("POST", "/settings/tokens/revoke", "This token is not good any more", 'role="alert"'),
]


@pytest.mark.parametrize(("method", "place", "message", "help_"), SAID, ids=[f"{one[0]} {one[1]}" for one in SAID])
def test_a_failure_says_what_happened_to_what_and_what_to_do(owner: Owner, method, place, message, help_) -> None:
    owner.talk.commit(owner.repo, small("blob", b"\xff\xfe")).raise_for_status()
    names = (owner.name, owner.repo)
    headers = {**HTML, "Content-Type": "application/x-www-form-urlencoded"}
    answer = owner.talk.client.request(method, place.format(*names), headers=headers)
    assert 400 <= answer.status_code < 500
    main = answer.text.partition("<main")[2]
    assert message.format(*names) in main
    assert help_ in main


def test_a_link_to_a_file_that_is_gone_leads_to_a_page_and_programs_are_told_as_ever(owner: Owner) -> None:
    place = f"/{owner.repo}/resolve/main/gone.bin"
    plain, page = owner.talk.get(place), owner.talk.get(place, headers=HTML)
    assert plain.json()["code"] == "EntryNotFound"
    assert page.status_code == plain.status_code == 404
    assert "gone.bin does not exist at" in page.text.partition("<main")[2]
    for name in ("X-Repo-Commit", "X-Error-Code"):
        assert page.headers[name] == plain.headers[name]


def test_a_file_has_to_be_chosen(owner: Owner) -> None:
    fields = {"f": ("", b"")}
    answer = owner.talk.client.post(f"/{owner.repo}/upload/main", files=fields, headers=HTML)
    assert answer.status_code == 400
    assert "No file was chosen" in answer.text
    assert "Choose some files, then send the form" in answer.text


def test_who_is_not_signed_in_is_led_to_it_and_back(speak) -> None:
    page = speak(None).get("/settings/tokens?x=1", headers=HTML)
    assert page.status_code == 401
    assert 'href="/login?next=%2Fsettings%2Ftokens%3Fx%3D1"' in page.text
    assert "needs a token" not in page.text


def test_the_start_page_shows_what_the_caller_may_see(make_owner, speak) -> None:
    public, private = make_owner(), make_owner(private=True)
    stranger = speak(None).get("/", headers=HTML).text
    assert public.repo in stranger
    assert private.repo not in stranger
    own = private.talk.get("/", headers=HTML).text
    assert private.repo in own
    assert "Sign in" in stranger


def test_a_bad_token_is_told_on_a_page(speak) -> None:
    answer = speak("hf_unknown").get("/", headers=HTML)
    assert answer.status_code == 401
    assert "Please sign in again" in answer.text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_500_000, "1.5 MB"),
        (99_400_000, "99 MB"),
        (999_600_000, "1 GB"),
        (5e18, "5000 PB"),
    ],
)
def test_sizes_read_well(size: float, text: str) -> None:
    assert size_text(size) == text


def test_addresses_are_quoted() -> None:
    repo = RepoId(RepoKind.DATASET, "a", "b")
    assert (
        place_url(repo, "blob", "feature/x", 'a "b"/ü#?.txt')
        == "/datasets/a/b/blob/feature%2Fx/a%20%22b%22/%C3%BC%23%3F.txt"
    )
    call = Call("GET", {}, "search=a+b&page=2", {}, "http://hub", "/models")
    assert with_query(call, page=3) == "/models?search=a+b&page=3"
    assert with_query(call, page=None, search=None) == "/models"


def test_a_redirect_stays_on_this_hub() -> None:
    assert redirect("/a/b?x=1").headers["Location"] == "/a/b?x=1"
    for place in ("https://elsewhere", "//elsewhere", "/\\elsewhere", "/a\nb", "", "javascript:alert(1)"):
        assert redirect(place).headers["Location"] == "/"


def test_a_browser_that_follows_a_link_to_a_gated_file_is_led_to_the_gate(make_owner, speak) -> None:
    owner = make_owner()
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "manual"}).raise_for_status()
    answer = speak(None).get(f"/{owner.repo}/resolve/main/.gitattributes", headers=HTML)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (401, "GatedRepo")
    assert f'href="/{owner.repo}"' in answer.text
    program = speak(None).get(f"/{owner.repo}/resolve/main/.gitattributes")
    assert program.json()["code"] == "GatedRepo"


def test_a_form_at_a_gate_that_is_not_filled_in_is_told_so_on_a_page(make_owner) -> None:
    owner, other = make_owner(), make_owner()
    card = b"---\nextra_gated_fields:\n  Purpose: text\n---\n"
    owner.talk.commit(owner.repo, small("README.md", card)).raise_for_status()
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "auto"}).raise_for_status()
    answer = other.talk.client.post(f"/{owner.repo}/ask-access", data={}, headers=HTML)
    assert answer.status_code == 400
    assert "is missing" in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
