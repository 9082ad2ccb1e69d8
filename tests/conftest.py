"""For all tests: a home of their own, no settings from outside, and Hypothesis without a clock.

`pytest --hypothesis-profile long` is a campaign: fifty times as many examples.
"""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

pytest.register_assert_rewrite("tenuto.testing.store_suite")

hypothesis.settings.register_profile(
    "tenuto", deadline=None, max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
hypothesis.settings.register_profile("long", parent=hypothesis.settings.get_profile("tenuto"), max_examples=3000)
hypothesis.settings.load_profile("tenuto")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a job in the background hands this on, and we interrupt what we start
    signal.signal(signal.SIGINT, signal.default_int_handler)

_FOREIGN = ("TENUTO_", "HF_", "HUGGING", "GIT_", "XDG_")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings, logins or caches of the person who runs it, nor do the processes that it starts."""
    for variable in [name for name in os.environ if name.startswith(_FOREIGN)]:
        monkeypatch.delenv(variable)
    home: Path = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
