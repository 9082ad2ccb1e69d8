"""Measure every tool in one run, and write the table and the figures.

python -m bench [--only W1,W3,W4] [--scale 1.0] [--repeat 3] [--cores 0] [--out FILE]
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.contestants import Contestant, Dvc, Samples, Stock, Tenuto, Workload
from bench.machine import machine
from bench.measure import StepError
from bench.prepare import CACHE, ROOT, prepared, say
from bench.report import plain
from tenuto.core.human import duration_text

LATEST = ROOT / "bench" / "results" / "latest.json"
DVC_VERSION = "3.67.1"
SLOW_S = 100.0
"""A flow whose steps take longer is run only once."""


def main(arguments: list[str]) -> int:
    """Run the benchmark; 0 if every step of every tool did its work."""
    options = read_options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # hubs are stopped and folders removed on the way out
    if options.cores:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.cores]))
    contestants: list[Contestant] = [Tenuto(), Dvc(dvc_program()), Stock()]
    results: dict[str, Any] = {
        "version": 1,
        "machine": machine(),
        "programs": {"tenuto": version("tenuto"), "dvc": DVC_VERSION, "huggingface_hub": version("huggingface_hub")},
        "scale": options.scale,
        "repeat": options.repeat,
        "workloads": {},
    }
    try:
        for name in (options.only or "W1,W3,W4").split(","):
            workload = prepared(name, options.scale)
            results["workloads"][name] = measure(workload, contestants, options.repeat)
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(plain(results))
    return 0


def read_options(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="comma list of W1 W2 W3 W4")
    parser.add_argument("--scale", type=float, default=1.0, help="1 for the full size")
    parser.add_argument("--repeat", type=int, default=3, help="how often each flow is run; slow ones only once")
    parser.add_argument("--cores", type=int, default=0, help="use only so many processor cores; 0 for all")
    parser.add_argument("--out", type=Path, default=LATEST, help="where the figures go")
    return parser.parse_args(arguments)


def dvc_program() -> Path:
    """The command `dvc`, from an environment of its own that is made once."""
    folder = CACHE / f"dvc-{DVC_VERSION}"
    program = folder / "bin" / "dvc"
    if not (folder / "complete").exists():
        say(f"installing DVC {DVC_VERSION} into {folder.relative_to(ROOT)} (this once)")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"dvc=={DVC_VERSION}"], check=True)
        (folder / "complete").touch()
    return program


def measure(workload: Workload, contestants: list[Contestant], repeat: int) -> dict[str, Any]:
    """Every tool through its flow, in another order each round, and the limits between them."""
    steps: dict[str, dict[str, list[dict[str, float]]]] = {}
    slow: set[str] = set()
    limits = measure_limits(workload)
    for number in range(repeat):
        for contestant in contestants[number % 3 :] + contestants[: number % 3]:
            if contestant.name in slow:
                continue
            began_s = time.monotonic()
            samples = one_flow(contestant, workload)
            for (tool, step), sample in samples.items():
                steps.setdefault(step, {}).setdefault(tool, []).append(sample._asdict())
            took_s = time.monotonic() - began_s
            say(f"{workload.name} {contestant.name}: round {number + 1} of {repeat} in {duration_text(took_s)}")
            if sum(sample.wall_s for sample in samples.values()) > SLOW_S:
                slow.add(contestant.name)
        limits = {key: min(value, limits[key]) for key, value in measure_limits(workload).items()}
    files = workload.fingerprint
    return {"files": files.files, "bytes": files.bytes, "sha256": files.sha256, "limits": limits, "steps": steps}


def one_flow(contestant: Contestant, workload: Workload) -> Samples:
    """One flow in a folder of its own beside the workload, on the same disk; the folder is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="flow-", dir=CACHE))
    try:
        return contestant.flow(workload, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def measure_limits(workload: Workload) -> dict[str, float]:
    """The limits of the machine for these files, in seconds."""
    scratch = CACHE / "scratch"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(scratch)
    command = [sys.executable, "-m", "bench.limits", str(workload.folder), str(scratch)]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
