"""`login`, `logout`, `whoami`, `repo`; and which token goes where."""

import json
import re
import stat

import pytest
from inline_snapshot import snapshot

from tenuto.server.access import Right
from tenuto.server.people.accounts import find_account
from tenuto.server.people.services import add_service
from tenuto.server.people.tokens import ScopeWish, TokenWish, make_token
from tenuto.testing.lies import Lie, Rewritten
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.lying_hub import LyingHub
from tests.cli.conftest import CANARY, Desk, Shell


def test_whoami(desk: Desk) -> None:
    assert str(desk("whoami")) == snapshot("""\
exit status 0
--- out ---
ann on [HUB], with a write token
""")
    assert desk("whoami", "--json").json == {
        "endpoint": desk.environment["HF_ENDPOINT"],
        "name": desk.person,
        "organizations": [],
        "role": "write",
        "reads_gated": True,
        "scopes": [],
        "expires_at": None,
    }
    assert str(desk("whoami", HF_TOKEN="")) == snapshot("""\
exit status 3
--- err ---
error: you are not logged in to [HUB]
hint: run `tenuto login --endpoint [HUB]`
""")
    (desk.home / ".config" / "tenuto").mkdir(parents=True)
    logins = desk.home / ".config" / "tenuto" / "logins.json"
    logins.write_text(json.dumps({desk.environment["HF_ENDPOINT"]: CANARY}))
    assert str(desk("whoami", HF_TOKEN="")) == snapshot("""\
exit status 3
--- err ---
error: the hub does not know this token
hint: run `tenuto login --endpoint [HUB]`
""")
    assert str(desk("whoami", HF_TOKEN=CANARY)) == snapshot("""\
exit status 3
--- err ---
error: the hub does not know this token
hint: it comes from the environment, as in HF_TOKEN: correct it there, or unset it and run `tenuto login --endpoint [HUB]`
""")


@pytest.mark.parametrize("reads_gated", [True, False])
def test_whoami_with_a_fine_grained_token_of_huggingface_co(desk: Desk, hub: LiveHub, reads_gated: bool) -> None:
    told = f'"role":"fineGrained","fineGrained":{{"canReadGatedRepos":{str(reads_gated).lower()},"scoped":[]}}'
    with LyingHub(hub.url, [Lie("GET", "/whoami", Rewritten(b'"role":"write"', told.encode()), times=None)]) as liar:
        desk.filters[liar.url] = "[LIAR]"
        done = desk("whoami", HF_ENDPOINT=liar.url)
        assert desk("whoami", "--json", HF_ENDPOINT=liar.url).json["reads_gated"] is reads_gated
    missing = "" if reads_gated else ", which may not read gated repos of others"
    assert str(done) == f"exit status 0\n--- out ---\nann on [LIAR], with a fine-grained token{missing}\n"


def test_whoami_says_what_a_token_of_a_service_is_good_for(desk: Desk, hub: LiveHub) -> None:
    with hub.hub.changing() as change:
        owner = find_account(change.connection, desk.person)
        service = add_service(change, f"{desk.person}-bot", owner, Right.WRITE)
        scopes = (ScopeWish(desk.person, "read"), ScopeWish(service.name, "write"))
        token = make_token(change, service, TokenWish(role="fine-grained", days=3, scopes=scopes))[1]
    shown = str(desk("whoami", HF_TOKEN=token))
    assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "[MINUTE]", shown) == snapshot("""\
exit status 0
--- out ---
ann-bot on [HUB], with a fine-grained token for read on ann, write on ann-bot, which may not read gated repos of others, until [MINUTE] UTC
""")
    told = desk("whoami", "--json", HF_TOKEN=token).json
    assert told["scopes"] == [
        {"on": desk.person, "rights": ["read"]},
        {"on": service.name, "rights": ["write"]},
    ]
    assert told["expires_at"].endswith("Z")


def test_login_and_logout(desk: Desk) -> None:
    desk.environment["HF_TOKEN"] = ""
    assert str(desk("login", stdin=f"{desk.token}\n")) == snapshot("""\
exit status 0
--- out ---
Logged in to [HUB] as ann; the token is kept in [HOME]/.config/tenuto/logins.json
""")
    kept = desk.home / ".config" / "tenuto" / "logins.json"
    assert json.loads(kept.read_text()) == {desk.environment["HF_ENDPOINT"]: desk.token}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert str(desk("whoami")) == snapshot("""\
exit status 0
--- out ---
ann on [HUB], with a write token
""")
    assert str(desk("logout")) == snapshot("""\
exit status 0
--- out ---
Forgot the token for [HUB]
""")
    assert str(desk("logout")) == snapshot("""\
exit status 0
--- out ---
No token was kept for [HUB]
""")
    assert desk("whoami").status == 3


def test_login_with_a_wrong_token(desk: Desk) -> None:
    assert str(desk("login", stdin=f"{CANARY}\n")) == snapshot("""\
exit status 3
--- err ---
error: [HUB] does not know this token
hint: nothing was kept; copy the token once more
""")
    assert str(desk("login", "--token", "two words")) == snapshot("""\
exit status 3
--- err ---
error: that is not a token
hint: tokens are one word, such as hf_…
""")
    assert str(desk("login", stdin="")) == snapshot("""\
exit status 3
--- err ---
error: that is not a token
hint: tokens are one word, such as hf_…
""")
    assert not (desk.home / ".config").exists()


def test_login_as_json(desk: Desk) -> None:
    done = desk("login", "--json", "--token", desk.token)
    assert done.json.keys() == {"endpoint", "user", "file"}


def test_a_project_names_its_hub_and_gets_no_token_of_others(desk: Desk) -> None:
    """A cloned project must not be able to collect tokens."""
    hub = desk.environment.pop("HF_ENDPOINT")
    desk("init", "--hub", hub)
    desk.write("data/a.txt", "first\n")
    desk("track", "data", "--to", desk.repo)
    assert str(desk("push")) == snapshot("""\
exit status 9
--- err ---
error: hf://datasets/ann/voices is not on [HUB], or you may not see it
hint: your token was not sent, because only tenuto.toml names [HUB]: run `tenuto login --endpoint [HUB]`, or set HF_ENDPOINT
""")
    assert str(desk("repo", "create", desk.repo)) == snapshot("""\
exit status 3
--- err ---
error: this needs a token
hint: your token was not sent, because only tenuto.toml names [HUB]: run `tenuto login --endpoint [HUB]`, or set HF_ENDPOINT
""")
    assert str(desk("whoami")) == snapshot("""\
exit status 3
--- err ---
error: you are not logged in to [HUB]
hint: your token was not sent, because only tenuto.toml names [HUB]: run `tenuto login --endpoint [HUB]`, or set HF_ENDPOINT
""")
    assert desk("login", stdin=f"{desk.token}\n").status == 0
    assert desk("repo", "create", desk.repo).status == 0
    assert desk("push").status == 0


@pytest.mark.parametrize("how", ["flag", "HF_ENDPOINT", "TENUTO_ENDPOINT", "settings.toml"])
def test_a_hub_that_the_user_names_gets_the_token(desk: Desk, how: str) -> None:
    hub = desk.environment.pop("HF_ENDPOINT")
    if how == "settings.toml":
        (desk.home / ".config" / "tenuto").mkdir(parents=True)
        (desk.home / ".config" / "tenuto" / how).write_text(f'endpoint = "{hub}"\n')
    elif how != "flag":
        desk.environment[how] = hub
    done = desk("whoami", *(("--endpoint", hub) if how == "flag" else ()))
    assert done.status == 0, done.err


@pytest.mark.parametrize("variable", ["TENUTO_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN"])
def test_every_variable_that_may_hold_a_token(desk: Desk, variable: str) -> None:
    del desk.environment["HF_TOKEN"]
    assert desk("whoami", **{variable: desk.token}).status == 0


def test_the_token_of_hf_is_found(desk: Desk) -> None:
    del desk.environment["HF_TOKEN"]
    (desk.home / "hf").mkdir()
    (desk.home / "hf" / "token").write_text(f"{desk.token}\n")
    assert desk("whoami", HF_HOME=str(desk.home / "hf")).status == 0
    assert desk("whoami").status == 3


def test_repos_are_made_and_deleted(desk: Desk) -> None:
    assert str(desk("repo", "create", desk.repo)) == snapshot("""\
exit status 0
--- out ---
Made hf://datasets/ann/voices, a public dataset repo: [HUB]/datasets/ann/voices
""")
    assert str(desk("repo", "create", desk.repo)) == snapshot("""\
exit status 1
--- err ---
error: hf://datasets/ann/voices is there already
hint: add --exist-ok
""")
    assert str(desk("repo", "create", desk.repo, "--exist-ok")) == snapshot("""\
exit status 0
--- out ---
hf://datasets/ann/voices is there already: [HUB]/datasets/ann/voices
""")
    assert str(desk("repo", "create", f"hf://{desk.person}/model", "--private")) == snapshot("""\
exit status 0
--- out ---
Made hf://ann/model, a private model repo: [HUB]/ann/model
""")
    assert desk("repo", "create", f"hf://{desk.person}/another", "--json").json.keys() == {"repo", "url", "created"}
    assert str(desk("repo", "delete", desk.repo)) == snapshot("""\
exit status 2
--- err ---
error: deleting hf://datasets/ann/voices wants a yes
hint: add --yes
""")
    assert str(desk("repo", "delete", desk.repo, "--yes")) == snapshot("""\
exit status 0
--- out ---
Deleted hf://datasets/ann/voices
""")
    assert str(desk("repo", "delete", desk.repo, "--yes")) == snapshot("""\
exit status 9
--- err ---
error: hf://datasets/ann/voices is not on [HUB], or you may not see it
hint: check the name; a private repo needs the token of somebody who may read it
""")


def test_repos_that_cannot_be_made(desk: Desk) -> None:
    assert str(desk("repo", "create", "nonsense")) == snapshot("""\
exit status 2
--- err ---
error: 'hf://nonsense' lacks a repo name
hint: write hf://namespace/name
""")
    assert str(desk("repo", "create", f"{desk.repo}/with/path")) == snapshot("""\
exit status 2
--- err ---
error: 'hf://datasets/ann/voices/with/path' names more than a repo
hint: use hf://datasets/ann/voices
""")
    assert str(desk("repo", "create", "hf://admin/theirs")) == snapshot("""\
exit status 4
--- err ---
error: ann has no right to create in admin
hint: ask the owner, or use a namespace of your own
""")
    assert str(desk("repo", "create", desk.repo, HF_TOKEN="")) == snapshot("""\
exit status 3
--- err ---
error: this needs a token
hint: log in with `tenuto login` or `hf auth login`
""")


def test_a_token_that_may_only_read(desk: Desk, hub: LiveHub) -> None:
    desk.begin()
    desk.write("data/a.txt", "second\n")
    assert str(desk("push", HF_TOKEN=hub.user(desk.person, "read"))) == snapshot("""\
exit status 4
--- err ---
error: this token of ann may only read
hint: use a token with the role `write`
""")
    assert str(desk("push", HF_TOKEN=CANARY)) == snapshot("""\
exit status 3
--- err ---
error: the hub does not know this token
hint: it comes from the environment, as in HF_TOKEN: correct it there, or unset it and run `tenuto login --endpoint [HUB]`
""")


def test_no_token_is_written_down(desk: Desk) -> None:
    desk.begin()
    desk("pull")
    desk("status")
    for file in desk.project.rglob("*"):
        if file.is_file():
            assert desk.token.encode() not in file.read_bytes(), file
    secrets = [file for file in desk.home.rglob("*") if file.is_file() and desk.token.encode() in file.read_bytes()]
    assert secrets == []


def test_a_token_in_the_address_is_refused_and_not_shown(shell: Shell) -> None:
    done = shell("whoami", "--endpoint", f"http://ann:{CANARY}@127.0.0.1:9")
    assert done.status == 2
    assert "is not the address of a hub" in done.err
