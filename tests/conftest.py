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

_NOBODY = str(Path(__file__).with_name("nobody.pem"))
"""The certificate of an authority whose key is gone: nobody is vouched for."""
_FOREIGN = ("TENUTO_", "HF_", "HUGGING", "GIT_", "XDG_")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings, logins or caches of the person who runs it, nor do the processes that it starts."""
    for variable in [name for name in os.environ if name.startswith(_FOREIGN)]:
        monkeypatch.delenv(variable)
    home: Path = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    if authorities := os.environ.get("SSL_CERT_FILE"):  # pip alone talks to anybody outside
        monkeypatch.setenv("PIP_CERT", os.environ.get("PIP_CERT", authorities))
    # On loopback nobody shows a certificate, and each client would read all those of the system first, for 30 ms.
    monkeypatch.setenv("SSL_CERT_FILE", _NOBODY)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
