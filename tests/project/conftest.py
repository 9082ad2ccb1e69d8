"""A project in a folder, with a store of its own; and two people, each with a clone of one project, on a live hub."""

import os
import secrets
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tenuto.core.ids import RepoId
from tenuto.core.lockfile import Lock, parse_lock
from tenuto.core.settings import Settings, resolve
from tenuto.hub.remote import Remote
from tenuto.hub.tokens import connect
from tenuto.project import pull as pulling
from tenuto.project import push as pushing
from tenuto.project.repair import RepairReport, repair
from tenuto.project.status import StatusReport, status
from tenuto.project.sync import SyncReport, sync
from tenuto.project.track import Request, Tracked, track
from tenuto.project.verify import VerifyReport, verify
from tenuto.project.workspace import Workspace, create
from tenuto.testing.live_hub import LiveHub


def no_hub(settings: Settings) -> Remote:
    """For projects that must not talk to anybody."""
    raise AssertionError(f"{settings.endpoint} was asked")


Open = Callable[..., Workspace]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a new project."""
    create(str(tmp_path / "project"))
    return tmp_path / "project"


@pytest.fixture
def opened(root: Path, tmp_path: Path) -> Iterator[Open]:
    """Opens the project, as one run of the program does; flags are settings."""
    workspaces: list[Workspace] = []

    def open_project(**flags: object) -> Workspace:
        settings = resolve({"cache": str(tmp_path / "cache"), "endpoint": "http://127.0.0.1:9", **flags})
        workspaces.append(Workspace(str(root), settings, no_hub))
        return workspaces[-1]

    yield open_project
    for workspace in workspaces:
        workspace.close()


@pytest.fixture
def workspace(opened: Open) -> Workspace:
    """The project, open."""
    return opened()


@pytest.fixture(scope="session")
def hub() -> Iterator[LiveHub]:
    """A hub for all tests of this process; each test makes repos of its own."""
    with LiveHub() as live:
        yield live


class Clone:
    """A working folder of the project and a person who types the verbs there. Each verb is a run of its own."""

    def __init__(self, root: Path, cache: Path, endpoint: str, token: str | None) -> None:
        self.root, self.cache = root, cache
        self.flags: dict[str, object] = {"endpoint": endpoint, "token": token, "cache": str(cache), "retries": 0}
        self.requests = 0

    @contextmanager
    def opened(self) -> Iterator[Workspace]:
        """The project, to be worked on alone; afterwards `requests` says how many were made."""
        with Workspace(str(self.root), resolve(self.flags), connect) as workspace, workspace.exclusive():
            try:
                yield workspace
            finally:
                self.requests = workspace.requests_made

    def track(self, path: str, to: str | None = None, **more: str) -> Tracked:
        with self.opened() as workspace:
            return track(workspace, Request(str(self.root / path), to, **more))

    def push(self, *names: str, **options: object) -> pushing.PushReport:
        with self.opened() as workspace:
            return pushing.push(workspace, names, pushing.Options(**options))  # type: ignore[arg-type]

    def pull(self, *names: str, choice: str = "refuse", **options: bool) -> pulling.PullReport:
        with self.opened() as workspace:
            return pulling.pull(workspace, names, pulling.Options(pulling.Choice(choice), **options))

    def sync(self, choice: str = "refuse", names: Sequence[str] = (), **options: object) -> SyncReport:
        with self.opened() as workspace:
            return sync(workspace, names, pulling.Choice(choice), pushing.Options(**options))  # type: ignore[arg-type]

    def status(self) -> StatusReport:
        with self.opened() as workspace:
            return status(workspace)

    def state(self) -> dict[str, str]:
        """In which state each artifact is."""
        return {artifact.name: artifact.state for artifact in self.status().artifacts}

    def verify(self) -> VerifyReport:
        with self.opened() as workspace:
            return verify(workspace)

    def repair(self, **options: bool) -> RepairReport:
        with self.opened() as workspace:
            return repair(workspace, **options)

    @property
    def lock(self) -> Lock:
        """The lock as it lies there."""
        return parse_lock((self.root / "tenuto.lock").read_text(encoding="utf-8"))

    def write(self, path: str, content: bytes | str) -> Path:
        """Put a new file in place of what is there, as programs do that save their work with care."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        spare = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        spare.write_bytes(content.encode() if isinstance(content, str) else content)
        moment = time.time() - 100
        os.utime(spare, (moment, moment))  # old enough for its hash to be remembered
        spare.replace(file)
        return file

    def files(self, folder: str = "") -> dict[str, bytes]:
        """All files of the project (or of one folder of it) by path, but those of git and of Tenuto itself."""
        top = self.root / folder
        found = {str(file.relative_to(top)): file for file in top.rglob("*") if file.is_file()}
        own = (".git/", ".tenuto/", "tenuto.", ".gitignore") if top == self.root else ()
        return {path: file.read_bytes() for path, file in sorted(found.items()) if not path.startswith(own)}

    def kept(self) -> set[bytes]:
        """What lies in trash and quarantine."""
        folders = (self.root / ".tenuto" / kind for kind in ("trash", "quarantine"))
        return {file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}

    def git(self, *arguments: str) -> None:
        """Run git here."""
        subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        """Commit what git sees."""
        self.git("add", "-A")
        self.git("-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "-q", "-m", "work")


class Scene:
    """A hub, a repo on it, and clones of one project, each with a store of its own unless told otherwise."""

    def __init__(self, hub: LiveHub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.person = f"p{secrets.token_hex(4)}"
        self.token = hub.user(self.person)
        self.repo = self.new_repo("voices")
        create(str(folder / "ann"))
        self.ann = Clone(folder / "ann", folder / "ann-cache", hub.url, self.token)
        self.ann.git("init", "-q", "-b", "main")

    def new_repo(self, name: str, *, private: bool = False) -> str:
        """Make a dataset repo and return its address."""
        address = f"hf://datasets/{self.person}/{name}"
        with self.remote().session as session:
            Remote(session).create_repo(RepoId.parse(address), private=private)
        return address

    def remote(self) -> Remote:
        """The hub, as the person sees it."""
        return connect(resolve({"endpoint": self.hub.url, "token": self.token}))

    def clone(self, name: str = "ben", *, cache: str | None = None, endpoint: str | None = None) -> Clone:
        """What `git clone` makes of Ann's project, which is committed before."""
        self.ann.git("add", "-A")
        self.ann.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "work")
        target = self.folder / name
        subprocess.run(["git", "clone", "-q", self.ann.root, target], check=True)
        return Clone(target, self.folder / (cache or f"{name}-cache"), endpoint or self.hub.url, self.token)

    @contextmanager
    def stock(self, repo: str | None = None) -> Iterator[tuple[HfApi, str]]:
        """A stranger with the stock client, and the name of the repo for it. What that client warns of is its own business."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield HfApi(self.hub.url, token=self.token), (repo or self.repo).removeprefix("hf://datasets/")

    def on_hub(self, repo: str | None = None) -> dict[str, bytes]:
        """What a stranger finds in the repo today, but for the hub's own `.gitattributes`."""
        with self.stock(repo) as (api, name), tempfile.TemporaryDirectory(dir=self.folder) as folder:
            paths = [path for path in api.list_repo_files(name, repo_type="dataset") if path != ".gitattributes"]
            return {
                path: Path(api.hf_hub_download(name, path, repo_type="dataset", cache_dir=folder)).read_bytes()
                for path in paths
            }

    def upload(self, path: str, content: bytes, repo: str | None = None) -> str:
        """A stranger's edit; returns the commit."""
        with self.stock(repo) as (api, name):
            done = api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=name, repo_type="dataset")
            return str(done.oid)

    def delete(self, path: str) -> str:
        """A stranger's deletion; returns the commit."""
        with self.stock() as (api, name):
            return str(api.delete_file(path, name, repo_type="dataset").oid)

    def commits(self, repo: str | None = None) -> list[str]:
        """The ids of all commits on the branch, the newest first."""
        with self.stock(repo) as (api, name):
            return [commit.commit_id for commit in api.list_repo_commits(name, repo_type="dataset")]


@pytest.fixture
def scene(hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A project of Ann's, and an empty repo for it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return Scene(hub, tmp_path)
