"""Requests a second for small files: 32 clients that keep their connections, a token, a private repo of 20,000 files."""

import time
from pathlib import Path

from bench.hub.books import Figures, cpu_s
from bench.hub.site import OURS, Site
from bench.hub.small_files import commit_of, path_of
from bench.hub.talk import Talk
from bench.measure import StepError

METHODS = ("HEAD", "GET")
CONNECTIONS = 32
FILES, ASKED = 20_000, 1_000
LASTS_S, WARM_S, START_S = 5.0, 1.0, 2.0
"""A run at full scale; it begins when every process is surely up."""


def requests(site: Site) -> None:
    """Measure both methods, in turn."""
    files = max(CONNECTIONS, int(FILES * site.scale))
    with site.folder() as place, site.hub(place / "hub", site.cores.server) as talk:
        repo = talk.create("small")
        talk.commit(repo, commit_of(0, files))
        step = max(1, files // ASKED)
        urls = [talk.url(repo, path_of(number)) for number in range(0, files, step)]
        for _ in range(site.repeat):
            for method in METHODS:
                site.add(f"resolve {method}", OURS, drive(site, talk, urls, method, place / "clients"))


def drive(site: Site, talk: Talk, urls: list[str], method: str, home: Path) -> Figures:
    """One run of all clients, in two processes if they have two cores."""
    count = min(2, len(site.cores.client))
    pace = min(1.0, max(0.05, site.scale))
    times = {"start_s": time.monotonic() + START_S, "warm_s": WARM_S * pace, "lasts_s": LASTS_S * pace}
    job = {"urls": urls, "token": talk.hub.token, "method": method, "connections": CONNECTIONS // count, **times}
    before_s = cpu_s(talk.hub.pid)
    told = site.together("drive", [job] * count, home=home, cores=site.cores.client)
    server_cpu_s = cpu_s(talk.hub.pid) - before_s
    latencies_s = sorted(latency_s for one in told for latency_s in one["latencies_s"])
    if not latencies_s:
        raise StepError("no request was answered in time")
    return {
        "per_s": len(latencies_s) / times["lasts_s"],
        "p50_s": latencies_s[len(latencies_s) // 2],
        "p99_s": latencies_s[len(latencies_s) * 99 // 100],
        "server_busy": server_cpu_s / (times["warm_s"] + times["lasts_s"]),
        "driver_busy": max(one["busy"] for one in told),
    }
