"""Results as tables: medians, how many times as long the others take, and how near to the limit of the machine we are.

python -m bench.report bench/results/latest.json [--markdown | --summary]
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenuto.core.human import count_text, duration_text, size_text

STEPS = ("track", "status", "push", "pull", "pull again")
PEERS = ("dvc", "huggingface_hub", "hf download")
MEANINGS = {
    "track": "begin to track the folder",
    "status": "ask for the state, nothing changed",
    "push": "push to an empty repo or remote",
    "pull": "pull into a fresh clone with an empty store",
    "pull again": "pull, nothing to do",
}
LIMITS: dict[str, Callable[[dict[str, float]], float]] = {
    "track": lambda limits: min(limits["sha256_one"], limits["sha256_two"]),
    "status": lambda limits: limits["walk"],
    "push": lambda limits: limits["copy_and_sha256"],
    "pull": lambda limits: limits["copy_and_sha256"],
    "pull again": lambda limits: limits["walk"],
}
NOTE = """\
Medians of wall time. x is how many times as long the other one takes. The limit is what this machine does at best with the same files in
the same run: sha256 of all of them for track, a copy beside a sha256 for push and pull, a walk with stat for the rest; limit/ours is 1.00
where nothing can be gained. Peak memory is that of the client."""


def median(samples: list[dict[str, float]] | None, what: str = "wall_s") -> float | None:
    """The median of one figure, or None if it was not measured."""
    return statistics.median(sample[what] for sample in samples) if samples else None


def rows(workload: dict[str, Any]) -> list[list[str]]:
    """The table of one workload, its head first."""
    steps: dict[str, dict[str, list[dict[str, float]]]] = workload["steps"]
    peers = [peer for peer in PEERS if any(peer in tools for tools in steps.values())]
    head = ["step", "tenuto", *(cell for peer in peers for cell in (peer, "x")), "limit", "limit/ours", "peak"]
    return [head, *(row(step, steps[step], peers, workload["limits"]) for step in STEPS if step in steps)]


def row(step: str, tools: dict[str, list[dict[str, float]]], peers: list[str], limits: dict[str, float]) -> list[str]:
    """One step of one workload."""
    ours = median(tools.get("tenuto"))
    limit = LIMITS[step](limits)
    cells = [step, time_text(ours)]
    for peer in peers:
        theirs = median(tools.get(peer))
        cells += [time_text(theirs), ratio_text(theirs, ours, 1)]
    peaks = [median(tools.get(tool), "peak_bytes") for tool in ("tenuto", *peers)]
    return [*cells, time_text(limit), ratio_text(limit, ours, 2), " / ".join(peak_text(peak) for peak in peaks)]


def time_text(seconds: float | None) -> str:
    """A time, or a dash."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else duration_text(seconds)


def ratio_text(upper: float | None, lower: float | None, digits: int) -> str:
    """A ratio, or a dash."""
    return "-" if upper is None or not lower else f"{upper / lower:.{digits}f}"


def peak_text(size_bytes: float | None) -> str:
    """Memory, or a dash."""
    return "-" if size_bytes is None else size_text(round(size_bytes))


def title(name: str, workload: dict[str, Any]) -> str:
    """A workload in words."""
    return f"{name}: {count_text(workload['files'], 'file')}, {size_text(workload['bytes'])}"


def machine_text(results: dict[str, Any]) -> str:
    """What the figures were taken on, and with which programs."""
    machine = results["machine"]
    programs = ", ".join(f"{name} {version}" for name, version in results["programs"].items())
    return (
        f"{count_text(machine['cpus'], 'core')} of {machine['processor']}, {size_text(machine['memory_bytes'])} of memory, "
        f"{machine['system']}; {programs}; scale {results['scale']:g}, up to {count_text(results['repeat'], 'run')}, "
        f"load {machine['load']:.1f} before the first"
    )


def plain(results: dict[str, Any]) -> str:
    """Everything as text with aligned columns."""
    parts = [machine_text(results)]
    for name, workload in results["workloads"].items():
        parts.append("\n".join([title(name, workload), *aligned(rows(workload))]))
    return "\n\n".join([*parts, NOTE])


def aligned(lines: list[list[str]]) -> list[str]:
    """Lines of cells as text: the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]


def markdown(results: dict[str, Any]) -> str:
    """Everything as one Markdown table a workload."""
    parts = []
    for name, workload in results["workloads"].items():
        head, *body = [f"| {' | '.join(line)} |" for line in rows(workload)]
        rule = "| --- |" + " ---: |" * (head.count(" | "))
        parts.append("\n".join([f"**{title(name, workload)}**", "", head, rule, *body]))
    return "\n\n".join([*parts, f"{machine_text(results)}.\n\n{NOTE}"])


def summary(results: dict[str, Any]) -> str:
    """One Markdown table of everything, for people in a hurry."""
    lines = [
        "| | | tenuto | DVC | | huggingface_hub | | limit |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, workload in results["workloads"].items():
        what = title(name, workload)
        for step in STEPS:
            tools = workload["steps"][step]
            ours, dvc, stock = (median(tools.get(tool)) for tool in ("tenuto", "dvc", "huggingface_hub"))
            times = [time_text(ours), *times_text(dvc, ours), *times_text(stock, ours)]
            cells = [what, MEANINGS[step], *times, time_text(LIMITS[step](workload["limits"]))]
            lines.append(f"| {' | '.join(cells)} |")
            what = ""
    return "\n".join([*lines, "", f"{machine_text(results)}."])


def times_text(theirs: float | None, ours: float | None) -> tuple[str, str]:
    """What another one takes, and how many times as long that is; both empty if it has no such step."""
    return ("", "") if theirs is None else (time_text(theirs), f"{ratio_text(theirs, ours, 1)}x")


def main(arguments: list[str]) -> int:
    """Print a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true", help="one Markdown table a workload")
    parser.add_argument("--summary", action="store_true", help="one short Markdown table")
    options = parser.parse_args(arguments)
    results = json.loads(options.file.read_text(encoding="utf-8"))
    form = summary if options.summary else markdown if options.markdown else plain
    print(form(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
