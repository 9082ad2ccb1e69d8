"""Two clones of one project and a publisher, on a live hub, beside plain dictionaries of what must be where."""

import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tenuto.core.ids import RepoId, RepoKind
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.testing.live_hub import LiveHub
from tests.crash.clone import KILLED, Clone, Ended, Forge, check_hub
from tests.crash.stages import TEN_DAYS_S, THEIRS, needed_objects
from tests.hub.place import noise

_NUMBERS = itertools.count(1)
OWN = "data"
PATHS = ["a.txt", "w.bin", "d/c.json", "d/deep/v.bin"]
DONE, REFUSED, NOT_FOUND = 0, 1, 9

people = some.sampled_from(["ann", "ben"])
paths = some.sampled_from(PATHS)
contents = some.sampled_from([b"", b"the same\n", b"small", b"large"])
deaths = some.just(0) | some.integers(1, 300)
"""Before which call to the outside a command is killed, and then given again; 0 for none."""
choices = some.sampled_from([[], ["--ours"], ["--theirs"], ["--keep-both"]])


class Workspaces(RuleBasedStateMachine):
    """`own` is what lies in each folder, `hub_files` what the branch holds, `history` every content that it ever held,
    `theirs` which version of the publisher each clone is locked to, and `owed` every content that a person must be able to find again.
    """

    live: LiveHub
    forge: Forge

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="workspaces-"))
        user = f"person{next(_NUMBERS)}"
        token = self.live.user(user)
        self.session = Session(self.live.url, token)
        self.remote = Remote(self.session)
        self.repo, self.source = (RepoId(RepoKind.MODEL, user, name) for name in ("own", "source"))
        for repo in (self.repo, self.source):
            self.remote.create_repo(repo, private=True)
        self.clones = {name: Clone(self.folder / name, self.live.url, token) for name in ("ann", "ben", "publisher")}
        self.publish()
        ann, ben = self.clones["ann"], self.clones["ben"]
        ann.write({"a.txt": b"begin\n", "w.bin": b"begin"}, OWN)
        self.must(ann, ["init"], ["track", OWN, "--to", str(self.repo)], ["push"])
        ben.take_words(ann)
        self.must(ben, ["pull"])
        self.theirs: dict[str, int | None] = {"ann": None, "ben": None}
        self.own = {name: self.clones[name].files(OWN) for name in self.theirs}
        self.history: set[bytes] = set()
        self.owed: dict[str, set[bytes]] = {}
        self.look()

    def publish(self) -> None:
        publisher, first = self.clones["publisher"], not hasattr(self, "versions")
        self.versions: list[dict[str, bytes]] = [] if first else self.versions
        number = len(self.versions)
        publisher.write({"m.safetensors": noise(60_000, number), "README.md": b"version %d\n" % number}, "m")
        publisher.write({f"only-{number}.json": b"{}", "vocabulary.txt": b"words\n"}, "m")
        if first:
            self.must(publisher, ["init"], ["track", "m", "--to", str(self.source)])
        else:
            (publisher.folder / "m" / f"only-{number - 1}.json").unlink()
        self.must(publisher, ["push", "--delete"])
        self.versions.append(publisher.files("m"))

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.session.close()
            shutil.rmtree(self.folder)

    def must(self, clone: Clone, *commands: list[str]) -> None:
        """Run what cannot fail."""
        ended = self.forge.run(clone, *commands)
        assert ended.status == DONE, ended.output

    def kept(self, who: str) -> set[bytes]:
        """What lies in trash and quarantine of a clone."""
        folders = (self.clones[who].folder / ".tenuto" / kind for kind in ("trash", "quarantine"))
        return {file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}

    def findable(self, who: str) -> set[bytes]:
        """Every content that a person can find: in the folder, in trash and quarantine, on the hub."""
        return {*self.clones[who].files(OWN).values(), *self.kept(who), *self.history}

    def look(self) -> None:
        """Take note of the hub, and of what people can find from now on: what they removed themselves is owed to nobody."""
        self.hub_files = check_hub(self.remote, self.repo)
        self.history |= set(self.hub_files.values())
        self.owed = {name: self.findable(name) for name in self.own}

    def check_owed(self) -> None:
        """Nothing that was to be found is lost."""
        self.history |= set(check_hub(self.remote, self.repo).values())
        for name in self.own:
            assert self.owed[name] <= self.findable(name), f"work of {name} is gone"
            self.clones[name].check_store()

    def run(self, who: str, command: list[str], die_at: int = 0) -> Ended:
        """A command, if need be killed and given again; whatever becomes of it, nothing is lost and nobody else's folder is touched."""
        clone = self.clones[who]
        if die_at:
            killed = self.forge.run(clone, command, die_at=die_at)
            assert killed.status in {KILLED, DONE, REFUSED, NOT_FOUND}, killed.output
            self.check_owed()
        ended = self.forge.run(clone, command)
        assert ended.status in {DONE, REFUSED, NOT_FOUND}, (command, ended.output)
        self.check_owed()
        before, here = self.own[who], clone.files(OWN)
        if ended.status == REFUSED:
            assert die_at or (here, check_hub(self.remote, self.repo)) == (before, self.hub_files)
        self.own[who] = here
        self.look()
        return ended

    @rule(who=people, path=paths, content=contents)
    def edit(self, who: str, path: str, content: bytes) -> None:
        new = {b"small": b"text %d\n" % next(_NUMBERS), b"large": noise(50_000, next(_NUMBERS))}
        content = new.get(content, content)
        self.clones[who].write({path: content}, OWN)
        self.own[who][path] = content
        self.look()

    @rule(who=people, path=paths)
    def delete(self, who: str, path: str) -> None:
        (self.clones[who].folder / OWN / path).unlink(missing_ok=True)
        self.own[who].pop(path, None)
        self.look()

    @rule(who=people, old=paths, new=paths)
    def rename(self, who: str, old: str, new: str) -> None:
        if old in self.own[who] and old != new:
            top = self.clones[who].folder / OWN
            (top / new).parent.mkdir(parents=True, exist_ok=True)
            (top / old).rename(top / new)
            self.own[who][new] = self.own[who].pop(old)
            self.look()

    @rule(who=people)
    def track_again(self, who: str) -> None:
        if (self.clones[who].folder / OWN).exists():
            assert self.run(who, ["track", OWN]).status == DONE

    @rule(who=people, delete=some.booleans(), die_at=deaths)
    def push(self, who: str, delete: bool, die_at: int) -> None:
        before, here = self.hub_files, self.own[who]
        ended = self.run(who, ["push", *(["--delete"] if delete else [])], die_at)
        assert self.own[who] == here, "a push changes no folder"
        if ended.status == DONE:
            assert here.items() <= self.hub_files.items()
            assert delete or before.keys() <= self.hub_files.keys()

    @rule(who=people, choice=choices, die_at=deaths)
    def pull(self, who: str, choice: list[str], die_at: int) -> None:
        before = self.hub_files
        self.run(who, ["pull", *choice], die_at)
        assert self.hub_files == before, "a pull changes no hub"

    @rule(who=people, choice=choices, delete=some.booleans(), die_at=deaths)
    def sync(self, who: str, choice: list[str], delete: bool, die_at: int) -> None:
        ended = self.run(who, ["sync", *choice, *(["--delete"] if delete else [])], die_at)
        assert not choice or ended.status == DONE, ended.output
        if ended.status == DONE:
            assert self.own[who] == self.hub_files
            self.must(self.clones[who], ["verify"])

    @rule(giver=people)
    def git_moves_the_words(self, giver: str) -> None:
        taker = "ben" if giver == "ann" else "ann"
        if self.theirs[giver] == self.theirs[taker]:
            shutil.copy(self.clones[giver].folder / "tenuto.lock", self.clones[taker].folder / "tenuto.lock")

    @precondition(lambda self: len(self.versions) < 4)
    @rule()
    def the_source_moves_on(self) -> None:
        self.publish()

    @rule(who=people, die_at=deaths)
    def add(self, who: str, die_at: int) -> None:
        latest = len(self.versions) - 1
        assert self.run(who, ["add", str(self.source), "--name", "theirs", "--path", THEIRS], die_at).status == DONE
        self.theirs[who] = latest if self.theirs[who] is None else self.theirs[who]

    @precondition(lambda self: any(version is not None for version in self.theirs.values()))
    @rule(who=people, die_at=deaths)
    def upgrade(self, who: str, die_at: int) -> None:
        assert self.run(who, ["upgrade"], die_at).status == DONE
        self.theirs[who] = None if self.theirs[who] is None else len(self.versions) - 1

    @rule(who=people, die_at=deaths)
    def remove(self, who: str, die_at: int) -> None:
        ended = self.run(who, ["remove", "theirs", "--files"], die_at)
        assert ended.status == NOT_FOUND if self.theirs[who] is None else die_at or ended.status == DONE
        self.theirs[who] = None

    @precondition(lambda self: any(version is not None for version in self.theirs.values()))
    @rule(who=people, die_at=deaths)
    def their_files_rot(self, who: str, die_at: int) -> None:
        file = self.clones[who].folder / THEIRS / "m.safetensors"
        if file.exists():
            file.unlink()
            file.write_bytes(b"rot")
            assert self.run(who, ["repair", "theirs"], die_at).status == DONE

    @rule(who=people, command=some.sampled_from([["gc", "--now"], ["gc"], ["limit", "1kB"]]), die_at=deaths)
    def clear_the_store(self, who: str, command: list[str], die_at: int) -> None:
        clone = self.clones[who]
        moment = time.time() - TEN_DAYS_S
        for file in clone.store.rglob("objects/*/*"):
            os.utime(file, (moment, moment))
        needed, here = needed_objects(clone), self.own[who]
        assert self.run(who, ["cache", *command], die_at).status == DONE
        self.must(clone, ["cache", "limit", "none"])
        assert needed <= needed_objects(clone)
        assert self.own[who] == here

    @rule(who=people)
    def adopt(self, who: str) -> None:
        here = self.own[who]
        if here:
            assert self.run(who, ["cache", "adopt", OWN]).status == DONE
            assert self.own[who] == here

    @rule(who=people)
    def lose_the_store(self, who: str) -> None:
        shutil.rmtree(self.clones[who].store, ignore_errors=True)

    @invariant()
    def every_folder_is_as_the_dictionary_says(self) -> None:
        for who, version in getattr(self, "theirs", {}).items():
            clone = self.clones[who]
            assert clone.files(OWN) == self.own[who]
            assert clone.files(THEIRS) == ({} if version is None else self.versions[version])
