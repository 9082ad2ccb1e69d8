"""The benchmark of the hub: every part runs and finds what it promises, the table tells the truth. No timing is asserted."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bench.hub.books import Cores, cpu_s, on, peak_bytes, split, watched
from bench.hub.drive import drive
from bench.hub.fetch import fetch
from bench.hub.peers import nginx, nginx_program, starlette
from bench.hub.small_files import content_of, path_of
from bench.hub.table import ROWS, lines, markdown, plain

ROOT = Path(__file__).parents[2]
MEASURES = {
    "downloads": {"download"},
    "requests": {"resolve HEAD", "resolve GET"},
    "xet": {"xet upload", "xet upload, edited copy", "xet download"},
    "small-files": {"commit", "listing"},
    "snapshot": {"snapshot"},
    "memory": {"memory, xet", "memory, whole"},
}
CONTENT = bytes(range(256)) * 5000


class Handler(BaseHTTPRequestHandler):
    """Gives one content for every path but /missing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(CONTENT)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Says nothing of clients that leave in the middle, as drivers do."""

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(part: str, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.hub", "--only", part, "--out", str(out), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, marks=[pytest.mark.slow] if part in {"downloads", "requests", "memory"} else [])
        for part in MEASURES
    ],
)
def test_every_part_measures_what_it_promises(part: str, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    done = run(part, out, "--scale", "0.001", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert set(results["measures"]) == MEASURES[part]
    assert {line.row.measure for line in lines(results)} == MEASURES[part]
    figures = [
        one for contestants in results["measures"].values() for samples in contestants.values() for one in samples
    ]
    assert all(value >= 0 for one in figures for value in one.values())
    assert all(one.get("sent_bytes", 1) > 0 for one in figures)
    assert all(row.title in done.stdout for row in ROWS if row.measure in MEASURES[part])


def test_a_part_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run("nothing", tmp_path / "results.json")
    assert done.returncode == 2
    assert "there are: downloads, requests" in done.stderr


@pytest.mark.parametrize("peer", [nginx, starlette])
def test_a_peer_gives_the_file_in_the_process_that_is_watched(peer: Any, tmp_path: Path) -> None:
    if peer is nginx and nginx_program() is None:
        pytest.skip("nginx is not installed")
    file, place = tmp_path / "files" / "one.bin", tmp_path / "place"
    for folder in (file.parent, place):
        folder.mkdir()
    file.write_bytes(CONTENT)
    with peer(file, place) as server:
        told = fetch(server.url, "", hashed=True)
        assert peak_bytes(server.pid) > 0
    assert (told["bytes"], told["sha256"]) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert not Path(f"/proc/{server.pid}").exists()


def test_a_download_is_the_whole_file_or_an_error(url: str) -> None:
    assert fetch(f"{url}/file", "", hashed=True)["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ValueError, match="404"):
        fetch(f"{url}/missing", "", hashed=False)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_driver_counts_good_answers_only(url: str, method: str) -> None:
    def job(path: str) -> dict[str, Any]:
        times = {"start_s": time.monotonic() + 0.1, "warm_s": 0.05, "lasts_s": 0.2}
        return {"urls": [url + path], "token": "x", "method": method, "connections": 3, **times}

    assert len(drive(job("/file"))["latencies_s"]) > 0
    with pytest.raises(ValueError, match="404"):
        drive(job("/missing"))
    with pytest.raises(ValueError, match="too late"):
        drive(job("/file") | {"start_s": 0.0})


def test_processes_stay_on_the_cores_that_they_were_started_on() -> None:
    before = os.sched_getaffinity(0)
    cores = split()
    assert cores.all == before
    assert len(cores.server) == 1
    with on(cores.server):
        tell = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]
        told = subprocess.run(tell, capture_output=True, text=True, check=True).stdout
    assert {int(core) for core in told.split()} == cores.server
    assert os.sched_getaffinity(0) == before
    assert split(1) == Cores(cores.server, cores.server)


def test_the_books_of_a_process_grow_with_its_work() -> None:
    pid = os.getpid()
    with watched(pid) as figures:
        before_s = cpu_s(pid)
        while cpu_s(pid) < before_s + 0.05:
            sum(range(10_000))
    assert figures["wall_s"] > 0
    assert round(figures["server_cpu_s"], 2) >= 0.05


def test_small_files_differ_and_have_the_size_that_is_told() -> None:
    numbers = (0, 1, 199, 200, 99_999)
    assert len({path_of(number) for number in numbers}) == len({content_of(number) for number in numbers}) == 5
    assert {len(content_of(number)) for number in numbers} == {1000}


def results(**measures: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    machine = {
        "cpus": 4,
        "processor": "Abacus",
        "memory_bytes": 8_000_000_000,
        "load": 0.25,
        "system": "Linux, Python 3.11.7",
    }
    return {
        "machine": machine,
        "programs": {"tenuto": "0.1.0"},
        "scale": 1.0,
        "repeat": 3,
        "clients": 32,
        "missing": {},
        "measures": measures,
    }


def download(*walls_s: float) -> list[dict[str, float]]:
    return [{"wall_s": wall_s, "bytes": 4_000_000_000, "server_cpu_s": 2.0} for wall_s in walls_s]


def test_a_line_holds_medians_their_ratio_and_whether_the_target_is_reached() -> None:
    found = results(download={"tenuto": download(2.0, 9.0, 1.0), "nginx": download(1.0), "starlette": download(8.0)})
    rows = [line.cells() for line in lines(found)]
    assert rows[0][1:] == ["2,000 MB/s", "4,000 MB/s", "nginx", "0.50", ">= 0.7 x", "MISSED"]
    assert rows[1][1:] == ["2,000 MB/s", "500 MB/s", "Starlette FileResponse", "4.00", ">= 2 x", "met"]
    assert rows[2] == ["server CPU for a GB of it", "0.50 s", "0.50 s", "nginx", "1.00", "", ""]
    assert len(rows) == 4  # nothing is said of a measure that was not taken


def test_a_target_of_our_own_figure_needs_no_peer() -> None:
    commits = results(commit={"tenuto": [{"wall_s": 2.5, "server_cpu_s": 2.0, "files": 20_000}]})
    assert [line.cells()[1:] for line in lines(commits)] == [["2.5 s", "", "", "", "<= 3.0 s", "met"]]


def test_a_missing_peer_is_never_silent() -> None:
    found = results(download={"tenuto": download(2.0)})
    found["missing"] = {"nginx": "nginx was not found; install it with: apt-get install nginx-light"}
    for text in (plain(found), markdown(found)):
        assert "not measured" in text
        assert "apt-get install nginx-light" in text
        assert "4 cores of Abacus" in text


def test_every_committed_result_can_be_shown() -> None:
    for file in (ROOT / "bench" / "results").glob("hub-*.json"):
        shown = markdown(json.loads(file.read_text()))
        assert len([line for line in shown.splitlines() if line.startswith("| ")]) > 2
