"""The real hub on loopback: in a thread of this process, or as a process of its own that can be killed at any moment."""

import argparse
import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from types import TracebackType
from typing import IO, Self
from urllib.request import urlopen

from tenuto.server.db import Database
from tenuto.server.http.serving import Service
from tenuto.server.hub import Limits
from tenuto.server.migrate import migrate
from tenuto.server.service import Hub, serve

START_TIMEOUT_S = 30.0


class LiveHub:
    """A hub in a thread, on a free port, over a folder that is removed at the end unless `data_dir` names one.

    `log_path` holds what the hub logged.
    """

    def __init__(self, data_dir: str | None = None, *, limits: Limits | None = None) -> None:
        self._own = None if data_dir else tempfile.mkdtemp(prefix="live-hub-")
        self.data_dir = data_dir or os.path.join(str(self._own), "data")
        os.makedirs(self.data_dir, exist_ok=True)
        if self._own:
            with open(os.path.join(self.data_dir, "hub.sqlite3"), "wb") as file:
                file.write(_empty_database())
        self.log_path = os.path.join(self.data_dir, "log.jsonl")
        self._log = open(self.log_path, "a", encoding="utf-8")  # noqa: SIM115  # closed by `stop`
        self.hub = Hub.open(self.data_dir, limits=limits, log=self._log)
        self.admin_token = self.hub.first_token or self.hub.create_token("admin", "write", "live hub")
        self._service = Service(self.hub.app, self.hub.parts.log, "127.0.0.1", 0)
        self.url = self._service.url
        ready = threading.Event()
        self._thread = threading.Thread(target=self._service.run, args=(lambda _url: ready.set(),), daemon=True)
        self._thread.start()
        self.hub.cutter.start()
        if not ready.wait(START_TIMEOUT_S):
            raise TimeoutError("the hub did not start")

    def user(self, name: str | None = None, role: str = "write") -> str:
        """A token of a user, who is added if need be."""
        name = name or f"user-{secrets.token_hex(4)}"
        with self.hub.parts.database.read() as connection:
            known = connection.exec_driver_sql("SELECT 1 FROM users WHERE name = ?", (name,)).first()
        if not known:
            self.hub.add_user(name)
        return self.hub.create_token(name, role, "live hub")

    def log(self) -> str:
        """Everything logged so far."""
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def wait_until_ended(self, request_id: str) -> None:
        """The request that named itself so in `X-Amzn-Trace-Id` was answered or given up, and what it held was released."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while f'"id":"{request_id}"' not in self.log():
            if time.monotonic() > deadline:
                raise TimeoutError("the request did not end")
            time.sleep(0.01)

    def stop(self) -> None:
        """The hub is stopped and what it held is released; safe to call twice."""
        if self._log.closed:
            return
        self._service.stop()
        self._thread.join(START_TIMEOUT_S)
        self.hub.close()
        self._log.close()
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ProcessHub:
    """A hub as a process of its own. It keeps its folder and its port over `kill` and `start`.

    With `part_bytes`, what is larger comes in parts of that size.
    """

    def __init__(self, data_dir: str, port: int = 0, part_bytes: int | None = None) -> None:
        self.data_dir = data_dir
        self._part_bytes = part_bytes
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_token = ""
        self._process: subprocess.Popen[str] | None = None
        os.makedirs(data_dir, exist_ok=True)
        self.log_path = os.path.join(data_dir, "log.jsonl")
        self.start()

    def start(self) -> None:
        """The hub answers."""
        with open(self.log_path, "a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tenuto.testing.live_hub", self.data_dir, str(self.port), *self._options()],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the hub did not start; see {self.log_path}")
        self.admin_token = json.loads(line)["token"] or self.admin_token
        _wait_until_healthy(self.url)

    def _options(self) -> list[str]:
        return [] if self._part_bytes is None else ["--part-bytes", str(self._part_bytes)]

    def user(self, name: str, role: str = "write") -> str:
        """A new user with a token, made beside the running process."""
        with open(os.devnull, "w", encoding="utf-8") as nowhere, Hub.open(self.data_dir, log=nowhere) as hub:
            hub.add_user(name)
            return hub.create_token(name, role)

    def kill(self) -> None:
        """The process ends at once, as if the power had failed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """The process ends in good order; safe to call twice."""
        self._end(signal.SIGTERM)

    @property
    def exit_status(self) -> int | None:
        """How the process ended; negative for a signal, None while it runs."""
        return self._process.poll() if self._process else None

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        self._process.wait(START_TIMEOUT_S)
        stream: IO[str] | None = self._process.stdout
        if stream:
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@functools.cache
def _empty_database() -> bytes:
    """The file that a hub makes at its first start, before anybody is in it: to make it takes longer than all else at a start."""
    with tempfile.TemporaryDirectory(prefix="live-hub-") as folder:
        path = os.path.join(folder, "hub.sqlite3")
        database = Database(f"sqlite:///{path}")
        migrate(database)
        database.close()
        with open(path, "rb") as file:
            return file.read()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urlopen(f"{url}/health", timeout=START_TIMEOUT_S):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Serve a hub and say on standard output when it is ready.")
    parser.add_argument("data_dir")
    parser.add_argument("port", type=int)
    parser.add_argument("--part-bytes", type=int)
    arguments = parser.parse_args()
    size = arguments.part_bytes
    with Hub.open(arguments.data_dir, limits=Limits(multipart_from=size, part=size) if size else None) as hub:
        token = hub.first_token
        serve(
            hub,
            "127.0.0.1",
            arguments.port,
            lambda url: print(json.dumps({"url": url, "token": token}), flush=True),  # noqa: T201  # the protocol with the parent
        )


if __name__ == "__main__":
    _main()
