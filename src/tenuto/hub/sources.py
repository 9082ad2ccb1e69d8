"""Where the bytes of a wanted file can come from: repos of any hub and plain web addresses, in order, each content known by its hash."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from tenuto.core.errors import TenutoError
from tenuto.core.ids import RepoId
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session


class Wanted(NamedTuple):
    """A file to fetch: its path in the repo, size in bytes, and the sha256 or git id that its bytes must have (one of them is known)."""

    path: str
    size: int
    sha256: str | None = None
    git_id: str | None = None

    @property
    def key(self) -> str:
        """What an interrupted transfer of it is found by."""
        return self.sha256 or f"git-{self.git_id}"


class Source(Protocol):
    """Somewhere that may have wanted files. It is believed in nothing: every byte is checked against the hash of its file."""

    @property
    def title(self) -> str:
        """What messages call it; it holds no secret."""

    @property
    def session(self) -> Session:
        """How it is asked. A token is sent to the session's own origin and nowhere else."""

    def address(self, wanted: Wanted) -> str:
        """A path on the session's endpoint, or a URL, that answers GET with the bytes of the file."""

    def pack_request(self, paths: Sequence[str]) -> tuple[str, bytes] | None:
        """Address and body of a POST that answers with many small files at once; None if there is no such thing."""


@dataclass(frozen=True)
class RepoSource:
    """A repo of a hub at a commit or revision. `path_of` says where a file lies in it, if not under its own path."""

    remote: Remote
    repo: RepoId
    revision: str
    path_of: Callable[[Wanted], str] | None = None

    @property
    def title(self) -> str:
        return f"{self.remote.endpoint}/{self.repo.web_path}"

    @property
    def session(self) -> Session:
        return self.remote.session

    def address(self, wanted: Wanted) -> str:
        path = self.path_of(wanted) if self.path_of else wanted.path
        return self.remote.file_address(self.repo, self.revision, path)

    def pack_request(self, paths: Sequence[str]) -> tuple[str, bytes] | None:
        if self.path_of or not self.session.speaks_pack:
            return None
        return self.remote.pack_request(self.repo, self.revision, paths)


@dataclass(frozen=True)
class WebSource:
    """One file at a web address, or, where the address ends with a slash, files below it by their paths. Needs no hub."""

    session: Session
    url: str

    @property
    def title(self) -> str:
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def address(self, wanted: Wanted) -> str:
        return f"{self.url}{quote(wanted.path)}" if self.url.endswith("/") else self.url

    def pack_request(self, _paths: Sequence[str]) -> tuple[str, bytes] | None:
        return None


class Ranking:
    """The sources in the order in which they are to be tried. One that failed goes to the end, for all files that follow."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = list(sources)
        self._lock = threading.Lock()

    def order(self) -> list[Source]:
        """All sources, the best one first."""
        with self._lock:
            return list(self._sources)

    def demote(self, source: Source) -> None:
        """Put a source behind all others."""
        with self._lock:
            self._sources.remove(source)
            self._sources.append(source)


def no_source(wanted: Wanted, faults: Sequence[tuple[Source, TenutoError]]) -> TenutoError:
    """What to raise when every source has failed: the error of a single one, else one that names each and what it did."""
    first = faults[0][1]
    if len(faults) == 1:
        return first
    told = "; ".join(f"{source.title}: {error.message}" for source, error in faults)
    return type(first)(f"no source has {wanted.path} as it should be. {told}", code=first.code, hint=first.hint)
