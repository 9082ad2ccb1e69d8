"""One live hub for all tests of a module; a user and a repo of their own for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.core.ids import RepoId, RepoKind
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.server.hub import Limits
from tenuto.testing.live_hub import LiveHub
from tests.hub.place import PAGE_ENTRIES, PART_BYTES, Place

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    limits = Limits(
        large_file=200_000, multipart_from=4 * PART_BYTES, part=PART_BYTES, page_entries=PAGE_ENTRIES, request_stall_s=1
    )
    with LiveHub(limits=limits) as live:
        yield live


@pytest.fixture
def place(hub: LiveHub, tmp_path: Path) -> Iterator[Place]:
    """An empty model repo of a new user, who is logged in."""
    user = f"user{next(_NUMBERS)}"
    token = hub.user(user)
    waits: list[float] = []
    with Session(hub.url, token, sleep=waits.append, retries=2) as session:
        remote = Remote(session)
        repo = RepoId(RepoKind.MODEL, user, "repo")
        remote.create_repo(repo, private=True)
        yield Place(remote, repo, token, tmp_path / "sent")
