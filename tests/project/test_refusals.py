"""The hub says no, is not there, or breaks off: the error says which, and folder and lock are as they were."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256

import pytest

from tenuto.core.errors import (
    AccessDeniedError,
    AuthenticationError,
    IntegrityError,
    NotFoundError,
    StorageError,
    TenutoError,
    UnavailableError,
    UsageError,
)
from tenuto.core.ids import RepoId
from tenuto.testing.lies import Lie, ResetConnection, Status, Truncated, WrongBytes, captive_portal
from tenuto.testing.lying_hub import LyingHub
from tests.project.conftest import Clone, Scene

BIG = os.urandom(50_000)


@pytest.fixture
def ann(scene: Scene) -> Clone:
    """Ann has pushed two files."""
    scene.ann.write("data/big.bin", BIG)
    scene.ann.write("data/small.txt", "small\n")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    scene.ann.commit()
    return scene.ann


@contextmanager
def nothing_changes(clone: Clone) -> Iterator[None]:
    """What the project holds is the same afterwards."""
    before = (clone.files(), (clone.root / "tenuto.lock").read_bytes(), clone.kept())
    yield
    assert (clone.files(), (clone.root / "tenuto.lock").read_bytes(), clone.kept()) == before


def fails(clone: Clone, run: Callable[[], object], kind: type[TenutoError], code: str, status: int) -> TenutoError:
    with nothing_changes(clone), pytest.raises(kind) as caught:
        run()
    assert (caught.value.code, caught.value.exit_status) == (code, status)
    return caught.value


def verbs(clone: Clone) -> list[Callable[[], object]]:
    return [clone.push, clone.sync]


def test_a_repo_that_was_deleted(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    remote = scene.remote()
    with remote.session:
        remote.delete_repo(RepoId.parse(scene.repo))
    assert scene.repo in fails(ben, ben.pull, NotFoundError, "RepoNotFound", 9).message
    ann.write("data/new.txt", "new\n")
    for run in verbs(ann):
        error = fails(ann, run, NotFoundError, "RepoNotFound", 9)
        assert scene.repo in error.message
        assert error.hint
    ann.pull()
    assert ann.verify().findings == []


def test_a_repo_that_never_was(scene: Scene) -> None:
    scene.ann.write("data/x", b"x")
    scene.ann.track("data", f"hf://datasets/{scene.person}/never-made")
    error = fails(scene.ann, scene.ann.push, NotFoundError, "RepoNotFound", 9)
    assert error.hint == (
        "correct the name; if it is private, `tenuto login`; if it is to be yours, "
        f"`tenuto repo create hf://datasets/{scene.person}/never-made`"
    )


def test_a_private_repo_does_not_exist_for_strangers(scene: Scene) -> None:
    repo = scene.new_repo("secret", private=True)
    scene.ann.write("data/x", b"x")
    scene.ann.track("data", repo)
    scene.ann.push()
    ben = scene.clone()
    ben.flags["token"] = scene.hub.user()
    fails(ben, ben.pull, NotFoundError, "RepoNotFound", 9)
    fails(ben, ben.push, NotFoundError, "RepoNotFound", 9)


def test_a_token_that_may_only_read(scene: Scene, ann: Clone) -> None:
    ann.flags["token"] = scene.hub.user(scene.person, "read")
    ann.write("data/new.txt", "new\n")
    for run in verbs(ann):
        fails(ann, run, AccessDeniedError, "Forbidden", 4)
    assert "new.txt" not in scene.on_hub()


def test_somebody_elses_public_repo(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    ben.flags["token"] = scene.hub.user()
    ben.pull()
    assert ben.files("data") == scene.on_hub()
    ben.write("data/small.txt", "mine\n")
    fails(ben, ben.push, AccessDeniedError, "Forbidden", 4)


def test_a_token_that_is_none(scene: Scene, ann: Clone) -> None:
    ann.flags["token"] = "hf_" + "a" * 34
    ann.write("data/new.txt", "new\n")
    for run in verbs(ann):
        fails(ann, run, AuthenticationError, "BadToken", 3)


def test_no_token(scene: Scene, ann: Clone) -> None:
    ann.flags["token"] = None
    ann.write("data/new.txt", "new\n")
    with nothing_changes(ann), pytest.raises((AuthenticationError, AccessDeniedError)) as caught:
        ann.push()
    assert caught.value.exit_status == 3
    ben = scene.clone()
    ben.flags["token"] = None
    ben.pull()
    assert ben.files("data") == scene.on_hub()


def test_a_hub_that_is_down(scene: Scene, ann: Clone) -> None:
    ben = scene.clone(endpoint="http://127.0.0.1:9")
    fails(ben, ben.pull, UnavailableError, "NetworkFailure", 6)
    fails(ben, ben.push, UnavailableError, "NetworkFailure", 6)


def test_offline(scene: Scene, ann: Clone) -> None:
    ann.flags["offline"] = True
    (ann.root / "data" / "big.bin").unlink()
    ann.state()
    fails(ann, ann.push, UnavailableError, "Offline", 6)
    fails(ann, ann.pull, UnavailableError, "Offline", 6)
    ben = scene.clone()
    ben.pull()
    (ben.root / "data" / "big.bin").unlink()
    ben.flags["offline"] = True
    ben.pull()
    assert ben.files("data")["big.bin"] == BIG


@pytest.mark.parametrize(
    ("lie", "kind", "status"),
    [
        (Lie("GET", r"/resolve/.*big\.bin", Status(404)), NotFoundError, 9),
        (Lie("GET", r"/resolve/", Status(500)), UnavailableError, 6),
        (Lie("GET", r"/tree/", Status(503)), UnavailableError, 6),
        (Lie("GET", r"/tree/", captive_portal()), UnavailableError, 6),
        (Lie("GET", r"/tree/", Truncated()), UnavailableError, 6),
    ],
    ids=lambda value: str(value) if isinstance(value, Lie) else "",
)
def test_a_pull_that_breaks_off_leaves_all_as_it_was(
    scene: Scene, ann: Clone, lie: Lie, kind: type[TenutoError], status: int
) -> None:
    ben = scene.clone()
    ben.write("data/small.txt", "small\n")
    ben.write("data/own.txt", "own\n")
    with LyingHub(scene.hub.url, [lie]) as proxy:
        ben.flags["endpoint"] = proxy.url
        with nothing_changes(ben), pytest.raises(kind) as caught:
            ben.pull()
    assert caught.value.exit_status == status
    ben.flags["endpoint"] = scene.hub.url
    ben.pull()
    assert ben.files("data") == {"big.bin": BIG, "own.txt": b"own\n", "small.txt": b"small\n"}


def test_wrong_bytes_are_never_laid_out(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    with LyingHub(scene.hub.url, [Lie("GET", "big.bin|/lfs|/objects|/blob", WrongBytes(), times=None)]) as proxy:
        ben.flags["endpoint"] = proxy.url
        error = fails(ben, ben.pull, IntegrityError, "HashMismatch", 5)
    assert sha256(BIG).hexdigest() in error.message


@pytest.mark.parametrize("after", range(6))
def test_a_push_that_breaks_off_anywhere_can_be_done_again(scene: Scene, ann: Clone, after: int) -> None:
    ann.write("data/big.bin", BIG[::-1])
    ann.write("data/new.txt", "new\n")
    files = ann.files("data")
    with LyingHub(scene.hub.url, [Lie("*", "", Status(500), after=after, times=None)]) as proxy:
        ann.flags["endpoint"] = proxy.url
        with suppress(UnavailableError):
            ann.sync("ours")
    ann.flags["endpoint"] = scene.hub.url
    ann.sync("ours")
    assert scene.on_hub() == ann.files("data") == files
    assert ann.state() == {"data": "clean"}


def test_a_commit_whose_answer_was_lost_is_made_once(scene: Scene, ann: Clone) -> None:
    commits = len(scene.commits())
    with LyingHub(scene.hub.url, [Lie("POST", "/commit/", ResetConnection(keep_bytes=-1), times=1)]) as proxy:
        ann.flags["endpoint"] = proxy.url
        ann.sync()
        ann.write("data/new.txt", "new\n")
        ann.push()
        assert sum("/commit/" in request.path for request in proxy.requests) == 1
    assert len(scene.commits()) == commits + 1
    assert scene.on_hub() == ann.files("data")
    assert ann.lock.artifacts["data"].commit == scene.commits()[0]
    assert ann.state() == {"data": "clean"}


def test_a_disk_that_refuses_leaves_the_lock_alone(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    (ben.root / "data" / "big.bin" / "inside").mkdir(parents=True)
    fails(ben, ben.pull, StorageError, "LocalFile", 7)


def test_a_hub_with_names_that_not_every_system_can_hold(scene: Scene) -> None:
    scene.upload("ok.txt", b"ok\n")
    scene.upload("Model.bin", b"one")
    scene.upload("model.bin", b"two")
    (scene.ann.root / "data").mkdir()
    scene.ann.track("data", scene.repo)
    error = fails(scene.ann, scene.ann.sync, UsageError, "BadPath", 2)
    assert "Model.bin" in error.message


def test_a_store_that_is_no_folder(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    ben.cache.write_bytes(b"a file")
    fails(ben, ben.pull, StorageError, "LocalFile", 7)
