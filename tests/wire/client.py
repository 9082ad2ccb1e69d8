"""A stock client in a process of its own: told what to do, asked what came of it."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from scripts.clients import ClientError, ensure

from tests.wire import driver

STEP_TIMEOUT_S = 600
DEV = "hub-2.4"  # the client that the project itself is tested with


class Make(NamedTuple):
    """Which client: an environment, with Xet or without."""

    environment: str
    xet: bool

    def __str__(self) -> str:
        return self.environment + ("" if self.xet else "-plain")


class RefusedError(Exception):
    """The client raised something: the names of its classes, the HTTP status if there was one, the message."""

    def __init__(self, classes: list[str], status: int | None, text: str) -> None:
        super().__init__(f"{classes[0]} ({status}): {text}")
        self.classes, self.status = classes, status


class Reply:
    """An answer that may still be on its way."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read

    def result(self) -> Any:
        """What the step gave. Raises RefusedError."""
        answer = self._read()
        if "refused" in answer:
            raise RefusedError(answer["refused"], answer["status"], answer["text"])
        return answer["done"]


class Client:
    """A client in its own process with its own home, logged in as one user of one hub."""

    def __init__(self, make: Make, url: str, token: str, home: Path) -> None:
        self.make, self.url, self.home = make, url, home
        self.python = python_of(make.environment)
        self.environment = environment_of(make, url, token, home)
        self.log_path = home / "client.log"
        with open(self.log_path, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [self.python, driver.__file__],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )

    @property
    def age(self) -> tuple[int, int]:
        """The version of huggingface_hub, as far as behaviour hangs on it."""
        return {"hub-0.36": (0, 36), "hub-1.33": (1, 33)}.get(self.make.environment, (2, 4))

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def start(self, step: str, **words: object) -> Reply:
        """Let the client begin with something; one at a time."""
        stdin = self._pipe(self._process.stdin)
        stdin.write(json.dumps({"do": step, "with": words}) + "\n")
        stdin.flush()
        return Reply(self._read)

    def do(self, step: str, **words: object) -> Any:
        """What a step gives: an act of the driver, or a method of `HfApi`. Raises RefusedError."""
        return self.start(step, **words).result()

    def run(self, *words: str, program: str = "hf") -> "subprocess.CompletedProcess[str]":
        """A command of the client, as a person runs it."""
        return subprocess.run(
            [str(Path(self.python).with_name(program)), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=STEP_TIMEOUT_S,
        )

    def stop(self) -> None:
        """The process has ended."""
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()

    def _read(self) -> dict[str, Any]:
        patience = threading.Timer(STEP_TIMEOUT_S, self._process.kill)
        patience.start()
        line = self._pipe(self._process.stdout).readline()
        patience.cancel()
        if not line:
            raise AssertionError(f"the client ended, or was too slow: {self.log_path.read_text()[-3000:]}")
        return json.loads(line)

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def python_of(environment: str) -> str:
    """The Python of a client's environment, made at its first use. Without a package index the test fails, and says so."""
    if environment == DEV:
        return sys.executable
    try:
        return ensure(environment)
    except ClientError as error:
        message, output = error.args
        raise AssertionError(f"{message}\n{output}") from None


def environment_of(make: Make, url: str, token: str, home: Path) -> Mapping[str, str]:
    """Nothing of the person who runs the tests, one hub, one user."""
    plain = {} if make.xet else {"HF_HUB_DISABLE_XET": "1"}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": url,
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_COLOR": "1",
        "PYTHONUTF8": "1",
        **plain,
    }


def packed(content: bytes) -> str:
    """Bytes as the driver takes them."""
    return base64.b64encode(content).decode()


def unpacked(text: str) -> bytes:
    """Bytes that the driver gave."""
    return base64.b64decode(text)
