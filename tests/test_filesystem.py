"""Tracked files through fsspec: what is opened is as locked, and nothing is written."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tenuto.api.filesystem import TenutoFileSystem
from tenuto.core.errors import NotFoundError, UnavailableError
from tenuto.core.ids import RepoId
from tenuto.core.settings import resolve
from tenuto.hub.remote import Remote
from tenuto.hub.tokens import connect
from tenuto.project.push import push
from tenuto.project.ship import ship
from tenuto.project.track import Request, track
from tenuto.project.workspace import Workspace, create
from tenuto.testing.live_hub import LiveHub

FILES = {"encoder.pt": os.urandom(60_000), "sub/labels.csv": b"0,rain\n1,wind\n", "sub/deep/x.bin": b"x"}


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub() as live:
        yield live


class Place:
    """A project with the artifacts `beats` (a folder) and `loras/jazz.bin` (a file), pushed, and a clone in which nothing was pulled."""

    def __init__(self, hub: LiveHub, folder: Path) -> None:
        self.hub, self.folder, self.author, self.clone = hub, folder, folder / "author", folder / "clone"
        owner = f"u{os.urandom(4).hex()}"
        flags = {"endpoint": hub.url, "token": hub.user(owner), "cache": str(folder / "cache-author"), "retries": 0}
        create(str(self.author))
        for path, content in {**{f"checkpoints/{path}": c for path, c in FILES.items()}, "jazz.bin": b"jazz"}.items():
            (self.author / path).parent.mkdir(parents=True, exist_ok=True)
            (self.author / path).write_bytes(content)
        with Workspace(str(self.author), resolve(flags), connect) as workspace:
            with connect(workspace.settings).session as session:
                Remote(session).create_repo(RepoId.parse(f"hf://{owner}/model"), private=False)
            track(workspace, Request(str(self.author / "checkpoints"), f"hf://{owner}/model/beats", "beats"))
            track(workspace, Request(str(self.author / "jazz.bin"), f"hf://{owner}/model", "loras/jazz.bin"))
            push(workspace)
            (folder / "site" / "pkg").mkdir(parents=True)
            (folder / "site" / "pkg" / "__init__.py").touch()
            ship(workspace, str(folder / "site" / "pkg"))
        self.clone.mkdir()
        for name in ("tenuto.toml", "tenuto.lock"):
            (self.clone / name).write_bytes((self.author / name).read_bytes())

    def files(self, **options: Any) -> TenutoFileSystem:
        return TenutoFileSystem(**{"root": str(self.clone), "skip_instance_cache": True, **options})


@pytest.fixture
def place(hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(hub, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("TENUTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TENUTO_RETRIES", "0")
    return made


def test_what_is_there(place: Place) -> None:
    files = place.files()
    assert files.ls("", detail=False) == ["beats", "loras"]
    assert files.ls("tenuto://beats", detail=False) == ["beats/encoder.pt", "beats/sub"]
    assert files.ls("beats/sub/", detail=False) == ["beats/sub/deep", "beats/sub/labels.csv"]
    assert files.ls("loras", detail=False) == ["loras/jazz.bin"]
    assert files.ls("loras/jazz.bin", detail=False) == ["loras/jazz.bin/jazz.bin"]
    assert files.find("") == [*(f"beats/{path}" for path in sorted(FILES)), "loras/jazz.bin/jazz.bin"]
    assert files.glob("beats/**/*.csv") == ["beats/sub/labels.csv"]
    assert files.glob("*/*.pt") == ["beats/encoder.pt"]
    assert files.du("beats") == sum(map(len, FILES.values()))
    (entry,) = files.ls("beats/encoder.pt")
    assert entry == files.info("beats/encoder.pt")
    assert (entry["type"], entry["size"], len(entry["sha256"])) == ("file", 60_000, 64)
    assert files.checksum("beats/encoder.pt") == entry["sha256"]
    assert files.isdir("beats/sub")
    assert files.isdir("")
    assert files.isfile("beats/sub/labels.csv")


@pytest.mark.parametrize(
    "path", ["none", "beats/none", "beats/encoder.pt/x", "beat", "loras/jazz", "../x", "beats/../x"]
)
def test_what_is_not_there(place: Place, path: str) -> None:
    files = place.files()
    assert not files.exists(path)
    for call in (files.ls, files.info, files.open, files.modified):
        with pytest.raises(FileNotFoundError):
            call(path)


def test_a_file_comes_from_the_hub_into_the_store_and_not_into_the_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = place.files()
    assert files.cat("beats/encoder.pt") == FILES["encoder.pt"]
    assert not (place.clone / "checkpoints").exists()
    before = place.hub.log()
    assert place.files(offline=True).cat("beats/encoder.pt") == FILES["encoder.pt"]
    monkeypatch.setenv("TENUTO_CACHE", str(place.folder / "another"))
    with pytest.raises(UnavailableError):
        place.files(offline=True).cat("beats/encoder.pt")
    assert place.hub.log() == before


def test_a_part_of_a_file_and_text(place: Place) -> None:
    files = place.files()
    with files.open("beats/encoder.pt") as opened:
        opened.seek(50_000)
        assert opened.read(10) == FILES["encoder.pt"][50_000:50_010]
    assert files.cat_file("beats/encoder.pt", start=-5) == FILES["encoder.pt"][-5:]
    with files.open("beats/sub/labels.csv", "r") as opened:
        assert opened.readlines() == ["0,rain\n", "1,wind\n"]


def test_the_working_file_counts_only_if_it_is_as_locked(place: Place) -> None:
    own = place.clone / "checkpoints" / "sub" / "labels.csv"
    own.parent.mkdir(parents=True)
    own.write_bytes(FILES["sub/labels.csv"])
    files = place.files()
    with files.open("beats/sub/labels.csv") as opened:
        assert opened.name == str(own)
    own.write_bytes(b"my own labels")
    assert files.cat("beats/sub/labels.csv") == FILES["sub/labels.csv"]
    assert own.read_bytes() == b"my own labels"


def test_a_damaged_object_is_fetched_again(place: Place) -> None:
    files = place.files()
    with files.open("beats/encoder.pt") as opened:
        stored = Path(opened.name)
    stored.chmod(0o644)
    stored.write_bytes(b"damaged" + FILES["encoder.pt"][7:])
    assert files.cat("beats/encoder.pt") == FILES["encoder.pt"]


def test_nothing_is_written(place: Place) -> None:
    files = place.files()
    for write in (
        lambda: files.open("beats/new", "wb"),
        lambda: files.pipe("beats/new", b"x"),
        lambda: files.mkdir("beats/new"),
        lambda: files.makedirs("beats/new"),
        lambda: files.touch("beats/new"),
        lambda: files.rm("beats/encoder.pt"),
        lambda: files.cp_file("beats/encoder.pt", "beats/new"),
    ):
        with pytest.raises(PermissionError):
            write()


def test_of_a_package(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(place.folder / "site"))
    monkeypatch.delenv("HF_ENDPOINT")
    files = place.files(root=None, package="pkg")
    assert files.cat("beats/sub/labels.csv") == FILES["sub/labels.csv"]


def test_a_lock_that_moves_on_is_followed(place: Place) -> None:
    files = place.files()
    assert files.info("beats/sub/labels.csv")["size"] == len(FILES["sub/labels.csv"])
    (place.clone / "tenuto.lock").unlink()
    with pytest.raises(NotFoundError, match="beats is not locked"):
        files.info("beats/sub/labels.csv")


def test_fsspec_knows_it_and_other_processes_can_be_given_it(place: Place) -> None:
    fsspec.register_implementation("tenuto", TenutoFileSystem, clobber=True)
    with fsspec.open("tenuto://beats/sub/labels.csv", "r", root=str(place.clone)) as opened:
        assert opened.read().startswith("0,rain")
    again = pickle.loads(pickle.dumps(place.files()))
    assert again.cat("beats/sub/labels.csv") == FILES["sub/labels.csv"]
