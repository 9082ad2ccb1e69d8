"""Where the cases of the crash matrix begin: projects with an own artifact, `weights`, beside one that a publisher publishes, `theirs`."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tenuto.core.listing import Listing
from tenuto.core.lockfile import parse_lock
from tenuto.store.local import LocalStore
from tests.crash.clone import ARTIFACT, Clone, Forge
from tests.crash.conftest import Scene
from tests.hub.place import noise, sha256_of

FIRST = {
    "model.safetensors": noise(400_000, 11),
    "config.json": b"{}\n",
    "README.md": b"---\nlicense: mit\n---\n",
    "sub/vocabulary.txt": noise(3_000, 12),
    "gone.bin": noise(30_000, 13),
}
SECOND = {
    "model.safetensors": noise(400_100, 14),
    "config.json": b'{"version": 2}\n',
    "README.md": FIRST["README.md"],
    "sub/vocabulary.txt": FIRST["sub/vocabulary.txt"],
    "new.bin": noise(250_000, 15),
}
OWN = {"encoder.bin": noise(300_000, 16), "notes.txt": b"first\n", "sub/deep/a.bin": noise(20_000, 17)}
EDITS = {"encoder.bin": noise(300_500, 18), "notes.txt": b"mine\n", "only-here.txt": b"only here\n"}
EDITED = OWN | EDITS
LOOSE = {"one.bin": noise(60_000, 19), "two/two.bin": noise(70_000, 20), "two/three.txt": b"loose\n"}
THEIRS, LOOSE_FOLDER, TEN_DAYS_S = "models/theirs", "loose", 864_000.0
_MEMORIES = {f"{name}.db{ending}" for name in ("state", "objects") for ending in ("", "-wal", "-shm", "-journal")}
_OWN_FILES = {*_MEMORIES, "lock", ".gitignore", "tenuto.toml", "tenuto.lock"}


class Stage:
    """A project while it is made ready."""

    def __init__(self, scene: Scene, forge: Forge, clone: Clone, source: str) -> None:
        self.scene, self.forge, self.clone, self.source = scene, forge, clone, source

    def do(self, *commands: list[str]) -> None:
        """Run commands that must succeed."""
        ended = self.forge.run(self.clone, *commands)
        assert ended.status == 0, ended.output

    def copy(self, folder: Path) -> "Stage":
        """The same project and store once more."""
        return Stage(self.scene, self.forge, self.clone.copy(folder), self.source)

    def add(self, *options: str) -> None:
        """What the publisher has now is in the project."""
        self.do(["add", self.source, "--name", "theirs", "--path", THEIRS, *options])

    def own(self) -> None:
        """An own artifact that was pushed, to a repo of its own."""
        self.clone.write(OWN)
        self.do(["track", ARTIFACT, "--to", str(self.scene.repo())], ["push"])

    def age(self) -> None:
        """Nobody has used the store for ten days."""
        moment = time.time() - TEN_DAYS_S
        for file in self.clone.store.rglob("*"):
            if file.is_file():
                os.utime(file, (moment, moment))

    def damage(self) -> None:
        """Of theirs one file has a flipped bit, one is cut short, in the store too, and one is gone."""
        store = LocalStore(str(self.clone.store))
        for path, damaged in (("model.safetensors", _flipped), ("sub/vocabulary.txt", _cut)):
            for file in (self.clone.folder / THEIRS / path, Path(store.file(sha256_of(FIRST[path])))):
                content = file.read_bytes()
                file.unlink()
                file.write_bytes(damaged(content))
        (self.clone.folder / THEIRS / "config.json").unlink()

    def objects(self) -> dict[str, bytes]:
        """What the store holds."""
        store = LocalStore(str(self.clone.store))
        return {name: Path(store.file(name)).read_bytes() for name, _ in store}

    def contents(self) -> set[bytes]:
        """Every content that lies in the project: files, trash, quarantine."""
        files = (path for path in self.clone.folder.rglob("*") if path.is_file())
        return {path.read_bytes() for path in files if path.name not in _OWN_FILES}

    def needed(self) -> set[str]:
        """What the lock needs of the store and the store has."""
        return needed_objects(self.clone)


def needed_objects(clone: Clone) -> set[str]:
    """What the lock of a clone needs of its store and the store has: listings, and the files that they name."""
    store, file = LocalStore(str(clone.store)), clone.folder / "tenuto.lock"
    lock = parse_lock(file.read_text() if file.exists() else "version = 1\n")
    digests = {entry.digest for entry in lock.artifacts.values() if store.has(entry.digest)}
    named = {one.sha256 for digest in digests for one in Listing.parse(store.read(digest)).values()}
    return {name for name in digests | named if store.has(name)}


def _flipped(content: bytes) -> bytes:
    return content[:1_000] + bytes([content[1_000] ^ 1]) + content[1_001:]


def _cut(content: bytes) -> bytes:
    return content[:-10]


Files = dict[str, bytes]


class Case(NamedTuple):
    """A command, and what must be so when it has ended well, be it after a kill.

    `before` makes the project while the publisher has the first version, `then` when there is the second, `each` once more for every
    kill, for what changes a hub. `theirs` and `own` are the files of both artifacts in the end.
    """

    command: list[str]
    before: Callable[[Stage], object]
    then: Callable[[Stage], object] = lambda _stage: None
    each: Callable[[Stage], object] = lambda _stage: None
    theirs: Files = {}  # noqa: RUF012 - never changed
    own: Files = {}  # noqa: RUF012
    forgets: bool = False
    """Whether objects that nothing needs may go."""
    is_final: bool = False
    """Whether the command, once it was done, is refused: what it names is no longer there."""


def _own_and_theirs(stage: Stage) -> None:
    stage.own()
    stage.add()


def _moved_on(stage: Stage) -> None:
    stage.do(["upgrade"])
    stage.age()


def _edited(stage: Stage) -> None:
    stage.own()
    stage.clone.write(EDITS)


ADD = ["add", "SOURCE", "--name", "theirs", "--path", THEIRS]
CASES = {
    "add": Case(ADD, lambda stage: None, theirs=SECOND),
    "lock": Case(["lock", "--upgrade"], Stage.add, theirs=FIRST),
    "first sync": Case(["sync"], lambda stage: stage.add("--no-sync"), theirs=FIRST),
    "sync": Case(["sync"], lambda stage: stage.add("--no-sync"), each=_edited, theirs=FIRST, own=EDITED),
    "push": Case(["push"], Stage.add, each=_edited, theirs=FIRST, own=EDITED),
    "pull": Case(["pull"], Stage.add, lambda stage: stage.do(["lock", "--upgrade"]), theirs=SECOND),
    "upgrade": Case(["upgrade"], _own_and_theirs, theirs=SECOND, own=OWN),
    "remove": Case(["remove", "theirs", "weights", "--files"], _own_and_theirs, is_final=True),
    "repair": Case(["repair"], _own_and_theirs, Stage.damage, theirs=FIRST, own=OWN),
    "track": Case(
        ["track", ARTIFACT, "--to", "hf://someone/else"],
        Stage.add,
        lambda stage: stage.clone.write(OWN),
        theirs=FIRST,
        own=OWN,
    ),
    "cache gc": Case(["cache", "gc", "--now"], _own_and_theirs, _moved_on, theirs=SECOND, own=OWN, forgets=True),
    "cache limit": Case(["cache", "limit", "1kB"], _own_and_theirs, _moved_on, theirs=SECOND, own=OWN, forgets=True),
    "cache adopt": Case(
        ["cache", "adopt", LOOSE_FOLDER],
        Stage.add,
        lambda stage: stage.clone.write(LOOSE, LOOSE_FOLDER),
        theirs=FIRST,
    ),
}
