"""`tenuto pull` is killed before this or that call: what is visible is whole, nothing of the user's is lost, the next run ends well."""

import random
import shutil
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tenuto.core.ids import RepoId
from tests.crash.clone import ARTIFACT, KILLED, Clone, Forge
from tests.crash.conftest import Scene
from tests.hub.place import noise

OLD = {
    "encoder.bin": noise(700_000, 1),
    "same.bin": noise(120_000, 2),
    "notes.txt": b"first\n",
    "sub/gone.bin": noise(50_000, 3),
    "empty.txt": b"",
}
NEW = {
    "encoder.bin": noise(700_001, 4),
    "same.bin": OLD["same.bin"],
    "notes.txt": b"second\n",
    "sub/new.bin": noise(300_000, 5),
    "sub/deep/new.txt": b"new\n",
    "empty.txt": b"",
    "twice/a.bin": noise(1_000, 6),
    "twice/b.bin": noise(1_000, 6),
} | {f"many/{number}.txt": b"%d\n" % number for number in range(8)}
OWN = {"encoder.bin": noise(5_000, 7), "notes.txt": b"mine\n", "mine.txt": b"only here\n"}
FINISH = (["pull"], ["verify"], ["status", "--check"])


class World(NamedTuple):
    """A repo at its second version, its author, and clones of it in three states that all are to pull the second version."""

    author: Clone
    fresh: Clone
    behind: Clone
    edited: Clone


@pytest.fixture
def world(scene: Scene, forge: Forge) -> World:
    repo = scene.repo()
    author, fresh, behind = scene.clone("author"), scene.clone("fresh"), scene.clone("behind")
    publish(forge, author, repo)
    behind.take_words(author)
    assert forge.run(behind, ["pull"]).status == 0
    edited = behind.copy(scene.folder / "edited")
    edited.write(OWN)
    (author.folder / ARTIFACT / "sub/gone.bin").unlink()
    author.write(NEW)
    assert forge.run(author, ["push", "--delete"]).status == 0
    for clone in (fresh, behind, edited):
        clone.take_words(author)
    return World(author, fresh, behind, edited)


def publish(forge: Forge, author: Clone, repo: RepoId) -> None:
    author.write(OLD)
    ended = forge.run(author, ["init"], ["track", ARTIFACT, "--to", str(repo)], ["push"])
    assert ended.status == 0, ended.output


def check_killed(clone: Clone) -> None:
    """No wrong file, no wrong object: each file is old, new, or the user's own, and whole."""
    clone.check_store()
    for path, content in clone.files().items():
        if not path.rpartition("/")[2].startswith(".tenuto-"):
            assert content in {OLD.get(path), NEW.get(path), OWN.get(path)}, path


def check_finished(clone: Clone) -> None:
    """The second version, the whole of it, and nothing left over."""
    assert clone.files() == NEW
    clone.check_store()
    assert clone.orphans() == []


def kill_points(source: random.Random, calls: int, count: int) -> list[int]:
    """Points that are spread over a whole run, none of them twice."""
    count = min(count, calls)
    return sorted(source.sample(range(1, calls + 1), count))


Killing = Callable[[Clone, int], object]


class TestBeforeACall:
    @pytest.mark.parametrize(("state", "link"), [("fresh", "copy"), ("behind", "auto")])
    def test_six_points(self, world: World, forge: Forge, state: str, link: str) -> None:
        self.campaign(world, forge, state, link, 6)

    @pytest.mark.slow
    @pytest.mark.parametrize("link", ["auto", "hardlink", "symlink", "copy"])
    @pytest.mark.parametrize("state", ["fresh", "behind"])
    def test_a_campaign(self, world: World, forge: Forge, state: str, link: str) -> None:
        self.campaign(world, forge, state, link, 40)

    def campaign(self, world: World, forge: Forge, state: str, link: str, count: int) -> None:
        start: Clone = getattr(world, state)
        start.environment["TENUTO_LINK"] = link
        whole = start.copy(start.folder.with_name("whole"))
        ended = forge.run(whole, ["pull"], die_at=1_000_000)
        assert (ended.status, whole.files()) == (0, NEW)
        assert ended.calls > 100, "files, folders, connections, writes and statements are seen"
        killed = 0
        for point in kill_points(random.Random(state), ended.calls, count):
            clone = start.copy(start.folder.with_name(f"killed-{point}"))
            ended = forge.run(clone, ["pull"], die_at=point)
            killed += ended.status == KILLED
            assert ended.status in {0, KILLED}, ended.output
            check_killed(clone)
            ended = forge.run(clone, *FINISH)
            assert ended.status == 0, (point, ended.output)
            check_finished(clone)
        assert killed > count * 2 // 3

    @pytest.mark.parametrize(
        "link", ["auto", *(pytest.param(one, marks=pytest.mark.slow) for one in ("hardlink", "symlink", "copy"))]
    )
    def test_before_each_call_that_lays_out_files(self, world: World, forge: Forge, link: str) -> None:
        """Everything is in the store already, so that the whole run is scanning, laying out and writing down."""
        start = world.behind.copy(world.behind.folder.with_name("start"))
        assert forge.run(world.behind, ["pull"]).status == 0
        shutil.rmtree(start.store)
        shutil.copytree(world.behind.store, start.store)
        start.environment["TENUTO_LINK"] = link
        whole = start.copy(start.folder.with_name("whole"))
        calls = forge.run(whole, ["pull"], die_at=1_000_000).calls
        for point in range(calls // 2 + calls % 5, calls, 5):
            clone = start.copy(start.folder.with_name(f"killed-{point}"))
            assert forge.run(clone, ["pull"], die_at=point).status in {0, KILLED}
            check_killed(clone)
            ended = forge.run(clone, *FINISH)
            assert ended.status == 0, (point, ended.output)
            check_finished(clone)

    def test_twice_in_one_clone(self, world: World, forge: Forge) -> None:
        clone = world.behind
        for point in (150, 60, 250, 120, 200):
            assert forge.run(clone, ["pull"], die_at=point).status in {0, KILLED}
            check_killed(clone)
        assert forge.run(clone, *FINISH).status == 0
        check_finished(clone)


class TestOwnChanges:
    """A pull that puts own files aside loses none of them."""

    @pytest.mark.parametrize("choice", ["--theirs", "--keep-both"])
    def test_six_points(self, world: World, forge: Forge, choice: str) -> None:
        self.campaign(world, forge, choice, 6)

    @pytest.mark.slow
    @pytest.mark.parametrize("choice", ["--theirs", "--keep-both"])
    def test_a_campaign(self, world: World, forge: Forge, choice: str) -> None:
        self.campaign(world, forge, choice, 50)

    def campaign(self, world: World, forge: Forge, choice: str, count: int) -> None:
        start = world.edited
        whole = start.copy(start.folder.with_name("whole"))
        ended = forge.run(whole, ["pull", choice], die_at=1_000_000)
        assert ended.status == 0, ended.output
        for point in kill_points(random.Random(choice), ended.calls, count):
            clone = start.copy(start.folder.with_name(f"killed-{point}"))
            assert forge.run(clone, ["pull", choice], die_at=point).status in {0, KILLED}
            clone.check_store()
            self.check_nothing_lost(clone)
            ended = forge.run(clone, ["pull", choice])
            assert ended.status == 0, (point, ended.output)
            self.check_nothing_lost(clone)
            files = clone.files()
            assert {path: files.get(path) for path in NEW} == NEW
            assert files["mine.txt"] == OWN["mine.txt"]
            assert clone.orphans() == []

    def check_nothing_lost(self, clone: Clone) -> None:
        kept = {*clone.files().values(), *clone.trashed()}
        assert set(OWN.values()) <= kept


class TestAtAnyMoment:
    """The real program, killed from outside after some time."""

    def test_two_moments(self, world: World, forge: Forge) -> None:
        self.campaign(world, forge, 2)

    @pytest.mark.slow
    def test_a_campaign(self, world: World, forge: Forge) -> None:
        self.campaign(world, forge, 50)

    def campaign(self, world: World, forge: Forge, count: int) -> None:
        source = random.Random(count)
        whole = world.behind.copy(world.behind.folder.with_name("whole"))
        started = time.monotonic()
        assert whole.run("pull").status == 0
        takes_s = time.monotonic() - started
        for number in range(count):
            clone = world.behind.copy(world.behind.folder.with_name(f"killed-{number}"))
            with clone.start("pull") as process:
                time.sleep(source.uniform(0.3, 1.0) * takes_s)
                process.kill()
                process.communicate()
            check_killed(clone)
            ended = forge.run(clone, *FINISH)
            assert ended.status == 0, ended.output
            check_finished(clone)
