"""What the demo plays on: a private home, commands shown as a user types them, a hub that is surely stopped, and timings."""

import json
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from tenuto.core.human import duration_text

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15


class DemoError(Exception):
    """A step did not do what the demo says it does."""


class Hub:
    """A running `tenuto hub serve` on a free port of this machine."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                ["tenuto", "hub", "serve", "--data", str(data), "--port", "0", "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        try:
            self.url = self._read_url()
        except BaseException:
            self.stop()
            raise

    def _read_url(self) -> str:
        """The address, from the first line of JSON that has one. Raises DemoError."""
        lines: queue.Queue[bytes] = queue.Queue()
        assert self._process.stdout is not None
        threading.Thread(target=_pump, args=(self._process.stdout, lines), daemon=True).start()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                line = lines.get(timeout=0.5)
            except queue.Empty:
                continue
            if not line:
                break
            url = json.loads(line).get("url")
            if url:
                return str(url)
        raise DemoError(f"the hub did not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> int:
        """Ask the hub to stop, make it stop if it does not, and return its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()


def _pump(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    """Hand on every line; an empty one at the end."""
    for line in stream:
        lines.put(line)
    lines.put(b"")


class Stage:
    """A folder `top` with a home of its own in it, in which commands run and are shown with their real output."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._hubs: list[Hub] = []
        self._scenes: list[tuple[str, float]] = []
        self._environment = private_environment(top)

    def scene(self, title: str, what: str) -> None:
        """Begin the next part of the demo."""
        self._scenes.append((title, time.monotonic()))
        print(f"\n{len(self._scenes)}. {title}. {what}", flush=True)

    @staticmethod
    def say(text: str) -> None:
        """Tell something between commands."""
        print(f"   {text}", flush=True)

    def start_hub(self) -> Hub:
        """Start a hub; it is stopped in `close` at the latest."""
        data = self.top / "hub"
        self._show(["tenuto", "hub", "serve", "--data", str(data), "--port", "0"], None, background=True)
        hub = Hub(data, self._environment)
        self._hubs.append(hub)
        return hub

    def use(self, url: str, token: str) -> None:
        """From now on commands talk to this hub as the owner of this token."""
        self._environment |= {"HF_ENDPOINT": url, "HF_TOKEN": token}

    def fresh_store(self, machine: str) -> None:
        """From now on commands find an empty store, as on another machine."""
        self._environment["TENUTO_CACHE"] = str(self.top / "stores" / machine)

    def run(self, *command: str, cwd: Path | None = None, status: int = 0, secret: bool = False) -> str:
        """Show a command, run it, show what it says, and return that. Raises DemoError unless it exits with `status`."""
        self._show(list(command), cwd)
        began_s = time.monotonic()
        done = subprocess.run(
            command,
            cwd=cwd or self.top,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        took_s = time.monotonic() - began_s
        output = done.stdout.decode(errors="replace")
        shown = f"{output[:6]}…" if secret and done.returncode == 0 else self._shorten(output)
        for line in shown.splitlines():
            print(f"   {line}")
        ending = f", exit status {done.returncode}" if done.returncode else ""
        print(f"   [{duration_text(took_s)}{ending}]", flush=True)
        if done.returncode != status:
            raise DemoError(f"`{shlex.join(command)}` ended with status {done.returncode}, not {status}")
        return output

    def _show(self, command: list[str], cwd: Path | None, background: bool = False) -> None:
        place = f"{cwd.relative_to(self.top)}" if cwd else ""
        print(f"{place}$ {self._shorten(shlex.join(command))}{' &' if background else ''}", flush=True)

    def _shorten(self, text: str) -> str:
        """Texts of the temporary folder, readable."""
        return text.replace(f"{self.top}{os.sep}", "")

    def print_timings(self) -> None:
        """How long each part took."""
        ends_s = [began_s for _, began_s in self._scenes[1:]] + [time.monotonic()]
        print("\nTimings")
        for (title, began_s), end_s in zip(self._scenes, ends_s, strict=True):
            print(f"   {title:<14} {duration_text(end_s - began_s):>8}")

    def close(self) -> None:
        """Stop what still runs."""
        for hub in self._hubs:
            hub.stop()


def private_environment(top: Path) -> dict[str, str]:
    """An environment in which no program reads or writes anything of the real user's."""
    home = top / "home"
    home.mkdir(parents=True)
    kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT") if key in os.environ}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "NO_COLOR": "1",
        "HF_HOME": str(home / "huggingface"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "TENUTO_CACHE": str(top / "stores" / "first"),
        "TENUTO_CONFIG": str(home / "tenuto"),
        "NO_PROXY": "127.0.0.1,localhost",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in _PERSON.items()},
    }


_PERSON = {"NAME": "Demo", "EMAIL": "demo@example.org"}
