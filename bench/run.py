"""One run of the benchmark: every tool through its flow, in another order each round, and the limits of the machine between them."""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.contestants import Contestant, MissingToolError, Samples
from bench.fingerprint import fingerprint
from bench.machine import machine
from bench.measure import StepError
from bench.prepare import CACHE, ROOT, Workload, prepared, say
from tenuto.core.human import duration_text, size_text

START = "start"
FLOW = "flow-"
SLOW_S = 100.0
"""A flow whose steps take longer is run only once."""
START_ROUNDS = 5
"""How often programs are started in one round: it takes so short that one time says little."""
COPIES = 6
"""How many copies of a workload a flow holds at most, in working folders, caches and remotes."""
SPARE_BYTES = 2 << 30


class Names(NamedTuple):
    """What can be chosen by a comma list."""

    all: list[str]

    def choice(self, text: str) -> list[str]:
        """The names of a comma list, all of them for an empty one. Raises ArgumentTypeError."""
        names = text.split(",") if text else self.all
        if unknown := [name for name in names if name not in self.all]:
            raise argparse.ArgumentTypeError(f"no {unknown[0]!r}; there are: {', '.join(self.all)}")
        return names


NAMES = Names([START, "W1", "W2", "W3", "W4"])


class Run:
    """The results so far, which are in the file `out` after every flow."""

    def __init__(self, out: Path, tools: list[Contestant], scale: float, repeat: int) -> None:
        self._out = out
        self._repeat = repeat
        self.failed = False
        self.results: dict[str, Any] = {"version": 2, "machine": machine(), "programs": {}, "missing": {}}
        self.results |= {"scale": scale, "repeat": repeat, "workloads": {}}
        self._tools = [tool for tool in tools if self._is_installed(tool)]

    def _is_installed(self, tool: Contestant) -> bool:
        try:
            self.results["programs"][tool.name] = tool.version()
        except (MissingToolError, subprocess.CalledProcessError) as error:
            self.results["missing"][tool.name] = str(error)
            say(f"not measured: {error}")
            return False
        return True

    def resume(self) -> None:
        """Keep what the file has, if it is of the same machine, programs and options."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._out.read_text(encoding="utf-8"))
            if _belong_together(found, self.results):
                self.results = {**found, "programs": {**found["programs"], **self.results["programs"]}}
                return
        say("there is nothing to go on with; everything is measured anew")

    def measure(self, name: str) -> None:
        """Measure one workload, or the start of all programs."""
        workload = self._nothing() if name == START else prepared(name, self.results["scale"])
        files = workload.fingerprint
        new = {
            "files": files.files,
            "bytes": files.bytes,
            "sha256": files.sha256,
            "limits": {},
            "rounds": {},
            "steps": {},
        }
        part = self.results["workloads"].setdefault(name, new)
        for number in range(self._repeat):
            turn = number % len(self._tools)
            for tool in self._tools[turn:] + self._tools[:turn]:
                if part["rounds"].get(tool.name, 0) <= number:
                    self._round(part, workload, tool)
            if len(part["limits"]) == 0 or number + 1 == self._repeat:
                self._limits(part, workload)

    @staticmethod
    def _nothing() -> Workload:
        folder = CACHE / "workloads" / "nothing"
        folder.mkdir(parents=True, exist_ok=True)
        return Workload(START, folder, fingerprint(folder))

    def _round(self, part: dict[str, Any], workload: Workload, tool: Contestant) -> None:
        began_s = time.monotonic()
        try:
            flows = [_flow(workload, tool) for _ in range(START_ROUNDS if workload.name == START else 1)]
        except StepError as error:
            self.failed = True
            say(f"{workload.name} {tool.name} failed: {error}")
            self.results["missing"][f"{workload.name} {tool.name}"] = str(error).partition("\n")[0]
            part["rounds"][tool.name] = self._repeat
            return
        for samples in flows:
            for (name, step), figures in samples.items():
                part["steps"].setdefault(step, {}).setdefault(name, []).append(figures)
        is_slow = not flows[0] or sum(figures["wall_s"] for figures in flows[0].values()) > SLOW_S
        part["rounds"][tool.name] = self._repeat if is_slow else part["rounds"].get(tool.name, 0) + 1
        self._write()
        say(f"{workload.name} {tool.name}: a round in {duration_text(time.monotonic() - began_s)}")

    def _limits(self, part: dict[str, Any], workload: Workload) -> None:
        found = _measure_limits(workload)
        part["limits"] = {key: min(value, part["limits"].get(key, value)) for key, value in found.items()}
        self._write()

    def _write(self) -> None:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        new = self._out.with_name(f"{self._out.name}.new")
        new.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        new.replace(self._out)


def _belong_together(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two parts are of one run: the same machine and options, and the same version of each program that is in both."""
    in_both = one["programs"].keys() & other["programs"].keys()
    if any(one["programs"][name] != other["programs"][name] for name in in_both):
        return False
    return _settings(one) == _settings(other)


def _settings(results: dict[str, Any]) -> list[object]:
    own = {key: value for key, value in results["machine"].items() if key != "load"}
    return [results["version"], own, results["scale"], results["repeat"]]


def _flow(workload: Workload, tool: Contestant) -> Samples:
    """One flow in a folder of its own beside the workload, on the same disk.

    The folder is removed with those of all flows, or when room is short: for minutes after many files were removed, some disks are slow
    to make new ones, and the next tool would pay for it.
    """
    needed = COPIES * workload.fingerprint.bytes + SPARE_BYTES
    if shutil.disk_usage(CACHE).free < needed:
        clear_flows()
    if (free := shutil.disk_usage(CACHE).free) < needed:
        raise StepError(f"the disk has {size_text(free)} free, and {size_text(needed)} may be needed")
    place = Path(tempfile.mkdtemp(prefix=FLOW, dir=CACHE))
    try:
        return tool.start(place) if workload.name == START else tool.flow(workload, place)
    finally:
        os.sync()


def clear_flows() -> None:
    """Remove the folders of flows that are over."""
    for place in CACHE.glob(f"{FLOW}*"):
        shutil.rmtree(place, ignore_errors=True)
    os.sync()


def _measure_limits(workload: Workload) -> dict[str, float]:
    """The limits of the machine for these files, in seconds."""
    with tempfile.TemporaryDirectory(prefix="limits-", dir=CACHE) as place:
        command = [sys.executable, "-m", "bench.limits", str(workload.folder), os.path.join(place, "scratch")]
        done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found
