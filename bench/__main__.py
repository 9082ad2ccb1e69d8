"""Measure every tool in one run, and write the table and the figures.

python -m bench [--only start,W1,W3] [--tools tenuto,dvc] [--scale 1.0] [--repeat 3] [--cores 0] [--out FILE] [--resume]

What was measured is written after every flow; `--resume` goes on with the file of a run that was cut off. At full scale W2 needs 25 GB of
disk below `.bench`, given back after each flow.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from bench.contestants import Contestant
from bench.prepare import ROOT, say
from bench.report import plain
from bench.run import NAMES, Names, Run, clear_flows
from bench.tools.dvc import Dvc
from bench.tools.lfs import GitLfs
from bench.tools.ours import ByChunks, Tenuto
from bench.tools.rclone import Rclone
from bench.tools.stock import Stock

LATEST = ROOT / "bench" / "results" / "latest.json"
TOOLS: dict[str, type[Contestant]] = {kind.name: kind for kind in (Tenuto, ByChunks, Dvc, GitLfs, Rclone, Stock)}


def main(arguments: list[str]) -> int:
    """Run the benchmark; 0 if every step of every tool that is installed did its work."""
    options = read_options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # hubs are stopped and folders removed on the way out
    if options.cores:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.cores]))
    run = Run(options.out, [TOOLS[name]() for name in options.tools], options.scale, options.repeat)
    if options.resume:
        run.resume()
    try:
        for name in options.only:
            run.measure(name)
    except KeyboardInterrupt:
        say("stopped; --resume goes on from here")
        return 130
    finally:
        clear_flows()
    print(plain(run.results))
    return 1 if run.failed else 0


def read_options(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=NAMES.choice, default=NAMES.all, help=f"comma list of {' '.join(NAMES.all)}")
    tools = Names(list(TOOLS))
    parser.add_argument("--tools", type=tools.choice, default=tools.all, help=f"comma list of: {'; '.join(TOOLS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="1 for the full size")
    parser.add_argument("--repeat", type=int, default=3, help="how often each flow is run; slow ones only once")
    parser.add_argument("--cores", type=int, default=0, help="use only so many processor cores; 0 for all")
    parser.add_argument("--out", type=Path, default=LATEST, help="where the figures go")
    parser.add_argument("--resume", action="store_true", help="keep what the file of figures has of the same run")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
