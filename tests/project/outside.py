"""A project that takes what others publish: the publisher, the keeper, and a proxy between the keeper and the hub."""

import itertools
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from tenuto.core.errors import TenutoError
from tenuto.project import add as adding
from tenuto.project import lock as locking
from tenuto.project import pull as pulling
from tenuto.testing.lies import Lie
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.lying_hub import LyingHub
from tests.project.conftest import Clone, Scene

_NUMBERS = itertools.count(1)
PATH = "models/theirs"


class Outside:
    """`keeper` is a project of Ann's; `api` is somebody else, who publishes to repos that anyone may read."""

    def __init__(self, scene: Scene) -> None:
        self.hub: LiveHub = scene.hub
        self.keeper: Clone = scene.ann
        self.owner = f"publisher{next(_NUMBERS)}"
        self.token = scene.hub.user(self.owner)
        self.api = HfApi(scene.hub.url, token=self.token)
        self.repo = f"{self.owner}/m"
        self.source = f"hf://{self.repo}"

    def publish(self, files: Mapping[str, bytes], deleted: tuple[str, ...] = ()) -> str:
        """One commit, in a repo that is made if need be; returns its id."""
        operations = [
            *(CommitOperationAdd(path, content) for path, content in files.items()),
            *(CommitOperationDelete(path) for path in deleted),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the stock client warns of is its own business
            self.api.create_repo(self.repo, exist_ok=True)
            done = self.api.create_commit(self.repo, operations, commit_message="a version")
        return str(done.oid)

    def add(self, source: str | None = None, **more: object) -> None:
        """`tenuto add`."""
        request = adding.Request(source or self.source, name="theirs", path=PATH, **more)  # type: ignore[arg-type]
        with self.keeper.opened() as workspace:
            adding.add(workspace, request)
            self.settle(pulling.pull(workspace, ["theirs"]).failures)

    def upgrade(self) -> None:
        """`tenuto upgrade`."""
        with self.keeper.opened() as workspace:
            self.settle(locking.lock(workspace, [], locking.Options(upgrade=True)).failures)
            self.settle(pulling.pull(workspace, ["theirs"]).failures)

    def pull(self, **options: object) -> None:
        """`tenuto pull` of it."""
        with self.keeper.opened() as workspace:
            done = pulling.pull(workspace, ["theirs"], pulling.Options(**options))  # type: ignore[arg-type]
            self.settle(done.failures)

    @staticmethod
    def settle(failures: object) -> None:
        """A failure in a report is raised, as the exit status would have it."""
        for failure in cast("list[pulling.Failure]", failures):
            raise failure.error

    @contextmanager
    def lying(self, *lies: Lie, **flags: object) -> Iterator[LyingHub]:
        """The keeper talks to a proxy that tells these lies."""
        with LyingHub(self.hub.url, lies) as liar:
            before = dict(self.keeper.flags)
            self.keeper.flags |= {"endpoint": liar.url, **flags}
            try:
                yield liar
            finally:
                self.keeper.flags = before

    def files(self) -> dict[str, bytes]:
        """What lies in the folder of the artifact."""
        return self.keeper.files(PATH)

    def forget_store(self) -> None:
        """As on a machine that has nothing yet."""
        shutil.rmtree(self.keeper.cache, ignore_errors=True)

    def fails(self, run: Callable[[], object], *codes: str) -> TenutoError:
        """The error of a run that must fail and change nothing here."""
        before = (self.keeper.files(), self.words(), outsiders(self.keeper.root.parent))
        with pytest.raises(TenutoError) as caught:
            run()
        assert caught.value.code in codes, caught.value
        assert (self.keeper.files(), self.words(), outsiders(self.keeper.root.parent)) == before
        return caught.value

    def words(self) -> list[bytes]:
        """Manifest and lock."""
        files = (self.keeper.root / name for name in ("tenuto.toml", "tenuto.lock"))
        return [file.read_bytes() for file in files if file.exists()]


def outsiders(folder: Path) -> list[str]:
    """What lies in the folder that holds project and store, beside them."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith("-cache"))


@pytest.fixture
def outside(scene: Scene) -> Outside:
    """A publisher, and a keeper who has added nothing yet."""
    return Outside(scene)
