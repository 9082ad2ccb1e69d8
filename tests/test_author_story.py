"""The author of a library ships a lock inside its wheel; a user of that library installs it and needs nothing else."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.core.ids import RepoId
from tenuto.core.settings import resolve
from tenuto.hub.remote import Remote
from tenuto.hub.tokens import connect
from tenuto.testing.live_hub import LiveHub

SOURCES = Path(__file__).parents[1]
WEIGHTS = os.urandom(300_000)
CONFIG = b'{"layers": 12}\n'
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "beats-demo"
version = "1.0"
dependencies = ["tenuto"]
"""
LIBRARY = '''\
"""Features of sounds."""

import tenuto


class Extractor:
    """Loads its checkpoint by itself."""

    def __init__(self, offline=None, progress=None):
        self.checkpoint = tenuto.path("BEATs_iter3.pt", package=__package__, offline=offline, progress=progress)
        self.config = tenuto.load("config.json", package=__package__, offline=offline)
'''
USE = """\
import hashlib, json, sys
import beats_demo, tenuto
heard = []
extractor = beats_demo.Extractor(progress=lambda label, done, total: heard.append((label, done, total)))
with open(extractor.checkpoint, "rb") as file:
    sha256 = hashlib.sha256(file.read()).hexdigest()
print(json.dumps([extractor.checkpoint, sha256, extractor.config, heard[-1:], beats_demo.__file__, tenuto.__file__]))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub() as live:
        yield live


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(project: Path, into: Path) -> Path:
    """Build without a network: what builds is here already."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    before = set(into.glob("*.whl"))
    run(*pip, "-w", into, project, cwd=into)
    (wheel,) = set(into.glob("*.whl")) - before
    return wheel


class Author:
    """Somebody with an account, a project with checkpoints, and the source of a library in it."""

    def __init__(self, hub: LiveHub, folder: Path) -> None:
        self.hub, self.project = hub, folder / "author"
        name = f"ann-{os.urandom(4).hex()}"
        self.repo = f"hf://{name}/beats"
        self.environment = {
            "HF_TOKEN": hub.user(name),
            "HF_ENDPOINT": hub.url,
            "TENUTO_CACHE": str(folder / "author-cache"),
        }
        package = self.project / "src" / "beats_demo"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(LIBRARY)
        (self.project / "pyproject.toml").write_text(PYPROJECT)
        (self.project / "checkpoints").mkdir()
        (self.project / "checkpoints" / "BEATs_iter3.pt").write_bytes(WEIGHTS)
        (self.project / "checkpoints" / "config.json").write_bytes(CONFIG)

    def tenuto(self, *words: str) -> str:
        return run(sys.executable, "-m", "tenuto", *words, cwd=self.project, **self.environment)

    def publish(self) -> None:
        self.tenuto("init")
        self.tenuto("track", "checkpoints", "--to", self.repo, "--name", "beats", "--kind", "checkpoint")
        settings = resolve({"endpoint": self.hub.url, "token": self.environment["HF_TOKEN"]})
        with connect(settings).session as session:
            Remote(session).create_repo(RepoId.parse(self.repo), private=False)
        self.tenuto("push")
        self.tenuto("package", "src/beats_demo")


class User:
    """Somebody with a fresh environment, an empty home, no project and no token."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.python = folder / "venv" / "bin" / "python"
        run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "-q"]
        run(*pip, "--no-deps", "--no-index", "--no-compile", *wheels, cwd=folder)
        (site,) = (folder / "venv").glob("lib/python*/site-packages")
        # What tenuto needs is taken from here; a .pth of a folder that a .pth names is not read, so that the wheel of tenuto is used.
        (site / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        self.site = site

    def use(self, **environment: str) -> list[object]:
        answer = run(self.python, "-c", USE, cwd=self.work, **{"HOME": str(self.home), **environment})
        found = json.loads(answer)
        assert isinstance(found, list)
        return found


def wheels_of(author: Author, into: Path) -> list[Path]:
    """The library, which holds the lock and none of the weights, and Tenuto itself."""
    into.mkdir()
    library = build_wheel(author.project, into)
    with zipfile.ZipFile(library) as archive:
        assert {"beats_demo/_tenuto/tenuto.lock", "beats_demo/_tenuto/tenuto.toml"} <= set(archive.namelist())
        assert sum(info.file_size for info in archive.infolist()) < 20_000
    return [library, build_wheel(SOURCES, into)]


def test_a_library_ships_a_lock_and_its_users_need_nothing_else(hub: LiveHub, tmp_path: Path) -> None:
    author = Author(hub, tmp_path)
    author.publish()
    user = User(tmp_path, wheels_of(author, tmp_path / "wheels"))

    # A wrong file lies where careless libraries look.
    (user.work / "checkpoints").mkdir()
    for wrong in (user.work / "checkpoints" / "BEATs_iter3.pt", user.work / "BEATs_iter3.pt"):
        wrong.write_bytes(b"my own fine-tune")
    requests = hub.log().count("\n")

    checkpoint, sha256, config, heard, *modules = user.use()
    assert sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert config == {"layers": 12}
    assert heard == [["downloading", len(WEIGHTS), len(WEIGHTS)]]
    assert all(str(module).startswith(str(user.site)) for module in modules)
    assert str(checkpoint).startswith(str(user.home))
    assert (user.work / "checkpoints" / "BEATs_iter3.pt").read_bytes() == b"my own fine-tune"
    first = hub.log().count("\n") - requests
    assert 0 < first <= 4

    # The second time is offline, whatever is asked for it.
    before = hub.log()
    assert user.use()[:2] == [checkpoint, sha256]
    assert user.use(HF_HUB_OFFLINE="1")[:2] == [checkpoint, sha256]
    assert user.use(HF_ENDPOINT="http://127.0.0.1:9", TENUTO_OFFLINE="1")[:2] == [checkpoint, sha256]
    assert hub.log() == before

    # Programs that speak fsspec find it by the entry point of the wheel.
    speak = "import fsspec; print(fsspec.open('tenuto://beats/config.json', package='beats_demo').open().read())"
    assert run(user.python, "-c", speak, cwd=user.work, HOME=str(user.home)) == f"{CONFIG!r}\n"
    assert hub.log() == before

    # What is damaged is noticed, and mended.
    file = Path(str(checkpoint))
    file.chmod(0o644)
    file.write_bytes(b"damaged" + WEIGHTS[7:])
    assert user.use()[:2] == [checkpoint, sha256]
    assert file.read_bytes() == WEIGHTS
    assert sorted(str(path.relative_to(user.work)) for path in user.work.rglob("*.*")) == [
        "BEATs_iter3.pt",
        "checkpoints/BEATs_iter3.pt",
    ]
