"""`package=`: files by a lock that a Python package ships, with no project anywhere."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tenuto
from tenuto.core.errors import (
    AccessDeniedError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from tenuto.core.ids import RepoId
from tenuto.core.settings import resolve
from tenuto.hub.remote import Remote
from tenuto.hub.tokens import connect
from tenuto.project.cache import clear
from tenuto.project.push import push
from tenuto.project.ship import PackageReport, ship
from tenuto.project.track import Request, track
from tenuto.project.workspace import Workspace, create
from tenuto.store.local import LocalStore
from tenuto.testing.live_hub import LiveHub

FILES = {"encoder.pt": os.urandom(60_000), "config.json": b'{"layers": 2}\n', "sub/labels.csv": b"0,rain\n"}
FETCH = "import sys, tenuto; print(tenuto.path(sys.argv[1], package=sys.argv[2]))"


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub() as live:
        yield live


class Shop:
    """An author's project with the artifact `beats` in `checkpoints`, and packages that ship its lock, importable from `site`."""

    def __init__(self, hub: LiveHub, folder: Path) -> None:
        self.folder, self.hub, self.site = folder, hub, folder / "site"
        self.author = folder / "author"
        self.owner = f"u{os.urandom(4).hex()}"
        self.token = hub.user(self.owner)
        self.site.mkdir()
        create(str(self.author))
        self.add("beats", "checkpoints", FILES)

    def opened(self) -> Workspace:
        flags = {
            "endpoint": self.hub.url,
            "token": self.token,
            "cache": str(self.folder / "cache-author"),
            "retries": 0,
        }
        return Workspace(str(self.author), resolve(flags), connect)

    def add(self, name: str, path: str, files: dict[str, bytes]) -> None:
        """Track, or track again, and push."""
        for file, content in files.items():
            full = self.author / path / file
            full.parent.mkdir(parents=True, exist_ok=True)
            full.unlink(missing_ok=True)
            full.write_bytes(content)
        repo = f"hf://{self.owner}/{name}"
        with self.opened() as workspace:
            if name not in workspace.manifest.artifacts:
                with connect(workspace.settings).session as session:
                    Remote(session).create_repo(RepoId.parse(repo), private=False)
                track(workspace, Request(str(self.author / path), repo, name))
            push(workspace)

    def package(self, *names: str, dry_run: bool = False) -> str:
        """A new package that ships the lock; returns its name."""
        name = f"pkg_{os.urandom(4).hex()}"
        (self.site / name).mkdir()
        (self.site / name / "__init__.py").write_text("")
        self.ship(name, *names, dry_run=dry_run)
        return name

    def ship(self, package: str, *names: str, dry_run: bool = False) -> PackageReport:
        with self.opened() as workspace:
            return ship(workspace, str(self.site / package), names, dry_run=dry_run)

    def requests(self) -> int:
        return self.hub.log().count("\n")


@pytest.fixture
def shop(hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(hub, tmp_path)
    monkeypatch.setenv("TENUTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TENUTO_RETRIES", "0")
    monkeypatch.syspath_prepend(str(made.site))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return made


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("encoder.pt", FILES["encoder.pt"]),
        ("beats/encoder.pt", FILES["encoder.pt"]),
        ("checkpoints/encoder.pt", FILES["encoder.pt"]),
        ("sub/labels.csv", FILES["sub/labels.csv"]),
        ("./sub//labels.csv", FILES["sub/labels.csv"]),
    ],
)
def test_a_file_has_several_names(shop: Shop, name: str, content: bytes) -> None:
    found = tenuto.path(name, package=shop.package())
    assert Path(found).read_bytes() == content
    assert found.startswith(str(shop.folder / "cache" / "packages"))


def test_a_whole_artifact(shop: Shop) -> None:
    package = shop.package()
    folder = Path(tenuto.pull("beats", package=package))
    assert {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")} == FILES
    assert tenuto.path("checkpoints", package=package) == tenuto.path("beats", package=package) == str(folder)
    assert Path(tenuto.path("sub", package=package)) == folder / "sub"


def test_the_second_call_makes_no_request_and_needs_no_store(shop: Shop) -> None:
    package = shop.package()
    first = tenuto.pull("beats", package=package)
    before = shop.requests()
    assert tenuto.pull("beats", package=package, offline=True) == first
    shutil.rmtree(shop.folder / "cache" / "store-v1")
    assert tenuto.pull("beats", package=package) == first
    assert shop.requests() == before


def test_nothing_is_written_into_the_package(shop: Shop) -> None:
    package = shop.package()
    top = shop.site / package
    files = {file: file.read_bytes() for file in top.rglob("*") if file.is_file()}
    for folder in (top, *(one for one in top.rglob("*") if one.is_dir())):
        folder.chmod(0o555)
    try:
        tenuto.pull("beats", package=package)
        now = {file: file.read_bytes() for file in top.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    finally:
        for folder in (top, *(one for one in top.rglob("*") if one.is_dir())):
            folder.chmod(0o755)
    assert now == files


def test_a_package_in_a_zip(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shop.package()
    archive = shop.folder / "library.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in (shop.site / package).rglob("*"):
            opened.write(file, file.relative_to(shop.site))
    shutil.rmtree(shop.site / package)
    monkeypatch.syspath_prepend(str(archive))
    assert Path(tenuto.path("encoder.pt", package=package)).read_bytes() == FILES["encoder.pt"]


def test_a_listing_that_is_not_shipped_is_rebuilt_from_the_hub(shop: Shop) -> None:
    package = shop.package()
    shutil.rmtree(shop.site / package / "_tenuto" / "listings")
    assert Path(tenuto.path("encoder.pt", package=package)).read_bytes() == FILES["encoder.pt"]


def test_a_damaged_listing_is_not_believed(shop: Shop) -> None:
    package = shop.package()
    (listing,) = (shop.site / package / "_tenuto" / "listings").iterdir()
    listing.write_bytes(listing.read_bytes().replace(b"encoder.pt", b"another.pt"))
    assert Path(tenuto.path("encoder.pt", package=package)).read_bytes() == FILES["encoder.pt"]


def test_damage_is_mended_and_the_store_too(shop: Shop) -> None:
    package = shop.package()
    file = Path(tenuto.path("encoder.pt", package=package))
    for content in (b"", b"other bytes", FILES["encoder.pt"][:-1]):
        file.chmod(0o644)
        file.write_bytes(content)  # where it is a hard link, the store is damaged too
        assert tenuto.path("encoder.pt", package=package) == str(file)
        assert file.read_bytes() == FILES["encoder.pt"]
    file.unlink()
    assert Path(tenuto.path("encoder.pt", package=package, offline=True)).read_bytes() == FILES["encoder.pt"]


def flip(file: Path) -> None:
    """Change a byte and nothing else that one could see, as a failing disk does."""
    status = file.stat()
    file.chmod(0o644)
    with file.open("r+b") as opened:
        first = opened.read(1)[0]
        opened.seek(0)
        opened.write(bytes([first ^ 1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_nobody_could_see_is_found_when_every_byte_is_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = shop.package()
    file = Path(tenuto.path("encoder.pt", package=package))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    tenuto.path("encoder.pt", package=package)
    flip(file)
    assert tenuto.path("encoder.pt", package=package) == str(file)
    assert file.read_bytes() != FILES["encoder.pt"]
    assert tenuto.path("encoder.pt", package=package, verify=True) == str(file)
    assert file.read_bytes() == FILES["encoder.pt"]

    own = shop.author / "checkpoints" / "encoder.pt"
    os.utime(own, (1_700_000_000, 1_700_000_000))
    assert tenuto.path("encoder.pt", package=package, root=shop.author) == str(own)
    with monkeypatch.context() as patched:
        patched.chdir(shop.author)
        assert tenuto.path("encoder.pt", package=package) == str(own)
        flip(own)
        assert tenuto.pull("beats", package=package, verify=True) != str(own.parent)
        with pytest.raises(ConflictError):
            tenuto.pull("beats", root=shop.author, verify=True)
    with pytest.raises(IntegrityError):
        tenuto.path("encoder.pt", package=package, root=shop.author, verify=True)


def test_a_place_that_cannot_be_written_to_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shop.package()
    file = tenuto.path("encoder.pt", package=package)
    state = Path(file).parents[1] / ".tenuto"
    spares = shop.folder / "spares"
    spares.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spares))
    shutil.rmtree(state)
    state.write_text("a file where the folder of the state should be, so that not even root can make one")
    before = shop.requests()
    assert tenuto.path("encoder.pt", package=package) == file
    assert shop.requests() == before
    assert list(spares.iterdir()) == []


def test_two_versions_of_a_package_do_not_disturb_each_other(shop: Shop) -> None:
    old = shop.package()
    first = Path(tenuto.path("encoder.pt", package=old))
    shop.add("beats", "checkpoints", {"encoder.pt": b"version 2"})
    assert shop.ship(old).changed
    second = Path(tenuto.path("encoder.pt", package=old))
    assert second != first
    assert (first.read_bytes(), second.read_bytes()) == (FILES["encoder.pt"], b"version 2")
    assert len(list((shop.site / old / "_tenuto" / "listings").iterdir())) == 1


def test_a_folder_that_the_environment_names_is_used_and_checked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shop.package()
    mine = shop.folder / "mine"
    mine.mkdir()
    (mine / "encoder.pt").write_bytes(FILES["encoder.pt"])
    monkeypatch.setenv(f"TENUTO_PACKAGE_{package.upper()}", str(mine))
    before = shop.requests()
    assert tenuto.path("encoder.pt", package=package) == str(mine / "encoder.pt")
    assert tenuto.path("checkpoints/encoder.pt", package=package) == str(mine / "encoder.pt")
    (mine / "encoder.pt").write_bytes(b"my own fine-tune")
    with pytest.raises(IntegrityError, match=r"encoder\.pt is not what the package wants: it has the sha256") as caught:
        tenuto.path("encoder.pt", package=package)
    assert caught.value.code == "HashMismatch"
    with pytest.raises(NotFoundError, match=r"config\.json does not exist"):
        tenuto.path("config.json", package=package)
    with pytest.raises(NotFoundError, match=r"config\.json does not exist"):
        tenuto.pull("beats", package=package)
    assert shop.requests() == before
    assert (mine / "encoder.pt").read_bytes() == b"my own fine-tune"


def test_an_explicit_folder_goes_before_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shop.package()
    monkeypatch.setenv(f"TENUTO_PACKAGE_{package.upper()}", "/nowhere")
    assert tenuto.pull("beats", package=package, root=shop.author) == str(shop.author / "checkpoints")
    assert tenuto.pull("beats", package=package, root=shop.author / "checkpoints") == str(shop.author / "checkpoints")
    assert tenuto.path("sub", package=package, root=shop.author) == str(shop.author / "checkpoints" / "sub")


def test_a_project_that_locks_the_same_is_used(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shop.package()
    monkeypatch.chdir(shop.author / "checkpoints" / "sub")
    before = shop.requests()
    file = shop.author / "checkpoints" / "encoder.pt"
    assert tenuto.path("encoder.pt", package=package) == str(file)
    assert shop.requests() == before
    file.write_bytes(b"my own fine-tune")
    found = tenuto.path("encoder.pt", package=package)
    assert found != str(file)
    assert Path(found).read_bytes() == FILES["encoder.pt"]
    (shop.author / "tenuto.toml").write_text("no manifest at all [")
    assert tenuto.path("encoder.pt", package=package) == found


def test_several_artifacts(shop: Shop) -> None:
    shop.add("jazz", "loras/jazz", {"config.json": b"{}", "adapter.safetensors": b"x" * 50})
    both, one = shop.package(), shop.package("beats")
    with pytest.raises(UsageError, match=r"config\.json is in beats and in jazz") as caught:
        tenuto.path("config.json", package=both)
    assert caught.value.hint == "write beats/config.json"
    assert Path(tenuto.path("jazz/config.json", package=both)).read_bytes() == b"{}"
    assert Path(tenuto.path("config.json", package=one)).read_bytes() == FILES["config.json"]


def test_names_that_are_not_there(shop: Shop) -> None:
    package = shop.package()
    for name in ("none.pt", "../x", "/etc/passwd", "beats/none.pt", ".", "encoder"):
        with pytest.raises(NotFoundError, match="the package ships nothing that is named") as caught:
            tenuto.path(name, package=package)
        assert caught.value.hint == "its artifacts are: beats"


def test_packages_that_ship_nothing(shop: Shop) -> None:
    for package in ("json", "sys", "tenuto"):
        with pytest.raises(NotFoundError, match=f"the package {package} ships no lock: it has no _tenuto") as caught:
            tenuto.path("encoder.pt", package=package)
        assert caught.value.code == "ProjectNotFound"


def test_a_package_that_is_not_installed(shop: Shop) -> None:
    with pytest.raises(NotFoundError, match="there is no package no_such_package to import") as caught:
        tenuto.path("encoder.pt", package="no_such_package")
    assert (caught.value.code, "install it" in (caught.value.hint or "")) == ("ProjectNotFound", True)


def test_offline_without_the_file(shop: Shop) -> None:
    with pytest.raises(UnavailableError) as caught:
        tenuto.path("encoder.pt", package=shop.package(), offline=True)
    assert caught.value.code == "Offline"


def test_progress_is_heard(shop: Shop) -> None:
    heard: list[tuple[str, int, int]] = []
    package = shop.package()
    tenuto.pull("beats", package=package, progress=lambda *news: heard.append(news))
    total = sum(map(len, FILES.values()))
    assert heard[0] == ("downloading", 0, total)
    assert heard[-1] == ("downloading", total, total)

    class Enough(Exception):
        pass

    def stop(_label: str, done: int, _total: int) -> None:
        if done:
            raise Enough

    shop.add("beats", "checkpoints", {"encoder.pt": os.urandom(50_000)})
    shop.ship(package)
    with pytest.raises(Enough):
        tenuto.pull("beats", package=package, progress=stop)
    assert tenuto.pull("beats", package=package)


def test_many_processes_and_threads_at_once(shop: Shop) -> None:
    package = shop.package()
    environment = {**os.environ, "PYTHONPATH": str(shop.site)}
    asked = [sys.executable, "-c", FETCH, "encoder.pt", package]
    processes = [
        subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(5)
    ]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tenuto.path("encoder.pt", package=package), range(8)))
    outcomes = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert outcomes == [(f"{found[0]}\n", "", 0)] * 5
    assert set(found) == {found[0]}
    assert Path(found[0]).read_bytes() == FILES["encoder.pt"]


def test_a_private_repo_needs_a_token_for_it(shop: Shop) -> None:
    with shop.opened() as workspace, connect(workspace.settings).session as session:
        body = b'{"private": true}'
        headers = {"Content-Type": "application/json"}
        session.request("PUT", f"api/models/{shop.owner}/beats/settings", body=body, headers=headers)
    with pytest.raises((NotFoundError, AccessDeniedError)):
        tenuto.path("encoder.pt", package=shop.package())


def test_places_that_nobody_used_go_with_the_store(shop: Shop) -> None:
    file = Path(tenuto.path("encoder.pt", package=shop.package()))
    store = LocalStore(str(shop.folder / "cache"))

    def cleared(days: float, *, dry_run: bool = False) -> bool:
        clear(store, keep_days=7, trash_days=7, dry_run=dry_run, clock=lambda: file.stat().st_ctime + days * 86_400)
        return not file.exists()

    assert not cleared(6)
    assert not cleared(8, dry_run=True)
    assert cleared(8)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda shop: (shop.author / "tenuto.lock").unlink(), "beats is not locked"),
        (lambda shop: retrack(shop), "beats is on no hub as it is locked"),
        (lambda shop: shutil.rmtree(shop.site), "is not a folder"),
    ],
)
def test_what_cannot_be_shipped(shop: Shop, prepare: Callable[[Shop], object], message: str) -> None:
    package = shop.package()
    prepare(shop)
    with pytest.raises(NotFoundError, match=message):
        shop.ship(package)


def retrack(shop: Shop) -> None:
    (shop.author / "checkpoints" / "config.json").write_bytes(b"{}")
    with shop.opened() as workspace:
        track(workspace, Request(str(shop.author / "checkpoints")))


def test_shipping_twice_changes_nothing_and_a_check_tells(shop: Shop) -> None:
    package = shop.package(dry_run=True)
    assert not (shop.site / package / "_tenuto").exists()
    assert shop.ship(package).changed
    assert not shop.ship(package).changed
    shop.add("beats", "checkpoints", {"config.json": b"{}"})
    report = shop.ship(package, dry_run=True)
    assert (len(report.written), len(report.removed)) == (2, 1)
    assert shop.ship(package).changed
    assert not shop.ship(package, dry_run=True).changed
