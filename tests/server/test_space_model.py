"""What a hub says would be freed is freed, whatever was done before: commits, branches, tags, pull requests, squashes, uploads."""

import itertools
import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto.core.ids import RepoId
from tenuto.core.space import Overview
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, TAGS, move_ref
from tenuto.server.repos.rows import find_repo
from tenuto.server.space.overview import read_overview
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas
from tests.server.conftest import Owner
from tests.server.talk import Talk, gone, large, small
from tests.server.upkeep_hub import collect, noise
from tests.store.xet_build import File, make_xorb

_NUMBERS = itertools.count(1)
MAIN = HEADS + DEFAULT_BRANCH
XORBS = [make_xorb([noise(2000 + k, 10 * number + k) for k in range(3)]) for number in range(4)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with LiveHub(str(tmp_path_factory.mktemp("model") / "data")) as live:
        yield live


class World:
    """A repo that everything happens to, beside one that holds some of the same."""

    def __init__(self, hub: LiveHub, seed: int) -> None:
        self.hub, self.random = hub, random.Random(seed)
        name = f"user{next(_NUMBERS)}"
        self.talk = Talk(hub.url, hub.user(name))
        self.repo, self.other = f"{name}/one", f"{name}/two"
        for repo in (self.repo, self.other):
            self.talk.create(repo).raise_for_status()
        self.api, self.made = f"/api/models/{self.repo}", 0

    def act(self) -> None:
        """One deed of somebody."""
        deeds = [self.commit] * 6 + [
            self.share,
            self.upload,
            self.branch,
            self.tag,
            self.propose,
            self.drop,
            self.squash,
        ]
        self.random.choice(deeds)()

    def name(self) -> str:
        self.made += 1
        return f"n{self.made}"

    def chunked(self) -> File:
        number, start = self.random.randrange(4), self.random.randrange(2)
        return File([(XORBS[number], 0, 3), (XORBS[(number + 1) % 4], start, 3)])

    def content(self, repo: str) -> dict:
        path = f"d{self.random.randrange(3)}/f{self.random.randrange(4)}"
        way, body = self.random.randrange(3), noise(self.random.choice([60, 2500]), self.random.randrange(9))
        if way == 0:
            return small(path, body)
        if way == 1:
            return large(path, self.talk.put_large(repo, body))
        file = self.chunked()
        Cas(Owner("", "", self.talk, repo)).put_file(file)
        return large(path, file.sha256)

    def branches(self) -> list[str]:
        return [ref.removeprefix(HEADS) for ref in self.refs() if ref.startswith(HEADS)]

    def refs(self) -> list[str]:
        return [one.ref for one in self.overview().refs]

    def commit(self) -> None:
        rev = self.random.choice(self.branches())
        paths = sorted(self.talk.listing(self.repo, rev).keys() - {".gitattributes"})
        if paths and self.random.random() < 0.3:
            self.talk.commit(self.repo, gone(self.random.choice(paths)), rev=rev).raise_for_status()
        else:
            self.talk.commit(self.repo, self.content(self.repo), rev=rev).raise_for_status()

    def share(self) -> None:
        self.talk.commit(self.other, self.content(self.other)).raise_for_status()

    def upload(self) -> None:
        if self.random.random() < 0.5:
            self.talk.put_large(self.repo, noise(1500, self.random.randrange(100)))
        else:
            Cas(Owner("", "", self.talk, self.repo)).put_file(self.chunked())

    def branch(self) -> None:
        start = self.random.choice(self.branches())
        self.talk.post(f"{self.api}/branch/{self.name()}", {"startingPoint": start}).raise_for_status()

    def tag(self) -> None:
        message = {"message": "m"} if self.random.random() < 0.5 else {}
        rev = self.random.choice(self.branches())
        self.talk.post(f"{self.api}/tag/{rev}", {"tag": self.name(), **message}).raise_for_status()

    def propose(self) -> None:
        """A pull request, which is merged if it can be."""
        answer = self.talk.post(f"{self.api}/discussions", {"title": "Update", "pullRequest": True})
        number = answer.raise_for_status().json()["num"]
        self.talk.commit(
            self.repo, small(f"new/{self.name()}", noise(300, self.made)), rev=f"refs/pr/{number}"
        ).raise_for_status()
        if self.random.random() < 0.7:
            self.talk.post(f"{self.api}/discussions/{number}/merge").raise_for_status()

    def drop(self) -> None:
        names = [ref for ref in self.refs() if ref != MAIN and not ref.startswith("refs/pr/")]
        if names:
            self.delete(self.random.choice(names))

    def delete(self, ref: str) -> None:
        word, name = ("tag", ref.removeprefix(TAGS)) if ref.startswith(TAGS) else ("branch", ref.removeprefix(HEADS))
        self.talk.client.request("DELETE", f"{self.api}/{word}/{name}").raise_for_status()

    def squash(self) -> None:
        self.talk.post(f"{self.api}/super-squash/{self.random.choice(self.branches())}").raise_for_status()

    def overview(self) -> Overview:
        parts = self.hub.hub.parts
        with parts.database.read() as connection:
            found = find_repo(connection, RepoId.parse(self.repo))
            assert found
            return read_overview(connection, parts.store, found, 10_000, parts.now_ms())

    def settle(self) -> int:
        """What lies on the disk for the users of the hub once every wait is over."""
        for days in (0, 40, 50):
            collect(self.hub.hub.parts, self.hub.data_dir, days)
        with self.hub.hub.parts.database.read() as connection:
            (git,) = connection.exec_driver_sql("SELECT coalesce(sum(length(body)), 0) FROM git_objects").one()
        root = os.path.join(self.hub.data_dir, "store-v1")
        files = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
        return int(git) + sum(os.stat(file).st_size for file in files)

    def check(self) -> None:
        """Nothing that was said is wrong, be it of what is pending, of a ref, of the newest version of a branch, or of all of it."""
        before = self.overview()
        disk = self.settle()
        settled = self.overview()
        assert (settled.pending, settled.held) == (0, before.held - before.pending)
        refs = {one.ref: one for one in settled.refs}
        assert refs == {one.ref: one for one in before.refs}, "what is pending keeps nothing"
        deletable = [one for one in refs.values() if one.ref != MAIN and not one.ref.startswith("refs/pr/")]
        for one in sorted(deletable, key=lambda ref: -ref.freed)[:1]:
            self.delete(one.ref)
            left = self.settle()
            assert disk - left == one.freed, one.ref
            counted = settled.totals.counted - self.overview().totals.counted
            assert counted == one.returned, one.ref
            disk, settled = left, self.overview()
        disk = self.undo(settled, disk)
        freed = self.overview().freed
        self.talk.delete(self.repo).raise_for_status()
        assert disk - self.settle() == freed

    def undo(self, settled: Overview, disk: int) -> int:
        """The newest version of `main` is gone, as after a push that was forced."""
        log = [one["id"] for one in self.talk.get(f"{self.api}/commits/main").json()]
        newest = next(one for one in settled.versions if one.commit == log[0])
        if len(log) < 2 or [one.commit for one in settled.refs].count(log[0]) > 1:
            return disk
        with self.hub.hub.parts.database.write() as connection:
            repo = find_repo(connection, RepoId.parse(self.repo))
            assert repo
            assert move_ref(connection, repo.key, MAIN, log[0], log[1])
        left = self.settle()
        merged = log[0] in {one.commit for one in self.overview().versions}
        assert merged or disk - left == newest.freed
        return left


def play(hub: LiveHub, seed: int, deeds: int) -> None:
    world = World(hub, seed)
    try:
        for _ in range(deeds):
            world.act()
        world.check()
    finally:
        world.talk.delete(world.repo)
        world.talk.delete(world.other)
        world.talk.close()


@pytest.mark.parametrize("seed", [20, 26])
def test_what_was_said_is_freed(hub: LiveHub, seed: int) -> None:
    play(hub, seed, 14)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), deeds=st.integers(1, 45))
def test_what_was_said_is_freed_whatever_was_done(hub: LiveHub, seed: int, deeds: int) -> None:
    play(hub, seed, deeds)
