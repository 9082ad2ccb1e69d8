"""This program, against a hub of its own on loopback."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from bench.contestants import Bench, Samples, check
from bench.edits import change_one, change_tenth
from bench.loopback import USER, Hub
from bench.measure import warm
from bench.prepare import Workload

GIT_COMMIT = ("git", "commit", "-q", "-a", "-m", "another version")


class Tenuto:
    """Project and clone are git repositories, as people have them."""

    name = "tenuto"
    settings: Mapping[str, str] = {}

    def version(self) -> str:
        return version("tenuto")

    def start(self, place: Path) -> Samples:
        bench = Bench(self.name, place)
        bench.quiet("tenuto", "init", cwd=place)
        bench.step("version", "tenuto", "--version", cwd=place)
        bench.step("help", "tenuto", "--help", cwd=place)
        bench.step("empty status", "tenuto", "status", cwd=place)
        return bench.samples

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = Bench(self.name, place)
        bench.environment |= self.settings
        with bench.hub() as hub:
            project = self._first(bench, workload, hub)
            clone = self._clone(bench, workload, hub)
            if workload.is_one_file:
                bench.drop(clone, Path(bench.environment["TENUTO_CACHE"]))
                bench.environment["TENUTO_CACHE"] = str(place / "home" / "store")
                bench.insert(project / "data")
                bench.quiet("tenuto", "track", "data", cwd=project)
                bench.step("insert", "tenuto", "push", cwd=project, remote=hub.data)
            else:
                self._second(bench, workload, project, clone)
        return bench.samples

    def _first(self, bench: Bench, workload: Workload, hub: Hub) -> Path:
        """Track and push."""
        project, repo = bench.project(workload), f"hf://datasets/{USER}/{workload.name.lower()}"
        bench.quiet("git", "init", "-q", cwd=project)
        bench.quiet("tenuto", "init", cwd=project)
        bench.step("track", "tenuto", "track", "data", "--to", repo, cwd=project)
        bench.step("status", "tenuto", "status", cwd=project)
        bench.quiet("tenuto", "repo", "create", repo, cwd=project)
        warm(project / "data")
        bench.step("push", "tenuto", "push", cwd=project)
        bench.quiet("git", "add", "-A", cwd=project)
        bench.quiet("git", "commit", "-q", "-m", "pushed", cwd=project)
        warm(hub.data)
        return project

    def _clone(self, bench: Bench, workload: Workload, hub: Hub) -> Path:
        """Pull into a clone that shares nothing with the project, and everything that a clone does with one version."""
        clone = bench.place / "clone"
        bench.quiet("git", "clone", "-q", "project", str(clone), cwd=bench.place)
        bench.environment["TENUTO_CACHE"] = str(bench.place / "other-store")
        bench.step("pull", "tenuto", "pull", cwd=clone)
        check(workload, clone / "data", self.name)
        bench.step("pull again", "tenuto", "pull", cwd=clone)
        bench.step("sync again", "tenuto", "sync", cwd=clone)
        bench.step("frozen", "tenuto", "sync", "--frozen", cwd=clone)
        warm(clone / "data")
        bench.step("verify", "tenuto", "verify", cwd=clone)
        bench.lose(workload, clone / "data")
        bench.step("checkout", "tenuto", "pull", cwd=clone)
        check(workload, clone / "data", self.name)
        return clone

    def _second(self, bench: Bench, workload: Workload, project: Path, clone: Path) -> None:
        """Another version, and back from it to the first one."""
        other_store, bench.environment["TENUTO_CACHE"] = (
            bench.environment["TENUTO_CACHE"],
            str(bench.place / "home" / "store"),
        )
        change_one(project / "data")
        bench.step("track again", "tenuto", "track", "data", cwd=project)
        change_tenth(project / "data")
        bench.quiet("tenuto", "push", cwd=project)
        bench.quiet(*GIT_COMMIT, cwd=project)
        bench.environment["TENUTO_CACHE"] = other_store
        bench.quiet("git", "pull", "-q", cwd=clone)
        bench.quiet("tenuto", "pull", cwd=clone)
        bench.quiet("git", "checkout", "-q", "HEAD~1", cwd=clone)
        bench.step("other version", "tenuto", "pull", cwd=clone)
        check(workload, clone / "data", self.name)


class ByChunks(Tenuto):
    """With every large file sent by its chunks (Xet), not only one that has an earlier version."""

    name = "tenuto-chunks"
    settings: Mapping[str, str] = {"TENUTO_XET": "always"}

    def start(self, _place: Path) -> Samples:
        return {}

    def flow(self, workload: Workload, place: Path) -> Samples:
        return super().flow(workload, place) if workload.is_one_file else {}
