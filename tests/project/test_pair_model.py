"""Two clones and strangers work on one repo in any order. Whatever they do, nobody's work is gone from everywhere."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tenuto.core.errors import ConflictError
from tenuto.testing.live_hub import LiveHub
from tests.project.conftest import Clone, Scene

PATHS = ["a.txt", "w.bin", "d/c.json", "d/deep/v.bin", "README.md"]
people = some.sampled_from(["ann", "ben"])
paths = some.sampled_from(PATHS)
contents = some.sampled_from([f"---\nversion: {number}\n---\n".encode() for number in range(4)] + [b""])
choices = some.sampled_from(["refuse", "ours", "theirs", "keep-both"])


class Pair(RuleBasedStateMachine):
    """The model is small: what each person has ever had, and what was ever on the hub, with the folders as they were before each verb."""

    hub: LiveHub

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pair-"))
        self.scene = Scene(self.hub, self.folder)
        self.client = httpx2.Client(headers={"Authorization": f"Bearer {self.scene.token}"})
        ann = self.scene.ann
        ann.write("data/a.txt", "begin\n")
        ann.write("data/w.bin", b"begin")
        ann.track("data", self.scene.repo)
        ann.push()
        ben = self.scene.clone()
        ben.pull()
        self.clones = {"ann": ann, "ben": ben}
        self.ever_on_hub: set[bytes] = set()
        self.had: dict[str, set[bytes]] = {"ann": set(), "ben": set()}
        self.look()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.client.close()
            shutil.rmtree(self.folder)

    def on_hub(self) -> dict[str, bytes]:
        """The files of the branch, asked for plainly."""
        repo = self.scene.repo.removeprefix("hf://")
        tree = self.client.get(f"{self.hub.url}/api/{repo}/tree/main?recursive=true")
        tree.raise_for_status()
        found = {}
        for entry in tree.json():
            if entry["type"] == "file" and entry["path"] != ".gitattributes":
                answer = self.client.get(f"{self.hub.url}/{repo}/resolve/main/{entry['path']}", follow_redirects=True)
                answer.raise_for_status()
                found[entry["path"]] = answer.content
        return found

    def look(self) -> dict[str, bytes]:
        """Take note of what is where."""
        there = self.on_hub()
        self.ever_on_hub |= set(there.values())
        for name, clone in self.clones.items():
            self.had[name] |= set(clone.files("data").values())
        return there

    @contextmanager
    def a_verb(self, who: str) -> Iterator[dict[str, bytes]]:
        """Nobody's work is lost by it; what it refuses, it leaves as it was. Yields what is on the hub before."""
        there = self.look()
        here = {name: clone.files("data") for name, clone in self.clones.items()}
        refusal = None
        try:
            yield there
        except ConflictError as error:
            refusal = error.code
        if refusal:
            assert refusal in {"BothMoved", "RemoteMoved"}
            assert self.on_hub() == there
            assert self.clones[who].files("data") == here[who]
        self.look()
        for name, clone in self.clones.items():
            if name != who:
                assert clone.files("data") == here[name], "another person's folder changed"
        clone = self.clones[who]
        left = set(clone.files("data").values()) | clone.kept() | self.ever_on_hub
        assert set(here[who].values()) <= left, "bytes that nobody else has are gone"

    @rule(who=people, path=paths, content=contents)
    def edit(self, who: str, path: str, content: bytes) -> None:
        self.clones[who].write(f"data/{path}", content)

    @rule(who=people, path=paths)
    def remove(self, who: str, path: str) -> None:
        (self.clones[who].root / "data" / path).unlink(missing_ok=True)

    @rule(path=paths, content=contents)
    def stranger_edits(self, path: str, content: bytes) -> None:
        self.scene.upload(path, content)

    @precondition(lambda self: self.on_hub())
    @rule(data=some.data())
    def stranger_deletes(self, data: some.DataObject) -> None:
        self.scene.delete(data.draw(some.sampled_from(sorted(self.on_hub()))))

    @rule(who=people, delete=some.booleans())
    def push(self, who: str, delete: bool) -> None:
        with self.a_verb(who) as before:
            self.clones[who].push(delete=delete)
            here, after = self.clones[who].files("data"), self.on_hub()
            assert here.items() <= after.items(), "what is here is there"
            for path, content in before.items():
                if after.get(path) != content:
                    assert path in here or delete, "nothing goes unasked"
                    assert content in self.had[who], "what the pusher never saw is not taken back"

    @rule(who=people, choice=choices)
    def pull(self, who: str, choice: str) -> None:
        with self.a_verb(who) as before:
            self.clones[who].pull(choice=choice)
            assert self.on_hub() == before, "a pull changes no hub"

    @rule(who=people, choice=choices, delete=some.booleans())
    def sync(self, who: str, choice: str, delete: bool) -> None:
        with self.a_verb(who) as before:
            try:
                self.clones[who].sync(choice, delete=delete)
            except ConflictError:
                assert choice == "refuse", "who has chosen is not asked again"
                raise
            here, after = self.clones[who].files("data"), self.on_hub()
            assert here == after
            assert self.clones[who].state() == {"data": "clean"}
            if choice in {"theirs", "keep-both"} and not delete:
                taken_back = {content for path, content in before.items() if after.get(path) != content}
                assert taken_back <= self.had[who], "what was there is there, but for what was edited here"

    @rule(who=people)
    def sync_twice(self, who: str) -> None:
        with self.a_verb(who):
            self.clones[who].sync()
            again = self.clones[who].sync()
            assert not again.pulled.artifacts[0].steps
            assert not again.pushed.artifacts[0].steps

    @rule(giver=people)
    def git_moves_the_lock(self, giver: str) -> None:
        taker = "ben" if giver == "ann" else "ann"
        shutil.copy(self.clones[giver].root / "tenuto.lock", self.clones[taker].root / "tenuto.lock")

    @rule(who=people)
    def lose_the_state(self, who: str) -> None:
        for file in (self.clones[who].root / ".tenuto").glob("state.db*"):
            file.unlink()

    @rule(who=people)
    def lose_the_store(self, who: str) -> None:
        shutil.rmtree(self.clones[who].cache, ignore_errors=True)

    @rule(who=people)
    def repair(self, who: str) -> None:
        with self.a_verb(who) as before:
            report = self.clones[who].repair()
            assert not report.remaining
            assert not self.clones[who].verify().findings
            assert self.on_hub() == before

    @invariant()
    def no_spare_file_is_left(self) -> None:
        for clone in getattr(self, "clones", {}).values():
            assert isinstance(clone, Clone)
            assert not [path for path in clone.files("data") if ".tenuto-" in path]


def run(hub: LiveHub, monkeypatch: pytest.MonkeyPatch, examples: int, steps: int) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    machine = type("PairOnHub", (Pair,), {"hub": hub})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def test_nobodys_work_is_lost(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    run(hub, monkeypatch, examples=6, steps=12)


@pytest.mark.slow
def test_nobodys_work_is_lost_in_long_stories(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    run(hub, monkeypatch, examples=60, steps=40)
