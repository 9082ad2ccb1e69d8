"""Signing in by another issuer, which may lie, and tokens for CI jobs that its keys vouch for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from huggingface_hub._oidc import exchange_oidc_token
from joserfc.jwk import OctKey, RSAKey

from tenuto.core.errors import TenutoError, UnavailableError, UsageError
from tenuto.server.access import Right
from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.http.outgoing import fetch
from tenuto.server.people.accounts import find_account, set_disabled
from tenuto.server.people.services import add_service
from tenuto.server.signin.elsewhere import Proof, link, read_provider
from tenuto.server.signin.jobs import GRANT, add_rule, list_rules, remove_rule
from tenuto.testing.live_hub import LiveHub
from tests.server.people.deeds import FORM_DEEDS
from tests.server.signin.conftest import CHEAP, PASSWORD
from tests.server.signin.issuer import CLIENT, SECRET, Issuer
from tests.server.signin.window import Window
from tests.server.talk import Talk, small


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def honest(issuer: Issuer) -> None:
    issuer.claims, issuer.faults, issuer.token = {}, {}, ""


@pytest.fixture(scope="module")
def hub(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    folder = tmp_path_factory.mktemp("hub")
    text = f'issuer = "{issuer.url}"\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\nname = "The Lab"\n'
    (folder / "oidc.toml").write_text(text)
    with LiveHub(str(folder), limits=CHEAP) as live:
        yield live


def go(browser: Window, issuer: Issuer, subject: str, place: str = "/settings"):
    """Off to the issuer and back."""
    answer = browser.get(f"/login/elsewhere?next={place}")
    assert answer.status_code == 303, answer.text
    return browser.get(issuer.agree(answer.headers["Location"], subject))


def test_the_first_time_a_name_is_chosen_and_then_it_stays(
    hub: LiveHub, window: Callable[[], Window], issuer: Issuer
) -> None:
    browser = window()
    assert "Sign in with The Lab" in browser.get("/login").text
    issuer.claims = {"preferred_username": "grace", "name": "Grace H."}
    page = go(browser, issuer, "subject-1")
    assert page.status_code == 200
    assert 'value="grace"' in page.text
    fields = {"proof": hidden(page.text, "proof"), "next": "/settings"}
    taken = browser.client.post("/login/elsewhere", data={**fields, "name": "admin", "full_name": ""})
    assert taken.status_code == 409
    answer = browser.client.post("/login/elsewhere", data={**fields, "name": "grace", "full_name": "Grace H."})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/settings")
    assert "Grace H." in browser.get("/settings").text
    assert browser.client.post("/login/elsewhere", data={**fields, "name": "grace-two"}).status_code in {403, 409}
    issuer.claims = {"preferred_username": "another-name-by-now"}
    again = window()
    assert go(again, issuer, "subject-1").headers["Location"] == "/settings"
    assert "grace" in again.get("/settings").text
    with hub.hub.parts.database.read() as connection:
        assert next(entries(connection, Wanted(limit=1))).deed == FORM_DEEDS["POST /login/elsewhere"]


def hidden(text: str, name: str) -> str:
    start = text.index('value="', text.index(f'name="{name}"')) + 7
    return text[start : text.index('"', start)]


def test_what_goes_there_tells_nothing_that_it_need_not(hub: LiveHub, window, issuer: Issuer) -> None:
    answer = window().get("/login/elsewhere?next=https://evil.example/")
    asked = {key: values[-1] for key, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
    assert asked.keys() == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    }  # fmt: skip
    assert asked["redirect_uri"] == f"{hub.url}/login/elsewhere/back"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly; SameSite=Lax; Max-Age=600" in cookie
    assert "Path=/login/elsewhere" in cookie
    assert SECRET not in f"{answer.headers} {cookie}"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"exp": 1},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
        {"azp": "another-client"},
        {"sub": 7},
    ],
    ids=lambda claims: ",".join(f"{key}={str(value)[:20]}" for key, value in claims.items()),
)
def test_a_token_that_is_not_for_us_now_signs_nobody_in(hub: LiveHub, window, issuer: Issuer, claims) -> None:
    issuer.claims = claims
    answer = go(window(), issuer, "subject-2")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)


def test_a_token_that_others_signed_signs_nobody_in(hub: LiveHub, window, issuer: Issuer) -> None:
    claims = {"sub": "subject-1", "aud": CLIENT, "nonce": "x"}
    other = RSAKey.generate_key(2048, {"kid": "one"})
    public = OctKey.import_key(json.dumps(issuer.key.as_dict(private=False)).encode())
    tokens = (
        issuer.sign(claims, other),
        issuer.unsigned(claims),
        issuer.sign(claims, public, "HS256"),
        "",
        "a.b.c",
        "x" * 20_000,
    )
    for token in tokens:
        issuer.token = token or " "
        answer = go(window(), issuer, "subject-1")
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)


def test_only_the_browser_that_went_comes_back(hub: LiveHub, window, issuer: Issuer) -> None:
    went, other = window(), window()
    place = issuer.agree(went.get("/login/elsewhere").headers["Location"], "subject-1")
    assert other.get(place).status_code == 403, "it was sent the link of somebody else"
    assert went.get(place.replace("state=", "state=x")).status_code == 403
    assert went.get(f"{hub.url}/login/elsewhere/back?error=access_denied&state=x").status_code == 403
    forged = went.client.cookies.get("tenuto_elsewhere", path="/login/elsewhere")
    body, _, seal = forged.partition(".")
    other.client.cookies.set("tenuto_elsewhere", f"{body[:-4]}AAAA.{seal}")
    assert other.get(place).status_code == 403
    assert went.get(place).status_code in {200, 303}
    assert went.get(place).status_code in {403, 502}, "a code is good once"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/.well-known/openid-configuration", (200, {}, b"<html>")),
        ("/.well-known/openid-configuration", (200, {}, b'{"issuer": "https://another.example", "jwks_uri": "x"}')),
        ("/.well-known/openid-configuration", (302, {"Location": "http://127.0.0.1:1/"}, b"")),
        ("/.well-known/openid-configuration", (200, {}, b" " * (2 << 20))),
        ("/keys", (200, {}, b"[]")),
        ("/keys", (500, {}, b"")),
        ("/token", (200, {}, b"{}")),
        ("/token", (307, {"Location": "http://127.0.0.1:1/"}, b"")),
    ],
)
def test_an_issuer_that_does_not_answer_as_one_is_said_to_be_at_fault(
    hub, window, issuer: Issuer, path: str, fault
) -> None:
    browser = window()
    place = browser.get("/login/elsewhere").headers["Location"]
    issuer.faults = {path: fault}
    answer = browser.get(issuer.agree(place, "subject-1"))
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (502, "BadAnswer")


def test_keys_beside_the_one_that_signs_do_no_harm(hub: LiveHub, window, issuer: Issuer) -> None:
    own = json.loads(issuer.document("/keys"))["keys"]
    others = [
        {"kty": "AKP", "kid": "new", "alg": "ML-DSA-65", "pub": "x"},
        {**own[0], "use": "enc", "kid": "enc"},
        {"kty": "RSA"},
        {},
    ]
    issuer.faults = {"/keys": (200, {}, json.dumps({"keys": [*others, *own]}).encode())}
    assert go(window(), issuer, "subject-1").status_code in {200, 303}


def test_keys_that_are_none_sign_nobody_in(hub: LiveHub, window, issuer: Issuer) -> None:
    issuer.faults = {"/keys": (200, {}, b'{"keys": [{"kty": "nonsense"}]}')}
    assert go(window(), issuer, "subject-1").status_code == 401


def test_a_closed_account_is_not_opened_from_elsewhere(hub: LiveHub, window, issuer: Issuer) -> None:
    browser = window()
    page = go(browser, issuer, "subject-closed")
    fields = {"proof": hidden(page.text, "proof"), "next": "/", "name": "closed-soon"}
    assert browser.client.post("/login/elsewhere", data=fields).status_code == 303
    with hub.hub.changing() as change:
        set_disabled(change, find_account(change.connection, "closed-soon"), True)
    assert go(window(), issuer, "subject-closed").status_code == 403


def test_a_way_is_added_by_whoever_is_signed_in_and_has_a_form(
    hub: LiveHub, window, issuer: Issuer, someone: str
) -> None:
    browser, other = window(), window()
    browser.sign_in(someone, PASSWORD)
    page = browser.send("/settings", {}, "/settings/elsewhere")
    assert page.status_code == 200
    start = page.text.index('href="http', page.text.index("Go on to")) + 6
    place = page.text[start : page.text.index('"', start)].replace("&amp;", "&")
    answer = browser.get(issuer.agree(place, f"subject-of-{someone}"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/settings")
    with hub.hub.parts.database.read() as connection:
        assert next(entries(connection, Wanted(limit=1))).deed == FORM_DEEDS["POST /settings/elsewhere"]
    assert go(other, issuer, f"subject-of-{someone}").headers["Location"] == "/settings"
    assert someone in other.get("/settings").text
    assert browser.client.post("/settings/elsewhere", data={}).status_code == 403, "without the form"
    assert browser.send("/settings", {}, "/settings/elsewhere/remove").status_code == 303
    with hub.hub.parts.database.read() as connection:
        assert next(entries(connection, Wanted(limit=1))).deed == FORM_DEEDS["POST /settings/elsewhere/remove"]
    assert "Choose a name" in go(window(), issuer, f"subject-of-{someone}").text, "nobody has this way any more"


def test_the_only_way_in_is_not_taken_away(hub: LiveHub, window, issuer: Issuer) -> None:
    browser = window()
    page = go(browser, issuer, "subject-only")
    fields = {"proof": hidden(page.text, "proof"), "next": "/", "name": "only-so"}
    assert browser.client.post("/login/elsewhere", data=fields).status_code == 303
    answer = browser.send("/settings", {}, "/settings/elsewhere/remove")
    assert (answer.status_code, "would not come in again" in answer.text) == (409, True)
    assert go(window(), issuer, "subject-only").status_code == 303


def test_a_way_is_not_added_to_whoever_signed_in_meanwhile(hub: LiveHub, window, issuer: Issuer, someone: str) -> None:
    browser = window()
    browser.sign_in(someone, PASSWORD)
    page = browser.send("/settings", {}, "/settings/elsewhere")
    start = page.text.index('href="http', page.text.index("Go on to")) + 6
    place = page.text[start : page.text.index('"', start)].replace("&amp;", "&")
    browser.send("/settings", {}, "/logout")
    assert browser.get(issuer.agree(place, "subject-stray")).status_code == 403


def test_where_new_people_need_an_invitation_only_accounts_that_are_there_sign_in(
    issuer: Issuer, tmp_path: Path
) -> None:
    text = f'issuer = "{issuer.url}"\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\nnew_accounts = false\n'
    (tmp_path / "oidc.toml").write_text(text)
    with LiveHub(str(tmp_path), limits=CHEAP) as closed:
        browser = Window(closed.url)
        assert go(browser, issuer, "subject-new").status_code == 403
        closed.user("old")
        with closed.hub.changing() as change:
            proof = Proof(issuer.url, "subject-old", "", "", 0)
            link(change, find_account(change.connection, "old"), proof)
        assert go(browser, issuer, "subject-old").status_code == 303
        browser.close()


def test_without_a_provider_there_is_nothing_elsewhere(window, someone: str) -> None:
    with LiveHub(limits=CHEAP) as plain:
        browser = Window(plain.url)
        assert browser.get("/login/elsewhere").status_code == 404
        assert "elsewhere" not in browser.get("/login").text
        browser.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "issuer = 1",
        'issuer = "x"',
        'issuer = "file:///etc"\nclient_id="a"\nclient_secret="b"',
        "[",
        "\xff",
        'issuer = "https://x.example"\nclient_id="a"\nclient_secret="b"\nnew_account = false',
    ],
)
def test_a_file_that_names_no_provider_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "oidc.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(TenutoError) as caught:
        read_provider(str(tmp_path / "oidc.toml"))
    assert "Traceback" not in str(caught.value)


class TestOutgoing:
    """Fault 16: what others name may not lead inside (see also tests/faults/test_outgoing.py)."""

    def test_the_port_beside_the_trusted_one_is_not_trusted(self, issuer: Issuer) -> None:
        other = Issuer()
        try:
            with pytest.raises(UnavailableError):
                fetch(f"{other.url}/keys", issuer.url)
            assert other.asked == []
        finally:
            other.stop()

    def test_a_document_that_leads_inside_leads_nowhere(self, hub: LiveHub, window, issuer: Issuer) -> None:
        other = Issuer()
        try:
            facts = json.loads(issuer.document("/"))
            facts["token_endpoint"] = f"{other.url}/token"
            issuer.faults = {"/.well-known/openid-configuration": (200, {}, json.dumps(facts).encode())}
            assert go(window(), issuer, "subject-1").status_code == 502
            assert other.asked == []
        finally:
            other.stop()


@pytest.fixture(scope="module")
def rule(hub: LiveHub, issuer: Issuer) -> int:
    owner = Talk(hub.url, hub.user("acme-owner"))
    owner.create("acme-owner/model", private=True).raise_for_status()
    owner.create("acme-owner/other", private=True).raise_for_status()
    owner.close()
    with hub.hub.changing() as change:
        service = add_service(change, "ci", find_account(change.connection, "acme-owner"), Right.WRITE)
        return add_rule(change, service, issuer.url, {"repository": "acme/model", "ref": "refs/heads/main"}, 900)


class TestJobs:
    """A job shows what its CI says of it, and gets a token of a service for a while."""

    def job(self, hub: LiveHub, issuer: Issuer, **claims) -> str:
        said = {"sub": "repo:acme/model", "aud": hub.url, "repository": "acme/model", "ref": "refs/heads/main"}
        return issuer.sign({**said, **claims})

    @pytest.mark.wire
    def test_the_stock_client_exchanges(self, hub: LiveHub, issuer: Issuer, rule: int, speak) -> None:
        answer = exchange_oidc_token(subject_token=self.job(hub, issuer), resource="acme-owner/model", endpoint=hub.url)
        assert (answer["token_type"], answer["expires_in"]) == ("bearer", 900)
        job = speak(answer["access_token"])
        assert job.commit("acme-owner/model", small("a.txt", b"a")).status_code == 200
        assert job.get("/api/models/acme-owner/other").status_code == 404, "it is good for that repo alone"
        who = job.get("/api/whoami-v2").json()
        assert (who["name"], who["auth"]["accessToken"]["displayName"]) == ("ci", "job repo:acme/model")

    def test_a_name_gives_a_token_that_reads_and_nothing_one_that_writes(
        self, hub, issuer: Issuer, rule: int, speak
    ) -> None:
        for resource, status in (("ci", 403), ("", 200)):
            form = {"grant_type": GRANT, "subject_token": self.job(hub, issuer), "resource": resource}
            token = speak(None).client.post("/oauth/token", data=form).json()["access_token"]
            job = speak(token)
            assert job.get("/api/models/acme-owner/other").status_code == 200
            assert job.commit("acme-owner/other", small("a.txt", b"a")).status_code == status

    @pytest.mark.parametrize(
        "claims",
        [
            {"repository": "acme/fork"},
            {"ref": "refs/heads/feature"},
            {"ref": None},
            {"ref": ["refs/heads/main"]},
            {"aud": "https://another.example"},
            {"aud": None},
            {"exp": 1},
        ],
    )
    def test_another_job_gets_nothing(self, hub: LiveHub, issuer: Issuer, rule: int, speak, claims) -> None:
        form = {"grant_type": GRANT, "subject_token": self.job(hub, issuer, **claims)}
        answer = speak(None).client.post("/oauth/token", data=form)
        assert answer.status_code in {401, 403}
        assert "access_token" not in answer.text

    def test_an_issuer_that_no_rule_names_is_never_asked(self, hub: LiveHub, issuer: Issuer, rule: int, speak) -> None:
        other = Issuer()
        try:
            form = {"grant_type": GRANT, "subject_token": self.job(hub, other, iss=other.url)}
            assert speak(None).client.post("/oauth/token", data=form).status_code == 403
            assert other.asked == []
            form["subject_token"] = other.sign(
                {"iss": issuer.url, "sub": "x", "aud": hub.url, "repository": "acme/model"}
            )
            assert speak(None).client.post("/oauth/token", data=form).status_code == 401
        finally:
            other.stop()

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "a." + "A" * 50_000 + ".c", "..", "a.e30.c"])
    def test_what_is_no_token_is_told_so(self, hub: LiveHub, rule: int, speak, token: str) -> None:
        answer = speak(None).post("/oauth/token", {"grant_type": GRANT, "subject_token": token})
        assert answer.status_code in {400, 401, 403}

    def test_a_repo_that_the_service_does_not_see_is_not_there(self, hub, issuer: Issuer, rule: int, speak) -> None:
        stranger = speak(hub.user("stranger"))
        stranger.create("stranger/secret", private=True).raise_for_status()
        answers = [
            speak(None).post(
                "/oauth/token", {"grant_type": GRANT, "subject_token": self.job(hub, issuer), "resource": name}
            )
            for name in ("stranger/secret", "stranger/nothing")
        ]
        assert {(one.status_code, one.text) for one in answers} == {(404, answers[0].text)}

    def test_tokens_of_jobs_end(self, hub: LiveHub, issuer: Issuer, rule: int, speak) -> None:
        form = {"grant_type": GRANT, "subject_token": self.job(hub, issuer)}
        token = speak(None).client.post("/oauth/token", data=form).json()["access_token"]
        assert speak(token).get("/api/whoami-v2").status_code == 200
        expires_ms = hub.hub.list_tokens("ci")[-1].expires_ms
        assert 0 < expires_ms - hub.hub.parts.now_ms() <= 900_000
        with hub.hub.changing() as change:
            set_disabled(change, find_account(change.connection, "ci"), True)
        assert speak(token).get("/api/whoami-v2").status_code == 401
        assert speak(None).client.post("/oauth/token", data=form).status_code == 403
        with hub.hub.changing() as change:
            set_disabled(change, find_account(change.connection, "ci"), False)

    def test_rules_are_named_and_removed(self, hub: LiveHub, issuer: Issuer, rule: int) -> None:
        with hub.hub.changing() as change:
            service = find_account(change.connection, "ci")
            for claims, life_s in (({}, 900), ({"ref": ""}, 900), ({"ref": "x"}, 10), ({"ref": "x"}, 10**6)):
                with pytest.raises(UsageError):
                    add_rule(change, service, issuer.url, claims, life_s)
            with pytest.raises(UsageError):
                add_rule(change, find_account(change.connection, "acme-owner"), issuer.url, {"ref": "x"})
            with pytest.raises(UnavailableError):
                add_rule(change, service, "file:///etc", {"ref": "x"})
            made = add_rule(change, service, issuer.url, {"ref": "x"})
            remove_rule(change, made)
            assert [one.id for one in list_rules(change.connection)] == [rule]
            with pytest.raises(TenutoError):
                remove_rule(change, made)
