"""Work beside the requests goes on after every failure, and ends with the hub."""

import threading

import pytest

from tenuto.core.errors import StorageError
from tenuto.server.chore import Chore
from tenuto.server.hub import Parts
from tenuto.testing.live_hub import LiveHub


class Clumsy(Chore):
    """Fails at first, then waits for the hub to stop."""

    name = "clumsy"
    every_s = again_s = 0.01

    def __init__(self, parts: Parts, *failures: Exception) -> None:
        super().__init__(parts)
        self.failures = list(failures)
        self.goes_on, self.has_stopped = threading.Event(), False

    def run(self) -> int:
        """Fail, or work until it is stopped."""
        if self.failures:
            raise self.failures.pop(0)
        self.goes_on.set()
        try:
            self.pause(60)
        finally:
            self.has_stopped = True
        return 1


@pytest.mark.parametrize(
    "failure", [StorageError("no room left", code="DiskFull"), ValueError("a bug"), OSError(5, "x")]
)
def test_it_goes_on_after_a_failure_which_is_told(hub: LiveHub, failure: Exception) -> None:
    chore = Clumsy(hub.hub.parts, failure)
    chore.start()
    assert chore.goes_on.wait(30)
    chore.stop()
    assert ("clumsy" if isinstance(failure, StorageError) else "failure") in hub.log()


def test_it_stops_in_the_midst_of_its_work(hub: LiveHub) -> None:
    chore = Clumsy(hub.hub.parts)
    chore.start()
    assert chore.goes_on.wait(30)
    chore.stop()
    chore.stop()
    assert chore.has_stopped


def test_what_never_began_is_stopped_at_once(hub: LiveHub) -> None:
    Clumsy(hub.hub.parts).stop()
