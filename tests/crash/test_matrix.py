"""Every command that changes something is killed before this or that call; then the same command ends well, and nothing is lost.

After a kill: no object under a wrong name, every content that was there is there. After the same command was run again: exit status 0,
the files that a run without a kill leaves, `verify` finds nothing, and nothing is left over but what waits in one spool.
"""

import random
from pathlib import Path

import pytest

from tenuto.store.local import LocalStore
from tenuto.testing.live_hub import LiveHub
from tests.crash.clone import ARTIFACT, KILLED, Clone, Ended, Forge
from tests.crash.conftest import Scene
from tests.crash.stages import CASES, FIRST, LOOSE, LOOSE_FOLDER, SECOND, THEIRS, Case, Stage
from tests.hub.place import sha256_of, spool_files

NOT_FOUND = 9
FOLDERS = {"objects", "spool", "projects", "trash"}


class Campaign:
    """One case, made ready once; every kill gets a copy of it."""

    def __init__(self, scene: Scene, forge: Forge, case: Case) -> None:
        self.forge, self.case = forge, case
        publisher, clone = scene.clone("publisher"), scene.clone("start")
        repo = scene.repo()
        publisher.write(FIRST)
        self._publish(publisher, ["init"], ["track", ARTIFACT, "--to", str(repo)], ["push"])
        self.start = Stage(scene, forge, clone, str(repo))
        self.command = [str(repo) if word == "SOURCE" else word for word in case.command]
        self.start.do(["init"])
        case.before(self.start)
        (publisher.folder / ARTIFACT / "gone.bin").unlink()
        publisher.write(SECOND)
        self._publish(publisher, ["push", "--delete"])
        case.then(self.start)

    def _publish(self, publisher: Clone, *commands: list[str]) -> None:
        ended = self.forge.run(publisher, *commands)
        assert ended.status == 0, ended.output

    def run(self, source: random.Random, count: int) -> None:
        """Kill the command at so many points, spread over the whole run."""
        stage, ended = self.attempt(0)
        assert ended.status == 0, ended.output
        self.check_finished(stage, 0)
        points = source.sample(range(1, ended.calls + 1), min(count, ended.calls))
        killed = sum(self.kill(point) for point in sorted(points))
        assert killed >= len(points) * 2 // 3, "threads make the number of calls vary, but not that much"

    def attempt(self, point: int, fault: int = 0) -> tuple[Stage, Ended]:
        """A copy of the start, and the command run in it."""
        stage = self.start.copy(self.start.clone.folder.with_name(f"killed-{point}"))
        self.case.each(stage)
        self.contents, self.objects, self.needed = stage.contents(), stage.objects(), stage.needed()
        return stage, self.forge.run(stage.clone, self.command, die_at=point or 1_000_000, fault=fault)

    def kill(self, point: int) -> bool:
        """One kill, and the run after it; whether the process was killed at all."""
        stage, ended = self.attempt(point)
        assert ended.status in {0, KILLED}, ended.output
        self.check_nothing_lost(stage)
        again = self.forge.run(stage.clone, self.command)
        if not (self.case.is_final and again.status == NOT_FOUND):
            assert again.status == 0, (point, again.output)
        self.check_nothing_lost(stage)
        self.check_finished(stage, point)
        return ended.status == KILLED

    def check_nothing_lost(self, stage: Stage) -> None:
        """All that lay in the project lies there, or in the store; a store forgets only what nobody needs and what is damaged."""
        objects = stage.objects()
        assert self.contents <= stage.contents() | set(objects.values())
        sound = {name for name, content in self.objects.items() if sha256_of(content) == name}
        assert (self.needed & sound if self.case.forgets else sound) <= objects.keys()
        damaged = {name for name, content in objects.items() if sha256_of(content) != name}
        assert damaged <= self.objects.keys() - sound

    def check_finished(self, stage: Stage, point: int) -> None:
        """The project is as a run without a kill leaves it."""
        clone = stage.clone
        assert clone.files(THEIRS) == self.case.theirs, point
        assert clone.files(ARTIFACT) == self.case.own, point
        if "adopt" in self.command:
            assert clone.files(LOOSE_FOLDER) == LOOSE
            assert {sha256_of(content) for content in LOOSE.values()} <= stage.objects().keys()
        if "lock" not in self.command:
            ended = self.forge.run(clone, ["verify"], ["status"])
            assert ended.status == 0, (point, ended.output)
        clone.check_store()
        self.check_leftovers(clone)

    def check_leftovers(self, clone: Clone) -> None:
        """Nothing but objects, notes, a trash, and one spool that a sweep empties."""
        assert clone.orphans() == []
        store = LocalStore(str(clone.store))
        assert {path.name for path in Path(store.root).iterdir()} <= FOLDERS
        spooled = sum((Path(store.spool) / name).stat().st_size for name in spool_files(clone.store))
        assert spooled <= sum(map(len, SECOND.values()))
        if spool_files(clone.store):
            store.sweep(-1)
        assert spool_files(clone.store) == []


@pytest.mark.parametrize("name", CASES)
def test_two_points(scene: Scene, forge: Forge, name: str) -> None:
    Campaign(scene, forge, CASES[name]).run(random.Random(name), 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_campaign(scene: Scene, forge: Forge, hub: LiveHub, name: str) -> None:
    """30 kills a command; then the hub that all of them talked to is looked through, from every ref to the last byte."""
    campaign = Campaign(scene, forge, CASES[name])
    campaign.run(random.Random(f"{name} at length"), 30)
    checked = forge.run(campaign.start.clone, ["hub", "check", "--data", hub.data_dir])
    assert checked.status == 0, checked.output
