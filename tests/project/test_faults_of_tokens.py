"""Fault 14: a token that is a canary is seen by the hub that it is for, and by nothing and nobody else."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.testing.lies import Lie, Stall, Status, captive_portal
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.lying_hub import LyingHub
from tests.cli.conftest import PROGRAM, Desk
from tests.cli.program import run

FILES = {"a.txt": b"first\n", "b.bin": bytes(range(256)) * 2_000}


@pytest.fixture
def desk(hub: LiveHub, tmp_path: Path) -> Desk:
    """A person whose token is in the environment, in a project under git, with an artifact that was pushed."""
    made = Desk(tmp_path, hub)
    subprocess.run(["git", "init", "-q"], cwd=made.project, check=True)
    for path, content in FILES.items():
        made.write(f"data/{path}", content)
    for command in (
        ["init"],
        ["track", "data", "--to", made.repo],
        ["repo", "create", made.repo, "--private"],
        ["push"],
    ):
        assert made(*command).status == 0, command
    return made


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub() as live:
        yield live


def seen_in(token: str, *folders: Path) -> list[str]:
    """The files below that hold the token."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [str(file) for file in files if token.encode() in file.read_bytes()]


def output_of(desk: Desk, command: list[str], **environment: str) -> str:
    """All that a command prints, be it a whole trace."""
    _, out, err = run(command, desk.project, {**desk.environment, **environment})
    return out + err


def unfetch(desk: Desk) -> dict[str, str]:
    """The files are gone from here; returns the environment of a store that has nothing."""
    for path in FILES:
        (desk.project / "data" / path).unlink()
    return {"TENUTO_CACHE": str(desk.folder / "empty-cache")}


def test_no_file_holds_it_whatever_was_typed(desk: Desk, hub: LiveHub) -> None:
    """Lock, manifest, state, store, git, the log of the hub: commands that end well and commands that fail (`Desk` looks at what they print)."""
    environment = unfetch(desk)
    nowhere = Status(302, {"Location": "http://127.0.0.1:9/x", "Content-Length": "0"})
    for lie in (Status(500), captive_portal(), Status(401), nowhere):
        with LyingHub(hub.url, [Lie("*", "", lie, times=None)]) as liar:
            for command in (["pull", "--verbose"], ["push", "--verbose"], ["sync", "--json"], ["repo", "list"]):
                assert desk.token not in output_of(desk, command, HF_ENDPOINT=liar.url, **environment)
    assert desk("pull", **environment).status == 0
    desk("verify", "--junit", "report.xml")
    desk("inventory", "--json")
    subprocess.run(["git", "add", "-A"], cwd=desk.project, check=True)
    assert seen_in(desk.token, desk.folder) == []
    assert desk.token not in hub.log()


def test_no_list_of_processes_and_no_note_shows_it(desk: Desk, hub: LiveHub) -> None:
    """While a transfer hangs: the command line, the title, and the note that says who holds the project."""
    environment = unfetch(desk)
    with LyingHub(hub.url, [Lie("GET", r"/tree/|/resolve/", Stall(60)), Lie("POST", "", Stall(60))]) as liar:
        process = subprocess.Popen(
            [*PROGRAM, "pull"], cwd=desk.project, env={**desk.environment, "HF_ENDPOINT": liar.url, **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not liar.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        shown = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "comm", "stat")]
        note = (desk.project / ".tenuto" / "lock").read_bytes()
        process.kill()
        process.wait()
    assert liar.requests
    assert str(process.pid).encode() in note
    assert desk.token.encode() not in b"".join([*shown, note])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_port_gets_it_by_a_redirect(desk: Desk, hub: LiveHub, status: int) -> None:
    """The bytes may come from there; the token does not go there."""
    environment = unfetch(desk)
    with LyingHub(hub.url) as other:
        moved = Status(status, {"Location": f"{other.url}/elsewhere", "Content-Length": "0"})
        with LyingHub(hub.url, [Lie("GET", "", moved, times=None)]) as liar:
            desk("pull", HF_ENDPOINT=liar.url, **environment)
            assert any("authorization" in one.headers for one in liar.requests), "the hub that it is for gets it"
        assert other.requests
        assert not any("authorization" in one.headers for one in other.requests)
        assert not any(desk.token in str(one) for one in other.requests)


def test_a_netrc_is_not_asked(desk: Desk, hub: LiveHub) -> None:
    """Neither for the hub nor for where it redirects to: who has no token sends none."""
    netrc = desk.home / ".netrc"
    netrc.write_text(
        "machine 127.0.0.1 login canary password hf_CanaryOfNetrc\ndefault login canary password hf_CanaryOfNetrc\n"
    )
    netrc.chmod(0o600)
    environment = unfetch(desk)
    with LyingHub(hub.url) as liar:
        refused = desk("pull", HF_ENDPOINT=liar.url, HF_TOKEN="", NETRC=str(netrc), **environment)
        assert refused.status in {3, 4, 9}
        assert liar.requests
        assert not any("authorization" in one.headers for one in liar.requests)


def test_no_setting_of_git_sends_it_elsewhere(desk: Desk, hub: LiveHub) -> None:
    """A manifest that comes with a clone names another hub: the token was not given for that one."""
    with LyingHub(hub.url) as other:
        manifest = desk.project / "tenuto.toml"
        manifest.write_text(f'[project]\nhub = "{other.url}"\n\n{manifest.read_text()}')
        environment = {**unfetch(desk), "HF_ENDPOINT": ""}
        desk("pull", **environment)
        assert other.requests
        assert not any("authorization" in one.headers for one in other.requests)


def test_what_login_writes_is_for_its_owner_alone(desk: Desk, hub: LiveHub) -> None:
    before = os.umask(0)
    try:
        done = desk("login", "--endpoint", hub.url, stdin=f"{desk.token}\n", HF_TOKEN="")
    finally:
        os.umask(before)
    holders = seen_in(desk.token, desk.home)
    assert done.status == 0, done.err
    assert holders
    assert all(Path(file).stat().st_mode & 0o077 == 0 for file in holders)
