"""A first download in a terminal is shown and asked about; elsewhere nobody is asked."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import PROGRAM
from tests.cli.test_workspace_story import Keeper


@pytest.fixture
def keeper(hub: LiveHub, tmp_path: Path) -> Keeper:
    """A keeper with a model in the lock that was not fetched yet."""
    keeper = Keeper(tmp_path, hub)
    keeper("add", keeper.publish("small", {"model.safetensors": os.urandom(50_000)}), "--no-sync")
    return keeper


def in_a_terminal(keeper: Keeper, answer: str, *arguments: str) -> tuple[int, str]:
    """Run the program before a terminal, type an answer, and return its exit status and what the terminal showed."""
    leader, follower = pty.openpty()
    command = [*PROGRAM, *arguments]
    with subprocess.Popen(
        command, cwd=keeper.project, env=keeper.environment, stdin=follower, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        os.write(leader, f"{answer}\n".encode())
        shown = b""
        while True:
            try:
                block = os.read(leader, 4096)
            except OSError:  # the other side is closed
                break
            shown += block
            if not block:
                break
        os.close(leader)
        return process.wait(60), shown.decode()


def test_the_plan_is_shown_and_no_means_no(keeper: Keeper) -> None:
    status, shown = in_a_terminal(keeper, "n", "sync")
    assert status == 130
    assert "small: hf://publisher" in shown.replace(keeper.owner, "publisher")
    assert "to fetch 50.0 kB" in shown
    assert "Fetch this?" in shown
    assert not (keeper.project / "models/small").exists()


def test_yes_fetches_and_the_second_sync_asks_no_more(keeper: Keeper) -> None:
    status, _ = in_a_terminal(keeper, "y", "sync")
    assert status == 0
    assert (keeper.project / "models/small/model.safetensors").stat().st_size == 50_000
    status, shown = in_a_terminal(keeper, "n", "sync")
    assert status == 0
    assert "Fetch this?" not in shown


@pytest.mark.parametrize("arguments", [("sync", "--yes"), ("sync", "--frozen"), ("sync", "--json"), ("pull",)])
def test_those_who_said_what_they_want_are_not_asked(keeper: Keeper, arguments: tuple[str, ...]) -> None:
    status, shown = in_a_terminal(keeper, "n", *arguments)
    assert status == 0
    assert "Fetch this?" not in shown
    assert (keeper.project / "models/small/model.safetensors").exists()
