"""Results of the hub's benchmark as one table: medians, the same for the peer, their ratio, and what was to be reached.

python -m bench.hub.table bench/results/hub-latest.json [--markdown]
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.hub.books import Figures
from bench.report import aligned, machine_text, time_text
from tenuto.core.human import size_text

HEAD = ["measure", "ours", "peer", "", "ratio", "target", ""]
GIGABYTE = 1_000_000_000
WHOLE, CHUNKED, LOCAL = "tenuto", "tenuto, chunked", "hf_xet local://"
SHOWN = {WHOLE: "stored whole", "starlette": "Starlette FileResponse"}
NOTE = """\
Medians. Downloads and requests: the server has one core, its clients others; the page cache is warm. Xet: client and hub, or the client
with its own folder, may use all cores, and our time ends with the commit. Requests: {clients} clients that keep their connections, with a
token, in a private repo; latencies hold the wait of a client for the 31 others."""


class Kind(NamedTuple):
    """How a figure is taken from a sample, and shown."""

    of: Callable[[Figures], float]
    text: Callable[[float], str]


class Target(NamedTuple):
    """What is to be reached: a bound of our figure, or of its ratio to that of the peer."""

    bound: float
    at_least: bool
    is_ratio: bool = False

    def holds(self, figure: float) -> bool:
        """Whether the figure is on the right side."""
        return figure >= self.bound if self.at_least else figure <= self.bound


class Row(NamedTuple):
    """One line of the table."""

    title: str
    measure: str
    kind: Kind
    peer: str = ""
    target: Target | None = None
    ours: str = WHOLE


def cpu_text(seconds: float) -> str:
    """Processor seconds for a gigabyte."""
    return f"{seconds:.2f} s"


RATE = Kind(lambda one: one["bytes"] / one["wall_s"], lambda rate: f"{rate / 1e6:,.0f} MB/s")
CPU = Kind(lambda one: one["server_cpu_s"] * GIGABYTE / one["bytes"], cpu_text)
PER_S = Kind(lambda one: one["per_s"], lambda rate: f"{rate:,.0f}/s")
P50 = Kind(lambda one: one["p50_s"], time_text)
P99 = Kind(lambda one: one["p99_s"], time_text)
WALL = Kind(lambda one: one["wall_s"], time_text)
ENTRIES = Kind(lambda one: one["entries"] / one["wall_s"], lambda rate: f"{rate:,.0f}/s")
SHARE = Kind(lambda one: one["server_cpu_s"] / one["wall_s"], lambda share: f"{share:.0%}")
PEAK = Kind(lambda one: one["peak_bytes"], lambda size_bytes: size_text(round(size_bytes)))
SENT = Kind(lambda one: one["sent_bytes"], lambda size_bytes: size_text(round(size_bytes)))


def of_peer(bound: float) -> Target:
    """At least so many times the figure of the peer."""
    return Target(bound, at_least=True, is_ratio=True)


def at_least(bound: float) -> Target:
    """Our figure, or more."""
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    """Our figure, or less."""
    return Target(bound, at_least=False)


ROWS = (
    Row("download of one large file", "download", RATE, "nginx", of_peer(0.7)),
    Row("", "download", RATE, "starlette", of_peer(2.0)),
    Row("server CPU for a GB of it", "download", CPU, "nginx"),
    Row("", "download", CPU, "starlette"),
    Row("plain download of a file stored as chunks", "download", RATE, WHOLE, of_peer(0.5), CHUNKED),
    Row("server CPU for a GB of it", "download", CPU, WHOLE, ours=CHUNKED),
    Row("resolve, HEAD", "resolve HEAD", PER_S, target=at_least(1500)),
    Row("median latency", "resolve HEAD", P50),
    Row("99th percentile", "resolve HEAD", P99, target=at_most(0.025)),
    Row("resolve, GET of 1 kB", "resolve GET", PER_S, target=at_least(1500)),
    Row("median latency", "resolve GET", P50),
    Row("99th percentile", "resolve GET", P99, target=at_most(0.025)),
    Row("Xet upload of new bytes", "xet upload", RATE, LOCAL, of_peer(0.8)),
    Row("server CPU for a GB of it", "xet upload", CPU, target=at_most(2.0)),
    Row("Xet upload of an edited copy", "xet upload, edited copy", RATE, LOCAL, of_peer(0.8)),
    Row("bytes sent for it", "xet upload, edited copy", SENT, LOCAL),
    Row("Xet download", "xet download", RATE, LOCAL, of_peer(0.8)),
    Row("server CPU for a GB of it", "xet download", CPU),
    Row("20,000 files by stock snapshot_download", "snapshot", WALL),
    Row("server CPU of that time", "snapshot", SHARE, target=at_most(0.25)),
    Row("commit of 20,000 files", "commit", WALL, target=at_most(3.0)),
    Row("listing of 100,000 files", "listing", ENTRIES, target=at_least(50_000)),
    Row("memory under 8 uploads of 1 GB by Xet", "memory, xet", PEAK, target=at_most(250e6)),
    Row("memory under 8 uploads of 1 GB as whole objects", "memory, whole", PEAK, target=at_most(250e6)),
)


class Line(NamedTuple):
    """What is known of one row; None where nothing was measured."""

    row: Row
    ours: float
    peer: float | None

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None if there is none, or if the peer was not measured."""
        if self.row.target is None:
            return None
        figure = self.ratio if self.row.target.is_ratio else self.ours
        return None if figure is None else self.row.target.holds(figure)

    def cells(self) -> list[str]:
        """As text."""
        row, target = self.row, self.row.target
        bound = "" if target is None else target_text(target, row.kind)
        reached = {True: "met", False: "MISSED", None: "" if target is None else "not measured"}[self.is_met]
        peer = row.peer and ("not measured" if self.peer is None else row.kind.text(self.peer))
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return [row.title, row.kind.text(self.ours), peer, SHOWN.get(row.peer, row.peer), ratio, bound, reached]


def target_text(target: Target, kind: Kind) -> str:
    """A target in words."""
    bound = f"{target.bound:g} x" if target.is_ratio else kind.text(target.bound)
    return f"{'>=' if target.at_least else '<='} {bound}"


def lines(results: dict[str, Any]) -> Iterator[Line]:
    """What is known of every row that was measured."""
    for row in ROWS:
        contestants = results["measures"].get(row.measure, {})
        ours = median(contestants.get(row.ours), row.kind)
        if ours is not None:
            yield Line(row, ours, median(contestants.get(row.peer), row.kind))


def median(samples: list[Figures] | None, kind: Kind) -> float | None:
    """The median of one figure, or None if it was not measured."""
    return statistics.median(kind.of(sample) for sample in samples) if samples else None


def notes(results: dict[str, Any]) -> str:
    """How the figures came about, and what is missing."""
    told = [NOTE.format(clients=results["clients"])]
    busy = [
        sample["driver_busy"]
        for name, contestants in results["measures"].items()
        if name.startswith("resolve")
        for samples in contestants.values()
        for sample in samples
    ]
    if busy:
        told.append(f"The load driver used at most {max(busy):.0%} of a core for each of its processes.")
    told += [f"Not measured: {name}, since {reason}." for name, reason in results["missing"].items()]
    if results["scale"] != 1:
        told.append("Targets are for scale 1.")
    return "\n".join(told)


def plain(results: dict[str, Any]) -> str:
    """Everything as text with aligned columns."""
    return "\n".join(
        [machine_text(results), "", *aligned([HEAD, *(one.cells() for one in lines(results))]), "", notes(results)]
    )


def markdown(results: dict[str, Any]) -> str:
    """Everything as one Markdown table with what it was taken on."""
    rule = ["---", "---:", "---:", "---", "---:", "---:", "---"]
    body = [HEAD, rule, *(one.cells() for one in lines(results))]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in body)
    return f"{table}\n\n{machine_text(results)}.\n\n{notes(results)}"


def main(arguments: list[str]) -> int:
    """Print a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true", help="one Markdown table")
    options = parser.parse_args(arguments)
    results = json.loads(options.file.read_text(encoding="utf-8"))
    print(markdown(results) if options.markdown else plain(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
