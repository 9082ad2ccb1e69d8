"""A repo on a live hub, and short ways to fill it, read it, and look at it through a proxy."""

import contextlib
import hashlib
import itertools
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tenuto.core.ids import RepoId
from tenuto.hub.download import Wanted
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.hub.upload import Outgoing, Upload, Uploaded, upload
from tenuto.store.base import Store
from tenuto.testing.lies import Lie
from tenuto.testing.lying_hub import LyingHub

PAGE_ENTRIES = 20
PART_BYTES = 100_000
HUB_FILE = ".gitattributes"


class Place:
    """A repo, a user who may write to it, and a folder for files on their way there."""

    def __init__(self, remote: Remote, repo: RepoId, token: str, folder: Path) -> None:
        self.remote, self.repo, self.token, self.folder = remote, repo, token, folder
        self._numbers = itertools.count()

    @property
    def head(self) -> str:
        """The commit that `main` is at."""
        return self.remote.info(self.repo, "main").sha or ""

    def outgoing(self, files: Mapping[str, bytes]) -> list[Outgoing]:
        """These files, written to disk and ready to be sent."""
        made = []
        for path, content in files.items():
            file = self.folder / str(next(self._numbers)) / path
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
            made.append(Outgoing(str(file), path, sha256_of(content), len(content)))
        return made

    def send(self, files: Sequence[Outgoing], *, remote: Remote | None = None, deleted: Sequence[str] = ()) -> Uploaded:
        """One commit on the head."""
        return upload(remote or self.remote, self.repo, "main", self.head, Upload(files, deleted, "a title"), jobs=4)

    def put(self, files: Mapping[str, bytes]) -> str:
        """One commit with these files; returns its id."""
        return self.send(self.outgoing(files)).commit

    def wanted(self, commit: str = "main") -> dict[str, Wanted]:
        """What a download of the whole repo asks for, by path."""
        return {
            entry.path: Wanted(entry.path, entry.lfs.size, entry.lfs.oid)
            if entry.lfs
            else Wanted(entry.path, entry.size, None, entry.oid)
            for entry in self.remote.tree(self.repo, commit)
            if entry.path != HUB_FILE
        }

    def read(self, path: str, commit: str = "main") -> bytes:
        """The bytes of a file, as the hub serves them."""
        return self.remote.session.request("GET", self.remote.file_address(self.repo, commit, path)).body

    @contextlib.contextmanager
    def through(self, *lies: Lie, **options: object) -> Iterator[tuple[Remote, LyingHub]]:
        """The same user at the same hub, behind a proxy that tells these lies; no wait lasts."""
        waits: list[float] = []
        settings: dict[str, object] = {"sleep": waits.append, "retries": 2, **options}
        with LyingHub(self.remote.endpoint, lies) as liar, Session(liar.url, self.token, **settings) as session:  # type: ignore[arg-type]
            yield Remote(session), liar


def sha256_of(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that nothing compresses; the same seed gives the same ones."""
    return random.Random(seed).randbytes(size)


def check_whole(store: Store) -> set[str]:
    """Every object of the store hashes to its name and has the size that it says; returns the names."""
    names = set()
    for sha256, size in store:
        with store.open(sha256) as file:
            content = file.read()
        assert (sha256_of(content), len(content)) == (sha256, size)
        names.add(sha256)
    return names


def asked(liar: LyingHub, method: str, part: str) -> list[str]:
    """The paths of the requests that a proxy saw, with this method and this text in the path."""
    return [one.path for one in liar.requests if one.method == method and part in one.path]


def spool_files(root: str | os.PathLike[str]) -> list[str]:
    """What waits in the spool of a local store."""
    folder = Path(root) / "store-v1" / "spool"
    return sorted(os.listdir(folder)) if folder.is_dir() else []
