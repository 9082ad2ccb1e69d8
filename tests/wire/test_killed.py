"""The hub is killed in the middle of a stock client's upload and comes back: the client's retry completes."""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.testing.live_hub import ProcessHub
from tests.wire.client import Client, Make
from tests.wire.conftest import MAKES, Repo
from tests.wire.content import write

pytestmark = pytest.mark.wire
SIZE_BYTES = 60_000_000
SEEN_BYTES = 3_000_000
PATIENCE_S = 60


@pytest.fixture(scope="module")
def hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessHub]:
    with ProcessHub(str(tmp_path_factory.mktemp("hub") / "data")) as made:
        yield made


OLDER = [pytest.param(make, marks=pytest.mark.slow) for make in MAKES[2:]]


@pytest.fixture(params=[*MAKES[:2], *OLDER], ids=str)
def own_client(request: pytest.FixtureRequest, hub_process: ProcessHub, tmp_path: Path) -> Iterator[Client]:
    make: Make = request.param
    client = Client(make, hub_process.url, hub_process.user(f"user-{make}".replace(".", "-")), tmp_path)
    yield client
    client.stop()


def held_bytes(hub: ProcessHub) -> int:
    """All bytes in the folder of a hub, whole or on their way in."""
    total = 0
    for folder, _, names in os.walk(hub.data_dir):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(folder, name))
    return total


def wait_for_growth(hub: ProcessHub, before: int) -> None:
    """Returns as soon as there is something worth killing it for."""
    deadline = time.monotonic() + PATIENCE_S
    while held_bytes(hub) < before + SEEN_BYTES:
        assert time.monotonic() < deadline, "nothing arrives at the hub"


def test_an_upload_whose_hub_is_killed(own_client: Client, hub_process: ProcessHub, tmp_path: Path) -> None:
    content = random.Random(str(own_client.make)).randbytes(SIZE_BYTES)
    file = write(tmp_path / "files", {"noise.bin": content}) / "noise.bin"
    repo = Repo(own_client, f"{own_client.do('whoami')['name']}/killed", "model", True)
    repo.do("create_repo", private=True)
    before = held_bytes(hub_process)
    upload = own_client.start("upload_file", path_or_fileobj=str(file), path_in_repo="noise.bin", **repo.words)
    wait_for_growth(hub_process, before)
    hub_process.kill()
    assert held_bytes(hub_process) < before + SIZE_BYTES, "it was in the middle"
    hub_process.start()
    upload.result()
    assert repo.files() == {"noise.bin"}
    assert len(repo.do("list_repo_commits")) == 2
    assert repo.get("noise.bin") == content
