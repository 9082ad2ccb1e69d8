"""Fault 7: the power fails, and what was not synced is lost or torn. No object has a wrong name, and what was promised is there."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.core.listing import Listing
from tenuto.core.lockfile import Lock, parse_lock
from tenuto.store.disk import replace_file
from tenuto.store.local import LocalStore
from tests.crash.power import Power, Survivors
from tests.hub.place import noise, sha256_of
from tests.project.conftest import Clone, Scene, hub, scene

__all__ = ["hub", "scene"]

OBJECT = re.compile(r"(?:.*/)?store-v1/objects/([0-9a-f]{2})/([0-9a-f]{62})")
STATES = 6


def check_objects(state: Survivors) -> set[str]:
    """Every object that is visible is whole; returns their names."""
    found = set()
    for path, content in state.items():
        if match := OBJECT.fullmatch(path):
            found.add(sha256_of(content))
            assert sha256_of(content) == match[1] + match[2], path
    return found


@pytest.mark.parametrize("batch", [1, 3, 7], ids=["one", "few", "many"])
def test_an_object_has_its_name_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """One by one they are synced each, many of them all at once."""
    store, power, source = LocalStore(str(tmp_path)), Power(tmp_path), random.Random(batch)
    promised: set[str] = set()
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        cuts += 1
        for state in power.survivors(source, STATES):
            assert promised <= check_objects(state)

    power.install(monkeypatch)
    power.cut = cut
    for number in range(3):
        sealed = []
        for size in range(batch):
            with store.receive(key=f"key{size}" if size % 2 else None) as incoming:
                incoming.write(noise(3_000 + size, 10 * number + size))
                sealed.append(incoming.seal())
        store.publish(sealed)
        promised |= {one.sha256 for one in sealed}
        cut()
    assert cuts > 15


def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tenuto.lock").write_bytes(b"version 0\n" * 500)
    power, source = Power(tmp_path), random.Random(1)
    allowed = {b"version 0\n" * 500}
    seen = set()

    def cut() -> None:
        for state in power.survivors(source, STATES):
            assert state["tenuto.lock"] in allowed
            seen.add(state["tenuto.lock"])

    power.install(monkeypatch)
    power.cut = cut
    for number in (1, 2):
        new = b"version %d\n" % number * 500
        allowed.add(new)
        replace_file(str(tmp_path / "tenuto.lock"), new)
        allowed = {new}
        cut()
    assert len(seen) == 3


def is_memory(name: str) -> bool:
    """What SQLite and `flock` see to."""
    return ".db" in name or name == "lock"


class Witness:
    """Looks at what would survive at every call of a verb, in a project and its store that lie in one folder."""

    def __init__(self, folder: Path, clone: Clone) -> None:
        self.power, self._source = Power(folder, is_memory), random.Random(2)
        self._store = clone.cache.name
        self._lock = f"{clone.root.name}/tenuto.lock"
        self.before = parse_lock((clone.root / "tenuto.lock").read_text())
        self.cuts = 0
        self.locks: set[str] = set()

    def look(self) -> None:
        """In every state the store is sound, the lock can be read, and what it pins anew is in the store."""
        self.cuts += 1
        for lock, objects, state in self.states():
            self.locks.add(lock.text)
            for entry in lock.artifacts.values():
                if entry not in self.before.artifacts.values():
                    assert entry.digest in objects
                    listing = Listing.parse(self.content(state, entry.digest))
                    assert {one.sha256 for one in listing.values()} <= objects

    def states(self) -> Iterator[tuple[Lock, set[str], Survivors]]:
        for state in self.power.survivors(self._source, STATES):
            own = {path: content for path, content in state.items() if path.startswith(f"{self._store}/")}
            yield parse_lock(state[self._lock].decode()), check_objects(own), state

    def content(self, state: Survivors, name: str) -> bytes:
        return state[f"{self._store}/store-v1/objects/{name[:2]}/{name[2:]}"]


@pytest.fixture
def ben(scene: Scene) -> Clone:
    """Ann pushed two versions; Ben has the first one, and the lock of it."""
    first = {"a.bin": noise(300_000, 3), "b.txt": b"first\n", "sub/c.txt": b"third\n"}
    for path, content in first.items():
        scene.ann.write(f"data/{path}", content)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    ben = scene.clone()
    ben.pull()
    scene.ann.write("data/a.bin", noise(300_000, 4))
    scene.ann.write("data/b.txt", b"second\n")
    scene.ann.push()
    return ben


def test_a_sync_pins_nothing_that_would_not_be_there(scene: Scene, ben: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object, then listing, then lock: also where the power fails in between."""
    witness = Witness(scene.folder, ben)
    with monkeypatch.context() as patch:
        witness.power.install(patch)
        witness.power.cut = witness.look
        ben.sync()
        witness.before = Lock()
        witness.look()
    assert witness.cuts > 20
    assert len(witness.locks) == 2
    assert ben.lock.text == scene.ann.lock.text


def test_a_sync_goes_on_from_what_survived(scene: Scene, ben: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of those states, laid out for real: the same command ends well, and nothing is damaged."""
    power, source = Power(scene.folder, is_memory), random.Random(5)
    kept: list[Survivors] = []
    with monkeypatch.context() as patch:
        power.install(patch)
        power.cut = lambda: kept.extend(power.survivors(source, 3))
        ben.sync()
    for number, state in enumerate(source.sample(kept, 5)):
        folder = scene.folder / f"survived-{number}"
        for path, content in state.items():
            if path.startswith((f"{ben.root.name}/", f"{ben.cache.name}/")):
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        again = Clone(folder / ben.root.name, folder / ben.cache.name, scene.hub.url, scene.token)
        again.sync("theirs")
        assert again.files("data") == scene.on_hub()
        assert again.verify().findings == []
