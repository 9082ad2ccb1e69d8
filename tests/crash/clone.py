"""A clone of a project as one user has it: a working folder, a store, a token, and the program to run in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from tenuto.core.gitobj import blob_id
from tenuto.core.ids import RepoId
from tenuto.hub.remote import Remote
from tenuto.store.local import LocalStore
from tests.hub.place import HUB_FILE, check_whole, sha256_of

KILLED = -signal.SIGKILL
FORGE = str(Path(__file__).with_name("forge.py"))
ARTIFACT = "weights"


class Ended(NamedTuple):
    """How a run of the program ended: its status, the calls that it made to the outside, and all that it printed."""

    status: int
    calls: int
    output: str


class Forge:
    """The warm process that runs commands in forks of itself."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, FORGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, clone: "Clone", *commands: list[str], die_at: int = 0, fault: int = 0) -> Ended:
        """Run the commands, up to the first that fails; with `die_at` the process kills itself before that call.

        With `fault`, a number of the system's errors, that call fails so instead; then calls to disks alone are counted.
        """
        output = clone.folder.with_suffix(".output")
        order = {
            "folder": str(clone.folder),
            "environment": clone.environment,
            "commands": commands,
            "output": str(output),
            "die_at": die_at,
            "fault": fault,
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ended(answer["status"], answer["calls"], output.read_text() if output.exists() else "")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Clone:
    """A working folder with its own store, or one that it shares."""

    def __init__(self, folder: Path, endpoint: str, token: str, store: Path | None = None) -> None:
        self.folder, self.store = folder, store or folder.with_name(f"{folder.name}-store")
        self.environment = {
            "HOME": os.environ["HOME"],
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "TENUTO_ENDPOINT": endpoint,
            "TENUTO_CACHE": str(self.store),
            "TENUTO_CONFIG": str(folder.with_name(f"{folder.name}-config")),
            "TENUTO_RETRIES": "2",
            "HF_TOKEN": token,
        }
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, files: Mapping[str, bytes], artifact: str = ARTIFACT) -> None:
        """Let the artifact hold these files; others stay."""
        for path, content in files.items():
            file = self.folder / artifact / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                file.unlink()  # it may be a read-only file of the store
            file.write_bytes(content)

    def files(self, artifact: str = ARTIFACT) -> dict[str, bytes]:
        """What the artifact holds, whatever it is."""
        top = self.folder / artifact
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    def take_words(self, other: "Clone") -> None:
        """Manifest and lock of another clone, as `git pull` brings them."""
        for name in ("tenuto.toml", "tenuto.lock"):
            shutil.copyfile(other.folder / name, self.folder / name)

    def copy(self, folder: Path) -> "Clone":
        """The same clone and store once more, somewhere else."""
        shutil.copytree(self.folder, folder, symlinks=True)
        made = Clone(folder, self.environment["TENUTO_ENDPOINT"], self.environment["HF_TOKEN"])
        own = {name: made.environment[name] for name in ("TENUTO_CACHE", "TENUTO_CONFIG")}
        made.environment = {**self.environment, **own}
        if self.store.exists():
            shutil.copytree(self.store, made.store)
        return made

    def start(self, *command: str) -> subprocess.Popen[str]:
        """`python -m tenuto`, started and not waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "tenuto", *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> Ended:
        """`python -m tenuto`, to its end."""
        with self.start(*command) as process:
            output = process.communicate(timeout=60)[0]
        return Ended(process.returncode, 0, output)

    def trashed(self) -> list[bytes]:
        """The contents of all files in the trash."""
        return [path.read_bytes() for path in (self.folder / ".tenuto" / "trash").rglob("*") if path.is_file()]

    def check_store(self) -> None:
        """Every visible object hashes to its name."""
        check_whole(LocalStore(str(self.store)))

    def orphans(self) -> list[str]:
        """What a killed process left outside the spool, in folder and store."""
        found = [*self.folder.rglob(".tenuto-*"), *self.store.rglob(".tenuto-*")]
        return [str(path) for path in found]


def check_hub(remote: Remote, repo: RepoId) -> dict[str, bytes]:
    """What the head of a repo holds, every file of it read and compared with its hash."""
    head = remote.info(repo, "main").sha
    assert head
    found = {}
    for entry in remote.tree(repo, head):
        content = remote.session.request("GET", remote.file_address(repo, head, entry.path)).body
        if entry.lfs:
            assert (sha256_of(content), len(content)) == (entry.lfs.oid, entry.lfs.size)
        else:
            assert (blob_id(content), len(content)) == (entry.oid, entry.size)
        if entry.path != HUB_FILE:
            found[entry.path] = content
    return found
