"""What every tool's flow is made of: the files to work on, a place to work in, and the steps that were measured.

A flow begins with nothing but a copy of the files. All tools run with their default settings; commands that only prepare are not
measured, the page cache is warm for what a step reads, and what was pulled is compared with what was pushed, byte for byte.
"""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.edits import files_of
from bench.fingerprint import fingerprint
from bench.loopback import HUB_LOG, Hub, private_environment, serving
from bench.measure import StepError, measured, quiet, warm
from bench.prepare import ROOT, Workload

Figures = dict[str, float]
"""What one run of one step gave: seconds end in `_s`, sizes in `_bytes`."""
Samples = dict[tuple[str, str], Figures]
"""By tool and step."""


class MissingToolError(Exception):
    """A tool is not installed; the text says what to do."""


class Contestant(Protocol):
    """A tool that can go through the flow."""

    name: str

    def version(self) -> str:
        """Which version it is. Raises MissingToolError."""

    def start(self, place: Path) -> Samples:
        """Start and end without work, in the empty folder `place`. Raises StepError."""

    def flow(self, workload: Workload, place: Path) -> Samples:
        """Go through every step that the tool has, in the empty folder `place`. Raises StepError."""


class Bench:
    """A place for one flow: runs commands there, measured or not, in one environment, and keeps what was measured."""

    def __init__(self, tool: str, place: Path) -> None:
        self.tool = tool
        self.place = place
        self.environment = private_environment(place)
        self.log = place / "log.txt"
        self.samples: Samples = {}

    def quiet(self, *command: str, cwd: Path) -> str:
        """Run a command that only prepares; what it prints on stdout."""
        return quiet(command, cwd=cwd, environment=self.environment, log=self.log)

    def step(self, name: str, *command: str, cwd: Path, tool: str | None = None, remote: Path | None = None) -> None:
        """Run a command that counts.

        With `remote`, the folder of a hub or another remote, `grown_bytes` says by how much it grew, and for a hub `sent_bytes` how long the
        bodies were that it was sent meanwhile.
        """
        before = (allocated_bytes(remote), sent_bytes(self.place / HUB_LOG)) if remote else None
        figures: Figures = measured(command, cwd=cwd, environment=self.environment, log=self.log)._asdict()
        if remote and before:
            figures["grown_bytes"] = allocated_bytes(remote) - before[0]
            if "HF_ENDPOINT" in self.environment:
                figures["sent_bytes"] = sent_bytes(self.place / HUB_LOG) - before[1]
        self.samples[tool or self.tool, name] = figures

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """An empty hub, which the commands talk to as long as the block lasts."""
        with serving(self.place, self.environment) as hub:
            self.environment |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
            yield hub

    def project(self, workload: Workload) -> Path:
        """A new folder with a copy of the workload in `data`."""
        project = self.place / "project"
        shutil.copytree(workload.folder, project / "data")
        warm(project)
        return project

    def insert(self, folder: Path) -> None:
        """Insert 1 MiB into the only file of the folder, by another process, so that this one stays small."""
        command = [sys.executable, "-m", "bench.workloads", str(files_of(folder)[0]), "--insert"]
        quiet(command, cwd=ROOT, environment=os.environ, log=self.log)

    def drop(self, *folders: Path) -> None:
        """Remove folders that are not needed any more, to spare the disk."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def lose(self, workload: Workload, folder: Path) -> None:
        """The folder is gone. One of many files lies elsewhere until the flow is over: some disks are slow where many were removed."""
        if workload.is_one_file:
            self.drop(folder)
        else:
            folder.rename(self.place / f"lost-{secrets.token_hex(4)}")


def check(workload: Workload, folder: Path, tool: str) -> None:
    """Raise StepError unless the pulled files are the pushed ones, byte for byte."""
    if fingerprint(folder) != workload.fingerprint:
        raise StepError(f"{tool} pulled other files of {workload.name} than were pushed")


def allocated_bytes(folder: Path) -> int:
    """What a folder takes on the disk; a file with several names counts once."""
    files = {}
    for place, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(place, name))
            files[status.st_ino] = status.st_blocks * 512
    return sum(files.values())


def sent_bytes(log: Path) -> int:
    """Bytes of all bodies that were announced to the hub that writes this log; 0 where there is none."""
    if not log.exists():
        return 0
    with open(log, "rb") as lines:
        found = [json.loads(line) for line in lines if line.startswith(b"{")]
    return sum(one.get("announced", 0) for one in found)
