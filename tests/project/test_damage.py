"""State, store and files are lost or damaged: it is named, mended, and never made worse."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, IntegrityError, NotFoundError, StorageError
from tenuto.project import take as taking
from tenuto.store.hashing import Hashed, ToHash
from tenuto.store.local import LocalStore
from tests.project.conftest import Clone, Scene

BIG = os.urandom(30_000)
FILES = {"big.bin": BIG, "small.json": b'{"a": 1}\n', "sub/other.bin": b"other" * 100}


@pytest.fixture
def ann(scene: Scene) -> Clone:
    """Ann has pushed three files."""
    for path, content in FILES.items():
        scene.ann.write(f"data/{path}", content)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    scene.ann.commit()
    return scene.ann


@pytest.fixture
def ben(scene: Scene, ann: Clone) -> Clone:
    """Ben has pulled them: his files are hard links into his store."""
    clone = scene.clone()
    clone.pull()
    return clone


def flip(file: Path) -> None:
    """One bit changes in place, as on a dying disk: size, time and inode are the old ones."""
    before = file.stat()
    mode = before.st_mode
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    with open(file, "r+b") as opened:
        opened.write(content)
    file.chmod(mode)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def forget_state(clone: Clone) -> None:
    for file in (clone.root / ".tenuto").glob("state.db*"):
        file.unlink()


def objects(clone: Clone) -> dict[str, bytes]:
    store = LocalStore(str(clone.cache))
    return {stored.sha256: Path(store.file(stored.sha256)).read_bytes() for stored in store}


def test_a_flipped_bit_is_named_and_mended_in_file_and_store(ben: Clone) -> None:
    damaged = ben.root / "data" / "big.bin"
    assert damaged.stat().st_nlink == 2
    flip(damaged)
    wrong = damaged.read_bytes()
    assert ben.state() == {"data": "clean"}, "status does not read"
    report = ben.verify()
    assert (report.files, report.bytes) == (3, sum(map(len, FILES.values())))
    [finding] = report.findings
    assert (finding.artifact, finding.path, finding.fault) == ("data", "data/big.bin", "damaged")
    assert finding.found
    assert finding.found != finding.expected
    assert ben.requests == 0

    mended = ben.repair()
    assert [(one.path, one.fault) for one in mended.repaired] == [("data/big.bin", "damaged")]
    assert mended.remaining == []
    assert ben.files("data") == FILES
    assert objects(ben)[finding.expected] == BIG
    assert mended.quarantine
    assert Path(mended.quarantine, "data", "big.bin").read_bytes() == wrong
    assert ben.verify().findings == []
    assert ben.state() == {"data": "clean"}


def test_a_damaged_file_is_mended_from_the_store_without_the_hub(scene: Scene, ben: Clone) -> None:
    ben.flags["link"] = "copy"
    ben.write("data/big.bin", BIG[:-1] + b"?")
    ben.flags["offline"] = True
    report = ben.repair()
    assert [finding.path for finding in report.repaired] == ["data/big.bin"]
    assert ben.files("data") == FILES


def test_missing_files_come_back_and_nothing_goes_to_quarantine(ben: Clone) -> None:
    (ben.root / "data" / "big.bin").unlink()
    shutil.rmtree(ben.root / "data" / "sub")
    assert [(f.path, f.fault, f.found) for f in ben.verify().findings] == [
        ("data/big.bin", "missing", None),
        ("data/sub/other.bin", "missing", None),
    ]
    report = ben.repair()
    assert (len(report.repaired), report.quarantine) == (2, None)
    assert ben.files("data") == FILES
    assert not (ben.root / ".tenuto" / "quarantine").exists()


def test_what_was_never_pushed_and_is_damaged_remains(scene: Scene) -> None:
    scene.ann.write("data/x", b"the only copy")
    scene.ann.track("data", scene.repo)
    flip(scene.ann.root / "data" / "x")
    before = scene.ann.files()
    report = scene.ann.repair()
    assert report.repaired == []
    [finding] = report.remaining
    assert (finding.path, finding.fault) == ("data/x", "damaged")
    assert finding.detail == "the store has no good copy, and it was never pushed"
    assert (scene.ann.files(), scene.ann.kept(), report.quarantine) == (before, set(), None)


def test_damage_in_several_artifacts_goes_to_one_quarantine(scene: Scene) -> None:
    for name in ("a", "b"):
        scene.ann.write(f"{name}/x", f"{name} content".encode())
        scene.ann.track(name, f"{scene.repo}/{name}")
    scene.ann.push()
    for name in ("a", "b"):
        flip(scene.ann.root / name / "x")
    report = scene.ann.repair(dry_run=True)
    assert (len(report.repaired), report.quarantine, scene.ann.kept()) == (2, None, set())
    report = scene.ann.repair()
    assert len(report.repaired) == 2
    assert report.quarantine
    assert sorted(os.listdir(report.quarantine)) == ["a", "b"]


def test_a_damaged_file_is_not_sent_as_an_edit(scene: Scene, ann: Clone) -> None:
    flip(ann.root / "data" / "big.bin")
    ann.write("data/new.txt", "new\n")
    ann.push()
    assert scene.on_hub()["big.bin"] == BIG


def test_a_damaged_object_is_never_laid_out(scene: Scene, ben: Clone) -> None:
    flip(ben.root / "data" / "big.bin")
    carol = scene.clone("carol", cache="ben-cache")
    carol.pull()
    assert carol.files("data") == FILES


def test_what_comes_back_from_the_store_is_read_once(ben: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 18: an object that was read looks as it did, though `rm -r` took a name from it."""
    read: list[str] = []
    hash_files = taking.hash_files

    def noting(files: Sequence[ToHash], progress: Callable[[int], None]) -> list[Hashed]:
        read.extend(file.name for file in files)
        return hash_files(files, progress)

    def come_back() -> int:
        read.clear()
        shutil.rmtree(ben.root / "data")
        ben.pull()
        assert ben.files("data") == FILES
        return len(read)

    monkeypatch.setattr(taking, "hash_files", noting)
    time.sleep(0.06)  # a younger time stamp may stand for two writes
    come_back()
    assert come_back() == 0
    (ben.root / ".tenuto" / "objects.db").unlink()
    assert (come_back(), come_back()) == (len(FILES), 0)


def test_an_object_that_was_read_and_then_damaged_is_not_laid_out(ben: Clone) -> None:
    time.sleep(0.06)
    flip(ben.root / "data" / "big.bin")
    (ben.root / "data" / "small.json").unlink()
    (ben.root / "data" / "big.bin").rename(ben.root / "kept.bin")
    object_file = Path(LocalStore(str(ben.cache)).file(hashlib.sha256(FILES["small.json"]).hexdigest()))
    flip(object_file)
    ben.pull()
    assert ben.files("data") == FILES


def test_a_lost_store_costs_a_download_and_nothing_else(scene: Scene, ben: Clone) -> None:
    shutil.rmtree(ben.cache)
    assert ben.state() == {"data": "clean"}
    ben.pull()
    assert ben.files("data") == FILES
    assert ben.verify().findings == []
    shutil.rmtree(ben.cache)
    (ben.root / "data" / "big.bin").unlink()
    ben.pull()
    assert ben.files("data") == FILES
    shutil.rmtree(ben.cache)
    flip(ben.root / "data" / "big.bin")
    assert [finding.path for finding in ben.repair().repaired] == ["data/big.bin"]
    ben.write("data/new.txt", "new\n")
    ben.sync()
    assert scene.on_hub() == ben.files("data")


def test_without_a_store_own_work_is_still_told_from_theirs(scene: Scene, ann: Clone, ben: Clone) -> None:
    """The state remembers the commit of the last sync, and the hub what that held: nobody is asked about files that only one side changed."""
    ann.write("data/big.bin", b"theirs")
    ann.sync()
    ben.write("data/mine.txt", "mine\n")
    shutil.rmtree(ben.cache)
    ben.sync()
    assert ben.files("data") == ann.files("data") | {"mine.txt": b"mine\n"} == scene.on_hub()
    shutil.rmtree(ben.cache)
    ben.write("data/big.bin", b"mine")
    ben.push()
    assert scene.on_hub()["big.bin"] == b"mine"


def test_a_lost_state_and_the_same_content_is_nothing(scene: Scene, ann: Clone) -> None:
    forget_state(ann)
    lock = ann.lock
    [pushed] = ann.push().artifacts
    assert pushed.steps == []
    report = ann.sync()
    assert report.pulled.artifacts[0].steps == report.pushed.artifacts[0].steps == []
    assert (ann.files("data"), ann.lock) == (FILES, lock)


def test_a_lost_state_and_another_content_is_a_question(scene: Scene, ann: Clone) -> None:
    forget_state(ann)
    ann.write("data/big.bin", b"mine")
    ann.write("data/new.txt", "new\n")
    for run in (ann.push, ann.sync, ann.pull):
        with pytest.raises(ConflictError) as caught:
            run()
        assert caught.value.code == "BothMoved"
    ann.sync("ours")
    assert scene.on_hub() == ann.files("data")
    assert ann.files("data") == {**FILES, "big.bin": b"mine", "new.txt": b"new\n"}


def test_all_of_it_lost_but_manifest_and_lock(scene: Scene, ann: Clone) -> None:
    """A machine that forgets: only what is in git comes back, and nothing is fetched twice."""
    shutil.rmtree(ann.root / ".tenuto")
    shutil.rmtree(ann.root / "data")
    shutil.rmtree(ann.cache)
    ann.pull()
    assert ann.files("data") == FILES
    ann.pull()
    assert ann.requests == 0


def edit_lock(clone: Clone, old: str, new: str) -> None:
    file = clone.root / "tenuto.lock"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_lock_edited_by_hand_is_caught(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    digest = ben.lock.artifacts["data"].digest
    edit_lock(ben, digest, "0" * 64)
    lock = (ben.root / "tenuto.lock").read_bytes()
    with pytest.raises(IntegrityError) as caught:
        ben.pull()
    assert (caught.value.code, caught.value.exit_status) == ("DigestMismatch", 5)
    assert digest in caught.value.message
    assert "0" * 64 in caught.value.message
    assert ben.files() == {}
    assert (ben.root / "tenuto.lock").read_bytes() == lock


def test_a_digest_that_is_the_name_of_a_model_destroys_no_model(scene: Scene, ben: Clone) -> None:
    locked = ben.lock.artifacts["data"]
    model = next(sha256 for sha256, content in objects(ben).items() if content == BIG)
    edit_lock(ben, locked.digest, model)
    with pytest.raises(IntegrityError):
        ben.pull()
    assert objects(ben)[model] == BIG
    assert ben.files("data") == FILES


def test_a_commit_edited_by_hand_is_not_found(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    edit_lock(ben, str(ben.lock.artifacts["data"].commit), "0" * 40)
    with pytest.raises(NotFoundError) as caught:
        ben.pull()
    assert caught.value.code == "RevisionNotFound"
    assert ben.files() == {}


def test_verify_without_a_lock_says_so(scene: Scene, ann: Clone) -> None:
    (ann.root / "tenuto.lock").unlink()
    with pytest.raises(NotFoundError, match="data is not locked"):
        ann.verify()


def test_verify_of_a_lock_for_another_repo_says_so(scene: Scene, ann: Clone) -> None:
    manifest = ann.root / "tenuto.toml"
    manifest.write_text(manifest.read_text().replace("/voices", "/others"))
    with pytest.raises(NotFoundError, match=r"data is locked from hf://.*/voices, the manifest says hf://.*/others"):
        ann.verify()


def test_the_listing_is_fetched_where_the_store_lost_it(scene: Scene, ann: Clone) -> None:
    ben = scene.clone()
    ben.pull()
    LocalStore(str(ben.cache)).delete(ben.lock.artifacts["data"].digest)
    forget_state(ben)
    assert ben.verify().findings == []
    assert ben.requests > 0
    assert ben.verify().findings == []
    assert ben.requests == 0


def test_an_object_that_cannot_be_read_is_not_thrown_out(ben: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, say: no reason to lose a good copy."""
    (ben.root / "data" / "big.bin").unlink()
    (ben.root / ".tenuto" / "objects.db").unlink(missing_ok=True)  # else it is believed, and not read
    before = objects(ben)

    def no_files_left(files: list[object], *_: object) -> list[Hashed]:
        fault = StorageError("too many open files")
        return [Hashed(str(file[0]), "", 0, fault) for file in files]  # type: ignore[index]

    monkeypatch.setattr(taking, "hash_files", no_files_left)
    with pytest.raises(StorageError):
        ben.pull()
    assert objects(ben) == before


def test_repair_does_not_write_through_a_link(scene: Scene, ben: Clone, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (ben.root / "data" / "sub").rename(outside)
    (ben.root / "data" / "sub").symlink_to(outside)
    (outside / "other.bin").unlink()
    with pytest.raises(Exception, match="not a real folder"):
        ben.repair()
    assert os.listdir(outside) == []


def test_what_a_killed_transfer_left_is_dropped_in_time(scene: Scene, ann: Clone) -> None:
    clone = scene.clone()
    spool = Path(LocalStore(str(clone.cache)).spool)
    spool.mkdir(parents=True)
    for name, age_s in (("sealed-0123456789abcdef", 30 * 86_400), ("sealed-fedcba9876543210", 60)):
        (spool / name).write_bytes(b"left")
        then = time.time() - age_s
        os.utime(spool / name, (then, then))
    clone.pull()
    assert os.listdir(spool) == ["sealed-fedcba9876543210"], "the young one may still be published"
