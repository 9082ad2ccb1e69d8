"""One hub, one process per kind of client, for all tests that a worker runs; a repo of its own for each test."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tenuto.server.hub import Limits
from tenuto.testing.live_hub import LiveHub
from tests.wire.client import Client, Make
from tests.wire.content import read

_NUMBERS = itertools.count(1)
OWNER = "ada"
MAKES = [Make(environment, xet) for environment in ("hub-2.4", "hub-1.33", "hub-0.36") for xet in (True, False)]
PLACES = [("model", False), ("dataset", True)]
OTHER_PLACES = [("model", True), ("dataset", False)]


@pytest.fixture(scope="session")
def hub() -> Iterator[LiveHub]:
    limits = Limits(multipart_from=8_000_000, part=5_000_000, xet_download_from=2_000_000)
    with LiveHub(limits=limits) as live:
        yield live


@pytest.fixture(scope="session")
def token(hub: LiveHub) -> str:
    return hub.user(OWNER)


@pytest.fixture(scope="session")
def clients(hub: LiveHub, token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Make], Client]]:
    """The process of a kind of client, begun at its first use."""
    made: dict[Make, Client] = {}

    def client(make: Make) -> Client:
        if make not in made or not made[make].is_running:
            made[make] = Client(make, hub.url, token, tmp_path_factory.mktemp(str(make)))
        return made[make]

    yield client
    for one in made.values():
        one.stop()


@pytest.fixture(params=MAKES, ids=str)
def client(request: pytest.FixtureRequest, clients: Callable[[Make], Client]) -> Client:
    return clients(request.param)


@dataclass(frozen=True)
class Repo:
    """A repo on the hub, seen through one client."""

    client: Client
    name: str
    kind: str
    private: bool

    @property
    def words(self) -> dict[str, str]:
        """What names it in nearly every call."""
        return {"repo_id": self.name, "repo_type": self.kind}

    @property
    def root(self) -> str:
        """Its place in the file system of the hub."""
        return f"datasets/{self.name}" if self.kind == "dataset" else self.name

    @property
    def head(self) -> str:
        """The commit that `main` is at."""
        return self.do("repo_info")["sha"]

    def do(self, step: str, **words: object) -> Any:
        """A step on this repo."""
        return self.client.do(step, **self.words, **words)

    def put(self, path: Path, name: str, **words: object) -> Any:
        """One file, uploaded from disk."""
        return self.do("upload_file", path_or_fileobj=str(path), path_in_repo=name, **words)

    def get(self, name: str, **words: object) -> bytes:
        """One file, downloaded."""
        return Path(self.do("hf_hub_download", filename=name, **self._cache(words), **words)).read_bytes()

    def page(self, view: str) -> str:
        """A view of it, as a browser gets it."""
        headers = {"Accept": "text/html", "Authorization": f"Bearer {self.client.environment['HF_TOKEN']}"}
        with urlopen(Request(f"{self.client.url}/{self.root}/{view}", headers=headers)) as answer:
            return answer.read().decode()

    def snapshot(self, **words: object) -> dict[str, bytes]:
        """All files, downloaded."""
        return read(Path(self.do("snapshot_download", **self._cache(words), **words)))

    def _cache(self, words: dict[str, object]) -> dict[str, str]:
        """A cache of its own for each repo: clients take from the same cache what they know from another repo."""
        place = self.client.home / "caches" / self.root.replace("/", "-")
        return {} if words.keys() & {"cache_dir", "local_dir"} else {"cache_dir": str(place)}

    def files(self, **words: object) -> set[str]:
        """Names of all files but the one that the hub put there."""
        return set(self.do("list_repo_files", **words)) - {".gitattributes"}


@pytest.fixture
def make_repo(client: Client) -> Callable[..., Repo]:
    def make(kind: str = "model", private: bool = False) -> Repo:
        repo = Repo(client, f"{OWNER}/r{next(_NUMBERS)}", kind, private)
        repo.do("create_repo", private=private)
        return repo

    return make


def _place(place: tuple[str, bool]) -> str:
    return f"{'private' if place[1] else 'public'}-{place[0]}"


@pytest.fixture(
    params=[*PLACES, *(pytest.param(one, marks=pytest.mark.slow) for one in OTHER_PLACES)],
    ids=[_place(one) for one in (*PLACES, *OTHER_PLACES)],
)
def repo(request: pytest.FixtureRequest, make_repo: Callable[..., Repo]) -> Repo:
    return make_repo(*request.param)
