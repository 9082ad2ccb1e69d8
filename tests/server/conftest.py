"""One live hub for all tests of a module, users and repos of their own for each test."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from huggingface_hub import HfApi, constants

from tenuto.server.hub import Limits
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk

_NUMBERS = itertools.count(1)


class Owner(NamedTuple):
    """A user with a write token and one public model repo."""

    name: str
    token: str
    talk: Talk
    repo: str


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    limits = Limits(
        large_file=1 << 20,
        commit_body=16 << 20,
        commit_paths=25_000,
        multipart_from=100_000,
        part=65_536,
        request_stall_s=20,
    )
    with LiveHub(limits=limits) as live:
        yield live


@pytest.fixture
def speak(hub: LiveHub) -> Iterator[Callable[[str | None], Talk]]:
    """Makes a caller with a token, or without."""
    made: list[Talk] = []

    def make(token: str | None) -> Talk:
        made.append(Talk(hub.url, token))
        return made[-1]

    yield make
    for talk in made:
        talk.close()


@pytest.fixture
def make_owner(hub: LiveHub, speak: Callable[[str | None], Talk]) -> Callable[..., Owner]:
    def make(*, private: bool = False) -> Owner:
        name = f"user{next(_NUMBERS)}"
        token = hub.user(name)
        talk = speak(token)
        answer = talk.create(f"{name}/repo", private=private)
        assert answer.status_code == 200, answer.text
        return Owner(name, token, talk, f"{name}/repo")

    return make


@pytest.fixture
def owner(make_owner: Callable[..., Owner]) -> Owner:
    return make_owner()


@pytest.fixture
def stock(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bool], HfApi]:
    """Makes stock clients with a token, or without (False): plain transfers, no progress bars."""
    for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setattr(constants, name, True)
    return lambda token: HfApi(endpoint=hub.url, token=token)
