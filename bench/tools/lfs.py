"""git with git-lfs, and a bare repository on the same disk as its remote."""

import shutil
from pathlib import Path

from bench.contestants import Bench, MissingToolError, Samples, check
from bench.edits import change_one, change_tenth
from bench.measure import quiet, warm
from bench.prepare import Workload


class GitLfs:
    """Everything below `data` is in LFS."""

    name = "git-lfs"

    def version(self) -> str:
        if shutil.which("git-lfs") is None:
            raise MissingToolError("git-lfs was not found; install it with: apt-get install git-lfs")
        told = quiet(["git-lfs", "version"], cwd=Path.cwd(), environment={}, log=Path("/dev/null"))
        return told.split()[0].partition("/")[2]

    def start(self, place: Path) -> Samples:
        bench = self._bench(place)
        bench.quiet("git", "init", "-q", cwd=place)
        bench.step("version", "git-lfs", "version", cwd=place)
        bench.step("help", "git-lfs", "help", cwd=place)
        bench.step("empty status", "git", "status", cwd=place)
        return bench.samples

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = self._bench(place)
        project, clone, remote = bench.project(workload), place / "clone", place / "remote"
        bench.quiet("git", "init", "-q", "--bare", "-b", "main", str(remote), cwd=place)
        bench.quiet("git", "init", "-q", "-b", "main", cwd=project)
        bench.quiet("git", "remote", "add", "origin", remote.as_uri(), cwd=project)
        bench.quiet("git", "lfs", "track", "data/**", cwd=project)
        bench.step("track", "git", "add", "data", ".gitattributes", cwd=project)
        bench.step("status", "git", "status", cwd=project)
        bench.quiet(
            "git", "config", "gc.autoDetach", "false", cwd=project
        )  # a collection in the background breaks its push
        bench.quiet("git", "commit", "-q", "-m", "first", cwd=project)
        warm(project / ".git")
        bench.step("push", "git", "push", "-q", "-u", "origin", "main", cwd=project)
        warm(remote)
        self._clone(bench, workload, clone, remote)
        if workload.is_one_file:
            bench.drop(clone)
            self._insert(bench, project, remote)
        else:
            self._second(bench, workload, project, clone)
        return bench.samples

    def _bench(self, place: Path) -> Bench:
        bench = Bench(self.name, place)
        bench.environment["GIT_CONFIG_GLOBAL"] = str(place / "home" / "gitconfig")
        bench.quiet("git", "lfs", "install", "--skip-repo", cwd=place)
        return bench

    def _clone(self, bench: Bench, workload: Workload, clone: Path, remote: Path) -> None:
        bench.step("pull", "git", "clone", "-q", remote.as_uri(), str(clone), cwd=bench.place)
        check(workload, clone / "data", self.name)
        bench.step("pull again", "git", "pull", "-q", cwd=clone)
        warm(clone / ".git")
        bench.step("verify", "git", "lfs", "fsck", cwd=clone)
        bench.lose(workload, clone / "data")
        bench.step("checkout", "git", "checkout", "--", "data", cwd=clone)
        check(workload, clone / "data", self.name)

    def _second(self, bench: Bench, workload: Workload, project: Path, clone: Path) -> None:
        change_one(project / "data")
        bench.step("track again", "git", "add", "data", cwd=project)
        change_tenth(project / "data")
        bench.quiet("git", "commit", "-q", "-a", "-m", "second", cwd=project)
        bench.quiet("git", "push", "-q", cwd=project)
        bench.quiet("git", "pull", "-q", cwd=clone)
        bench.step("other version", "git", "checkout", "-q", "HEAD~1", cwd=clone)
        check(workload, clone / "data", self.name)

    def _insert(self, bench: Bench, project: Path, remote: Path) -> None:
        bench.insert(project / "data")
        bench.quiet("git", "commit", "-q", "-a", "-m", "second", cwd=project)
        bench.step("insert", "git", "push", "-q", cwd=project, remote=remote)
