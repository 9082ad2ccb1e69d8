"""Results as tables: medians, how many times as long the others take, how near to the limit of the machine we are, and what was aimed at.

python -m bench.report bench/results/latest.json [--markdown | --summary]
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.targets import verdicts
from tenuto.core.human import count_text, duration_text, size_text

OURS = "tenuto"
Limits = dict[str, float]
Samples = dict[str, list[dict[str, float]]]


class Step(NamedTuple):
    """A step in words, and the limit of the machine for it, in seconds, out of those that were measured."""

    meaning: str
    limit: Callable[[Limits], float]


def hash_limit(limits: Limits) -> float:
    """One sha256 of everything, on the number of threads that suits."""
    return min(limits["sha256_one"], limits["sha256_two"])


def look_limit(limits: Limits) -> float:
    """A walk with stat, and a row for each file out of SQLite; older results lack the latter."""
    return limits["walk"] + limits.get("index", 0.0)


def python_limit(limits: Limits) -> float:
    """An interpreter that does nothing."""
    return limits["python"]


def copy_limit(limits: Limits) -> float:
    """A copy beside a sha256."""
    return limits["copy_and_sha256"]


def link_limit(limits: Limits) -> float:
    """A hard link for each file."""
    return limits["link"]


STEPS = {
    "version": Step("print the version", python_limit),
    "help": Step("print the help", python_limit),
    "empty status": Step("status of an empty project", python_limit),
    "track": Step("begin to track the folder", hash_limit),
    "status": Step("ask for the state, nothing changed", look_limit),
    "push": Step("push to an empty repo or remote", copy_limit),
    "pull": Step("pull into a fresh clone, the store empty", copy_limit),
    "pull again": Step("pull, nothing to do", look_limit),
    "sync again": Step("sync, nothing to do", look_limit),
    "frozen": Step("sync --frozen, nothing to do", look_limit),
    "verify": Step("verify, every byte read", hash_limit),
    "checkout": Step("the folder is gone: back from the store", link_limit),
    "track again": Step("track again, one file changed", look_limit),
    "other version": Step("to another version, a tenth differs, from the store", look_limit),
    "insert": Step("push again, 1 MiB inserted in the middle", hash_limit),
}
PEERS = {
    "tenuto-chunks": "tenuto by chunks",
    "dvc": "DVC",
    "git-lfs": "git-lfs",
    "rclone": "rclone",
    "huggingface_hub": "huggingface_hub",
    "hf download": "hf download",
}
IN_SHORT = {
    "start": ("version",),
    "W1": ("track", "push", "pull"),
    "W2": ("track", "push", "pull", "verify", "insert"),
    "W3": ("track", "status", "push", "pull", "pull again", "verify", "checkout", "track again"),
    "W4": ("track", "push", "pull"),
}
NOTE = """\
Medians of wall time; in brackets how many times as long the other one takes. The limit is what this machine does at best with the same
files in the same run: sha256 of all of them for track, verify and the push after an insertion, a copy beside a sha256 for push and pull, a
hard link for each file for a folder that comes back from the store, a bare Python for starting, a walk with stat and a row for each file
out of SQLite for the rest. Peaks are those of the largest process of the client, but at least the 22 MB that the benchmark itself takes.
rclone keeps no older version: its remote holds the new file in place of the old one."""
SHORTEST_S = 0.01


class Row(NamedTuple):
    """One step of one workload: seconds, or None where nothing was measured."""

    workload: str
    step: str
    tools: Samples
    limits: Limits
    scale: float

    def median(self, tool: str, what: str = "wall_s") -> float | None:
        """The median of one figure of one tool."""
        samples = [sample[what] for sample in self.tools.get(tool, []) if what in sample]
        return statistics.median(samples) if samples else None

    @property
    def limit_s(self) -> float | None:
        """The limit of the machine, if it was measured."""
        try:
            return STEPS[self.step].limit(self.limits)
        except KeyError:
            return None

    def peer_cell(self, peer: str) -> str:
        """What another one takes, and how many times as long that is."""
        theirs, ours = self.median(peer), self.median(OURS)
        if theirs is None:
            return ""
        return f"{time_text(theirs)} ({theirs / ours:.1f}x)" if ours else time_text(theirs)

    def verdict(self) -> str:
        """How every target of this row stands."""
        copied, hashed = self.limits.get("copy"), self.limits.get("sha256_one")
        figures = {tool: self.median(tool) for tool in self.tools}
        figures |= {"seconds": self.median(OURS), "limit": self.limit_s, "the limit": self.limit_s}
        figures["cp + sha256"] = copied + hashed if copied and hashed else None
        figures |= {what: self.median(OURS, what) for what in ("sent_bytes", "grown_bytes")}
        return verdicts(self.workload, self.step, figures, self.scale)

    def times(self, limit_s: float | None) -> str:
        """How many limits our time is; nothing where the start of a program takes longer than what the machine must do."""
        ours = self.median(OURS)
        return f"{ours / limit_s:.1f}x" if ours and limit_s and limit_s >= SHORTEST_S else ""


def rows_of(results: dict[str, Any], name: str) -> Iterator[Row]:
    """The rows of one workload, in the order of the steps."""
    part = results["workloads"][name]
    for step in STEPS:
        if step in part["steps"]:
            yield Row(name, step, part["steps"][step], part["limits"], results["scale"])


def peers_of(rows: list[Row]) -> list[str]:
    """The other tools that any of the rows has."""
    return [peer for peer in PEERS if any(peer in row.tools for row in rows)]


def time_table(rows: list[Row]) -> list[list[str]]:
    """Times of one workload, the head first."""
    peers = peers_of(rows)
    head = ["step", OURS, "CPU", "peak", *(PEERS[peer] for peer in peers), "limit", "ours by limit", "target"]
    return [head, *(time_cells(row, peers) for row in rows)]


def time_cells(row: Row, peers: list[str]) -> list[str]:
    """One line of the table of times."""
    own = [
        time_text(row.median(OURS)),
        time_text(row.median(OURS, "cpu_s")),
        bytes_text(row.median(OURS, "peak_bytes")),
    ]
    limit_s = row.limit_s
    return [
        STEPS[row.step].meaning,
        *own,
        *(row.peer_cell(peer) for peer in peers),
        time_text(limit_s),
        row.times(limit_s),
        row.verdict(),
    ]


BYTES = {"peak_bytes": "peak memory", "sent_bytes": "sent to the hub", "grown_bytes": "growth of the remote"}


def bytes_table(rows: list[Row]) -> list[list[str]]:
    """Sizes of one workload, the head first."""
    tools = [OURS, *peers_of(rows)]
    table = [["step", "bytes", *(PEERS.get(tool, tool) for tool in tools)]]
    for row in rows:
        for what, meaning in BYTES.items():
            cells = [bytes_text(row.median(tool, what)) for tool in tools]
            if any(cells):
                table.append([STEPS[row.step].meaning, meaning, *cells])
    return table


def time_text(seconds: float | None) -> str:
    """A time, or nothing."""
    if seconds is None:
        return ""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else duration_text(seconds)


def bytes_text(size_bytes: float | None) -> str:
    """A size, or nothing."""
    return "" if size_bytes is None else size_text(round(size_bytes))


def title(name: str, workload: dict[str, Any]) -> str:
    """A workload in words."""
    if not workload["files"]:
        return "Start of the program"
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


def missing_text(results: dict[str, Any]) -> str:
    """What was not measured, and why; a line each."""
    return "".join(f"\nNot measured: {name}, since {reason}." for name, reason in results.get("missing", {}).items())


def plain(results: dict[str, Any]) -> str:
    """Everything as text with aligned columns."""
    parts = [machine_text(results)]
    for name, workload in results["workloads"].items():
        rows = list(rows_of(results, name))
        parts.append("\n".join([title(name, workload), *aligned(time_table(rows)), "", *aligned(bytes_table(rows))]))
    return "\n\n".join([*parts, NOTE + missing_text(results)])


def aligned(lines: list[list[str]]) -> list[str]:
    """Lines of cells as text: the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]


def markdown_table(lines: list[list[str]]) -> str:
    """Lines of cells as a Markdown table, the first line its head."""
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(
        [
            head,
            "| "
            + " | ".join("---" if title in {"", "step", "bytes", "target"} else "---:" for title in lines[0])
            + " |",
            *body,
        ]
    )


def markdown(results: dict[str, Any]) -> str:
    """Everything as two Markdown tables a workload: times and sizes."""
    parts = []
    for name, workload in results["workloads"].items():
        rows = list(rows_of(results, name))
        parts += [f"## {title(name, workload)}", markdown_table(time_table(rows)), markdown_table(bytes_table(rows))]
    return "\n\n".join([*parts, f"{machine_text(results)}.\n\n{NOTE}{missing_text(results)}"])


def summary(results: dict[str, Any]) -> str:
    """One Markdown table of what tells most, for people in a hurry."""
    rows = [row for name in results["workloads"] for row in rows_of(results, name) if row.step in IN_SHORT[name]]
    peers = [peer for peer in peers_of(rows) if peer not in {"tenuto-chunks", "hf download"}]
    table, before = [["", "", OURS, *(PEERS[peer] for peer in peers), "limit", "target"]], ""
    for row in rows:
        what = "" if row.workload == before else title(row.workload, results["workloads"][row.workload])
        times = [time_text(row.median(OURS)), *(row.peer_cell(peer) for peer in peers), time_text(row.limit_s)]
        table.append([what, STEPS[row.step].meaning, *times, row.verdict()])
        before = row.workload
    return f"{markdown_table(table)}\n\n{machine_text(results)}.{missing_text(results)}"


def main(arguments: list[str]) -> int:
    """Print a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true", help="two Markdown tables a workload")
    parser.add_argument("--summary", action="store_true", help="one short Markdown table")
    options = parser.parse_args(arguments)
    results = json.loads(options.file.read_text(encoding="utf-8"))
    form = summary if options.summary else markdown if options.markdown else plain
    print(form(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
