"""What the kernel knows about a running server: processor time and memory; and which cores who may use."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

Figures = dict[str, float]
"""What one run of one measure gave: seconds end in `_s`, sizes in `bytes`."""


class Cores(NamedTuple):
    """Who runs where: one core for the server, the others for its clients. With a single core they share it."""

    server: frozenset[int]
    client: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        """Every core of the benchmark."""
        return self.server | self.client


def split(count: int = 0) -> Cores:
    """The cores that this process may use, or the first `count` of them."""
    usable = sorted(os.sched_getaffinity(0))[: count or None]
    return Cores(frozenset(usable[:1]), frozenset(usable[1:] or usable))


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """What this thread does, and every process that it starts, stays on these cores; the processes do so to their end."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s(pid: int) -> float:
    """Processor seconds of a process so far, in all its threads, to the hundredth."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int) -> int:
    """The most memory that was resident in a process at any time."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        peak = next(line for line in file if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


@contextmanager
def watched(pid: int) -> Iterator[Figures]:
    """`wall_s` of the block and `server_cpu_s` of the process meanwhile, filled in at the end; the disk is quiet at the start."""
    figures: Figures = {}
    os.sync()
    before_s, began_s = cpu_s(pid), time.perf_counter()
    yield figures
    figures["wall_s"] = time.perf_counter() - began_s
    figures["server_cpu_s"] = cpu_s(pid) - before_s
