"""Several processes at once: clones that share a store, authors that share a repo, and one project used twice."""

from collections.abc import Sequence

import pytest

from tests.crash.clone import ARTIFACT, Clone, Ended, Forge, check_hub
from tests.crash.conftest import Scene
from tests.hub.place import noise, spool_files

FILES = {f"{number % 3}/{number}.bin": noise(40_000, number) for number in range(25)} | {"notes.txt": b"first\n"}


def at_once(*runs: tuple[Clone, Sequence[str]]) -> list[Ended]:
    """Start all of them, then wait for all of them."""
    processes = [clone.start(*command) for clone, command in runs]
    ended = []
    for process in processes:
        with process:
            output = process.communicate(timeout=60)[0]
        ended.append(Ended(process.returncode, 0, output))
    return ended


@pytest.fixture
def author(scene: Scene, forge: Forge) -> Clone:
    """The author of a repo with one artifact."""
    clone, repo = scene.clone(), scene.repo()
    clone.write(FILES)
    ended = forge.run(clone, ["init"], ["track", ARTIFACT, "--to", str(repo)], ["push"])
    assert ended.status == 0, ended.output
    return clone


def test_pulls_into_one_store(scene: Scene, forge: Forge, author: Clone) -> None:
    clones = [scene.clone(store=scene.folder / "shared") for _ in range(3)]
    for clone in clones:
        clone.take_words(author)
    ended = at_once(*[(clone, ["pull"]) for clone in clones])
    assert [one.status for one in ended] == [0, 0, 0], ended
    for clone in clones:
        assert clone.files() == FILES
        assert forge.run(clone, ["verify"], ["status", "--check"]).status == 0
        assert clone.orphans() == []
    clones[0].check_store()
    assert spool_files(scene.folder / "shared") == []


def test_one_project_at_once_is_refused(scene: Scene, forge: Forge, author: Clone) -> None:
    clone = scene.clone()
    clone.take_words(author)
    ended = at_once(*[(clone, ["pull"]) for _ in range(4)])
    assert {one.status for one in ended} <= {0, 8}, ended
    assert any(one.status == 0 for one in ended)
    assert forge.run(clone, ["pull"], ["verify"], ["status", "--check"]).status == 0
    assert clone.files() == FILES


def test_pushes_of_different_artifacts_both_land(scene: Scene, forge: Forge) -> None:
    repo = scene.repo()
    clones = []
    for name in ("one", "two", "three"):
        clone = scene.clone()
        clone.write({f"{name}.bin": noise(300_000, len(clones)), "notes.txt": name.encode()}, name)
        ended = forge.run(clone, ["init"], ["track", name, "--to", f"{repo}/{name}"])
        assert ended.status == 0, ended.output
        clones.append(clone)
    ended = at_once(*[(clone, ["push"]) for clone in clones])
    assert [one.status for one in ended] == [0, 0, 0], ended
    on_hub = check_hub(scene.remote, repo)
    assert len(on_hub) == 6
    for clone, name in zip(clones, ("one", "two", "three"), strict=True):
        assert {path: content for path, content in on_hub.items() if path.startswith(f"{name}/")} == {
            f"{name}/{path}": content for path, content in clone.files(name).items()
        }
        assert forge.run(clone, ["verify"], ["status", "--check"], ["push"]).status == 0


@pytest.mark.parametrize("path", ["notes.txt", "0/0.bin"], ids=["the same file", "different files"])
def test_of_two_pushes_of_one_artifact_one_lands(scene: Scene, forge: Forge, author: Clone, path: str) -> None:
    other = scene.clone()
    other.take_words(author)
    assert forge.run(other, ["pull"]).status == 0
    author.write({"notes.txt": b"from the author\n"})
    other.write({path: b"from the other\n"})
    ended = at_once((author, ["push"]), (other, ["push"]))
    assert sorted(one.status for one in ended) == [0, 1], ended
    winner, loser = (author, other) if ended[0].status == 0 else (other, author)
    refusal = max(ended).output
    assert "changed here and on the hub" in refusal or "changed on the hub since the last sync" in refusal
    repo = scene.repo_of(loser)
    assert check_hub(scene.remote, repo) == winner.files()
    mine = {author: ("notes.txt", b"from the author\n"), other: (path, b"from the other\n")}
    assert loser.files()[mine[loser][0]] == mine[loser][1], "nothing of the loser's is touched"
    done = forge.run(loser, ["sync", "--keep-both"], ["verify"], ["status", "--check"])
    assert done.status == 0, done.output
    assert {content for _, content in mine.values()} <= {*loser.files().values()}
    assert check_hub(scene.remote, repo) == loser.files()
