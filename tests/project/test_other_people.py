"""Folder and hub both change: who moved is told apart, and nobody's work is lost."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenuto.core.errors import ConflictError, NotFoundError
from tenuto.project import take as taking
from tenuto.store.local import LocalStore
from tests.project.conftest import Clone, Scene

BIG = os.urandom(30_000)


@pytest.fixture
def ann(scene: Scene) -> Clone:
    """Ann has pushed three files."""
    scene.ann.write("data/big.bin", BIG)
    scene.ann.write("data/small.json", '{"a": 1}\n')
    scene.ann.write("data/sub/other.txt", "other\n")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    scene.ann.commit()
    return scene.ann


@pytest.fixture
def ben(scene: Scene, ann: Clone) -> Clone:
    """Ben has pulled them."""
    clone = scene.clone()
    clone.pull()
    return clone


def refused(run: Callable[[], object], code: str, match: str) -> ConflictError:
    with pytest.raises(ConflictError, match=match) as caught:
        run()
    assert (caught.value.code, caught.value.exit_status) == (code, 1)
    return caught.value


def test_a_strangers_edit_is_taken_by_sync_and_not_by_pull(scene: Scene, ann: Clone) -> None:
    theirs = scene.upload("big.bin", b"theirs")
    scene.upload("new/from-there.txt", b"new\n")
    ann.pull()
    assert (ann.files("data")["big.bin"], ann.requests) == (BIG, 0)
    report = ann.sync()
    assert ann.files("data") == {
        "big.bin": b"theirs",
        "new/from-there.txt": b"new\n",
        "small.json": b'{"a": 1}\n',
        "sub/other.txt": b"other\n",
    }
    assert ann.lock.artifacts["data"].commit == report.pulled.artifacts[0].commit == scene.commits()[0] != theirs
    assert report.pushed.artifacts[0].steps == []
    assert ann.state() == {"data": "clean"}


def test_a_push_is_refused_while_the_artifact_moved_on(scene: Scene, ann: Clone) -> None:
    scene.upload("big.bin", b"theirs")
    ann.write("data/mine.txt", "mine\n")
    error = refused(ann.push, "RemoteMoved", r"data: big\.bin changed on the hub since the last sync")
    assert error.hint == "run `tenuto sync`, which brings both sides together"
    assert "mine.txt" not in scene.on_hub()
    ann.sync()
    assert scene.on_hub() == ann.files("data")
    assert ann.files("data")["big.bin"] == b"theirs"


def test_a_change_elsewhere_in_the_repo_is_no_obstacle(scene: Scene) -> None:
    ann = scene.ann
    ann.write("lora/weights.bin", b"1")
    ann.write("lora/config.json", "{}\n")
    ann.track("lora", f"{scene.repo}/lora")
    ann.push()
    scene.upload("README.md", b"# Somebody wrote a card\n")
    lock = ann.lock
    for run in (ann.push, ann.sync, ann.pull, ann.push):
        run()
        assert ann.lock == lock, "the same files need no newer commit"
    assert ann.requests == 1
    ann.write("lora/weights.bin", b"22")
    ann.write("lora/config.json", '{"rank": 8}\n')
    ann.push()
    assert scene.on_hub() == {
        "README.md": b"# Somebody wrote a card\n",
        "lora/weights.bin": b"22",
        "lora/config.json": b'{"rank": 8}\n',
    }


@pytest.mark.parametrize("edit", ["changed", "deleted"])
@pytest.mark.parametrize("store", ["whole", "lost"])
def test_a_small_file_that_only_changed_here_is_no_conflict(scene: Scene, ben: Clone, edit: str, store: str) -> None:
    """Hubs name small files by git id alone; in a clone that pulled them from a store, no git id was ever seen."""
    carol = scene.clone("carol", cache="ben-cache")
    carol.pull()
    scene.upload("unrelated.txt", b"somebody else's\n")
    if store == "lost":
        for stored in list(LocalStore(str(carol.cache))):
            if stored.size == len('{"a": 1}\n'):
                LocalStore(str(carol.cache)).delete(stored.sha256)
    if edit == "changed":
        carol.write("data/small.json", '{"a": 2, "b": 3}\n')
        carol.sync()
        assert scene.on_hub()["small.json"] == b'{"a": 2, "b": 3}\n'
    else:
        (carol.root / "data" / "small.json").unlink()
        carol.sync(delete=True)
        assert "small.json" not in scene.on_hub()
    assert carol.files("data") == scene.on_hub()


def both_changed(scene: Scene, clone: Clone) -> None:
    clone.write("data/big.bin", b"mine")
    clone.write("data/sub/other.txt", "my other\n")
    scene.upload("big.bin", b"theirs")
    scene.upload("sub/other.txt", b"their other\n")
    scene.upload("small.json", b"theirs alone\n")


def test_what_both_changed_waits_for_a_choice(scene: Scene, ann: Clone) -> None:
    both_changed(scene, ann)
    before, there = ann.files(), scene.on_hub()
    error = refused(ann.sync, "BothMoved", r"data: big\.bin and 1 other file changed here and on the hub")
    assert error.hint
    assert "--keep-both" in error.hint
    refused(ann.push, "BothMoved", r"big\.bin")
    ann.pull()
    assert (ann.files(), scene.on_hub(), ann.kept()) == (before, there, set())


def test_ours(scene: Scene, ann: Clone) -> None:
    both_changed(scene, ann)
    ann.sync("ours")
    assert (
        ann.files("data")
        == scene.on_hub()
        == {
            "big.bin": b"mine",
            "small.json": b"theirs alone\n",
            "sub/other.txt": b"my other\n",
        }
    )
    assert ann.kept() == set()


def test_theirs_and_ours_is_in_the_trash(scene: Scene, ann: Clone) -> None:
    both_changed(scene, ann)
    ann.sync("theirs")
    assert (
        ann.files("data")
        == scene.on_hub()
        == {
            "big.bin": b"theirs",
            "small.json": b"theirs alone\n",
            "sub/other.txt": b"their other\n",
        }
    )
    assert ann.kept() == {b"mine", b"my other\n"}
    [trashed] = (ann.root / ".tenuto" / "trash").glob("*/data/sub/other.txt")
    assert trashed.read_bytes() == b"my other\n"


def test_keep_both(scene: Scene, ann: Clone) -> None:
    both_changed(scene, ann)
    ann.sync("keep-both")
    files = ann.files("data")
    assert files == scene.on_hub()
    mine = {path: content for path, content in files.items() if ".mine-" in path}
    assert sorted(mine.values()) == [b"mine", b"my other\n"]
    assert sorted(path.split(".mine-")[0] + path[-4:] for path in mine) == ["big.bin", "sub/other.txt"]
    assert (files["big.bin"], files["sub/other.txt"]) == (b"theirs", b"their other\n")
    ann.sync()
    assert ann.files("data") == files


def test_keep_both_a_second_time_with_the_same_bytes(scene: Scene, ann: Clone) -> None:
    for round_ in range(2):
        ann.write("data/big.bin", b"mine")
        scene.upload("big.bin", f"theirs {round_}".encode())
        ann.sync("keep-both")
    names = [path for path in ann.files("data") if ".mine-" in path]
    assert len(names) == 1
    assert ann.files("data") == scene.on_hub()
    ann.write(f"data/{names[0]}", b"mine, and edited further")
    ann.write("data/big.bin", b"mine")
    scene.upload("big.bin", b"theirs at last")
    ann.sync("keep-both")
    assert sorted(c for path, c in ann.files("data").items() if ".mine-" in path) == [
        b"mine",
        b"mine, and edited further",
    ]


def test_the_same_change_on_both_sides_is_none(scene: Scene, ann: Clone) -> None:
    scene.upload("big.bin", b"the same")
    scene.upload("small.json", b"same\n")
    ann.write("data/big.bin", b"the same")
    ann.write("data/small.json", "same\n")
    report = ann.sync()
    assert report.pulled.artifacts[0].steps == report.pushed.artifacts[0].steps == []
    assert ann.lock.artifacts["data"].commit == scene.commits()[0]


def test_a_file_that_is_missing_here_comes_back(scene: Scene, ann: Clone) -> None:
    (ann.root / "data" / "big.bin").unlink()
    report = ann.push()
    assert (report.artifacts[0].steps, report.artifacts[0].missing) == ([], 1)
    assert "big.bin" in scene.on_hub()
    ann.pull()
    assert ann.files("data")["big.bin"] == BIG
    (ann.root / "data" / "small.json").unlink()
    ann.sync()
    assert ann.files("data") == scene.on_hub()


def test_a_folder_that_is_missing_here_comes_back(scene: Scene, ann: Clone) -> None:
    before = ann.files()
    (ann.root / "data").rename(ann.root / "moved away")
    assert ann.state() == {"data": "missing"}
    ann.sync()
    assert {path: content for path, content in ann.files().items() if path.startswith("data/")} == before


def test_delete_makes_absence_a_wish(scene: Scene, ann: Clone) -> None:
    (ann.root / "data" / "big.bin").unlink()
    [pushed] = ann.push(delete=True).artifacts
    assert [(step.action.value, step.path) for step in pushed.steps] == [("delete on the hub", "big.bin")]
    assert scene.on_hub() == ann.files("data")
    assert "big.bin" not in ann.files("data")
    assert ann.state() == {"data": "clean"}
    (ann.root / "data" / "small.json").unlink()
    ann.sync(delete=True)
    assert list(scene.on_hub()) == list(ann.files("data")) == ["sub/other.txt"]


@pytest.mark.parametrize("verb", ["push", "sync"])
def test_delete_does_not_take_a_folder_that_is_gone_for_a_wish(scene: Scene, ann: Clone, verb: str) -> None:
    before = scene.on_hub()
    shutil.rmtree(ann.root / "data")
    act = ann.push if verb == "push" else ann.sync
    refused(lambda: act(delete=True), "LocalChanges", "not mounted")
    assert scene.on_hub() == before


def test_delete_does_not_delete_what_they_changed(scene: Scene, ann: Clone) -> None:
    (ann.root / "data" / "big.bin").unlink()
    scene.upload("big.bin", b"theirs")
    refused(lambda: ann.push(delete=True), "RemoteMoved", r"big\.bin")
    ann.sync(delete=True)
    assert ann.files("data")["big.bin"] == scene.on_hub()["big.bin"] == b"theirs"


def test_a_link_to_nothing_is_not_taken_for_a_deletion(scene: Scene, ann: Clone) -> None:
    (ann.root / "data" / "big.bin").unlink()
    (ann.root / "data" / "big.bin").symlink_to("/a/disk/that/is/not/there")
    with pytest.raises(NotFoundError, match=r"data/big\.bin is a symbolic link to nothing"):
        ann.push(delete=True)
    assert "big.bin" in scene.on_hub()
    ann.pull()
    assert ann.files("data")["big.bin"] == BIG


def test_what_was_deleted_on_the_hub_goes_to_the_trash_here(scene: Scene, ann: Clone) -> None:
    scene.delete("big.bin")
    scene.delete("sub/other.txt")
    ann.sync()
    assert ann.files("data") == {"small.json": b'{"a": 1}\n'}
    assert ann.kept() == {BIG, b"other\n"}
    assert not (ann.root / "data" / "sub").exists()


@pytest.mark.parametrize("choice", ["ours", "theirs", "keep-both"])
def test_what_was_deleted_there_and_changed_here(scene: Scene, ann: Clone, choice: str) -> None:
    scene.delete("big.bin")
    ann.write("data/big.bin", b"mine")
    refused(ann.sync, "BothMoved", r"big\.bin")
    ann.sync(choice)
    if choice == "theirs":
        assert ("big.bin" in ann.files("data"), ann.kept()) == (False, {b"mine"})
    else:
        assert ann.files("data")["big.bin"] == b"mine"
    assert scene.on_hub() == ann.files("data")


def test_git_moved_the_lock_and_the_folder_follows(ann: Clone, ben: Clone) -> None:
    ann.write("data/big.bin", b"second version")
    (ann.root / "data" / "small.json").unlink()
    ann.push(delete=True)
    ann.commit()
    ben.git("pull", "-q")
    ben.pull()
    assert ben.files("data") == {"big.bin": b"second version", "sub/other.txt": b"other\n"}
    ben.git("reset", "-q", "--hard", "HEAD~1")
    ben.pull()
    assert ben.files("data") == {"big.bin": BIG, "small.json": b'{"a": 1}\n', "sub/other.txt": b"other\n"}


def test_git_moved_the_lock_and_a_push_does_not_take_the_work_back(scene: Scene, ann: Clone, ben: Clone) -> None:
    """The case of the third decision: the lock has moved, the folder has not."""
    ann.write("data/big.bin", b"second version")
    ann.push()
    ann.commit()
    ben.git("pull", "-q")
    refused(ben.push, "RemoteMoved", r"big\.bin")
    assert scene.on_hub()["big.bin"] == b"second version"


def test_git_moved_the_lock_and_own_work_stays(scene: Scene, ann: Clone, ben: Clone) -> None:
    ann.write("data/big.bin", b"second version")
    ann.push()
    ann.commit()
    ben.write("data/sub/other.txt", "mine\n")
    ben.git("pull", "-q")
    [pulled] = ben.pull().artifacts
    assert pulled.kept == ["sub/other.txt"]
    assert (ben.files("data")["big.bin"], ben.files("data")["sub/other.txt"]) == (b"second version", b"mine\n")
    ben.push()
    assert scene.on_hub()["sub/other.txt"] == b"mine\n"


def test_a_conflict_with_the_lock_stops_a_pull_before_anything_changed(ann: Clone, ben: Clone) -> None:
    ann.write("data/big.bin", b"second version")
    ann.write("data/new.txt", "new\n")
    ann.push()
    ann.commit()
    ben.git("pull", "-q")
    ben.write("data/big.bin", b"mine")
    before = ben.files()
    refused(ben.pull, "BothMoved", r"data: big\.bin changed here and on the hub")
    assert ben.files() == before
    ben.pull(choice="theirs")
    assert (ben.files("data"), ben.kept()) == (ann.files("data"), {b"mine"})


def test_a_file_that_changes_during_the_transfer_is_not_overwritten(
    scene: Scene, ann: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.upload("big.bin", b"theirs")
    real = taking.fetch

    def slow_fetch(*arguments: object) -> object:
        done = real(*arguments)  # type: ignore[arg-type]
        ann.write("data/big.bin", b"saved just now")
        return done

    monkeypatch.setattr(taking, "fetch", slow_fetch)
    refused(ann.sync, "LocalChanges", r"big\.bin of data changed while the hub's was fetched")
    assert ann.files("data")["big.bin"] == b"saved just now"


def test_two_pushes_at_once_both_arrive(scene: Scene, ann: Clone, ben: Clone) -> None:
    ann.write("data/from-ann.txt", "ann\n")
    ben.write("data/from-ben.txt", "ben\n")
    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(ann.sync), pool.submit(ben.sync)]:
            task.result()
    ann.sync()
    ben.sync()
    assert ann.files("data") == ben.files("data") == scene.on_hub()
    assert {"from-ann.txt", "from-ben.txt"} <= scene.on_hub().keys()
