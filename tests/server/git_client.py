"""The real git, as a person would run it: a home of its own, no prompts, errors as text."""

import os
import subprocess
from pathlib import Path
from urllib.parse import quote

IDENTITY = {
    "GIT_AUTHOR_NAME": "Git User",
    "GIT_AUTHOR_EMAIL": "git@example.org",
    "GIT_COMMITTER_NAME": "Git User",
    "GIT_COMMITTER_EMAIL": "git@example.org",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}


class GitFailed(Exception):
    """git ended with an error; the text is what it said."""


def address(url: str, repo: str, token: str | None = None, end: str = "") -> str:
    """Where git finds a repo; the token goes along as a password, as people do it."""
    if token:
        url = url.replace("http://", f"http://user:{quote(token)}@")
    return f"{url}/{repo}{end}"


def run_git(folder: Path, *command: str, version: int = 2, text: str | None = None) -> str:
    """What git printed, without the last newline; raises GitFailed."""
    base = ["git", "-c", f"protocol.version={version}", "-c", "init.defaultBranch=main", "-c", "core.quotePath=false"]
    done = subprocess.run(
        [*base, *command],
        cwd=folder,
        env={**os.environ, **IDENTITY},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise GitFailed(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


class Clone:
    """A working folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, where: str, folder: Path, *options: str, version: int = 2) -> "Clone":
        folder.parent.mkdir(parents=True, exist_ok=True)
        run_git(folder.parent, "clone", "-q", *options, where, str(folder), version=version)
        return cls(folder)

    def git(self, *command: str, version: int = 2, text: str | None = None) -> str:
        return run_git(self.folder, *command, version=version, text=text)

    def write(self, path: str, content: bytes) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def commit(self, message: str = "a change", **files: bytes) -> str:
        """Commit everything as it lies there; the id of the commit."""
        for path, content in files.items():
            self.write(path, content)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self, revision: str = "HEAD") -> str:
        return self.git("rev-parse", revision)

    def objects(self) -> set[str]:
        """The ids of all objects that are here."""
        return set(self.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split())

    def check(self) -> None:
        """Nothing is wrong, by the strictest rules."""
        assert self.git("fsck", "--strict", "--full", "--no-dangling", "--no-progress") == ""
