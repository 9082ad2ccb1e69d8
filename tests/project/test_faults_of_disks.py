"""Faults 4, 6, 20, 22 and 25: disks that rot, fill up, refuse or are shared, clocks that are wrong, and sizes that are extreme."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, LockedError, StorageError, TenutoError
from tenuto.project.cache import clear
from tenuto.project.pull import pull
from tenuto.store.local import LocalStore
from tests.hub.place import check_whole, noise, sha256_of, spool_files
from tests.project.conftest import Scene
from tests.project.outside import PATH, Outside, outside

__all__ = ["outside"]

AS_ROOT = os.geteuid() == 0
SIZE = 3_000_000
WEIGHTS = noise(SIZE, 21)
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}\n"}

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit flipped": lambda content: content[:77_777] + bytes([content[77_777] ^ 4]) + content[77_778:],
    "the tail cut off": lambda content: content[:-1],
    "a page of zeros": lambda content: content[: 4096 * 9] + bytes(4096) + content[4096 * 10 :],
    "nothing left": lambda content: b"",
}


@pytest.fixture
def theirs(outside: Outside) -> Outside:
    """The publisher's files are here, as copies, so that store and folder rot each for itself."""
    outside.keeper.flags["link"] = "copy"
    outside.publish(FILES)
    outside.add()
    return outside


def rot(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Other bytes, the same times, as a disk does it."""
    status = file.stat()
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(change(content))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("how", DAMAGE)
class TestRot:
    """Fault 6."""

    def test_in_the_store_is_never_laid_out_and_mended_by_a_pull(self, theirs: Outside, how: str) -> None:
        object_file = Path(LocalStore(str(theirs.keeper.cache)).file(sha256_of(WEIGHTS)))
        rot(object_file, DAMAGE[how])
        (theirs.keeper.root / PATH / "model.safetensors").unlink()
        theirs.keeper.flags["offline"] = True
        with pytest.raises(TenutoError):
            theirs.pull()
        assert not (theirs.keeper.root / PATH / "model.safetensors").exists()
        theirs.keeper.flags["offline"] = False
        theirs.pull()
        assert theirs.files() == FILES
        check_whole(LocalStore(str(theirs.keeper.cache)))

    def test_in_the_folder_is_named_and_mended(self, theirs: Outside, how: str) -> None:
        rot(theirs.keeper.root / PATH / "model.safetensors", DAMAGE[how])
        assert [finding.path for finding in theirs.keeper.verify().findings] == [f"{PATH}/model.safetensors"]
        assert not theirs.keeper.repair().remaining
        assert theirs.files() == FILES

    def test_in_both_is_mended_from_the_hub(self, theirs: Outside, how: str) -> None:
        file = theirs.keeper.root / PATH / "model.safetensors"
        for one in (file, Path(LocalStore(str(theirs.keeper.cache)).file(sha256_of(WEIGHTS)))):
            rot(one, DAMAGE[how])
        assert not theirs.keeper.repair().remaining
        assert theirs.files() == FILES
        assert DAMAGE[how](WEIGHTS) in theirs.keeper.kept()

    def test_a_collection_makes_nothing_of_it(self, theirs: Outside, how: str) -> None:
        """What a project needs is spared by its name, whole or not; where a damaged listing hides what that is, nothing goes."""
        store = LocalStore(str(theirs.keeper.cache))
        rot(Path(store.file(sha256_of(WEIGHTS))), DAMAGE[how])
        clear(store, keep_days=0, trash_days=0, clock=lambda: time.time() + 864_000)
        assert store.has(sha256_of(WEIGHTS))
        rot(Path(store.file(theirs.keeper.lock.artifacts["theirs"].digest)), lambda content: content[:-1])
        with pytest.raises(IntegrityError, match="is damaged"):
            clear(store, keep_days=0, trash_days=0, clock=lambda: time.time() + 864_000)
        assert store.has(sha256_of(WEIGHTS))
        assert theirs.files() == FILES
        theirs.pull()
        assert not theirs.keeper.verify().findings


class TestStores:
    """Faults 4 and 20: where the store lies."""

    def test_behind_a_link(self, outside: Outside, tmp_path: Path) -> None:
        """A link to another disk is the user's wish, and is followed: nothing but objects is written there."""
        (tmp_path / "big-disk").mkdir()
        outside.keeper.cache.symlink_to(tmp_path / "big-disk")
        outside.publish(FILES)
        outside.add()
        assert outside.files() == FILES
        assert [path.name for path in (tmp_path / "big-disk").iterdir()] == ["store-v1"]

    @pytest.mark.parametrize("part", ["objects", "spool"])
    def test_with_a_link_inside_that_leads_to_other_files(self, theirs: Outside, tmp_path: Path, part: str) -> None:
        """No file there that is not ours is changed or removed."""
        precious = tmp_path / "precious"
        (precious / "ab").mkdir(parents=True)
        (precious / "ab" / "file").write_bytes(b"precious")
        (precious / "precious").write_bytes(b"precious")
        folder = theirs.keeper.cache / "store-v1" / part
        shutil.rmtree(folder, ignore_errors=True)
        folder.symlink_to(precious)
        (theirs.keeper.root / PATH / "model.safetensors").unlink()
        theirs.pull()
        clear(LocalStore(str(theirs.keeper.cache)), keep_days=0, trash_days=0)
        assert theirs.files() == FILES
        assert (precious / "ab" / "file").read_bytes() == (precious / "precious").read_bytes() == b"precious"

    @pytest.mark.skipif(not AS_ROOT, reason="only root may mount")
    def test_that_may_only_be_read_serves_what_it_has(self, theirs: Outside, tmp_path: Path) -> None:
        """Fault 20: a shared store on a read-only disk gives its objects, and takes none."""
        shared = tmp_path / "shared"
        theirs.keeper.cache.rename(shared)
        with mounted(shared, "--bind", str(shared), remount="remount,bind,ro"):
            theirs.keeper.flags["cache_shared"] = str(shared)
            (theirs.keeper.root / PATH / "model.safetensors").unlink()
            theirs.pull()
            theirs.keeper.flags |= {"cache_shared": None, "cache": str(shared)}
            (theirs.keeper.root / PATH / "config.json").unlink()
            with pytest.raises(StorageError):
                theirs.add()
        assert theirs.files() == {"model.safetensors": WEIGHTS}


@contextmanager
def mounted(folder: Path, *options: str, remount: str = "") -> Iterator[None]:
    """Something is mounted on the folder; skipped where that may not be."""
    if subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        if remount:
            subprocess.run(["mount", "-o", remount, str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class TestPeople:
    """Fault 20: two users, a strict umask, a clock that is days off, a process that stands still."""

    def test_a_strict_umask_locks_nobody_out_of_their_own(self, outside: Outside) -> None:
        before = os.umask(0o077)
        try:
            outside.publish(FILES)
            outside.add()
            assert outside.files() == FILES
            assert not outside.keeper.verify().findings
        finally:
            os.umask(before)

    @pytest.mark.skipif(not AS_ROOT, reason="only root may become somebody else")
    def test_a_store_of_somebody_else_under_a_strict_umask_is_named(self, outside: Outside) -> None:
        """Another user gets a clean error, and leaves nothing there."""
        outside.publish(FILES)
        outside.add()
        for folder in list(outside.keeper.root.parents)[:3]:
            folder.chmod(0o755)
        mask, user = os.umask(0o077), os.geteuid()
        os.seteuid(65534)
        try:
            store = LocalStore(str(outside.keeper.cache))
            with pytest.raises(StorageError) as caught:
                store.put(b"mine")
        finally:
            os.seteuid(user)
            os.umask(mask)
        assert caught.value.code == "LocalFile"
        assert sha256_of(b"mine") not in check_whole(LocalStore(str(outside.keeper.cache)))

    @pytest.mark.parametrize("days", [-2, 2])
    def test_times_that_are_days_off(self, theirs: Outside, days: int) -> None:
        """Files from the past and from the future are read again rather than believed."""
        file = theirs.keeper.root / PATH / "config.json"
        moment = time.time() + days * 86_400
        file.unlink()
        file.write_bytes(b"[]\n")
        os.utime(file, (moment, moment))
        assert [finding.path for finding in theirs.keeper.verify().findings] == [f"{PATH}/config.json"]
        store = LocalStore(str(theirs.keeper.cache))
        clear(store, keep_days=7, trash_days=7, clock=lambda: moment)
        theirs.keeper.repair()
        assert theirs.files() == FILES

    def test_one_who_stands_still_is_named_and_blocks_no_other_project(self, theirs: Outside, scene: Scene) -> None:
        """A stopped process holds the project: the next is told who it is, and works on when it is gone."""
        code = (
            "import sys, time; from tests.project.conftest import *\n"
            "clone = Clone(Path(sys.argv[1]), Path(sys.argv[2]), 'http://127.0.0.1:9', None)\n"
            "with clone.opened(): print('here', flush=True); time.sleep(60)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.keeper.root), str(theirs.keeper.cache)], stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == b"here\n"
            holder.send_signal(signal.SIGSTOP)
            with pytest.raises(LockedError, match=str(holder.pid)):
                theirs.pull()
            other = scene.clone("other", cache=theirs.keeper.cache.name)
            with other.opened() as workspace:
                assert not pull(workspace).failures
            holder.kill()
        theirs.pull()


class TestFullDisks:
    """Fault 22: no room, no descriptors, files that may not grow: the error says so, space comes back, and the next run ends well."""

    @pytest.mark.skipif(not AS_ROOT, reason="only root may mount")
    @pytest.mark.parametrize("what", ["cache", "project"])
    def test_no_room(self, outside: Outside, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plan, which would see it coming, is told of room that is not there."""
        outside.publish(FILES)
        monkeypatch.setattr("tenuto.project.pull.check_room", lambda *_: None)
        outside.keeper.flags["link"] = "copy"
        place = outside.keeper.cache if what == "cache" else outside.keeper.root / "models"
        place.mkdir(parents=True)
        with mounted(place, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
            with pytest.raises(StorageError) as caught:
                outside.add()
            assert caught.value.code == "DiskFull"
            assert not list(place.rglob("model.safetensors"))
            free = os.statvfs(place)
            held = sum(file.stat().st_size for file in place.rglob("spool/*"))
            assert free.f_bavail * free.f_frsize + held > 900_000, (
                "space is returned, but for what a next run goes on with"
            )
        outside.add()
        assert outside.files() == FILES

    @pytest.mark.skipif(not AS_ROOT, reason="only root may mount")
    @pytest.mark.parametrize("what", ["cache", "project"])
    def test_no_inodes(self, outside: Outside, what: str) -> None:
        """Bytes enough, and no more files: what came stays, or goes again, and the next run ends well."""
        many = {f"part-{number:02}.bin": noise(9_000, number) for number in range(30)}
        outside.publish(many)
        outside.keeper.flags["link"] = "copy"
        place = outside.keeper.cache if what == "cache" else outside.keeper.root / "models"
        place.mkdir(parents=True)
        with mounted(place, "-t", "tmpfs", "-o", "size=64m,nr_inodes=24", "tmpfs"):
            with pytest.raises(StorageError) as caught:
                outside.add()
            assert caught.value.code == "DiskFull"
            assert all(file.read_bytes() == many[file.name] for file in place.rglob("part-*"))
            assert not list(place.rglob(".tenuto-*"))
        outside.add()
        assert outside.files() == many
        assert not outside.keeper.verify().findings

    def test_files_that_may_not_grow(self, theirs: Outside) -> None:
        """EFBIG, as a quota says it, in the middle of a download."""
        theirs.forget_store()
        (theirs.keeper.root / PATH / "model.safetensors").unlink()
        limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            theirs.fails(theirs.pull, "LocalFile", "DiskFull")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        theirs.pull()
        assert theirs.files() == FILES
        assert spool_files(theirs.keeper.cache) == []

    def test_no_descriptors(self, theirs: Outside) -> None:
        """A few files may be opened: it works with them, or says so."""
        (theirs.keeper.root / PATH / "model.safetensors").unlink()
        code = (
            "import resource, sys; from tests.project.conftest import *\n"
            "clone = Clone(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], None)\n"
            "for count in range(6, 40):\n"
            "    resource.setrlimit(resource.RLIMIT_NOFILE, (count, 4096))\n"
            "    try: clone.pull('theirs')\n"
            "    except TenutoError as error: seen = (error.code, str(error))\n"
            "    else: break\n"
            "print(count, *seen)\n"
        ).replace("import resource", "from tenuto.core.errors import TenutoError; import resource")
        keeper = theirs.keeper
        arguments = [str(keeper.root), str(keeper.cache), theirs.hub.url]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "LocalFile" in done.stdout
        assert theirs.files() == FILES


class TestSizes:
    """Fault 25."""

    def test_nothing_at_all(self, outside: Outside) -> None:
        outside.publish({"empty.bin": b"", "deep/" * 19 + "empty.txt": b"", "config.json": b"{}"})
        outside.add()
        assert outside.files() == {"empty.bin": b"", "deep/" * 19 + "empty.txt": b"", "config.json": b"{}"}
        assert not outside.keeper.verify().findings

    @pytest.mark.parametrize("size", [200_000_000, pytest.param(2_000_000_000, marks=pytest.mark.slow)])
    def test_a_sparse_file_costs_its_holes_no_disk(self, scene: Scene, size: int) -> None:
        """Most of it is a hole: tracked without a copy, and not read again."""
        file = scene.ann.root / "data" / "sparse.bin"
        file.parent.mkdir()
        with file.open("wb") as opened:
            opened.truncate(size)
            opened.seek(size // 2)
            opened.write(b"an island")
        os.utime(file, (time.time() - 100, time.time() - 100))
        assert scene.ann.track("data", scene.repo).hashed_bytes == size
        assert scene.ann.track("data").hashed_bytes == 0
        assert file.stat().st_blocks * 512 < 1_000_000
        assert sum(one.stat().st_size for one in scene.ann.cache.rglob("*") if one.is_file()) < 100_000

    @pytest.mark.slow
    def test_a_hundred_thousand_files_in_one_folder(self, scene: Scene) -> None:
        folder = scene.ann.root / "data"
        folder.mkdir()
        for number in range(100_000):
            (folder / f"{number}.txt").write_bytes(b"%d" % number)
        assert scene.ann.track("data", scene.repo).files == 100_000
        scene.ann.push()
        ben = scene.clone()
        ben.pull()
        assert ben.state() == {"data": "clean"}
        assert len(os.listdir(ben.root / "data")) == 100_000
