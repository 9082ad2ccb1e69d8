"""Stories of a workspace, told at random: short ones always, long ones in campaigns."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tenuto.testing.live_hub import LiveHub
from tests.crash.clone import Forge
from tests.model.workspaces import Workspaces


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    with Forge() as made:
        yield made


def tell(forge: Forge, stories: int, steps: int) -> None:
    with LiveHub() as live:
        machine = type("WorkspacesOnHub", (Workspaces,), {"live": live, "forge": forge})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=stories,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


def test_what_must_exist_exists(forge: Forge) -> None:
    tell(forge, stories=4, steps=10)


@pytest.mark.slow
def test_what_must_exist_exists_in_long_stories(forge: Forge) -> None:
    tell(forge, stories=40, steps=40)
