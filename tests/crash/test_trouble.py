"""Fault 22: in every command that changes something, this or that call to a disk fails: a broken disk, no room, no quota, no descriptors.

The command says so and ends with exit status 7 (a repair: names the file), or was able to do without; nothing is lost, and the same command
then ends well.
"""

import errno
import random

import pytest

from tests.crash.clone import Forge
from tests.crash.conftest import Scene
from tests.crash.stages import CASES
from tests.crash.test_matrix import NOT_FOUND, Campaign

FAULTS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EROFS)
DISK_TROUBLE = 7


class Troubles(Campaign):
    """The campaign of kills, with disks that fail in the place of kills."""

    def run(self, source: random.Random, count: int) -> None:
        """Let so many calls fail, one a run, spread over the whole run."""
        stage, ended = self.attempt(0, errno.EIO)
        assert ended.status == 0, ended.output
        self.check_finished(stage, 0)
        points = source.sample(range(1, ended.calls + 1), min(count, ended.calls))
        told = sum(self.fail(point, source.choice(FAULTS)) for point in sorted(points))
        assert told, "no fault was even noticed"

    def fail(self, point: int, fault: int) -> bool:
        """One call that fails, and the run after it; whether the command told of it."""
        stage, ended = self.attempt(point, fault)
        about = f"{errno.errorcode[fault]} at {point}: {ended.output}"
        assert ended.status in {0, DISK_TROUBLE} or "cannot repair: " in ended.output, about
        assert ended.status != DISK_TROUBLE or "error: " in ended.output, about
        self.check_nothing_lost(stage)
        again = self.forge.run(stage.clone, self.command)
        if not (self.case.is_final and again.status == NOT_FOUND):
            assert again.status == 0, f"{about}\n{again.output}"
        self.check_nothing_lost(stage)
        self.check_finished(stage, point)
        return ended.status == DISK_TROUBLE


def test_two_calls_of_a_sync(scene: Scene, forge: Forge) -> None:
    Troubles(scene, forge, CASES["sync"]).run(random.Random("two"), 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_campaign(scene: Scene, forge: Forge, name: str) -> None:
    Troubles(scene, forge, CASES[name]).run(random.Random(f"{name} at length"), 40)
