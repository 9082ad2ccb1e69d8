"""Downloads whose process is killed, or that two processes make at once."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto.hub.download import Wanted, download_from
from tenuto.hub.session import Session
from tenuto.hub.sources import WebSource
from tenuto.store.local import LocalStore
from tests.hub.place import check_whole, noise, sha256_of, spool_files
from tests.hub.ranged import BLOCK, asked_bytes, honest, small_blocks
from tests.hub.scripted import Server, wait_until

__all__ = ["small_blocks"]

CONTENT = noise(2_000_000, 21)
FILE = Wanted("file", len(CONTENT), sha256_of(CONTENT))
IN_FLIGHT = 8 * BLOCK


def start(server: Server, root: Path, rate: int) -> "subprocess.Popen[bytes]":
    arguments = [server.url, str(root), FILE.key, str(FILE.size), str(rate)]
    return subprocess.Popen([sys.executable, "-m", "tests.hub.download_child", *arguments])


def complete_bytes(root: Path) -> int:
    """The bytes of the blocks that the map on the disk claims."""
    path = root / "store-v1" / "spool" / f"blocks-{FILE.key}"
    if not path.exists():
        return 0
    held = path.read_bytes()[FILE.size + 24 :]
    return sum(min(BLOCK, FILE.size - number * BLOCK) for number, is_held in enumerate(held) if is_held)


def kill_at(server: Server, root: Path, least_bytes: int) -> int:
    """Let a child download until so much is complete, kill it; returns what is complete then."""
    child = start(server, root, rate=2_000_000)
    try:
        wait_until(lambda: complete_bytes(root) >= least_bytes or child.poll() is not None, timeout_s=60)
    finally:
        child.kill()
        child.wait()
    return complete_bytes(root)


def finish(server: Server, root: Path) -> int:
    """Download the rest here; returns the bytes that were asked for."""
    with Session(server.url, agent="the last one") as session:
        download_from([WebSource(session, f"{server.url}/file")], [FILE], LocalStore(str(root)))
    return asked_bytes(server, FILE.size, "the last one")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_next_run_fetches_only_what_lacks(tmp_path: Path, share: float) -> None:
    with honest(CONTENT) as server:
        held = kill_at(server, tmp_path, int(FILE.size * share))
        assert FILE.size * share <= held
        assert finish(server, tmp_path) == FILE.size - held
    assert check_whole(LocalStore(str(tmp_path))) == {FILE.sha256}
    assert spool_files(tmp_path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_killed_again_and_again_each_byte_is_fetched_about_once(tmp_path: Path) -> None:
    rng = random.Random(5)
    for round_number in range(25):
        root, kills, held = tmp_path / str(round_number), 0, 0
        with honest(CONTENT) as server:
            while held < FILE.size * 0.6 and kills < 6:
                now = kill_at(server, root, held + rng.randrange(BLOCK, FILE.size // 4))
                assert now >= held, "what was complete stays complete"
                held, kills = now, kills + 1
            assert finish(server, root) == FILE.size - held
        assert check_whole(LocalStore(str(root))) == {FILE.sha256}


@pytest.mark.parametrize("rates", [(4_000_000, 4_000_000), (1_500_000, 50_000_000)])
def test_two_processes_at_once_both_have_it_in_the_end(tmp_path: Path, rates: tuple[int, int]) -> None:
    with honest(CONTENT) as server:
        children = [start(server, tmp_path, rate) for rate in rates]
        assert [child.wait(60) for child in children] == [0, 0]
    assert check_whole(LocalStore(str(tmp_path))) == {FILE.sha256}
    assert spool_files(tmp_path) == []


@pytest.mark.usefixtures("small_blocks")
def test_one_is_killed_while_the_other_goes_on(tmp_path: Path) -> None:
    with honest(CONTENT) as server:
        other = start(server, tmp_path, rate=1_000_000)
        kill_at(server, tmp_path, FILE.size // 4)
        assert other.wait(60) == 0
        finish(server, tmp_path)
    assert check_whole(LocalStore(str(tmp_path))) == {FILE.sha256}
