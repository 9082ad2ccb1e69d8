"""What is made once and kept in `.bench`: the files of the workloads, and programs in environments of their own."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.fingerprint import Fingerprint, fingerprint

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".bench"


class Workload(NamedTuple):
    """Files to work on: name, folder, and the fingerprint of the bytes in it."""

    name: str
    folder: Path
    fingerprint: Fingerprint

    @property
    def is_one_file(self) -> bool:
        """Whether it is a single large file, which is edited inside instead of having some of many files edited."""
        return self.fingerprint.files == 1


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def prepared(name: str, scale: float) -> Workload:
    """The files of a workload, made once. They are made by another process, so that this one stays small."""
    folder = CACHE / "workloads" / f"scale-{scale:g}" / name.lower()
    if not folder.exists():
        say(f"making {name} at scale {scale:g}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=CACHE) as place:
            maker = [sys.executable, "-m", "bench.workloads", place, "--only", name, "--scale", str(scale)]
            subprocess.run(maker, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            with contextlib.suppress(OSError):  # somebody else made them meanwhile
                os.rename(os.path.join(place, name.lower()), folder)
    return Workload(name, folder, fingerprint(folder))


def environment_with(package: str, version: str) -> Path:
    """The folder of the commands of an environment that holds this version of a package, and is made once."""
    folder = CACHE / f"{package}-{version}"
    if not (folder / "complete").exists():
        say(f"installing {package} {version} into {folder.relative_to(ROOT)} (this once)")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"{package}=={version}"], check=True)
        (folder / "complete").touch()
    return folder / "bin"
