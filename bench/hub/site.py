"""Where one run of the benchmark happens, and what it has found so far."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.hub.books import Cores, Figures, on
from bench.hub.talk import Talk
from bench.loopback import private_environment, serving
from bench.measure import StepError
from bench.prepare import CACHE, ROOT, Workload, prepared

OURS = "tenuto"
Job = dict[str, Any]
"""What a client process is told, as JSON."""
Item = TypeVar("Item")


class Options(NamedTuple):
    """How large and how often."""

    scale: float
    repeat: int
    cores: Cores


class Site:
    """One run: its options, the figures by measure and contestant, the files that it used, and the peers that are missing."""

    def __init__(self, options: Options) -> None:
        self.scale, self.repeat, self.cores = options
        self.measures: dict[str, dict[str, list[Figures]]] = {}
        self.files: dict[str, dict[str, object]] = {}
        self.missing: dict[str, str] = {}

    def add(self, measure: str, contestant: str, figures: Figures) -> None:
        """One more sample."""
        self.measures.setdefault(measure, {}).setdefault(contestant, []).append(figures)

    def workload(self, name: str, part: float = 1.0) -> Workload:
        """A workload at the scale of this run, or at a part of it; its fingerprint goes into the results."""
        scale = self.scale * part
        workload = prepared(name, scale)
        self.files[f"{name} at scale {scale:g}"] = dict(workload.fingerprint._asdict())
        return workload

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder on the disk of the workloads, gone afterwards."""
        CACHE.mkdir(exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="hub-", dir=CACHE))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def hub(self, place: Path, cores: frozenset[int]) -> Iterator[Talk]:
        """A hub of ours in an empty folder, on its own cores, as long as the block lasts."""
        place.mkdir(exist_ok=True)
        with ExitStack() as stack:
            with on(cores):
                hub = stack.enter_context(serving(place, private_environment(place)))
            yield stack.enter_context(Talk(hub))

    def client(self, module: str, job: Job, *, home: Path, cores: frozenset[int] | None = None) -> Any:
        """What a client process, with a home of its own, says of its job; without `cores` it may use all. Raises StepError."""
        with on(cores or self.cores.all):
            done = subprocess.run(
                [sys.executable, "-m", f"bench.hub.{module}"],
                cwd=ROOT,
                env=private_environment(home),
                input=json.dumps(job),
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
        if done.returncode:
            raise StepError(f"a client ended with status {done.returncode}:\n{done.stderr[-1500:]}")
        return json.loads(done.stdout)

    def together(
        self, module: str, jobs: Sequence[Job], *, home: Path, cores: frozenset[int] | None = None
    ) -> list[Any]:
        """As `client`, for several processes at once; what each of them says."""
        with ThreadPoolExecutor(len(jobs)) as threads:
            running = [
                threads.submit(self.client, module, job, home=home / str(number), cores=cores)
                for number, job in enumerate(jobs)
            ]
            return [one.result() for one in running]


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """Another order for each round, so that nobody always goes first."""
    turn = number % len(items)
    return [*items[turn:], *items[:turn]]
