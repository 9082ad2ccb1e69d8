"""`tenuto hub`: a hub of one's own, from its first start on."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from inline_snapshot import snapshot

from tests.cli.conftest import PROGRAM, Shell

TOKEN = re.compile(r"hf_[A-Za-z0-9]{30,}")


@contextmanager
def serving(shell: Shell, *flags: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A hub that was started in the shell, and the first line that it printed; it is stopped in the end."""
    with subprocess.Popen(
        [*PROGRAM, "hub", "serve", "--data", "hub-data", "--port", "0", *flags],
        cwd=shell.project,
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline()
        finally:
            process.terminate()


def test_the_first_start_shows_a_token_once(shell: Shell) -> None:
    with serving(shell, "--json") as (process, line):
        first = json.loads(line)
        assert first.keys() == {"url", "token"}
        assert TOKEN.fullmatch(first["token"])
        with urlopen(f"{first['url']}/health", timeout=10) as answer:
            assert answer.status == 200
        variables = {"TENUTO_ENDPOINT": first["url"]}
        assert shell("whoami", "--json", HF_TOKEN=first["token"], **variables).json["name"] == "admin"
        made = shell("hub", "user", "add", "ann", "--data", "hub-data")
        assert made.status == 0
        token = shell("hub", "token", "create", "ann", "--role", "write", "--data", "hub-data").out.strip()
        assert shell("whoami", HF_TOKEN=token, **variables).out == f"ann on {first['url']}, with a write token\n"
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0, "to be told to stop is no failure"
    assert "Traceback" not in log
    assert first["token"] not in log
    assert token not in log
    with serving(shell, "--json") as (_, line):
        assert json.loads(line)["token"] is None


def test_the_start_for_people(shell: Shell) -> None:
    with serving(shell) as (process, line):
        assert process.stdout
        shown = line + process.stdout.readline() + process.stdout.readline()
    shown = re.sub(r"127\.0\.0\.1:\d+", "[ADDRESS]", TOKEN.sub("[TOKEN]", shown))
    assert shown == snapshot("""\
Made the administrator `admin`; its token, shown this once: [TOKEN]
The hub is at http://[ADDRESS] (stop it with Ctrl-C)
Stock clients: export HF_ENDPOINT=http://[ADDRESS]
""")


@pytest.mark.parametrize("words", [("ann",), ("ann", "--json"), ("ann", "--quiet"), ("admin",), ("not a name",)])
def test_whoever_makes_the_hub_is_shown_the_first_token(shell: Shell, words: tuple[str, ...]) -> None:
    made = shell("hub", "user", "add", *words, "--data", "hub-data")
    (token,) = TOKEN.findall(made.err)
    assert token not in made.out
    with serving(shell, "--json") as (_, line):
        first = json.loads(line)
        assert first["token"] is None
        assert shell("whoami", "--json", TENUTO_ENDPOINT=first["url"], HF_TOKEN=token).json["name"] == "admin"


@pytest.mark.parametrize(
    "words",
    [
        ("user", "list"),
        ("user", "set", "ann"),
        ("user", "disable", "ann"),
        ("user", "password", "ann"),
        ("user", "invite"),
        ("org", "add", "acme", "--admin", "ann"),
        ("org", "list"),
        ("org", "members", "acme"),
        ("service", "add", "bot", "--for", "ann"),
        ("service", "list"),
        ("service", "rules"),
        ("token", "create", "ann"),
        ("token", "list", "ann"),
        ("token", "revoke", "1"),
    ],
)
def test_a_folder_without_a_hub_stays_one(shell: Shell, words: tuple[str, ...]) -> None:
    done = shell("hub", *words, "--data", "typo")
    assert (done.status, done.out) == (9, "")
    assert done.err == f"error: there is no hub in {shell.project}/typo\nhint: name its folder with --data\n"
    assert not (shell.project / "typo").exists()


def test_a_link_leads_to_where_the_hub_was_served_last(shell: Shell) -> None:
    with serving(shell, "--json") as (_, line):
        url = json.loads(line)["url"]
        assert shell("hub", "user", "invite", "--data", "hub-data").out.startswith(f"{url}/join?code=")
    made = shell("hub", "user", "invite", "--data", "hub-data")
    assert made.out.startswith(f"{url}/join?code=")
    assert f"The address {url} is a guess" in made.err


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604])
def test_a_secret_that_others_can_read_is_warned_of_at_the_start(shell: Shell, mode: int) -> None:
    text = 'issuer = "https://login.example"\nclient_id = "hub"\nclient_secret = "not-to-be-shown"\n'
    shell.write("hub-data/oidc.toml", text).chmod(mode)
    with serving(shell, "--json") as (process, line):
        assert json.loads(line)["url"]
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
    assert ("oidc.toml can be read by others" in log) == (mode != 0o600)
    assert "not-to-be-shown" not in log


def test_a_port_that_is_taken(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shell("hub", "serve", "--data", "hub-data", "--port", str(port))
    assert done.status == 2
    assert str(port) in done.err
    assert "hint: " in done.err


def test_accounts(shell: Shell) -> None:
    data = ("--data", "hub-data")
    assert TOKEN.sub("[TOKEN]", str(shell("hub", "user", "add", "ann", *data))) == snapshot("""\
exit status 0
--- out ---
Made the user ann
Next: tenuto hub token create ann --role write --data hub-data
--- err ---
Made the administrator `admin`; its token, shown this once: [TOKEN]
""")
    assert shell("hub", "user", "add", "bob", *data).err == "", "that was the first start"
    assert str(shell("hub", "user", "add", "ann", *data)) == snapshot("""\
exit status 1
--- err ---
error: there is an account ann already
hint: take another name
""")
    assert str(shell("hub", "user", "add", "not a name", *data)) == snapshot("""\
exit status 2
--- err ---
error: 'not a name' is not a valid user name
hint: use 1 to 96 of A-Z a-z 0-9 . _ - with no '--' or '..', not starting or ending with '-' or '.'
""")
    assert str(shell("hub", "token", "create", "nobody", *data)) == snapshot("""\
exit status 9
--- err ---
error: there is no account nobody
""")
    assert str(shell("hub", "token", "create", "ann", "--role", "king", *data)) == snapshot("""\
exit status 2
--- err ---
error: invalid value for '--role': 'king' is not one of 'read', 'write', 'fine-grained'
hint: see `tenuto hub token create --help`
""")


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_token_is_the_only_thing_on_stdout(shell: Shell, quiet: tuple[str, ...]) -> None:
    shell("hub", "user", "add", "ann", "--data", "hub-data")
    done = shell("hub", "token", "create", "ann", "--data", "hub-data", *quiet)
    assert TOKEN.fullmatch(done.out.strip())
    assert bool(done.err) == (not quiet)
    assert shell("hub", "token", "create", "ann", "--json", "--data", "hub-data").json.keys() == {
        "user",
        "role",
        "id",
        "token",
    }


def test_no_file_of_the_hub_holds_a_token(shell: Shell) -> None:
    shell("hub", "user", "add", "ann", "--data", "hub-data")
    token = shell("hub", "token", "create", "ann", "--data", "hub-data").out.strip()
    for file in (shell.project / "hub-data").rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file
