"""Faults 11, 14 and 15: what is hidden is like what is not there, secrets lie nowhere, and what is taken back is gone everywhere."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import event

from tenuto.server.audit.reading import entries
from tenuto.server.identity import digest_of
from tenuto.server.people.accounts import find_account
from tenuto.server.service import Hub
from tenuto.server.signin.invitations import InvitationWish, invite
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub, ProcessHub
from tests.server.signin.conftest import CHEAP, PASSWORD
from tests.server.signin.window import Window
from tests.server.talk import Talk, small

ADDRESSES = (
    ("GET", "/api/models/{repo}"),
    ("GET", "/api/models/{repo}/tree/main"),
    ("GET", "/api/models/{repo}/auth-check"),
    ("PUT", "/api/models/{repo}/settings"),
    ("HEAD", "/{repo}/resolve/main/a.txt"),
    ("GET", "/{repo}/resolve/main/a.txt"),
    ("GET", "/{repo}/raw/main/a.txt"),
    ("GET", "/{repo}"),
    ("GET", "/{repo}/tree/main"),
    ("GET", "/{repo}.git/info/refs?service=git-upload-pack"),
    ("POST", "/{repo}.git/info/lfs/objects/batch"),
    ("GET", "/api/models/{repo}/xet-read-token/main"),
    ("POST", "/api/models/{repo}/like"),
    ("GET", "/api/models/{repo}/discussions"),
)
CHANGING = {"x-request-id", "date"}


def told(client, method: str, path: str, repo: str) -> tuple[int, str, dict[str, str]]:
    """What an answer tells, but for the name that was asked for, and the number of the request."""
    body = {"json": {"operation": "download", "objects": []}} if method in {"POST", "PUT"} else {}
    answer = client.request(method, path.format(repo=repo), follow_redirects=False, **body)
    headers = {key: value.replace(repo, "REPO") for key, value in answer.headers.items() if key not in CHANGING}
    headers.pop("content-length", None)
    return answer.status_code, answer.text.replace(repo, "REPO").replace(repo.replace("/", "%2F"), "REPO"), headers


@pytest.fixture(scope="module")
def gone(hub: LiveHub):
    """Repos that outsiders may not see, each for another reason; all were public and were read by them before. All names are as long."""
    owner, outsider, nobody = Talk(hub.url, hub.user("owner")), Talk(hub.url, hub.user("outsider")), Talk(hub.url, None)
    names = {why: f"owner/{why}" for why in ("deleted", "private", "renamed")}
    for repo in names.values():
        owner.create(repo).raise_for_status()
        owner.commit(repo, small("a.txt", b"a")).raise_for_status()
        for talk in (outsider, nobody):
            assert talk.client.head(f"/{repo}/resolve/main/a.txt").status_code == 200
    owner.delete(names["deleted"]).raise_for_status()
    owner.client.put(f"/api/models/{names['private']}/settings", json={"private": True}).raise_for_status()
    owner.post("/api/repos/move", {"fromRepo": names["renamed"], "toRepo": "owner/another"}).raise_for_status()
    owner.client.put("/api/models/owner/another/settings", json={"private": True}).raise_for_status()
    yield {**names, "unknown": "owner/unknown", "moved": "owner/another"}, outsider, nobody
    for talk in (owner, outsider, nobody):
        talk.close()


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_what_is_hidden_is_told_like_what_never_was(hub: LiveHub, window, gone, method: str, path: str) -> None:
    """Fault 11."""
    names, outsider, nobody = gone
    browser = window()
    with hub.hub.changing() as change:
        set_password(change, CHEAP, find_account(change.connection, "outsider"), PASSWORD)
    browser.sign_in("outsider", PASSWORD)
    for client in (outsider.client, nobody.client, browser.client):
        answers = {why: told(client, method, path, repo) for why, repo in names.items()}
        assert all(answer == answers["unknown"] for answer in answers.values()), path
        assert answers["unknown"][0] in {401, 404}


class Watch:
    """What is sent to the database."""

    def __init__(self, hub: LiveHub) -> None:
        self.seen: list[str] = []
        self._engine = hub.hub.parts.database.engine

    def __call__(self, _connection, _cursor, statement, parameters, *_: object) -> None:
        self.seen.append(f"{statement} {parameters}")

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self)


def test_a_token_is_looked_up_by_its_hash_and_nothing_else(
    hub: LiveHub, speak: Callable[..., Talk], window, someone: str
) -> None:
    """Fault 15: what takes longer for a good beginning of a token tells the token; a hash of it begins like nothing."""
    token = hub.hub.create_token(someone, "write")
    browser = window()
    with Watch(hub) as watch:
        assert speak(token).get("/api/whoami-v2").status_code == 200
        assert speak(token[:-1]).get("/api/whoami-v2").status_code == 401
        browser.sign_in(someone, PASSWORD)
        browser.get("/settings")
    text = "\n".join(watch.seen)
    assert digest_of(token) in text
    assert digest_of(browser.cookie) in text
    for secret in (token[:12], token[-12:], browser.cookie[:12], PASSWORD):
        assert secret not in text


@pytest.mark.parametrize("kind", ["missing", "short", "long", "other", "session"])
def test_all_tokens_that_are_not_good_get_one_answer(hub: LiveHub, speak, window, someone: str, kind: str) -> None:
    token = hub.hub.create_token(someone, "write")
    browser = window()
    browser.sign_in(someone, PASSWORD)
    wrong = {
        "missing": "x",
        "short": token[:-1],
        "long": f"{token}x",
        "other": token.swapcase(),
        "session": browser.cookie,
    }
    revoked = speak(hub.hub.create_token(someone, "read"))
    hub.hub.revoke_token(hub.hub.list_tokens(someone)[-1].id)
    answers = [
        (one.status_code, one.text, one.headers["X-Error-Code"])
        for one in (talk.get("/api/whoami-v2") for talk in (speak(wrong[kind]), revoked))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


def test_what_another_process_takes_back_is_gone_at_the_next_request(tmp_path: Path) -> None:
    """Fault 15: no worker remembers a token that was revoked beside it."""
    folder = str(tmp_path / "data")
    with ProcessHub(folder) as hub:
        owner = Talk(hub.url, hub.user("ann"))
        owner.create("ann/secret", private=True).raise_for_status()
        owner.commit("ann/secret", small("a.txt", b"a")).raise_for_status()
        with Hub.open(folder, log=io.StringIO()) as beside:
            for _ in range(3):
                talk = Talk(hub.url, beside.create_token("ann", "read"))
                statuses = [talk.read("ann/secret", "a.txt").status_code for _ in range(3)]
                beside.revoke_token(beside.list_tokens("ann")[-1].id)
                statuses.append(talk.read("ann/secret", "a.txt").status_code)
                assert statuses == [200, 200, 200, 401]
                talk.close()
        owner.close()


class Use:
    """Each secret used as it should be, and as it should not; `seen` are the answers."""

    def __init__(self, hub: ProcessHub, token: str, codes: list[str]) -> None:
        self.talk, self.wrong = Talk(hub.url, token), Talk(hub.url, f"{token}x")
        self.browser, self.joined = Window(hub.url), Window(hub.url)
        self.browser.sign_in("ann", PASSWORD)
        self.seen = [*self._by_token(token), *self._by_browser(token, codes)]

    def _by_token(self, token: str):
        talk, basic = self.talk, {"auth": ("ann", token)}
        yield talk.create("ann/voice")
        yield talk.get("/api/models/ann/none")
        yield talk.get("/api/models/ann/voice/tree/none")
        yield talk.post("/api/models/ann/voice/commit/main", {"nonsense": 1})
        yield talk.client.post("/api/repos/create", content=b"\xff\x00")
        yield talk.client.get("/ann/voice.git/info/refs?service=git-upload-pack", **basic)
        yield talk.client.get("/ann/none.git/info/refs?service=git-upload-pack", **basic)
        yield talk.get("/api/accounts/ann/tokens")
        yield self.wrong.get("/api/whoami-v2")

    def _by_browser(self, token: str, codes: list[str]):
        browser, joined = self.browser, self.joined
        yield browser.get("/settings")
        yield browser.get("/settings/tokens")
        yield browser.get(f"/{'x' * 300}")
        yield browser.client.post("/login", data={"name": "ann", "password": "wrong password given"})
        yield browser.client.post("/settings/profile", data={"full_name": "forged"})
        yield joined.get(f"/join?code={codes[0][:-1]}x")
        yield joined.send(f"/join?code={codes[0]}", {"name": "newcomer", "password": PASSWORD, "again": PASSWORD})
        wrong = {"old": "wrong", "password": PASSWORD, "again": PASSWORD}
        yield joined.send("/settings", wrong, "/settings/password")
        # In the query, where no log looks; a name that is a token is shown to whoever typed it, and to nobody else.
        browser.get(f"/login?next=/{token}")
        browser.client.post("/login", data={"name": token, "password": "wrong password given"})
        self.talk.get(f"/api/models?search={token}")

    def close(self) -> None:
        for one in (self.talk, self.wrong, self.browser, self.joined):
            one.close()


def test_secrets_show_in_no_log_no_page_no_error_and_no_list_of_processes(tmp_path: Path) -> None:
    """Fault 14."""
    folder = str(tmp_path / "data")
    with ProcessHub(folder) as hub:
        with Hub.open(folder, log=io.StringIO(), limits=CHEAP) as beside:
            beside.add_user("ann")
            with beside.changing() as change:
                set_password(change, CHEAP, find_account(change.connection, "ann"), PASSWORD)
                codes = [invite(change, InvitationWish()) for _ in range(2)]
            token = beside.create_token("ann", "write", "laptop")
        use = Use(hub, token, codes)
        process = f"/proc/{hub._process.pid}"
        lists = [Path(process, name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ", "comm")]
        secrets = [token, use.browser.cookie, use.joined.cookie, PASSWORD, *codes, hub.admin_token]
        use.close()
    for answer in use.seen:
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        assert not [secret for secret in secrets if secret in f"{answer.text} {headers}"], answer.request.url
    written = Path(hub.log_path).read_text()
    assert "failure" not in written
    with Hub.open(folder, log=io.StringIO()) as beside, beside.parts.database.read() as connection:
        audited = str(list(entries(connection)))
    held = b"".join(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in f"{written} {audited} {lists}"
        assert secret.encode() not in held, "the database and all beside it hold hashes"


def test_files_with_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    with Hub.open(str(tmp_path / "data"), log=io.StringIO()):
        modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "data").iterdir() if path.is_file()}
    assert modes.pop("secret") == 0
    assert {name for name, mode in modes.items() if mode and name.startswith("hub.sqlite3")} == set()
    assert os.stat(tmp_path / "data").st_mode & 0o077 == 0
