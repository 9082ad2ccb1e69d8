"""A shell in which the real program is typed, and a live hub."""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenuto.testing.live_hub import LiveHub
from tests.cli.program import PROGRAM, run

__all__ = ["PROGRAM"]

CANARY = "hf_CanaryNeverToBeSeen"


class Done:
    """What a run printed and how it ended; `str` of it is for snapshots, without what differs from run to run."""

    def __init__(self, status: int, out: str, err: str, filters: dict[str, str]) -> None:
        self.status, self.out, self.err = status, out, err
        self._filters = filters

    def __str__(self) -> str:
        parts = [f"exit status {self.status}"]
        parts += [f"--- {name} ---\n{text.rstrip()}" for name, text in (("out", self.out), ("err", self.err)) if text]
        return self.filtered("\n".join(parts)) + "\n"

    def filtered(self, text: str) -> str:
        """The text, with paths, addresses, commits and moments replaced by words."""
        for found, word in sorted(self._filters.items(), key=lambda item: -len(item[0])):
            text = text.replace(found, word)
        text = re.sub(r"\b[0-9a-f]{40}\b|(?:(?<=at )|(?<=from )|(?<=with ))[0-9a-f]{12}\b", "[COMMIT]", text)
        return re.sub(r"\d{8}T\d{6}Z-\d{6}", "[MOMENT]", text)

    @property
    def json(self) -> Any:
        """What was printed as one JSON document."""
        assert self.err == ""
        return msgspec.json.decode(self.out)

    @property
    def error(self) -> dict[str, object]:
        """The error that was printed as JSON."""
        assert self.out == ""
        body = msgspec.json.decode(self.err, type=dict[str, dict[str, object]])
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"code", "message", "hint", "exit_status"}
        assert body["error"]["exit_status"] == self.status
        return body["error"]


class Shell:
    """A person in a folder with an environment, who types commands."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.project = folder / "project"
        for made in (self.home, self.project):
            made.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE") if name in os.environ}
        self.environment = {**kept, "HOME": str(self.home), "NO_COLOR": "1", "PYTHONWARNINGS": "error", **environment}
        self.filters = {str(self.project): "[PROJECT]", str(self.home): "[HOME]", str(folder): "[FOLDER]"}

    def __call__(self, *arguments: str, stdin: str = "", cwd: Path | None = None, **environment: str) -> Done:
        status, out, err = run([*arguments], cwd or self.project, {**self.environment, **environment}, stdin)
        for text in (out, err):
            assert CANARY not in text
            assert "Traceback" not in text
        return Done(status, out, err, self.filters)

    def write(self, path: str, content: bytes | str) -> Path:
        """Put a file into the project."""
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file


@pytest.fixture(scope="session")
def hub() -> Iterator[LiveHub]:
    """A hub for all tests of this process."""
    with LiveHub() as live:
        yield live


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A person who has a token and no hub."""
    return Shell(tmp_path, {"HF_TOKEN": CANARY, "TENUTO_ENDPOINT": "http://127.0.0.1:9", "TENUTO_RETRIES": "0"})


class Desk(Shell):
    """A person with an account on the hub: `repo` is an address of theirs, `token` their token, and the environment names both."""

    def __init__(self, folder: Path, hub: LiveHub) -> None:
        self.person = f"ann-{secrets.token_hex(4)}"
        self.token = hub.user(self.person)
        super().__init__(folder, {"HF_TOKEN": self.token, "HF_ENDPOINT": hub.url, "TENUTO_RETRIES": "0"})
        self.repo = f"hf://datasets/{self.person}/voices"
        self.filters |= {hub.url: "[HUB]", self.person: "ann"}

    def __call__(self, *arguments: str, **more: Any) -> Done:
        done = super().__call__(*arguments, **more)
        assert self.token not in done.out + done.err
        return done

    def begin(self) -> None:
        """A project with two files that were pushed."""
        self.write("data/a.txt", "first\n")
        self.write("data/b.bin", bytes(range(256)) * 20)
        for command in (["init"], ["track", "data", "--to", self.repo], ["repo", "create", self.repo], ["push"]):
            assert self(*command).status == 0, command

    def clone(self, name: str = "other") -> Path:
        """A copy of what git would hold of the project; returns the folder."""
        target = self.folder / name
        target.mkdir()
        for file in ("tenuto.toml", "tenuto.lock", ".gitignore"):
            (target / file).write_bytes((self.project / file).read_bytes())
        self.filters[str(target)] = f"[{name.upper()}]"
        return target


@pytest.fixture
def desk(hub: LiveHub, tmp_path: Path) -> Desk:
    """A person at work, with an account on a live hub."""
    return Desk(tmp_path, hub)
