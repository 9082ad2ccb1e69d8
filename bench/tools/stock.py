"""huggingface_hub, and its command `hf`, against a hub of ours on loopback."""

import sys
from importlib.metadata import version
from pathlib import Path

from bench.contestants import Bench, Samples, check
from bench.loopback import USER
from bench.measure import warm
from bench.prepare import Workload

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
    """With Xet, where hub and client agree on it, as it comes."""

    name = "huggingface_hub"

    def version(self) -> str:
        return version("huggingface_hub")

    def start(self, place: Path) -> Samples:
        bench = Bench(self.name, place)
        bench.step("version", "hf", "version", cwd=place)
        bench.step("help", "hf", "--help", cwd=place)
        return bench.samples

    def flow(self, workload: Workload, place: Path) -> Samples:
        bench = Bench(self.name, place)
        del bench.environment["HF_HUB_DISABLE_XET"]
        project, repo = bench.project(workload), f"{USER}/{workload.name.lower()}"
        upload = (sys.executable, "-c", UPLOAD, repo, str(project / "data"))
        snapshot, download = place / "snapshot", place / "download"
        with bench.hub() as hub:
            bench.quiet("tenuto", "repo", "create", f"hf://datasets/{repo}", cwd=place)
            bench.step("push", *upload, cwd=place)
            warm(hub.data)
            fetch = (sys.executable, "-c", SNAPSHOT, repo, str(snapshot))
            bench.step("pull", *fetch, cwd=place)
            check(workload, snapshot, self.name)
            bench.step("pull again", *fetch, cwd=place)
            kind = ("--repo-type", "dataset", "--local-dir")
            bench.step("verify", "hf", "cache", "verify", repo, *kind, str(snapshot), cwd=place)
            bench.drop(snapshot, place / "home" / "huggingface" / "xet")
            command = ("hf", "download", repo, *kind, str(download))
            bench.step("pull", *command, cwd=place, tool="hf download")
            check(workload, download, self.name)
            bench.step("pull again", *command, cwd=place, tool="hf download")
            bench.drop(download)
            if workload.is_one_file:
                bench.insert(project / "data")
                bench.step("insert", *upload, cwd=place, remote=hub.data)
        return bench.samples
