"""Uploads and downloads by hf_xet: to our hub, and to the folder that hf_xet itself keeps for `local://`.

The same client process does the same in both cases, with the same caches, and may use every core together with our hub. Ours includes
the commit, before which the hub has checked every chunk and the sha256 of the file.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.fingerprint import hash_of
from bench.hub.books import Figures, cpu_s
from bench.hub.downloads import NAME, write_token_url
from bench.hub.site import OURS, Job, Site, rotated
from bench.measure import StepError, warm

LOCAL = "hf_xet local://"
PART = 0.25
"""A GiB of W2 is enough."""


def xet_transfers(site: Site) -> None:
    """Measure new bytes, an edited copy, and a download by somebody else, everything new in each round, from a quiet disk."""
    file, edited = (site.workload(name, PART).folder / NAME for name in ("W2", "W5b"))
    flows: list[Callable[[Site, Path, Path, Path], None]] = [by_hub, by_folder]
    for number in range(site.repeat):
        for flow in rotated(flows, number):
            for source in (file, edited):
                warm(source.parent)
            with site.folder() as place:
                flow(site, place, file, edited)


def by_hub(site: Site, place: Path, file: Path, edited: Path) -> None:
    """All three against an empty hub of ours."""
    with site.hub(place / "hub", site.cores.all) as talk:
        repo, token = talk.create("xet"), talk.hub.token

        def up(path: str, source: Path) -> tuple[Figures, Any]:
            job = {"action": "up", "file": str(source), "token": token, "token_url": write_token_url(talk, repo)}
            os.sync()
            before_s = cpu_s(talk.hub.pid)
            told = site.client("xet", job, home=place / "writer")
            began_s = time.perf_counter()
            talk.commit_large(repo, path, told["sha256"], told["bytes"])
            commit_s = time.perf_counter() - began_s
            server_cpu_s = cpu_s(talk.hub.pid) - before_s
            figures = timed(told) | {"commit_s": commit_s, "server_cpu_s": server_cpu_s}
            return figures | {"wall_s": told["wall_s"] + commit_s}, told

        figures, told = up("first", file)
        site.add("xet upload", OURS, figures)
        site.add("xet upload, edited copy", OURS, up("second", edited)[0])
        url = f"{talk.hub.url}/api/models/{repo}/xet-read-token/main"
        before_s = cpu_s(talk.hub.pid)
        figures = down(site, {"token": token, "token_url": url}, told, place, file)
        site.add("xet download", OURS, {**figures, "server_cpu_s": cpu_s(talk.hub.pid) - before_s})


def by_folder(site: Site, place: Path, file: Path, edited: Path) -> None:
    """All three against an empty folder."""
    server = {"endpoint": f"local://{place / 'cas'}"}

    def up(source: Path) -> Any:
        os.sync()
        return site.client("xet", {"action": "up", "file": str(source), **server}, home=place / "writer")

    told = up(file)
    site.add("xet upload", LOCAL, timed(told))
    site.add("xet upload, edited copy", LOCAL, timed(up(edited)))
    site.add("xet download", LOCAL, down(site, server, told, place, file))


def down(site: Site, server: Job, told: Any, place: Path, file: Path) -> Figures:
    """A download into a new folder by a client that has no cache; raises StepError if other bytes come."""
    out = place / "down"
    job = {"action": "down", "hash": told["hash"], "bytes": told["bytes"], "file": str(out), **server}
    os.sync()
    figures = timed(site.client("xet", job, home=place / "reader"))
    if hash_of(out) != hash_of(file):
        raise StepError("hf_xet downloaded other bytes than it uploaded")
    return figures


def timed(told: Any) -> Figures:
    """The numbers of what a client said."""
    return {key: value for key, value in told.items() if not isinstance(value, str)}
