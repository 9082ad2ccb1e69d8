"""A device gets a token because its user said so, and for no other reason."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _oauth_device as device

from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.server.signin.window import Window
from tests.server.talk import Talk

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=Limits(device_poll_s=1)) as live:
        yield live


@pytest.fixture
def talk(hub: LiveHub) -> Iterator[Talk]:
    made = Talk(hub.url, None)
    yield made
    made.close()


def begin(talk: Talk) -> dict:
    answer = talk.client.post("/oauth/device", data={"client_id": "x"})
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def fetch(talk: Talk, code: str) -> httpx2.Response:
    return talk.client.post("/oauth/token", data={"grant_type": GRANT, "device_code": code, "client_id": "x"})


def decide(talk: Talk, user_code: str, token: str, decision: str = "approve") -> httpx2.Response:
    form = {"user_code": user_code, "token": token, "decision": decision}
    origin = str(talk.client.base_url).rstrip("/")
    return talk.client.post("/oauth/authorize-device", data=form, headers={"Accept": "text/html", "Origin": origin})


@pytest.mark.wire
@pytest.mark.parametrize("role", ["read", "write"])
def test_the_stock_client_gets_a_token_of_the_same_right(
    hub: LiveHub, talk: Talk, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    info = device.request_device_code()
    assert info["verification_uri_complete"].startswith(f"{hub.url}/oauth/authorize-device?user_code=")
    token = hub.user(f"ann-{role}", role)
    threading.Timer(0.5, decide, (talk, info["user_code"], token)).start()
    answer = device.poll_device_token(info)
    assert answer.keys() == {"access_token", "token_type", "scope"}
    who = HfApi(endpoint=hub.url, token=answer["access_token"]).whoami()
    assert (who["name"], who["auth"]["accessToken"]) == (f"ann-{role}", {"displayName": "device login", "role": role})
    assert answer["access_token"] != token
    assert fetch(talk, info["device_code"]).json()["error"] == "expired_token", "a code is good for one token"


@pytest.mark.wire
def test_hf_auth_login(hub: LiveHub, talk: Talk, tmp_path: Path) -> None:
    hf = shutil.which("hf", path=os.path.dirname(sys.executable))
    assert hf
    unwanted = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [hf, "auth", "login"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    shown = ""
    try:
        while not (found := re.search(r"\b([B-Z]{4}-[B-Z]{4})\b", shown)):
            line = process.stdout.readline()
            assert line, shown
            shown += line
        assert decide(talk, found[1], hub.user("ben")).status_code == 200
        shown += process.communicate(timeout=30)[0]
        assert process.returncode == 0, shown
    finally:
        process.kill()
        process.wait()
    who = subprocess.run([hf, "auth", "whoami"], env=environment, capture_output=True, text=True, check=True)
    assert "ben" in who.stdout


def test_nobody_gets_a_token_before_a_decision(hub: LiveHub, talk: Talk) -> None:
    started = begin(talk)
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", started["user_code"])
    first, second = fetch(talk, started["device_code"]), fetch(talk, started["device_code"])
    assert (first.status_code, first.json()["error"]) == (400, "authorization_pending")
    assert second.json()["error"] == "slow_down"
    assert decide(talk, started["user_code"], hub.user("cat"), "deny").status_code == 200
    assert fetch(talk, started["device_code"]).json()["error"] == "access_denied"
    assert decide(talk, started["user_code"], hub.user("cat")).status_code == 404, "what was decided is decided"


def test_a_decision_needs_a_token_that_is_good(hub: LiveHub, talk: Talk) -> None:
    started = begin(talk)
    for token in ("", "hf_wrong", "x" * 10_000):
        answer = decide(talk, started["user_code"], token)
        assert answer.status_code == 401
        assert "does not know this token" in answer.text
        assert "x" * 100 not in answer.text
    assert fetch(talk, started["device_code"]).json()["error"] == "authorization_pending"
    token = hub.user("dot")
    for code in ("", "BBBB-BBBB", "x" * 5000):
        assert decide(talk, code, token).status_code == 404
    typed = started["user_code"].lower().replace("-", " ")
    assert decide(talk, typed, token).status_code == 200, "how it is typed does not matter"
    (facts,) = hub.hub.list_tokens("dot")
    hub.hub.revoke_token(facts.id)
    assert fetch(talk, started["device_code"]).json()["error"] == "access_denied", "the right went with the token"
    assert hub.hub.list_tokens("dot") == []


@pytest.mark.parametrize("kind", ["refresh_token", "password", ""])
def test_other_grants_are_none(talk: Talk, kind: str) -> None:
    answer = talk.client.post("/oauth/token", data={"grant_type": kind, "refresh_token": "x"})
    assert answer.status_code == 400
    assert answer.json()["error"] == ("invalid_grant" if kind == "refresh_token" else "unsupported_grant_type")
    assert fetch(talk, "nonsense").json()["error"] == "expired_token"
    assert talk.client.post("/oauth/token", json={"grant_type": kind}).status_code == 400


def test_the_page_runs_nothing_and_shows_what_it_is_given_as_text(talk: Talk) -> None:
    answer = talk.get("/oauth/authorize-device", params={"user_code": '"><script>alert(1)'})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "&gt;&lt;script" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


def test_a_login_that_took_too_long_is_over(tmp_path: Path) -> None:
    with LiveHub(limits=Limits(device_poll_s=1)) as own:
        talk = Talk(own.url, None)
        started = begin(talk)
        with own.hub.parts.database.write() as connection:
            connection.exec_driver_sql("UPDATE device_logins SET expires_ms = 1")
        assert decide(talk, started["user_code"], own.admin_token).status_code == 404
        assert fetch(talk, started["device_code"]).json()["error"] == "expired_token"
        talk.close()


def test_one_network_begins_so_many_logins_and_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.server.signin.device_login.MOST_OF_NETWORK", 3)
    with LiveHub() as own:
        greedy, other = (
            httpx2.Client(transport=httpx2.HTTPTransport(local_address=address), base_url=own.url, trust_env=False)
            for address in ("127.0.0.2", "127.0.0.3")
        )
        with greedy, other:
            said = [greedy.post("/oauth/device", data={}).status_code for _ in range(4)]
            assert said == [200, 200, 200, 429]
            assert other.post("/oauth/device", data={}).status_code == 200


def test_the_oldest_login_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.server.signin.device_login.MOST_PENDING", 3)
    with LiveHub(limits=Limits(device_poll_s=1)) as own:
        talk = Talk(own.url, None)
        started = []
        for age in range(5):
            started.append(begin(talk))
            with own.hub.parts.database.write() as connection:  # no two of them in one millisecond
                connection.exec_driver_sql(f"UPDATE device_logins SET expires_ms = expires_ms - {5 - age}")
        said = [fetch(talk, one["device_code"]).json()["error"] for one in started]
        assert said == ["expired_token"] * 2 + ["authorization_pending"] * 3
        talk.close()


def test_of_many_who_fetch_at_once_one_gets_a_token(hub: LiveHub, talk: Talk) -> None:
    started = begin(talk)
    assert decide(talk, started["user_code"], hub.user("fan")).status_code == 200
    with ThreadPoolExecutor(6) as threads:
        said = list(threads.map(lambda _: fetch(talk, started["device_code"]).json(), range(6)))
    assert sum("access_token" in one for one in said) == 1
    assert sum(one.get("error") == "expired_token" for one in said) == 5


def test_codes_that_nobody_has_wait_for_no_turn_to_write(hub: LiveHub, talk: Talk) -> None:
    with hub.hub.changing():
        assert fetch(talk, "nobody-has-this").json()["error"] == "expired_token"


def test_codes_are_not_guessed(hub: LiveHub, talk: Talk) -> None:
    token = hub.user("guesser")
    said = [decide(talk, "BCDF-GHJK", token).status_code for _ in range(21)]
    assert said == [404] * 20 + [429]
    assert decide(talk, begin(talk)["user_code"], hub.user("somebody-else")).status_code == 200


def test_no_code_is_kept() -> None:
    with LiveHub() as own:
        talk = Talk(own.url, None)
        started = [begin(talk) for _ in range(3)]
        with own.hub.parts.database.read() as connection:
            rows = str(connection.exec_driver_sql("SELECT * FROM device_logins").all())
        log = own.log()
        for one in started:
            for code in (one["device_code"], one["user_code"], one["user_code"].replace("-", "")):
                assert code not in rows
                assert code not in log
        talk.close()


def test_whoever_is_signed_in_needs_no_token_there(talk: Talk) -> None:
    with LiveHub(limits=Limits(device_poll_s=1, password_memory_kib=64, password_rounds=1)) as own:
        own.user("eve")
        with own.hub.changing() as change:
            set_password(change, own.hub.parts.limits, find_account(change.connection, "eve"), "four words stand here")
        device, browser = Talk(own.url, None), Window(own.url)
        browser.sign_in("eve", "four words stand here")
        started = begin(device)
        page = f"/oauth/authorize-device?user_code={started['user_code']}"
        assert "Your token" not in browser.get(page).text
        forged = {"user_code": started["user_code"], "decision": "approve"}
        assert browser.client.post("/oauth/authorize-device", data=forged).status_code == 403, "without its form"
        assert browser.send(page, forged).status_code == 200
        token = fetch(device, started["device_code"]).json()["access_token"]
        assert HfApi(endpoint=own.url, token=token).whoami()["name"] == "eve"
        started = begin(device)
        browser.send(page, {**forged, "user_code": started["user_code"]})
        browser.send("/settings", {}, "/logout")
        assert fetch(device, started["device_code"]).json()["error"] == "access_denied", (
            "the right went with the session"
        )
        device.close()
        browser.close()
