"""Many small files: 20,000 in one commit, a listing of 100,000, and 20,000 by stock `snapshot_download`."""

import os
import shutil
import sys
import time
from pathlib import Path

from bench.contestants import check
from bench.hub.books import Figures, cpu_s, on, watched
from bench.hub.site import OURS, Site
from bench.hub.talk import Talk, commit_body, small
from bench.loopback import USER, private_environment
from bench.measure import StepError, measured, quiet, warm
from bench.tools.stock import SNAPSHOT

COMMIT_FILES, LISTED_FILES = 20_000, 100_000
FOLDER_FILES = 200
FILE_BYTES = 1000
SLOW_S = 60.0
"""What takes longer is run only once."""


def path_of(number: int) -> str:
    """The path of a small file; a folder holds 200."""
    return f"data/{number // FOLDER_FILES:04d}/clip_{number:06d}.json"


def content_of(number: int) -> bytes:
    """1000 bytes of text, different for each number."""
    return f'{{"clip": "{number:0{FILE_BYTES - 12}d}"}}'.encode()


def commit_of(first: int, count: int) -> bytes:
    """The body of a commit of `count` small files."""
    return commit_body(small(path_of(number), content_of(number)) for number in range(first, first + count))


def commits_and_listings(site: Site) -> None:
    """Measure a commit into an empty repo, and the listing of a repo that grew by five such commits."""
    files = max(10, int(COMMIT_FILES * site.scale))
    times = LISTED_FILES // COMMIT_FILES
    with site.folder() as place, site.hub(place / "hub", site.cores.server) as talk, on(site.cores.client):
        for number in range(site.repeat):
            repo, body = talk.create(f"commit-{number}"), commit_of(0, files)
            with watched(talk.hub.pid) as figures:
                talk.commit(repo, body)
            site.add("commit", OURS, {**figures, "files": files})
        for number in range(1, times):
            talk.commit(repo, commit_of(files * number, files))
        for _ in range(site.repeat):
            site.add("listing", OURS, listing(talk, repo, files * times))


def listing(talk: Talk, repo: str, files: int) -> Figures:
    """The whole tree of a repo, page by page as stock clients ask for it; only the waiting counts. Raises StepError if a file lacks."""
    url, entries, wall_s = f"/api/models/{repo}/tree/main?recursive=true", 0, 0.0
    found: set[str] = set()
    before_s = cpu_s(talk.hub.pid)
    while url:
        began_s = time.perf_counter()
        answer = talk.request("GET", url)
        wall_s += time.perf_counter() - began_s
        page = answer.json()
        entries += len(page)
        found.update(entry["path"] for entry in page if entry["type"] == "file")
        url = answer.links.get("next", {}).get("url", "")
    if not found >= {path_of(number) for number in range(files)}:
        raise StepError("a listing lacks files")
    return {"wall_s": wall_s, "entries": entries, "server_cpu_s": cpu_s(talk.hub.pid) - before_s}


def snapshots(site: Site) -> None:
    """Measure stock `snapshot_download` of W3 into a new folder each time."""
    workload = site.workload("W3")
    with site.folder() as place, site.hub(place / "hub", site.cores.server) as talk:
        repo = f"{USER}/small-files"
        push(workload.folder, repo, talk, place / "pusher")
        warm(talk.hub.data)
        for number in range(site.repeat):
            folder, environment = place / f"snapshot-{number}", stock_environment(talk, place / f"home-{number}")
            command = (sys.executable, "-c", SNAPSHOT, repo, str(folder))
            with on(site.cores.client), watched(talk.hub.pid) as figures:
                measured(command, cwd=place, environment=environment, log=place / "log.txt")
            site.add("snapshot", OURS, {**figures, "files": workload.fingerprint.files})
            check(workload, folder, "snapshot_download")
            if figures["wall_s"] > SLOW_S:
                return


def stock_environment(talk: Talk, home: Path) -> dict[str, str]:
    """An environment for stock clients as they come: by Xet where the hub says so."""
    environment = private_environment(home) | {"HF_ENDPOINT": talk.hub.url, "HF_TOKEN": talk.hub.token}
    del environment["HF_HUB_DISABLE_XET"]
    return environment


def push(folder: Path, repo: str, talk: Talk, place: Path) -> None:
    """Put a folder into a new dataset with our own client, which is quick at it."""
    project, environment = place / "project", stock_environment(talk, place / "home")
    shutil.copytree(folder, project / "data", copy_function=os.link)
    for command in (
        ("tenuto", "init"),
        ("tenuto", "track", "data", "--to", f"hf://datasets/{repo}"),
        ("tenuto", "repo", "create", f"hf://datasets/{repo}"),
        ("tenuto", "push"),
    ):
        quiet(command, cwd=project, environment=environment, log=place / "log.txt")
