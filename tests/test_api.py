"""`tenuto.path`: a verified local path, from a project in which nothing was pulled."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tenuto
from tenuto.core.errors import ConflictError, IntegrityError, NotFoundError, UnavailableError, UsageError
from tenuto.core.ids import RepoId
from tenuto.core.settings import resolve
from tenuto.hub.remote import Remote
from tenuto.hub.tokens import connect
from tenuto.project.push import Options, push
from tenuto.project.status import status
from tenuto.project.sync import sync
from tenuto.project.track import Request, track
from tenuto.project.workspace import Workspace, create
from tenuto.testing.lies import Lie, WrongBytes
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.lying_hub import LyingHub

FILES = {
    "encoder.pt": os.urandom(60_000),
    "config.json": b'{"layers": 2}\n',
    "sub/.gitattributes": b"*.pt -text\n",
    "sub/labels.csv": b"0,rain\n",
}
FETCH = "import sys, tenuto; print(tenuto.path(sys.argv[1], root=sys.argv[2]))"


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub() as live:
        yield live


class Library:
    """A project that ships checkpoints: `author` is where they were made, `clone` what a user of the library has."""

    def __init__(self, hub: LiveHub, folder: Path) -> None:
        self.folder, self.hub = folder, hub
        self.author, self.clone = folder / "author", folder / "clone"
        name = f"u{os.urandom(4).hex()}"
        self.token = hub.user(name)
        create(str(self.author))
        for path, content in FILES.items():
            self.write(path, content)
        with self.opened() as workspace:
            repo = f"hf://{name}/model"
            with connect(workspace.settings).session as session:
                Remote(session).create_repo(RepoId.parse(repo), private=False)
            track(workspace, Request(str(self.author / "checkpoints"), repo))
            push(workspace)
        self.clone.mkdir()
        self.share_lock()

    def opened(self, root: Path | None = None) -> Workspace:
        cache = str(self.folder / ("cache" if root else "cache-author"))
        settings = resolve({"endpoint": self.hub.url, "token": self.token, "cache": cache, "retries": 0})
        return Workspace(str(root or self.author), settings, connect)

    def write(self, path: str, content: bytes) -> None:
        file = self.author / "checkpoints" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def release(self, path: str, content: bytes) -> None:
        """The author publishes another version of a file, and users get its lock by git."""
        self.write(path, content)
        with self.opened() as workspace:
            push(workspace)
        self.share_lock()

    def share_lock(self) -> None:
        for name in ("tenuto.toml", "tenuto.lock"):
            shutil.copy(self.author / name, self.clone / name)

    def files(self) -> dict[str, bytes]:
        top = self.clone / "checkpoints"
        return {str(file.relative_to(top)): file.read_bytes() for file in sorted(top.rglob("*")) if file.is_file()}


@pytest.fixture
def library(hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library(hub, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("TENUTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TENUTO_RETRIES", "0")
    monkeypatch.chdir(made.clone)
    return made


def test_a_file_is_fetched_at_first_use_and_alone(library: Library) -> None:
    found = tenuto.path("checkpoints/encoder.pt")
    assert os.path.isabs(found)
    assert found == str(library.clone / "checkpoints" / "encoder.pt")
    assert library.files() == {"encoder.pt": FILES["encoder.pt"]}


def test_a_folder_is_fetched_whole(library: Library) -> None:
    assert tenuto.path("checkpoints/sub") == str(library.clone / "checkpoints" / "sub")
    assert library.files() == {path: content for path, content in FILES.items() if path.startswith("sub/")}
    tenuto.path("checkpoints")
    assert library.files() == FILES


def test_the_second_time_asks_nobody(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tenuto.path("checkpoints")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert tenuto.path("checkpoints", offline=True) == tenuto.path("checkpoints") == first
    assert tenuto.path("checkpoints/sub/labels.csv")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert tenuto.path("checkpoints/encoder.pt")


def test_offline_and_not_here_is_an_error(library: Library) -> None:
    with pytest.raises(UnavailableError) as caught:
        tenuto.path("checkpoints/encoder.pt", offline=True)
    assert caught.value.code == "Offline"


def test_a_path_of_any_form(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = str(library.clone / "checkpoints" / "config.json")
    assert tenuto.path("checkpoints/config.json") == expected
    assert tenuto.path("./checkpoints//sub/../config.json") == expected
    assert tenuto.path(library.clone / "checkpoints" / "config.json") == expected
    assert tenuto.path(Path("checkpoints", "config.json")) == expected
    monkeypatch.chdir(library.clone / "checkpoints")
    assert tenuto.path("checkpoints/config.json") == expected, "relative to the project, wherever one stands"
    monkeypatch.chdir("/")
    assert tenuto.path("checkpoints/config.json", root=library.clone) == expected


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("checkpoints/none.pt", NotFoundError, "checkpoints/none.pt is not in the lock"),
        ("checkpoint", NotFoundError, "checkpoint belongs to no artifact"),
        ("checkpoints2/encoder.pt", NotFoundError, "belongs to no artifact"),
        ("../clone2/x", UsageError, "is not below the project"),
        ("..", UsageError, "is not below the project"),
        (".", UsageError, "is not below the project"),
        ("/etc/passwd", UsageError, "is not below the project"),
    ],
)
def test_what_the_project_does_not_have(library: Library, name: str, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        tenuto.path(name)
    assert library.files() == {}


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no tenuto\.toml") as caught:
        tenuto.path("x", root=tmp_path)
    assert (caught.value.code, caught.value.hint) == ("ProjectNotFound", "run `tenuto init` first")


def test_another_file_in_its_place_is_refused_and_left(library: Library) -> None:
    (library.clone / "checkpoints").mkdir()
    own = library.clone / "checkpoints" / "encoder.pt"
    own.write_bytes(b"my own fine-tune")
    for name in ("checkpoints/encoder.pt", "checkpoints"):
        with pytest.raises(ConflictError, match=r"checkpoints/encoder\.pt is not the locked file") as caught:
            tenuto.path(name)
        assert caught.value.code == "LocalChanges"
        assert caught.value.hint
    assert own.read_bytes() == b"my own fine-tune"
    assert tenuto.path("checkpoints/config.json")


def test_a_file_that_was_changed_since_is_refused(library: Library) -> None:
    file = Path(tenuto.path("checkpoints/config.json"))
    file.unlink()
    file.write_bytes(b'{"layers": 3}\n')
    with pytest.raises(ConflictError):
        tenuto.path("checkpoints/config.json")
    file.unlink()
    assert Path(tenuto.path("checkpoints/config.json")).read_bytes() == FILES["config.json"]


def test_wrong_bytes_are_never_returned(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with LyingHub(library.hub.url, [Lie("*", "encoder|/lfs|/objects|/blob|/pack", WrongBytes(), times=None)]) as proxy:
        monkeypatch.setenv("HF_ENDPOINT", proxy.url)
        with pytest.raises((IntegrityError, UnavailableError)):
            tenuto.path("checkpoints/encoder.pt")
    assert library.files() == {}


def test_after_git_moved_the_lock_the_new_version_is_fetched(library: Library) -> None:
    tenuto.path("checkpoints")
    library.release("encoder.pt", b"version 2")
    assert Path(tenuto.path("checkpoints/encoder.pt")).read_bytes() == b"version 2"
    assert Path(tenuto.path("checkpoints/config.json")).read_bytes() == FILES["config.json"]
    library.release("encoder.pt", b"version 3")
    library.release("config.json", b"{}\n")
    tenuto.path("checkpoints")
    assert library.files() == {**FILES, "encoder.pt": b"version 3", "config.json": b"{}\n"}


def test_a_part_that_was_fetched_is_no_wish_to_lose_the_rest(library: Library) -> None:
    tenuto.path("checkpoints/config.json")
    with library.opened(library.clone) as workspace:
        assert list(workspace.base_listing("checkpoints")) == ["config.json"]
        with pytest.raises(ConflictError) as caught:
            push(workspace, options=Options(delete=True))
    assert caught.value.code == "RemoteMoved"
    with library.opened() as workspace:
        sync(workspace)
    assert len(list((library.author / "checkpoints").rglob("*.*"))) == len(FILES)


def test_parts_add_up_to_a_clean_project(library: Library) -> None:
    for name in FILES:
        tenuto.path(f"checkpoints/{name}")
    with library.opened(library.clone) as workspace:
        assert status(workspace).clean
        assert workspace.base("checkpoints")
        push(workspace)
        assert workspace.requests_made == 1


def test_a_file_that_appears_during_the_transfer_is_not_overwritten(library: Library) -> None:
    tenuto.path("checkpoints/config.json")

    def meanwhile(_label: str, done_bytes: int, total_bytes: int) -> None:
        if done_bytes == total_bytes:
            (library.clone / "checkpoints" / "encoder.pt").write_bytes(b"written by somebody")

    with pytest.raises(ConflictError, match=r"encoder\.pt of checkpoints changed while the hub's was fetched"):
        tenuto.path("checkpoints/encoder.pt", progress=meanwhile)
    assert library.files()["encoder.pt"] == b"written by somebody"


def test_what_was_never_pushed(hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENUTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    create(str(tmp_path))
    (tmp_path / "data").mkdir()
    for name in ("x", "y"):
        (tmp_path / "data" / name).write_bytes(name.encode())
    with Workspace(str(tmp_path), resolve({"cache": str(tmp_path / "cache")}), connect) as workspace:
        track(workspace, Request(str(tmp_path / "data"), "hf://ann/model"))
    assert tenuto.path("data", root=tmp_path) == str(tmp_path / "data")
    (tmp_path / "data" / "x").unlink()
    assert tenuto.path("data/y", root=tmp_path)
    with pytest.raises(NotFoundError, match="x of data is not here and was never pushed"):
        tenuto.path("data", root=tmp_path)


def test_not_locked(library: Library) -> None:
    (library.clone / "tenuto.lock").unlink()
    with pytest.raises(NotFoundError, match="checkpoints is not locked"):
        tenuto.path("checkpoints/encoder.pt")


def test_a_single_file(hub: LiveHub, library: Library) -> None:
    with library.opened() as workspace:
        repo = workspace.manifest.artifacts["checkpoints"].repo
        (library.author / "weights").mkdir()
        (library.author / "weights" / "one.pt").write_bytes(b"one")
        track(workspace, Request(str(library.author / "weights" / "one.pt"), f"{repo}/single"))
        push(workspace)
    library.share_lock()
    assert Path(tenuto.path("weights/one.pt")).read_bytes() == b"one"
    with pytest.raises(NotFoundError):
        tenuto.path("weights")


def test_threads_fetch_it_once(library: Library) -> None:
    barrier = threading.Barrier(8)

    def fetch(number: int) -> bytes:
        barrier.wait()
        return Path(tenuto.path(f"checkpoints/{('encoder.pt', 'config.json')[number % 2]}")).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(fetch, range(8)))
    assert found == [FILES["encoder.pt"], FILES["config.json"]] * 4


def test_processes_fetch_it_at_once(library: Library) -> None:
    asked = [sys.executable, "-c", FETCH, "checkpoints", str(library.clone)]
    processes = [
        subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(5)
    ]
    outcomes = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert outcomes == [(f"{library.clone / 'checkpoints'}\n", "", 0)] * 5
    assert library.files() == FILES


def test_the_package_has_nothing_else_to_load_first() -> None:
    program = (
        "import sys, tenuto; print(sorted(m for m in sys.modules "
        "if m.split('.')[0] in {'httpx2', 'msgspec', 'click', 'rich', 'sqlite3', 'asyncio'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
