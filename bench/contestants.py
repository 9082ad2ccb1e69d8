"""The tools, each doing the same job its own way: track, ask for the state, push, pull into a fresh clone, pull again.

A flow begins with nothing but a copy of the files, and ends by comparing every pulled byte. Commands that only prepare are not
measured. All run with their default settings; the page cache is warm for what a step reads.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.fingerprint import Fingerprint, fingerprint
from bench.loopback import USER, Hub, private_environment, serving
from bench.measure import Sample, StepError, measured, quiet, warm

Samples = dict[tuple[str, str], Sample]
"""By tool and step."""


class Workload(NamedTuple):
    """Files to work on: name, folder, and the fingerprint of the bytes in it."""

    name: str
    folder: Path
    fingerprint: Fingerprint


class Contestant(Protocol):
    """A tool that can go through the flow."""

    name: str

    def flow(self, workload: Workload, place: Path) -> Samples:
        """Go through every step in the empty folder `place`. Raises StepError."""


class Bench:
    """A place for one flow: runs commands there, measured or not, in one environment."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = private_environment(place)
        self.log = place / "log.txt"

    def quiet(self, *command: str, cwd: Path) -> str:
        """Run a command that only prepares."""
        return quiet(command, cwd=cwd, environment=self.environment, log=self.log)

    def measured(self, *command: str, cwd: Path) -> Sample:
        """Run a command that counts."""
        return measured(command, cwd=cwd, environment=self.environment, log=self.log)

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """An empty hub, which the commands talk to as long as the block lasts."""
        with serving(self.place, self.environment) as hub:
            self.environment |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
            yield hub

    def project(self, workload: Workload) -> Path:
        """A new folder with a copy of the workload in `data`."""
        project = self.place / "project"
        shutil.copytree(workload.folder, project / "data")
        warm(project)
        return project


def check(workload: Workload, folder: Path, tool: str) -> None:
    """Raise StepError unless the pulled files are the pushed ones, byte for byte."""
    if fingerprint(folder) != workload.fingerprint:
        raise StepError(f"{tool} pulled other files of {workload.name} than were pushed")


class Tenuto:
    """This program, against a hub of its own on loopback."""

    name = "tenuto"

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = Bench(place)
        project, clone = bench.project(workload), place / "clone"
        repo = f"hf://datasets/{USER}/{workload.name.lower()}"
        samples: Samples = {}
        with bench.hub() as hub:
            bench.quiet("git", "init", "-q", cwd=project)
            bench.quiet("tenuto", "init", cwd=project)
            samples[self.name, "track"] = bench.measured("tenuto", "track", "data", "--to", repo, cwd=project)
            samples[self.name, "status"] = bench.measured("tenuto", "status", cwd=project)
            bench.quiet("tenuto", "repo", "create", repo, cwd=project)
            warm(project / "data")
            samples[self.name, "push"] = bench.measured("tenuto", "push", cwd=project)
            bench.quiet("git", "add", "-A", cwd=project)
            bench.quiet("git", "commit", "-q", "-m", "pushed", cwd=project)
            bench.quiet("git", "clone", "-q", str(project), str(clone), cwd=place)
            bench.environment["TENUTO_CACHE"] = str(place / "other-store")
            warm(hub.data)
            samples[self.name, "pull"] = bench.measured("tenuto", "pull", cwd=clone)
            samples[self.name, "pull again"] = bench.measured("tenuto", "pull", cwd=clone)
        check(workload, clone / "data", self.name)
        return samples


class Dvc:
    """DVC without git, with a folder of the same disk as its remote."""

    name = "dvc"

    def __init__(self, program: Path) -> None:
        self._program = str(program)

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = Bench(place)
        project, clone, remote = bench.project(workload), place / "clone", place / "remote"
        self._prepare(bench, project, remote)
        samples: Samples = {}
        samples[self.name, "track"] = bench.measured(self._program, "add", "data", cwd=project)
        samples[self.name, "status"] = bench.measured(self._program, "status", cwd=project)
        warm(project / ".dvc")
        samples[self.name, "push"] = bench.measured(self._program, "push", cwd=project)
        clone.mkdir()
        self._prepare(bench, clone, remote)
        shutil.copy(project / "data.dvc", clone)
        warm(remote)
        samples[self.name, "pull"] = bench.measured(self._program, "pull", cwd=clone)
        samples[self.name, "pull again"] = bench.measured(self._program, "pull", cwd=clone)
        check(workload, clone / "data", self.name)
        return samples

    def _prepare(self, bench: Bench, folder: Path, remote: Path) -> None:
        """An empty DVC repository with its own state, that knows the remote."""
        bench.quiet(self._program, "init", "-q", "--no-scm", cwd=folder)
        settings: Mapping[str, str] = {
            "core.analytics": "false",
            "core.check_update": "false",
            "core.site_cache_dir": str(folder / ".dvc" / "site"),
        }
        for key, value in settings.items():
            bench.quiet(self._program, "config", key, value, cwd=folder)
        bench.quiet(self._program, "remote", "add", "-d", "folder", str(remote), cwd=folder)


UPLOAD = """
import sys
from huggingface_hub import HfApi
HfApi().upload_folder(repo_id=sys.argv[1], repo_type="dataset", folder_path=sys.argv[2])
"""
SNAPSHOT = """
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], repo_type="dataset", local_dir=sys.argv[2])
"""


class Stock:
    """huggingface_hub, and its command `hf`, against a hub of ours on loopback."""

    name = "huggingface_hub"

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = Bench(place)
        project = bench.project(workload)
        repo = f"{USER}/{workload.name.lower()}"
        snapshot, download = str(place / "snapshot"), str(place / "download")
        samples: Samples = {}
        with bench.hub() as hub:
            bench.quiet("tenuto", "repo", "create", f"hf://datasets/{repo}", cwd=place)
            upload = (sys.executable, "-c", UPLOAD, repo, str(project / "data"))
            samples[self.name, "push"] = bench.measured(*upload, cwd=place)
            warm(hub.data)
            fetch = (sys.executable, "-c", SNAPSHOT, repo, snapshot)
            samples[self.name, "pull"] = bench.measured(*fetch, cwd=place)
            samples[self.name, "pull again"] = bench.measured(*fetch, cwd=place)
            command = ("hf", "download", repo, "--repo-type", "dataset", "--local-dir", download)
            samples["hf download", "pull"] = bench.measured(*command, cwd=place)
            samples["hf download", "pull again"] = bench.measured(*command, cwd=place)
        for folder in (snapshot, download):
            check(workload, Path(folder), self.name)
        return samples
