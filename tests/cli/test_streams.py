"""Data on stdout, the rest on stderr; readers that stop, streams that are closed, keys that interrupt."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tenuto.testing.lies import Lie, Stall
from tenuto.testing.lying_hub import LyingHub
from tests.cli.conftest import PROGRAM, Desk, Shell


def start(shell: Shell, *arguments: str, **more: object) -> "subprocess.Popen[str]":
    streams: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([*PROGRAM, *arguments], cwd=shell.project, env=shell.environment, text=True, **streams)  # type: ignore[call-overload,no-any-return]


def sh(shell: Shell, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$T` is the program."""
    environment = {**shell.environment, "T": " ".join(PROGRAM)}
    return subprocess.run(
        ["bash", "-c", line], cwd=shell.project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def full(shell: Shell) -> Shell:
    """A project of which there is much to say."""
    shell("init")
    shell.write("data/first", "")
    shell("track", "data", "--to", "hf://ann/model")
    for number in range(3000):
        shell.write(f"data/{number:04}{'x' * 40}", "")
    return shell


@pytest.mark.parametrize("command", ["status --json", "status --json --check", "--help", "push --help", "status"])
def test_a_reader_that_has_seen_enough(full: Shell, command: str) -> None:
    done = sh(full, f"$T {command} | head -1; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == (1 if "--check" in command else 0), "the work was done, and its status counts"
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command", [("status", "--json"), ("--help",), ("push", "--help"), ("--version",)], ids=" ".join
)
def test_a_reader_that_reads_nothing(full: Shell, command: tuple[str, ...]) -> None:
    with start(full, *command) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("$T status --check >&-", 1),
        ("$T status 2>&-", 0),
        ("$T frob 2>&-", 2),
        ("$T status >&- 2>&-", 0),
        ("$T status <&-", 0),
        ("$T --help >&-", 0),
    ],
)
def test_streams_that_are_closed(full: Shell, line: str, status: int) -> None:
    done = sh(full, line)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no such device")
def test_a_full_disk_for_the_output(full: Shell) -> None:
    done = sh(full, "$T status > /dev/full")
    assert done.returncode == 7
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")
    assert sh(full, "$T frob 2> /dev/full").returncode == 2


def test_errors_are_no_data(shell: Shell) -> None:
    done = shell("status")
    assert (done.out, done.err != "") == ("", True)


def test_an_encoding_that_lacks_letters(shell: Shell) -> None:
    shell("init")
    shell.write("音楽/ä.txt", "first\n")
    for encoding in ("ascii", "latin-1", "utf-8"):
        done = subprocess.run(
            [*PROGRAM, "track", "音楽", "--to", "hf://ann/model"],
            cwd=shell.project,
            env={**shell.environment, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode(encoding)


def on_a_terminal(shell: Shell, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run with a terminal for stdout and stderr; returns the status and all that was shown."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=shell.project,
        env={**shell.environment, "TERM": "xterm", "COLUMNS": "100", **environment},
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:  # the last one has closed the terminal
            break
        if not block:
            break
        shown += block
    os.close(leader)
    return process.wait(), shown.decode()


def test_colours_are_for_those_who_look_and_want_them(shell: Shell) -> None:
    assert "\x1b[1;31merror:\x1b[0m" in on_a_terminal(shell, "status", NO_COLOR="")[1]
    assert "\x1b" not in on_a_terminal(shell, "status", NO_COLOR="1")[1]
    shell.environment["NO_COLOR"] = ""
    assert "\x1b" not in shell("status").err


def test_progress_is_for_those_who_look_and_want_it(shell: Shell) -> None:
    shell("init")
    shell.write("data/large", b"x" * 40_000_000)
    track = ("track", "data", "--to", "hf://ann/model")
    status, shown = on_a_terminal(shell, *track)
    assert (status, "hashing" in shown) == (0, True)
    for more, variables in (
        (("--no-progress",), {}),
        (("--quiet",), {}),
        (("--json",), {}),
        ((), {"TENUTO_PROGRESS": "0"}),
    ):
        shell.write("data/large", b"x" * 40_000_000)
        assert "hashing" not in on_a_terminal(shell, *track, *more, **variables)[1]


def test_an_interrupt_while_hashing(shell: Shell) -> None:
    shell("init")
    (shell.project / "data").mkdir()
    with open(shell.project / "data" / "large", "wb") as large:
        large.truncate(20_000_000_000)  # no bytes on the disk, but many to read
    with start(shell, "track", "data", "--to", "hf://ann/model") as process:
        lock = shell.project / ".tenuto" / "state.db"
        deadline = time.monotonic() + 20
        while not lock.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    assert (out, err.strip()) == ("", "interrupted")
    assert not (shell.project / "tenuto.lock").exists()
    assert shell("status").out.startswith("Nothing is tracked yet")


def test_an_interrupt_while_downloading(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    with LyingHub(
        desk.environment["HF_ENDPOINT"], [Lie("GET", "/resolve/|/lfs|/objects", Stall(30), times=None)]
    ) as proxy:
        desk.environment |= {"HF_ENDPOINT": proxy.url, "TENUTO_CACHE": str(desk.folder / "empty")}
        with start(desk, "pull", "--root", str(clone)) as process:
            deadline = time.monotonic() + 20
            while not any(request.fault for request in proxy.requests) and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            proxy.close()
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "interrupted"
    assert not (clone / "data").exists()
