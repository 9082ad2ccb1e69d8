"""DVC without git, with a folder of the same disk as its remote."""

import shutil
from pathlib import Path

from bench.contestants import Bench, Samples, check
from bench.edits import change_one, change_tenth
from bench.measure import warm
from bench.prepare import Workload, environment_with

VERSION = "3.67.1"


class Dvc:
    """Everything by the command `dvc`, from an environment of its own."""

    name = "dvc"

    def version(self) -> str:
        self._program = str(environment_with("dvc", VERSION) / "dvc")
        return VERSION

    def start(self, place: Path) -> Samples:
        bench = Bench(self.name, place)
        self._prepare(bench, place, place / "remote")
        bench.step("version", self._program, "--version", cwd=place)
        bench.step("help", self._program, "--help", cwd=place)
        bench.step("empty status", self._program, "status", cwd=place)
        return bench.samples

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = Bench(self.name, place)
        project, clone, remote = bench.project(workload), place / "clone", place / "remote"
        self._first(bench, project, remote)
        self._clone(bench, workload, clone, remote)
        if workload.is_one_file:
            bench.drop(clone)
            bench.insert(project / "data")
            bench.quiet(self._program, "add", "data", cwd=project)
            bench.step("insert", self._program, "push", cwd=project, remote=remote)
        else:
            self._second(bench, workload, project, clone)
        return bench.samples

    def _first(self, bench: Bench, project: Path, remote: Path) -> None:
        self._prepare(bench, project, remote)
        bench.step("track", self._program, "add", "data", cwd=project)
        bench.step("status", self._program, "status", cwd=project)
        warm(project / ".dvc")
        bench.step("push", self._program, "push", cwd=project)

    def _clone(self, bench: Bench, workload: Workload, clone: Path, remote: Path) -> None:
        clone.mkdir()
        self._prepare(bench, clone, remote)
        shutil.copy(bench.place / "project" / "data.dvc", clone)
        warm(remote)
        bench.step("pull", self._program, "pull", cwd=clone)
        check(workload, clone / "data", self.name)
        bench.step("pull again", self._program, "pull", cwd=clone)
        bench.lose(workload, clone / "data")
        warm(clone / ".dvc")
        bench.step("checkout", self._program, "checkout", cwd=clone)
        check(workload, clone / "data", self.name)

    def _second(self, bench: Bench, workload: Workload, project: Path, clone: Path) -> None:
        change_one(project / "data")
        bench.step("track again", self._program, "add", "data", cwd=project)
        change_tenth(project / "data")
        bench.quiet(self._program, "add", "data", cwd=project)
        bench.quiet(self._program, "push", cwd=project)
        first = (clone / "data.dvc").read_bytes()
        shutil.copy(project / "data.dvc", clone)
        bench.quiet(self._program, "pull", cwd=clone)
        (clone / "data.dvc").write_bytes(first)
        bench.step("other version", self._program, "checkout", cwd=clone)
        check(workload, clone / "data", self.name)

    def _prepare(self, bench: Bench, folder: Path, remote: Path) -> None:
        """An empty DVC repository with its own state, that knows the remote."""
        bench.quiet(self._program, "init", "-q", "--no-scm", cwd=folder)
        settings = {
            "core.analytics": "false",
            "core.check_update": "false",
            "core.site_cache_dir": str(folder / ".dvc" / "site"),
        }
        for key, value in settings.items():
            bench.quiet(self._program, "config", key, value, cwd=folder)
        bench.quiet(self._program, "remote", "add", "-d", "folder", str(remote), cwd=folder)
