"""A backup is one moment of the hub, whatever happens meanwhile; what is restored is whole, and clients take it for the hub."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, constants, snapshot_download

from tenuto.core.errors import ConflictError, IntegrityError, LockedError, NotFoundError, StorageError, UsageError
from tenuto.server.upkeep.backup import BackupReport, RestoreReport, back_up, list_snapshots, restore
from tenuto.server.upkeep.check import check_hub
from tenuto.server.upkeep.trash import one_at_a_time
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, some_xorb
from tests.server.conftest import Owner
from tests.server.talk import Talk, gone, large, small
from tests.server.upkeep_hub import (
    BOTH,
    CHUNKED,
    SHARED,
    TWICE,
    WHOLE,
    XORB,
    Sample,
    check,
    collect,
    copy_sample,
    flip,
    make_owner,
    make_sample,
    noise,
    object_file,
    opened,
    rewrite,
    rows,
    stored,
    xorb_file,
)
from tests.store.xet_build import File

_MOMENTS = iter(range(1_800_000_000_000, 1_900_000_000_000, 1000))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample") / "data")


@pytest.fixture
def folder(sample: Sample, tmp_path: Path) -> Path:
    return copy_sample(sample, tmp_path / "data")


def backup(folder: Path, target: Path) -> BackupReport:
    with opened(folder) as parts:
        return back_up(parts.database, str(folder), str(target), next(_MOMENTS))


def bring_back(target: Path, data: Path, **more) -> RestoreReport:
    return restore(str(target), str(data), next(_MOMENTS), **more)


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setattr(constants, name, True)


def test_a_restored_hub_is_the_same_hub(sample: Sample, folder: Path, tmp_path: Path, stock: None) -> None:
    done = backup(folder, tmp_path / "backup")
    assert (done.facts.objects, done.facts.xorbs, done.facts.lacking) == (2, 2, [])
    assert done.facts.store_bytes == done.copied.bytes == len(WHOLE) + len(TWICE) + len(XORB.body) + len(SHARED.body)
    back = bring_back(tmp_path / "backup", tmp_path / "new")
    assert (back.restored, back.lacking, back.copied.files) == (True, [], 4)
    assert check(tmp_path / "new").findings == []
    assert stored(tmp_path / "new") == stored(folder)
    with LiveHub(str(tmp_path / "new")) as hub:
        ann, bob = (Talk(hub.url, sample.tokens[name]) for name in ("ann", "bob"))
        assert ann.read("ann/one", f"chunked/{CHUNKED.sha256[:4]}.bin").content == CHUNKED.content
        assert bob.read("bob/two", f"chunked/{BOTH.sha256[:4]}.bin").content == BOTH.content
        assert ann.get("/bob/two/resolve/main/notes.txt").status_code == 404, "what was private is"
        cloned = snapshot_download(
            "ann/one", endpoint=hub.url, token=sample.tokens["ann"], local_dir=tmp_path / "cloned", revision="v1"
        )
        assert (Path(cloned) / "notes.txt").read_bytes() == b"hi"
        api = HfApi(endpoint=hub.url, token=sample.tokens["ann"])
        api.upload_file(path_or_fileobj=b"new", path_in_repo="new.txt", repo_id="ann/one")
        assert ann.read("ann/one", "new.txt").content == b"new"
        for talk in (ann, bob):
            talk.close()
    url = f"http://ann:{sample.tokens['ann']}@127.0.0.1"
    with LiveHub(str(tmp_path / "new")) as hub:
        address = hub.url.replace("http://127.0.0.1", url)
        environment = {**os.environ, "GIT_LFS_SKIP_SMUDGE": "1", "GIT_TERMINAL_PROMPT": "0"}
        clone = ["git", "clone", "-q", f"{address}/ann/one", str(tmp_path / "git")]
        subprocess.run(clone, check=True, env=environment, capture_output=True)
        subprocess.run(["git", "fsck", "--strict"], check=True, cwd=tmp_path / "git", capture_output=True)


def test_a_later_backup_copies_only_what_is_new(folder: Path, tmp_path: Path, sample: Sample) -> None:
    target = tmp_path / "backup"
    first = backup(folder, target)
    with LiveHub(str(folder)) as hub:
        talk = Talk(hub.url, sample.tokens["ann"])
        oid = talk.put_large("ann/one", noise(7000, 77))
        talk.commit("ann/one", large("new.bin", oid), gone("notes.txt")).raise_for_status()
        talk.close()
    second = backup(folder, target)
    assert (second.copied.files, second.copied.bytes, second.copied.there) == (1, 7000, 4)
    assert list_snapshots(str(target)) == [first.snapshot, second.snapshot]
    assert backup(folder, target).copied.files == 0
    for name, holds in ((first.snapshot, False), (second.snapshot, True)):
        assert bring_back(target, tmp_path / name, snapshot=name).restored
        assert check(tmp_path / name).findings == []
        assert object_file(tmp_path / name, noise(7000, 77)).exists() is holds


def test_it_is_for_the_eyes_of_its_owner_and_holds_no_secret(folder: Path, tmp_path: Path) -> None:
    done = backup(folder, tmp_path / "backup")
    snapshot = tmp_path / "backup" / "snapshots" / done.snapshot
    assert snapshot.stat().st_mode & 0o077 == 0
    assert (snapshot / "hub.sqlite3").stat().st_mode & 0o077 == 0
    assert {file.name for file in snapshot.iterdir()} == {"hub.sqlite3", "snapshot.json"}
    secret = (folder / "secret").read_bytes()
    for file in (tmp_path / "backup").rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes()
    bring_back(tmp_path / "backup", tmp_path / "new")
    with opened(tmp_path / "new"):
        assert (tmp_path / "new" / "secret").read_bytes() != secret
    assert (tmp_path / "new" / "hub.sqlite3").stat().st_mode & 0o077 == 0


def test_what_clients_remember_from_after_the_snapshot_is_not_relied_on(
    folder: Path, tmp_path: Path, sample: Sample
) -> None:
    owner = Owner("ann", sample.tokens["ann"], Talk("http://127.0.0.1", None), "ann/one")
    backup(folder, tmp_path / "backup")
    lost = File([(some_xorb(), 0, 6)])
    addresses = []
    for data in (folder, tmp_path / "new"):
        if data != folder:
            bring_back(tmp_path / "backup", data)
        with LiveHub(str(data)) as hub:
            owner = owner._replace(talk=Talk(hub.url, owner.token))
            cas = Cas(owner)
            addresses.append(cas.base.partition("/xet/")[2])
            if data == folder:
                cas.put_file(lost)
            else:
                assert cas.grant(lost.parts[0][0].name) == 404
                cas.put_file(lost)
                committed(owner, lost, "again.bin")
            owner.talk.close()
    assert addresses[0].split("/")[0] == addresses[1].split("/")[0]
    assert addresses[0] != addresses[1]
    assert int(addresses[1].split("/")[1]) > 1_700_000_000


class TestDamage:
    def test_of_the_hub_is_told_and_kept_out(self, folder: Path, tmp_path: Path) -> None:
        flip(object_file(folder, WHOLE), 5)
        xorb_file(folder, XORB.name).unlink()
        done = backup(folder, tmp_path / "backup")
        assert {(one.kind, one.name) for one in done.facts.lacking} == {
            ("large object", object_file(folder, WHOLE).parent.name + object_file(folder, WHOLE).name),
            ("xorb", XORB.name),
        }
        refused = bring_back(tmp_path / "backup", tmp_path / "new")
        assert (refused.restored, len(refused.lacking)) == (False, 2)
        assert not (tmp_path / "new" / "hub.sqlite3").exists()
        assert bring_back(tmp_path / "backup", tmp_path / "new", partial=True).restored
        assert {(one.fault, one.kind) for one in check(tmp_path / "new").findings} == {
            ("missing", "large object"),
            ("missing", "xorb"),
        }

    @pytest.mark.parametrize("at", [0, 25_000])
    def test_of_the_backup_is_found_before_the_hub_is_in_place(self, folder: Path, tmp_path: Path, at: int) -> None:
        target = tmp_path / "backup"
        backup(folder, target)
        flip(object_file(target, TWICE), at)
        flip(xorb_file(target, SHARED.name), 100)
        found = bring_back(target, tmp_path / "new")
        assert not found.restored
        assert {one.name for one in found.lacking} == {
            object_file(target, TWICE).parent.name + object_file(target, TWICE).name,
            SHARED.name,
        }
        again = backup(folder, target)
        assert again.copied.files == 0, "of the right size, so it counts as there"
        for file in (object_file(target, TWICE), xorb_file(target, SHARED.name)):
            file.unlink()
        assert backup(folder, target).copied.files == 2
        assert bring_back(target, tmp_path / "new").restored, "what is there already was read again"
        assert check(tmp_path / "new").findings == []

    def test_of_the_database_in_the_backup(self, folder: Path, tmp_path: Path) -> None:
        done = backup(folder, tmp_path / "backup")
        snapshot = tmp_path / "backup" / "snapshots" / done.snapshot
        flip(snapshot / "hub.sqlite3", 5000)
        with pytest.raises(IntegrityError):
            bring_back(tmp_path / "backup", tmp_path / "new")
        (snapshot / "snapshot.json").write_text("{")
        with pytest.raises(IntegrityError):
            bring_back(tmp_path / "backup", tmp_path / "new")
        (snapshot / "snapshot.json").unlink()
        with pytest.raises(StorageError):
            bring_back(tmp_path / "backup", tmp_path / "new")
        assert {one.name for one in (tmp_path / "new").iterdir()} == {"upkeep.lock"}

    def test_of_bytes_that_lie_where_the_hub_goes(self, folder: Path, tmp_path: Path) -> None:
        """A hub whose database was moved away: its store is used, once it was read."""
        backup(folder, tmp_path / "backup")
        flip(object_file(folder, WHOLE), 9)
        rewrite(xorb_file(folder, XORB.name), XORB.body[:-1] + b"\0")
        for name in ("hub.sqlite3", "hub.sqlite3-wal", "hub.sqlite3-shm"):
            (folder / name).unlink(missing_ok=True)
        done = bring_back(tmp_path / "backup", folder)
        assert (done.restored, done.copied.files, done.copied.there) == (True, 2, 2)
        assert check(folder).findings == []


class TestRefusals:
    def test_a_hub_is_never_written_over(self, folder: Path, tmp_path: Path) -> None:
        backup(folder, tmp_path / "backup")
        with pytest.raises(ConflictError):
            bring_back(tmp_path / "backup", folder)
        assert check(folder).findings == []

    def test_places_that_lie_in_one_another(self, folder: Path, tmp_path: Path) -> None:
        for place in (folder, folder / "backup", tmp_path):
            with pytest.raises(UsageError):
                backup(folder, place)
        backup(folder, tmp_path / "backup")
        with pytest.raises(UsageError):
            bring_back(tmp_path / "backup", tmp_path / "backup" / "new")

    def test_what_is_no_backup(self, tmp_path: Path, folder: Path) -> None:
        with pytest.raises(NotFoundError):
            bring_back(tmp_path / "nowhere", tmp_path / "new")
        backup(folder, tmp_path / "backup")
        for name in ("20000101T000000-000Z", "../../data"):
            with pytest.raises(NotFoundError):
                bring_back(tmp_path / "backup", tmp_path / "new", snapshot=name)

    def test_a_newer_format(self, folder: Path, tmp_path: Path) -> None:
        done = backup(folder, tmp_path / "backup")
        file = tmp_path / "backup" / "snapshots" / done.snapshot / "snapshot.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))
        with pytest.raises(UsageError):
            bring_back(tmp_path / "backup", tmp_path / "new")

    def test_one_at_a_time(self, folder: Path, tmp_path: Path) -> None:
        with one_at_a_time(str(folder)), pytest.raises(LockedError):
            backup(folder, tmp_path / "backup")


class Load(threading.Thread):
    """People who commit, delete and delete for good, until they are told to stop."""

    def __init__(self, hub: LiveHub, number: int) -> None:
        super().__init__()
        self.owner = make_owner(hub, f"load{number}", "repo")
        self.number, self.source, self.turns = number, random.Random(number), 0
        self.over = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                self.turn()
        except (AssertionError, httpx2.HTTPError) as error:
            self.error = error

    def turn(self) -> None:
        talk, repo = self.owner.talk, self.owner.repo
        self.turns += 1
        content = noise(20_000, 1000 * self.number + self.turns)
        oid = talk.put_large(repo, content)
        talk.commit(repo, large(f"f{self.turns}.bin", oid), small(f"s{self.turns}", content[:200])).raise_for_status()
        assert talk.read(repo, f"f{self.turns}.bin").content == content
        if self.turns % 4 == 0:
            file = File([(some_xorb(3), 0, 3)])
            Cas(self.owner).put_file(file)
            committed(self.owner, file, f"x{self.turns}.bin")
        if self.turns % 3 == 0:
            body = {"deletions": {"sha": [oid], "rewriteHistory": bool(self.turns % 2)}}
            talk.post(f"/api/models/{repo}/lfs-files/batch", body).raise_for_status()


@pytest.fixture
def loaded(folder: Path) -> Iterator[LiveHub]:
    """A hub at work."""
    with LiveHub(str(folder)) as hub:
        people = [Load(hub, number) for number in range(3)]
        for one in people:
            one.start()
        yield hub
        for one in people:
            one.over.set()
        for one in people:
            one.join()
            one.owner.talk.close()
        assert [one.error for one in people] == [None] * 3
        assert all(one.turns > 3 for one in people)
        assert check_hub(hub.hub.parts, str(folder)).findings == []


def test_backups_under_load_are_whole(loaded: LiveHub, tmp_path: Path) -> None:
    folder, target = Path(loaded.data_dir), tmp_path / "backup"
    for turn in range(6):
        done = back_up(loaded.hub.parts.database, str(folder), str(target), next(_MOMENTS))
        assert done.facts.lacking == []
        if turn % 2:
            assert collect(loaded.hub.parts, str(folder)).skipped == []
    seen = 0
    for name in list_snapshots(str(target)):
        assert bring_back(target, tmp_path / name, snapshot=name).restored
        assert check(tmp_path / name).findings == []
        ((commits,),) = rows(tmp_path / name, "SELECT count(*) FROM git_commits")
        assert commits >= seen
        seen = commits


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 9, 15, 30])
def test_a_backup_and_a_restore_that_are_killed(folder: Path, tmp_path: Path, delay_ms: int) -> None:
    target, data = tmp_path / "backup", tmp_path / "new"
    script = (
        "import sys, time\nfrom tests.server.upkeep_hub import opened\n"
        "from tenuto.server.upkeep.backup import back_up, restore\n"
        f"with opened({str(folder)!r}) as parts:\n    print('go', flush=True)\n"
        f"    back_up(parts.database, {str(folder)!r}, {str(target)!r}, time.time_ns() // 1000000)\n"
    )
    kill(script, delay_ms)
    if (target / "snapshots").exists():
        for name in (one.name for one in (target / "snapshots").iterdir() if not one.name.startswith("new-")):
            assert bring_back(target, tmp_path / name, snapshot=name).restored, "a snapshot with its name is whole"
    backup(folder, target)
    assert not [one for one in (target / "snapshots").iterdir() if one.name.startswith("new-")]
    assert list((target / "store-v1" / "spool").iterdir()) == []
    script = (
        "import time\nfrom tenuto.server.upkeep.backup import restore\nprint('go', flush=True)\n"
        f"restore({str(target)!r}, {str(data)!r}, time.time_ns() // 1000000)\n"
    )
    kill(script, delay_ms * 4)
    if not (data / "hub.sqlite3").exists():
        assert bring_back(target, data).restored
    assert check(data).findings == []
    assert stored(data) == stored(folder)


def kill(script: str, delay_ms: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "go\n"
    time.sleep(delay_ms / 1000)
    process.kill()
    process.communicate()
