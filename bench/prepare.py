"""What is made once and kept in `.bench`: the files of the workloads."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.contestants import Workload
from bench.fingerprint import fingerprint

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".bench"


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def prepared(name: str, scale: float) -> Workload:
    """The files of a workload, made once. They are made by another process, so that this one stays small."""
    folder = CACHE / "workloads" / f"scale-{scale:g}" / name.lower()
    if not folder.exists():
        say(f"making {name} at scale {scale:g}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=CACHE) as place:
            maker = [sys.executable, "-m", "bench.workloads", place, "--only", name, "--scale", str(scale)]
            subprocess.run(maker, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            with contextlib.suppress(OSError):  # somebody else made them meanwhile
                os.rename(os.path.join(place, name.lower()), folder)
    return Workload(name, folder, fingerprint(folder))
