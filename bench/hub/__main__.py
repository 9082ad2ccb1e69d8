"""Measure the hub's server beside its peers in one run, and write the table and the figures.

python -m bench.hub [--only downloads,requests,xet,small-files,snapshot,memory] [--scale 1.0] [--repeat 3] [--cores 0] [--out FILE]

At full scale it needs 30 GB of disk below `.bench`, most of it given back, and a quarter of an hour.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.hub.books import split
from bench.hub.downloads import downloads
from bench.hub.memory import memory
from bench.hub.peers import nginx_version
from bench.hub.requests import CONNECTIONS, requests
from bench.hub.site import Options, Site
from bench.hub.small_files import commits_and_listings, snapshots
from bench.hub.table import plain
from bench.hub.xet_transfers import xet_transfers
from bench.machine import machine
from bench.measure import StepError
from bench.prepare import ROOT, say
from tenuto.core.human import duration_text

LATEST = ROOT / "bench" / "results" / "hub-latest.json"
PARTS: dict[str, Callable[[Site], None]] = {
    "downloads": downloads,
    "requests": requests,
    "xet": xet_transfers,
    "small-files": commits_and_listings,
    "snapshot": snapshots,
    "memory": memory,
}
PACKAGES = ("tenuto", "uvicorn", "starlette", "hf-xet", "huggingface_hub")


def main(arguments: list[str]) -> int:
    """Run the benchmark; 0 if every part did its work."""
    options = read_options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # servers are stopped and folders removed on the way out
    site = Site(Options(options.scale, options.repeat, split(options.cores)))
    results = {"version": 1, "machine": machine() | {"cpus": len(site.cores.all)}, "programs": programs()}
    results |= {"scale": options.scale, "repeat": options.repeat, "clients": CONNECTIONS}
    try:
        for name in options.only:
            began_s = time.monotonic()
            PARTS[name](site)
            say(f"{name} in {duration_text(time.monotonic() - began_s)}")
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    results |= {"files": site.files, "missing": site.missing, "measures": site.measures}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(plain(results))
    return 0


def read_options(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=parts, default=list(PARTS), help=f"comma list of {' '.join(PARTS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="1 for the full size")
    parser.add_argument("--repeat", type=int, default=3, help="how often each measure is taken; slow ones only once")
    parser.add_argument("--cores", type=int, default=0, help="use only so many processor cores; 0 for all")
    parser.add_argument("--out", type=Path, default=LATEST, help="where the figures go")
    return parser.parse_args(arguments)


def parts(text: str) -> list[str]:
    """The parts of a comma list, all of them for an empty one. Raises ArgumentTypeError."""
    names = text.split(",") if text else list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    return names


def programs() -> dict[str, Any]:
    """What was measured, and which version of it."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    nginx = nginx_version()
    return found | ({"nginx": nginx} if nginx else {})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
