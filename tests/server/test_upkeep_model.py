"""A model says what a collection leaves and what it takes."""

# ruff: noqa: F811 - fixtures are asked for by name

import hashlib
import itertools
import random

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, some_xorb
from tests.server.conftest import Owner
from tests.server.talk import gone, large, small
from tests.server.test_upkeep_gc import (  # noqa: F401
    Days,
    ann,
    branch,
    calendar,
    days,
    drop_branch,
    hub,
    objects_of,
    put,
    squash,
    status,
)
from tests.server.upkeep_hub import make_owner, noise, stored
from tests.store.xet_build import File

_NUMBERS = itertools.count(1)


class World:
    """Repos under random deeds, and what every ref must show: one dict of contents for each commit of its past."""

    def __init__(self, hub: LiveHub, seed: int) -> None:
        self.hub, self.source, self.seed = hub, random.Random(seed), 1000 * next(_NUMBERS)
        self.xorbs = [some_xorb() for _ in range(4)]
        self.owner = make_owner(hub, f"world{next(_NUMBERS)}", "r0")
        self.refs: dict[str, dict[str, list[dict[str, tuple[bool, bytes]]]]] = {}
        self.made = itertools.count()
        for _ in range(2):
            self.add_repo()

    def add_repo(self) -> None:
        repo = f"{self.owner.name}/r{next(self.made)}"
        if repo != self.owner.repo:
            self.owner.talk.create(repo).raise_for_status()
        self.refs[repo] = {"main": [{}]}

    def act(self) -> None:
        """One deed of somebody."""
        deeds = [self.commit] * 6 + [self.upload_only, self.branch, self.drop, self.squash, self.retire]
        repo = self.source.choice(list(self.refs))
        self.source.choice(deeds)(repo, self.owner._replace(repo=repo))

    def content(self) -> bytes:
        return noise(self.source.choice([50, 3000]), self.seed + self.source.randrange(12))

    def chunked(self, number: int) -> File:
        """One of six files, which share chunks."""
        xorbs = self.xorbs
        return File([(xorbs[number % 4], 0, 6), (xorbs[(number + 1) % 4], number % 3, 3 + number % 3)])

    def commit(self, repo: str, owner: Owner) -> None:
        rev = self.source.choice(list(self.refs[repo]))
        past = self.refs[repo][rev]
        path, content = f"d{self.source.randrange(3)}/f{self.source.randrange(4)}", self.content()
        if path in past[-1] and self.source.random() < 0.3:
            owner.talk.commit(repo, gone(path), rev=rev).raise_for_status()
            past.append({name: data for name, data in past[-1].items() if name != path})
            return
        way = self.source.randrange(3)
        if way == 0:
            owner.talk.commit(repo, small(path, content), rev=rev).raise_for_status()
        elif way == 1:
            owner.talk.commit(repo, large(path, owner.talk.put_large(repo, content)), rev=rev).raise_for_status()
        else:
            file = self.chunked(self.source.randrange(6))
            content = file.content
            Cas(owner).put_file(file)
            owner.talk.commit(repo, large(path, file.sha256), rev=rev).raise_for_status()
        past.append({**past[-1], path: (way > 0, content)})

    def upload_only(self, repo: str, owner: Owner) -> None:
        owner.talk.put_large(repo, self.content())

    def branch(self, repo: str, owner: Owner) -> None:
        start = self.source.choice(list(self.refs[repo]))
        name = f"b{next(self.made)}"
        branch(owner, name, start)
        self.refs[repo][name] = list(self.refs[repo][start])

    def drop(self, repo: str, owner: Owner) -> None:
        names = [name for name in self.refs[repo] if name != "main"]
        if names:
            name = self.source.choice(names)
            drop_branch(owner, name)
            del self.refs[repo][name]

    def squash(self, repo: str, owner: Owner) -> None:
        squash(owner)
        self.refs[repo]["main"] = self.refs[repo]["main"][-1:]

    def retire(self, repo: str, owner: Owner) -> None:
        if len(self.refs) > 1 and self.source.random() < 0.5:
            owner.talk.delete(repo).raise_for_status()
            del self.refs[repo]
            self.add_repo()

    def check(self) -> None:
        """Every ref shows every commit of its past."""
        for repo, refs in self.refs.items():
            for name, past in refs.items():
                history = self.owner.talk.get(f"/api/models/{repo}/commits/{name}?limit=1000").json()
                commits = [one["id"] for one in history][::-1]
                distinct = [after for before, after in itertools.pairwise([None, *past]) if before != after]
                assert len(commits) == len(distinct), (repo, name)
                for oid, files in list(zip(commits, distinct, strict=True))[-3:]:
                    shown = self.owner.talk.listing(repo, oid).keys() - {".gitattributes"}
                    assert shown == files.keys()
                for path, (_, content) in past[-1].items():
                    assert self.owner.talk.read(repo, path, name).content == content

    def needed(self) -> set[bytes]:
        """All large contents that some commit of some ref has."""
        pasts = [past for refs in self.refs.values() for past in refs.values()]
        return {data for past in pasts for files in past for is_large, data in files.values() if is_large}


@pytest.mark.parametrize("seed", [1, *(pytest.param(one, marks=pytest.mark.slow) for one in (0, 2))])
def test_a_model_says_what_stays_and_what_goes(
    hub: LiveHub, days: Days, seed: int, request: pytest.FixtureRequest
) -> None:
    before = stored(hub.data_dir)
    world = World(hub, seed)
    request.addfinalizer(world.owner.talk.close)
    for _ in range(5):
        for _ in range(25):
            world.act()
        days.gc(world.source.choice([0, 3, 16, 31]))
        world.check()
    days.until_gone()
    world.check()
    needed = {hashlib.sha256(one).hexdigest() for one in world.needed()}
    files = [file for number in range(6) if (file := world.chunked(number)).sha256 in needed]
    whole = needed - {file.sha256 for file in files}
    assert stored(hub.data_dir)["objects"] - before["objects"] == whole, "nothing lacks, nothing else is left"
    assert stored(hub.data_dir)["xorbs"] - before["xorbs"] == {x.name for file in files for x, _, _ in file.parts}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 125))
def test_the_same_at_length(hub: LiveHub, days: Days, seed: int, request: pytest.FixtureRequest) -> None:
    test_a_model_says_what_stays_and_what_goes(hub, days, seed, request)
