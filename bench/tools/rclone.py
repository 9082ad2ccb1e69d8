"""rclone, with a folder of the same disk as its remote: it copies and compares, and has no versions."""

import os
import shutil
from pathlib import Path

from bench.contestants import Bench, MissingToolError, Samples, check
from bench.measure import quiet, warm
from bench.prepare import Workload


class Rclone:
    """`copy`, `sync`, and `hashsum` for what others call verify: it reads each file once, where `check` reads both sides."""

    name = "rclone"

    def version(self) -> str:
        if shutil.which("rclone") is None:
            raise MissingToolError("rclone was not found; install it with: apt-get install rclone")
        told = quiet(["rclone", "version", *self._settings()], cwd=Path.cwd(), environment={}, log=Path("/dev/null"))
        return told.split()[1].removeprefix("v")

    def _settings(self) -> tuple[str, ...]:
        return ("--config", os.devnull, "--log-level", "ERROR")

    def start(self, place: Path) -> Samples:
        bench = Bench(self.name, place)
        bench.step("version", "rclone", "version", *self._settings(), cwd=place)
        bench.step("help", "rclone", "help", cwd=place)
        return bench.samples

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench, settings = Bench(self.name, place), self._settings()
        project, clone, remote = bench.project(workload), place / "clone", place / "remote"
        data = str(project / "data")
        bench.step("push", "rclone", "copy", data, str(remote), *settings, cwd=place)
        warm(remote)
        bench.step("pull", "rclone", "copy", str(remote), str(clone), *settings, cwd=place)
        check(workload, clone, self.name)
        bench.step("pull again", "rclone", "sync", str(remote), str(clone), *settings, cwd=place)
        sums = str(place / "sums")
        bench.quiet("rclone", "hashsum", "sha256", str(remote), "--output-file", sums, *settings, cwd=place)
        bench.step("verify", "rclone", "hashsum", "sha256", "--checkfile", sums, str(clone), *settings, cwd=place)
        if workload.is_one_file:
            bench.drop(clone)
            bench.insert(project / "data")
            bench.step("insert", "rclone", "copy", data, str(remote), *settings, cwd=place, remote=remote)
        return bench.samples
