"""Where links are refused, what is pulled is laid out in the next best way, and everything else works as ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Desk
from tests.store.refusing import IS_POSSIBLE

ROOT = Path(__file__).parents[2]
WEIGHTS = os.urandom(200_000)
pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="the kernel cannot be told to refuse links here")


def refused(desk: Desk, kinds: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type a command where links of these kinds are refused."""
    command = [sys.executable, "-m", "tests.store.refusing", kinds, *PROGRAM, "--root", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, env=desk.environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("kinds", "is_link"), [("hard", True), ("hard,symbolic", False)])
def test_a_pull_verify_and_repair(desk: Desk, kinds: str, is_link: bool) -> None:
    desk.write("data/model.bin", WEIGHTS)
    desk.begin()
    clone = desk.clone()
    desk.environment["TENUTO_CACHE"] = str(desk.folder / "empty")
    pulled = refused(desk, kinds, clone, "pull")
    assert (pulled.returncode, pulled.stderr) == (0, "")
    placed = clone / "data/model.bin"
    assert placed.read_bytes() == WEIGHTS
    assert placed.is_symlink() == is_link
    assert placed.stat().st_nlink == 1
    assert refused(desk, kinds, clone, "verify").returncode == 0
    placed.unlink()
    placed.write_bytes(b"damaged")
    assert refused(desk, kinds, clone, "verify").returncode == 5
    assert refused(desk, kinds, clone, "repair").returncode == 0
    assert placed.read_bytes() == WEIGHTS
    assert refused(desk, kinds, clone, "status", "--check").returncode == 0


def test_a_way_that_was_asked_for_and_is_refused_is_said(desk: Desk) -> None:
    desk.write("data/model.bin", WEIGHTS)
    desk.begin()
    clone = desk.clone()
    desk.environment |= {"TENUTO_CACHE": str(desk.folder / "empty"), "TENUTO_LINK": "symlink"}
    pulled = refused(desk, "symbolic", clone, "pull")
    assert pulled.returncode == 7
    assert "cannot be laid out here by symlink" in pulled.stderr
    assert "TENUTO_LINK=auto" in pulled.stderr
