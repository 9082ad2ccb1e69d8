"""Our hub as a process of its own on a free port, and the environment in which every tool runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.measure import StepError, quiet, tail

USER = "bench"
HUB_LOG = "hub.log"
STOP_TIMEOUT_S = 30


class Hub(NamedTuple):
    """A running hub: its address, its data folder, a token that may write, and its process."""

    url: str
    data: Path
    token: str
    pid: int


@contextmanager
def serving(place: Path, environment: dict[str, str]) -> Iterator[Hub]:
    """Run an empty hub in `place` as long as the block lasts. Raises StepError."""
    data, log = place / "hub", place / HUB_LOG
    command = ["tenuto", "hub", "serve", "--data", str(data), "--port", "0", "--requests", "0", "--json"]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, env=environment
        )
    try:
        assert process.stdout is not None
        url = next((found["url"] for line in process.stdout if "url" in (found := json.loads(line))), None)
        if url is None:
            raise StepError(f"the hub did not start:\n{tail(log)}")
        yield Hub(str(url), data, account(data, environment, log), process.pid)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server in good order, or at once if that takes too long."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def account(data: Path, environment: dict[str, str], log: Path) -> str:
    """Add the user that everybody is, and return a token of theirs."""
    hub = ["tenuto", "hub"]
    quiet([*hub, "user", "add", USER, "--data", str(data)], cwd=data, environment=environment, log=log)
    create = [*hub, "token", "create", USER, "--role", "write", "--data", str(data), "--quiet"]
    return quiet(create, cwd=data, environment=environment, log=log).strip()


def private_environment(place: Path) -> dict[str, str]:
    """An environment with a home of its own in `place`: nothing of the user's is read, nothing from an earlier flow is found."""
    home = place / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "TMPDIR") if key in os.environ}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "HF_HOME": str(home / "huggingface"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "TENUTO_CACHE": str(home / "store"),
        "TENUTO_CONFIG": str(home / "tenuto"),
        "DVC_NO_ANALYTICS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_NAME": "Bench" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "bench@example.org" for role in ("AUTHOR", "COMMITTER")},
    }
