"""What a stock client sends of a file that the repo has nearly, counted on the wire and on the disk of the hub."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.server.holdings import uncut
from tenuto.testing.live_hub import LiveHub
from tests.wire.client import Client, Make
from tests.wire.conftest import MAKES, OWNER, Repo
from tests.wire.content import write
from tests.wire.meter import Meter

pytestmark = pytest.mark.wire
MB = 1_000_000
INSERTED_BYTES = 12_000
XET_MAKES = [make for make in MAKES if make.xet and make.environment != "hub-0.36"]  # the oldest one goes by LFS


@pytest.fixture
def meter(hub: LiveHub) -> Iterator[Meter]:
    with Meter(hub.url) as made:
        yield made


@pytest.fixture
def new_client(meter: Meter, token: str, tmp_path: Path) -> Iterator[Callable[[Make], Client]]:
    """Makes clients that remember nothing and go over the meter."""
    made: list[Client] = []

    def make(kind: Make) -> Client:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir()
        made.append(Client(kind, meter.url, token, home))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def noise(size_bytes: int, seed: str) -> bytes:
    source = random.Random(seed)
    return b"".join(source.randbytes(min(MB, size_bytes - at)) for at in range(0, size_bytes, MB))


def stored_bytes(hub: LiveHub) -> int:
    folders = os.walk(os.path.join(hub.data_dir, "store-v1"))
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in folders for name in names)


def weights(tensors: dict[str, bytes]) -> bytes:
    """A safetensors file of numbers of 4 bytes."""
    head, at = {}, 0
    for name, data in tensors.items():
        head[name] = {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(tensors.values())


def cost(hub: LiveHub, meter: Meter, repo: Repo, path: Path, name: str) -> tuple[int, int]:
    """Bytes sent for one more version of a file, and bytes that the store grew by."""
    sent, stored = meter.sent_bytes, stored_bytes(hub)
    repo.put(path, name)
    return meter.sent_bytes - sent, stored_bytes(hub) - stored


def versions(repo: Repo, plain: Client, name: str) -> list[bytes]:
    """All versions of a file, the newest first, as a client without Xet gets them."""
    commits = [one["commit_id"] for one in repo.do("list_repo_commits")][:-1]
    seen = Repo(plain, repo.name, repo.kind, repo.private)
    return [seen.get(name, revision=commit) for commit in commits]


SIZES = [pytest.param(30 * MB, id="30MB"), pytest.param(200 * MB, id="200MB", marks=pytest.mark.slow)]


@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("make", XET_MAKES, ids=str)
def test_a_copy_with_a_small_insertion_costs_less_than_a_megabyte(
    hub: LiveHub, meter: Meter, new_client: Callable[[Make], Client], make: Make, size_bytes: int, tmp_path: Path
) -> None:
    first = noise(size_bytes, f"{make} first")
    second = first[: size_bytes // 3] + noise(INSERTED_BYTES, f"{make} inserted") + first[size_bytes // 3 :]
    one, other = (write(tmp_path, {f"{n}.bin": content}) / f"{n}.bin" for n, content in enumerate((first, second)))
    repo = Repo(new_client(make), f"{OWNER}/insertion-{make}-{size_bytes}", "model", False)
    repo.do("create_repo", private=False)
    sent, _ = cost(hub, meter, repo, one, "w.bin")
    assert sent > size_bytes, "the meter sees what is sent"
    again = Repo(new_client(make), repo.name, repo.kind, repo.private)
    sent, grown = cost(hub, meter, again, other, "w.bin")
    assert INSERTED_BYTES < sent < MB
    assert INSERTED_BYTES < grown < MB
    assert versions(repo, new_client(Make(make.environment, False)), "w.bin") == [second, first]


@pytest.mark.parametrize("size_bytes", [pytest.param(12 * MB, id="12MB"), SIZES[1]])
def test_a_copy_of_what_came_whole_costs_less_than_a_megabyte(
    hub: LiveHub, meter: Meter, new_client: Callable[[Make], Client], size_bytes: int, tmp_path: Path
) -> None:
    make, whole = Make("hub-2.4", True), Make("hub-2.4", False)
    first = noise(size_bytes, "whole first")
    second = first[: size_bytes // 3] + noise(INSERTED_BYTES, "whole inserted") + first[size_bytes // 3 :]
    one, other = (write(tmp_path, {f"{n}.bin": content}) / f"{n}.bin" for n, content in enumerate((first, second)))
    repo = Repo(new_client(whole), f"{OWNER}/whole-{size_bytes}", "model", False)
    repo.do("create_repo", private=False)
    sent, grown = cost(hub, meter, repo, one, "w.bin")
    assert sent > size_bytes
    assert grown < size_bytes + MB
    wait_until_cut(hub)
    again = Repo(new_client(make), repo.name, repo.kind, repo.private)
    sent, more = cost(hub, meter, again, other, "w.bin")
    assert INSERTED_BYTES < sent < MB
    assert INSERTED_BYTES < more < MB
    assert versions(repo, repo.client, "w.bin") == versions(again, again.client, "w.bin") == [second, first]


def wait_until_cut(hub: LiveHub) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with hub.hub.parts.database.read() as connection:
            if uncut.newest(connection) is None:
                return
        time.sleep(0.05)
    raise TimeoutError("the hub did not cut what came whole")


@pytest.mark.parametrize(
    ("layer_bytes", "most"),
    [
        pytest.param(MB, 0.035, id="39MB"),
        pytest.param(5 * MB, 0.03, id="195MB", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("make", XET_MAKES, ids=str)
def test_one_of_32_tensors_that_changed_costs_little_more_than_itself(
    hub: LiveHub,
    meter: Meter,
    new_client: Callable[[Make], Client],
    make: Make,
    layer_bytes: int,
    most: float,
    tmp_path: Path,
) -> None:
    tensors = {f"layer.{number}.weight": noise(layer_bytes, f"{make} {number}") for number in range(31)}
    tensors["embedding.weight"] = noise(8 * layer_bytes, f"{make} embedding")
    first = weights(tensors)
    second = weights({**tensors, "layer.17.weight": noise(layer_bytes, f"{make} changed")})
    one, other = (
        write(tmp_path, {f"{n}.safetensors": content}) / f"{n}.safetensors" for n, content in enumerate((first, second))
    )
    repo = Repo(new_client(make), f"{OWNER}/tensors-{make}-{layer_bytes}", "model", True)
    repo.do("create_repo", private=True)
    cost(hub, meter, repo, one, "m.safetensors")
    again = Repo(new_client(make), repo.name, repo.kind, repo.private)
    sent, grown = cost(hub, meter, again, other, "m.safetensors")
    assert layer_bytes < sent < most * len(second)
    assert layer_bytes < grown < most * len(second)
    assert versions(repo, new_client(Make(make.environment, False)), "m.safetensors") == [second, first]
