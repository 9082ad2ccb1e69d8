"""What `tenuto cache expose` shows is found by `transformers` and `datasets` without a request."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tenuto.testing.live_hub import LiveHub
from tests.wire.client import Client, Make, python_of
from tests.wire.conftest import Repo

pytestmark = pytest.mark.wire

LOAD = "import driver_transformers, json; print(json.dumps(driver_transformers.load({name!r})))"
ROWS = "import datasets; print(datasets.load_dataset({folder!r})['train'].num_rows)"


class Reader:
    """Somebody who takes a repo into a project, exposes it, and is offline from then on."""

    def __init__(self, folder: Path, hub: LiveHub, token: str) -> None:
        self.home, self.hub = folder / "home", hub
        self.project = folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "HF_ENDPOINT": hub.url, "HF_TOKEN": token}

    def expose(self, address: str) -> str:
        """The folder of the snapshot, as other libraries see it."""
        self("init")
        self("add", address)
        return str(msgspec.json.decode(self("cache", "expose", "--json"))["artifacts"][0]["snapshot"])

    def __call__(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tenuto", *arguments]
        return subprocess.run(
            command, cwd=self.project, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def offline(self, environment: str, code: str) -> str:
        """What Python code prints that must make no request."""
        before = self.hub.log().count("\n")
        done = subprocess.run(
            [python_of(environment), "-c", code],
            cwd=Path(__file__).parent,
            env={**self.environment, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert self.hub.log().count("\n") == before
        return done.stdout


@pytest.fixture
def client(request: pytest.FixtureRequest, clients: Callable[[Make], Client]) -> Client:
    return clients(request.param)


@pytest.fixture
def reader(hub: LiveHub, token: str, tmp_path: Path) -> Reader:
    return Reader(tmp_path, hub, token)


@pytest.mark.slow
@pytest.mark.parametrize("client", [Make("transformers", True)], indirect=True, ids=str)
def test_from_pretrained(reader: Reader, make_repo: Callable[..., Repo], tmp_path: Path) -> None:
    repo = make_repo("model")
    sent = repo.client.do("driver_transformers:push", repo_id=repo.name, folder=str(tmp_path))
    reader.expose(f"hf://{repo.name}")
    read = msgspec.json.decode(reader.offline("transformers", LOAD.format(name=repo.name)))
    assert read == pytest.approx(sent)


@pytest.mark.parametrize("client", [Make("datasets", True)], indirect=True, ids=str)
def test_load_dataset(reader: Reader, make_repo: Callable[..., Repo], tmp_path: Path) -> None:
    """By the folder: by a name, `datasets` looks offline for what it has prepared itself, and nowhere else."""
    repo = make_repo("dataset")
    table = tmp_path / "train.csv"
    table.write_text("text,label\nhello,1\nworld,0\n")
    repo.put(table, "train.csv")
    folder = reader.expose(f"hf://datasets/{repo.name}")
    assert reader.offline("datasets", ROWS.format(folder=folder)).strip() == "2"
