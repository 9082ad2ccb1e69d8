"""One live hub and one forge for all tests of a module; a user and a repo of their own for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tenuto.core.ids import RepoId, RepoKind
from tenuto.core.manifest import parse_manifest
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.server.hub import Limits
from tenuto.testing.live_hub import LiveHub
from tests.crash.clone import Clone, Forge

_NUMBERS = itertools.count(1)


class Scene(NamedTuple):
    """A user of a hub: who may make repos and clones."""

    remote: Remote
    token: str
    user: str
    folder: Path

    def repo(self) -> RepoId:
        """A new empty repo."""
        repo = RepoId(RepoKind.MODEL, self.user, f"repo{next(_NUMBERS)}")
        self.remote.create_repo(repo, private=True)
        return repo

    def repo_of(self, clone: Clone) -> RepoId:
        """The repo that the first artifact of a clone is in."""
        manifest = parse_manifest((clone.folder / "tenuto.toml").read_text())
        return next(iter(manifest.artifacts.values())).address.repo

    def clone(self, name: str | None = None, store: Path | None = None) -> Clone:
        """An empty working folder."""
        name = name or f"clone{next(_NUMBERS)}"
        return Clone(self.folder / name, self.remote.endpoint, self.token, store)


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    limits = Limits(large_file=200_000, multipart_from=600_000, part=250_000, request_stall_s=2)
    with LiveHub(limits=limits) as live:
        yield live


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    with Forge() as made:
        yield made


@pytest.fixture
def scene(hub: LiveHub, tmp_path: Path) -> Iterator[Scene]:
    user = f"user{next(_NUMBERS)}"
    token = hub.user(user)
    with Session(hub.url, token) as session:
        yield Scene(Remote(session), token, user, tmp_path)
