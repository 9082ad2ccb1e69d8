"""The story of an app owner: a dataset repo that everybody sees and whoever asks may read, a Space that keeps it in step, and outsiders.

Each test is a chapter; every one begins with the repo as its owner set it up: public, gated, access given at once to whoever asks.
"""

import collections
import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from playwright.sync_api import BrowserContext, Page

from tenuto.server.access import Right
from tenuto.server.hub import Limits
from tenuto.server.people.accounts import find_account
from tenuto.server.people.services import add_service
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import Done, Shell
from tests.server.talk import Talk, large, small

CHEAP = Limits(password_memory_kib=64, password_rounds=1)
PASSWORD = "correct horse battery staple"
CARD = b"""---
license: cc-by-nc-4.0
extra_gated_heading: Access to the LoRAs and datasets
extra_gated_prompt: Use them for music, and name where they come from.
extra_gated_fields:
  Affiliation: text
  I agree to the terms: checkbox
extra_gated_button_content: Access repository
---
# LEMM: LoRAs and prepared datasets
"""
LORA = {"loras/jazz_style_v1/final_model.pt": b"weights" * 500, "loras/jazz_style_v1/config.yaml": b"rank: 8\n"}
FILES = {**LORA, "datasets/gtzan/metadata.json": b"{}\n"}
LONG = secrets.token_bytes(24 << 20)


class Lemm:
    """The repo, its owner, and everybody who comes by."""

    def __init__(self, hub: LiveHub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.owner = f"Gamahea-{secrets.token_hex(3)}"
        self.token = hub.user(self.owner)
        self.api = HfApi(hub.url, token=self.token)
        self.repo = f"{self.owner}/lemm-dataset"
        self.address, self.page = f"hf://datasets/{self.repo}", f"{hub.url}/datasets/{self.repo}"
        self.talk = Talk(hub.url, self.token)
        self.api.create_repo(self.repo, repo_type="dataset")
        lines = [small(path, content) for path, content in {"README.md": CARD, **FILES}.items()]
        self.talk.commit(self.repo, *lines, kind="datasets").raise_for_status()
        self.set(gated="auto")

    def set(self, **settings: object) -> None:
        """As on the page of settings of the repo."""
        self.api.update_repo_settings(self.repo, repo_type="dataset", **settings)

    def space(self) -> str:
        """The token of a Space of the same account."""
        name = f"{self.owner}-lemm-test-100"
        with self.hub.hub.changing() as change:
            add_service(change, name, find_account(change.connection, self.owner), Right.WRITE)
        return self.hub.hub.create_token(name, "write")

    def outsider(self) -> tuple[str, str]:
        """Name and token of somebody else, who can sign in with a password."""
        name = f"outsider-{secrets.token_hex(3)}"
        token = self.hub.user(name, role="read")
        with self.hub.hub.changing() as change:
            set_password(change, CHEAP, find_account(change.connection, name), PASSWORD)
        return name, token

    def shell(self, token: str) -> Shell:
        """A fresh machine with one secret, and what git brings of the project."""
        folder = self.folder / secrets.token_hex(3)
        folder.mkdir()
        made = Shell(folder, {"HF_TOKEN": token, "HF_ENDPOINT": self.hub.url, "TENUTO_RETRIES": "0"})
        for file in ("tenuto.toml", "tenuto.lock", ".gitignore"):
            if (self.folder / file).exists():
                made.write(file, (self.folder / file).read_bytes())
        return made

    def begin_project(self) -> None:
        """The owner puts the folder of LoRAs under care, once, and commits manifest and lock to git."""
        shell = self.shell(self.token)
        for words in (["init"], ["add", f"{self.address}/loras", "--path", "loras"]):
            done = shell(*words)
            assert done.status == 0, done.err
        for file in ("tenuto.toml", "tenuto.lock", ".gitignore"):
            (self.folder / file).write_bytes((shell.project / file).read_bytes())

    def fetch(self, token: str | bool) -> bytes:
        """What the stock client downloads."""
        api = HfApi(self.hub.url, token=token)
        place = self.folder / f"cache-{secrets.token_hex(3)}"
        path = api.hf_hub_download(
            self.repo, "loras/jazz_style_v1/final_model.pt", repo_type="dataset", cache_dir=place
        )
        return Path(path).read_bytes()

    def hf(self, token: str) -> subprocess.CompletedProcess[str]:
        """`hf download`, typed on a fresh machine."""
        command = [os.path.join(os.path.dirname(sys.executable), "hf"), "download", self.repo, "--repo-type", "dataset"]
        home = self.folder / f"home-{secrets.token_hex(3)}"
        environment = {**os.environ, "HF_ENDPOINT": self.hub.url, "HF_TOKEN": token, "HF_HOME": str(home)}
        place = str(home / "down")
        return subprocess.run(
            [*command, "--local-dir", place], env=environment, capture_output=True, text=True, check=False
        )

    def states(self) -> dict[str, str]:
        found = self.talk.get(f"/api/datasets/{self.repo}/user-access-request/all").json()
        return {one["user"]["user"]: one["state"] for one in found}


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=CHEAP) as live:
        yield live


@pytest.fixture
def lemm(hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lemm]:
    for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setattr(constants, name, True)
    made = Lemm(hub, tmp_path)
    yield made
    made.talk.close()


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("link", name="Sign in to ask for access").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()


def ask_in_a_browser(lemm: Lemm, visit: Callable[..., BrowserContext], name: str) -> Page:
    """Open the page, sign in, fill in the form, press the button."""
    page = visit().new_page()
    page.goto(lemm.page)
    assert "name where they come from" in page.content()
    sign_in(page, name)
    page.wait_for_url(lemm.page)
    page.get_by_label("Affiliation").fill("An orchestra")
    page.get_by_label("I agree to the terms").check()
    page.get_by_role("button", name="Access repository").click()
    page.wait_for_url(lemm.page)
    return page


def test_a_space_of_the_same_account_syncs_with_no_further_set_up(lemm: Lemm) -> None:
    lemm.begin_project()
    space = lemm.shell(lemm.space())
    started: Done = space("sync")
    assert started.status == 0, started.err
    assert {path: (space.project / path).read_bytes() for path in LORA} == LORA
    assert lemm.fetch(space.environment["HF_TOKEN"]) == LORA["loras/jazz_style_v1/final_model.pt"]
    done = lemm.hf(space.environment["HF_TOKEN"])
    assert done.returncode == 0, done.stderr
    assert lemm.states() == {}, "it never had to ask"


def test_what_a_space_trains_is_saved_at_once(lemm: Lemm) -> None:
    shell = lemm.shell(lemm.space())
    shell.write("loras/rock_specialist/final_model.pt", b"trained" * 300)
    for words in (["init"], ["track", "loras", "--to", f"{lemm.address}/loras"], ["sync"]):
        done = shell(*words)
        assert done.status == 0, done.err
    assert (shell.project / "loras/jazz_style_v1/final_model.pt").exists(), "what others trained came as well"
    assert lemm.api.file_exists(lemm.repo, "loras/rock_specialist/final_model.pt", repo_type="dataset")
    (commit, *_) = lemm.api.list_repo_commits(lemm.repo, repo_type="dataset")
    assert commit.authors == [f"{lemm.owner}-lemm-test-100"], "the history says which machine it was"


def test_an_outsider_is_refused_asks_and_downloads(lemm: Lemm, visit: Callable[..., BrowserContext]) -> None:
    lemm.begin_project()
    name, token = lemm.outsider()
    with pytest.raises(GatedRepoError):
        lemm.fetch(token)
    with pytest.raises(GatedRepoError):
        lemm.fetch(False)
    machine = lemm.shell(token)
    refused = machine("pull")
    assert refused.status == 4
    assert f"tenuto access request {lemm.address}" in refused.err
    ask_in_a_browser(lemm, visit, name)
    assert lemm.states() == {name: "accepted"}
    done = lemm.hf(token)
    assert done.returncode == 0, done.stderr
    assert machine("pull").status == 0
    assert (machine.project / "loras/jazz_style_v1/config.yaml").read_bytes() == b"rank: 8\n"


def test_requests_can_be_switched_off(lemm: Lemm, visit: Callable[..., BrowserContext]) -> None:
    _, inside = lemm.outsider()
    lemm.shell(inside)(
        "access", "request", lemm.address, "--field", "Affiliation=X", "--field", "I agree to the terms=yes", "--yes"
    )
    assert lemm.shell(lemm.token)("repo", "settings", lemm.address, "--takes-requests", "no").status == 0
    name, token = lemm.outsider()
    refused = lemm.shell(token)("access", "request", lemm.address)
    assert (refused.status, "takes no requests" in refused.err) == (4, True)
    page = visit(token).new_page()
    page.goto(lemm.page)
    assert "take no requests" in page.locator("#access").inner_text()
    assert page.get_by_role("button", name="Access repository").count() == 0
    with pytest.raises(GatedRepoError):
        lemm.fetch(token)
    assert lemm.fetch(inside), "who is in stays in"
    assert name not in lemm.states()


def test_switched_to_private_with_a_token(lemm: Lemm) -> None:
    name, token = lemm.outsider()
    lemm.api.grant_access(lemm.repo, name, repo_type="dataset")
    assert lemm.fetch(token)
    space = lemm.space()
    lemm.set(private=True)
    for stranger in (token, False):
        with pytest.raises(RepositoryNotFoundError):
            lemm.fetch(stranger)
    assert httpx2.get(lemm.page, headers={"Accept": "text/html"}).status_code == 404
    assert lemm.fetch(space) == lemm.fetch(lemm.token), "the Space still works, by its token"
    lemm.set(private=False)
    assert lemm.fetch(token)


def test_approved_by_hand_for_a_time(lemm: Lemm, visit: Callable[..., BrowserContext]) -> None:
    lemm.set(gated="manual")
    name, token = lemm.outsider()
    page = ask_in_a_browser(lemm, visit, name)
    assert "waiting for the authors" in page.locator("#access").inner_text()
    with pytest.raises(GatedRepoError, match="awaiting a review"):
        lemm.fetch(token)
    (request,) = lemm.api.list_pending_access_requests(lemm.repo, repo_type="dataset")
    assert (request.username, request.fields) == (name, {"Affiliation": "An orchestra", "I agree to the terms": True})
    assert lemm.shell(lemm.token)("access", "accept", lemm.address, name, "--days", "1").status == 0
    assert lemm.fetch(token)
    parts = lemm.hub.hub.parts
    clock = parts.now_ms
    object.__setattr__(parts, "now_ms", lambda: clock() + 2 * 86_400_000)
    try:
        with pytest.raises(GatedRepoError, match="has expired"):
            lemm.fetch(token)
        assert lemm.states() == {name: "expired"}
        again = Talk(lemm.hub.url, token)
        answers = {"Affiliation": "X", "I agree to the terms": True}
        again.client.post(f"/datasets/{lemm.repo}/ask-access", json=answers, follow_redirects=False)
        again.close()
        assert lemm.states() == {name: "pending"}
    finally:
        object.__setattr__(parts, "now_ms", clock)


def test_rejected_with_a_reason(lemm: Lemm, visit: Callable[..., BrowserContext]) -> None:
    lemm.set(gated="manual")
    name, token = lemm.outsider()
    page = ask_in_a_browser(lemm, visit, name)
    lemm.api.reject_access_request(lemm.repo, name, repo_type="dataset", rejection_reason="only for members")
    with pytest.raises(GatedRepoError, match="only for members"):
        lemm.fetch(token)
    page.reload()
    assert "only for members" in page.locator("#access").inner_text()
    assert page.get_by_role("button", name="Access repository").count() == 0
    lemm.set(gated="auto")
    assert lemm.shell(token)("access", "request", lemm.address).status == 4, (
        "nobody who was turned away enters by itself"
    )


def test_revoked_while_a_download_runs(lemm: Lemm) -> None:
    name, token = lemm.outsider()
    lemm.api.grant_access(lemm.repo, name, repo_type="dataset")
    oid = hashlib.sha256(LONG).hexdigest()
    batch = lemm.talk.batch(lemm.repo, (oid, len(LONG)), prefix="datasets/").json()["objects"][0]
    lemm.talk.put(batch["actions"]["upload"]["href"], LONG).raise_for_status()
    lemm.talk.commit(lemm.repo, large("long.bin", oid, len(LONG)), kind="datasets").raise_for_status()
    url = f"{lemm.page}/resolve/main/long.bin"
    with httpx2.stream("GET", url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as running:
        assert running.status_code == 200
        blocks = running.iter_raw(1 << 16)
        assert next(blocks)
        assert lemm.shell(lemm.token)("access", "revoke", lemm.address, name).status == 0
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
            collections.deque(blocks, maxlen=0)
    with pytest.raises(GatedRepoError):
        lemm.fetch(token)
