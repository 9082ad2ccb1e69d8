"""The hub is killed in the middle of an upload, comes back on its port, and the push ends well."""

import contextlib
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.core.ids import RepoId, RepoKind
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.store.local import LocalStore
from tenuto.testing.live_hub import ProcessHub
from tests.crash.clone import ARTIFACT, Clone, Forge, check_hub
from tests.hub.place import check_whole, noise

_NUMBERS = itertools.count(1)
FILES = {f"part-{number}.bin": noise(15_000_000, number) for number in range(3)} | {"notes.txt": b"hello\n"}
FINISH = (["push"], ["verify"], ["status", "--check"])


@pytest.fixture(scope="module", params=[None, pytest.param(2_000_000, marks=pytest.mark.slow)], ids=["whole", "parts"])
def hub(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[ProcessHub]:
    with ProcessHub(str(tmp_path_factory.mktemp("hub") / "data"), part_bytes=request.param) as made:
        yield made


@pytest.fixture
def author(hub: ProcessHub, forge: Forge, tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "author", hub.url, hub.admin_token)
    clone.environment["TENUTO_BANDWIDTH"] = "20MB/s"  # else a fast machine has sent all of it before it is looked at
    clone.write(FILES)
    repo = RepoId(RepoKind.MODEL, "admin", f"repo{next(_NUMBERS)}")
    ended = forge.run(
        clone, ["init"], ["track", ARTIFACT, "--to", str(repo)], ["repo", "create", str(repo), "--private"]
    )
    assert ended.status == 0, ended.output
    return clone


def spooled_bytes(hub: ProcessHub) -> int:
    """Bytes of objects that the hub is taking in."""
    total, folder = 0, Path(hub.data_dir) / "store-v1" / "spool"
    for name in os.listdir(folder) if folder.exists() else []:
        with contextlib.suppress(FileNotFoundError):
            total += (folder / name).stat().st_size
    return total


def wait_for(holds: Callable[[], bool]) -> bool:
    """Whether it holds within some seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if holds():
            return True
    return False


def check_everything(hub: ProcessHub, author: Clone, forge: Forge, tmp_path: Path) -> None:
    """The push can be finished, the hub holds all of it, and its own store is whole."""
    ended = forge.run(author, *FINISH)
    assert ended.status == 0, ended.output
    repo = RepoId.parse(next(line for line in ended.output.split() if line.startswith("hf://")))
    with Session(hub.url, hub.admin_token) as session:
        assert check_hub(Remote(session), repo) == FILES
    check_whole(LocalStore(hub.data_dir))
    reader = Clone(tmp_path / "reader", hub.url, hub.admin_token)
    reader.take_words(author)
    assert forge.run(reader, ["pull"], ["verify"]).status == 0
    assert reader.files() == FILES


class TestInTheMiddleOfAnUpload:
    def test_a_push_without_patience_fails_and_the_next_one_ends_well(
        self, hub: ProcessHub, author: Clone, forge: Forge, tmp_path: Path
    ) -> None:
        author.environment["TENUTO_RETRIES"] = "0"
        with author.start("push") as process:
            assert wait_for(lambda: spooled_bytes(hub) > 1_000_000)
            hub.kill()
            output = process.communicate()[0]
        assert process.returncode == 6, output
        assert author.files() == FILES
        hub.start()
        check_everything(hub, author, forge, tmp_path)

    def test_a_patient_push_does_not_notice(self, hub: ProcessHub, author: Clone, forge: Forge, tmp_path: Path) -> None:
        author.environment["TENUTO_RETRIES"] = "8"
        with author.start("push") as process:
            assert wait_for(lambda: spooled_bytes(hub) > 1_000_000)
            hub.kill()
            hub.start()
            output = process.communicate()[0]
        assert process.returncode == 0, output
        check_everything(hub, author, forge, tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(15))
    def test_at_any_moment(self, hub: ProcessHub, author: Clone, forge: Forge, tmp_path: Path, seed: int) -> None:
        author.environment["TENUTO_RETRIES"] = "1"
        source = random.Random(seed)
        for _ in range(2):
            with author.start("push") as process:
                time.sleep(source.uniform(0.3, 1.2))
                hub.kill()
                hub.start()
                process.communicate()
            assert process.returncode in {0, 6}
        check_everything(hub, author, forge, tmp_path)
