"""`tenuto push` is killed before this or that call: the hub holds the old version or the new one, and the next run ends well."""

import json
import random
import time

import pytest

from tenuto.core.ids import RepoId
from tests.crash.clone import ARTIFACT, KILLED, Clone, Forge, check_hub
from tests.crash.conftest import Scene
from tests.hub.place import noise

OLD = {"encoder.bin": noise(300_000, 1), "same.bin": noise(120_000, 2), "notes.txt": b"first\n", "gone.txt": b"gone\n"}
NEW = {
    "encoder.bin": noise(700_000, 3),
    "same.bin": OLD["same.bin"],
    "notes.txt": b"second\n",
    "sub/new.bin": noise(90_000, 4),
    "sub/new.txt": b"new\n",
    "empty.txt": b"",
}
PUSH = ["push", "--delete"]
FINISH = (PUSH, ["verify"], ["status", "--check"])


class Attempt:
    """A repo at the old version and an author who is about to push the new one; or, if `first`, an empty repo."""

    def __init__(self, scene: Scene, forge: Forge, *, first: bool = False) -> None:
        self.scene, self.forge = scene, forge
        self.repo: RepoId = scene.repo()
        self.author: Clone = scene.clone()
        self.before = {} if first else OLD
        self.author.write(NEW if first else OLD)
        ended = forge.run(self.author, ["init"], ["track", ARTIFACT, "--to", str(self.repo)])
        assert ended.status == 0, ended.output
        if not first:
            assert forge.run(self.author, ["push"]).status == 0
            (self.author.folder / ARTIFACT / "gone.txt").unlink()
            self.author.write(NEW)
        self.commits = self.count_commits()

    def count_commits(self) -> int:
        """Commits of `main`."""
        answer = self.scene.remote.session.request("GET", f"{self.repo.api_path}/commits/main")
        return len(json.loads(answer.body))

    def check_killed(self) -> None:
        """The hub is whole and stands at one of the two versions; the folder is untouched."""
        assert check_hub(self.scene.remote, self.repo) in (self.before, NEW)
        assert self.author.files() == NEW
        self.author.check_store()

    def finish(self) -> None:
        """The next run ends well, and there is one commit more than before, however often it was tried."""
        ended = self.forge.run(self.author, *FINISH)
        assert ended.status == 0, ended.output
        assert check_hub(self.scene.remote, self.repo) == NEW
        assert self.count_commits() == self.commits + 1
        assert self.author.files() == NEW
        assert self.author.orphans() == []
        reader = self.scene.clone()
        reader.take_words(self.author)
        ended = self.forge.run(reader, ["pull"], ["verify"], ["status", "--check"])
        assert (ended.status, reader.files()) == (0, NEW), ended.output


class TestBeforeACall:
    @pytest.mark.parametrize(
        "first", [pytest.param(True, marks=pytest.mark.slow), False], ids=["first push", "second push"]
    )
    def test_six_points(self, scene: Scene, forge: Forge, first: bool) -> None:
        self.campaign(scene, forge, first, 6)

    @pytest.mark.slow
    @pytest.mark.parametrize("first", [True, False], ids=["first push", "second push"])
    def test_a_campaign(self, scene: Scene, forge: Forge, first: bool) -> None:
        self.campaign(scene, forge, first, 75)

    def campaign(self, scene: Scene, forge: Forge, first: bool, count: int) -> None:
        whole = Attempt(scene, forge, first=first)
        ended = forge.run(whole.author, PUSH, die_at=1_000_000)
        assert ended.status == 0, ended.output
        assert ended.calls > 100
        whole.finish()
        source, killed = random.Random(count), 0
        for point in sorted(source.sample(range(1, ended.calls + 1), count)):
            attempt = Attempt(scene, forge, first=first)
            ended = forge.run(attempt.author, PUSH, die_at=point)
            killed += ended.status == KILLED
            assert ended.status in {0, KILLED}, ended.output
            attempt.check_killed()
            attempt.finish()
        assert killed > count * 2 // 3

    def test_behind_the_commit(self, scene: Scene, forge: Forge) -> None:
        """The commit is made and the lock not yet written: the next push finds its own work on the hub and makes no other commit."""
        whole = Attempt(scene, forge)
        calls = forge.run(whole.author, PUSH, die_at=1_000_000).calls
        reached = 0
        for point in range(calls - 36, calls, 6):
            attempt = Attempt(scene, forge)
            forge.run(attempt.author, PUSH, die_at=point)
            attempt.check_killed()
            reached += attempt.count_commits() > attempt.commits
            attempt.finish()
        assert reached


class TestAtAnyMoment:
    """The real program, killed from outside after some time."""

    def test_two_moments(self, scene: Scene, forge: Forge) -> None:
        self.campaign(scene, forge, 2)

    @pytest.mark.slow
    def test_a_campaign(self, scene: Scene, forge: Forge) -> None:
        self.campaign(scene, forge, 50)

    def campaign(self, scene: Scene, forge: Forge, count: int) -> None:
        source = random.Random(count)
        whole = Attempt(scene, forge)
        started = time.monotonic()
        assert whole.author.run(*PUSH).status == 0
        takes_s = time.monotonic() - started
        for _ in range(count):
            attempt = Attempt(scene, forge)
            with attempt.author.start(*PUSH) as process:
                time.sleep(source.uniform(0.3, 1.0) * takes_s)
                process.kill()
                process.communicate()
            attempt.check_killed()
            attempt.finish()
