"""The verbs of a hub, one method a route (hub-protocol section 4). Each raises the error tree; none retries what may have been done."""

import base64
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tenuto.core import wire
from tenuto.core.errors import NotFoundError, UnavailableError, UsageError
from tenuto.core.ids import RepoId, RepoKind, check_sha1, check_sha256
from tenuto.core.listing import MAX_SIZE_BYTES
from tenuto.core.pack import MEDIA_TYPE
from tenuto.hub.session import Answer, Session

T = TypeVar("T")
U = TypeVar("U")
_FACTS = ("sha", "private", "cardData", "tags")
"""What is asked of every repo; that a space is gated is no fact that could be asked for."""


class Regular(NamedTuple):
    """A small file of a commit, sent inside it."""

    path: str
    content: bytes


class Large(NamedTuple):
    """A file of a commit whose object the hub has already."""

    path: str
    sha256: str
    size: int


class Deleted(NamedTuple):
    """A file that a commit takes away."""

    path: str


Operation = Regular | Large | Deleted


class Remote:
    """A hub, seen through a session. `commit_files` is how many files it takes in one commit, if it is not ours; `xet` says which large
    files are sent to it by chunks: `auto` (those of whose earlier version the hub knows the chunks), `always` or `off`.
    """

    def __init__(self, session: Session, *, commit_files: int = 1000, xet: str = "off") -> None:
        self.session = session
        self.commit_files = commit_files
        self.xet = xet

    @property
    def endpoint(self) -> str:
        """The hub's address."""
        return self.session.endpoint

    def whoami(self) -> wire.Identity:
        """Who the token stands for; raises AuthenticationError."""
        return self._ask(wire.Identity, "GET", "api/whoami-v2")

    def create_repo(self, repo: RepoId, *, private: bool, gated: str | None = None) -> str:
        """Make an empty repo, `gated` from the start, and return the address of its page; raises ConflictError (Exists)."""
        body: dict[str, object] = {
            "name": repo.name,
            "organization": repo.namespace,
            "type": repo.kind.value,
            "visibility": "private" if private else "public",
            "private": private,
        }
        body |= {"gated": gated} if gated else {}
        answer: dict[str, Any] = self._ask(dict, "POST", "api/repos/create", body, again=False)
        if gated and answer.get("gated") != gated:  # hubs that are not ours make it first, and gate it then
            self.change_settings(repo, {"gated": gated})
        return str(answer.get("url", f"{self.endpoint}/{repo.web_path}"))

    def delete_repo(self, repo: RepoId) -> None:
        """Remove a repo with all its history; raises NotFoundError (RepoNotFound)."""
        body = {"name": repo.name, "organization": repo.namespace, "type": repo.kind.value}
        self.session.request("DELETE", "api/repos/delete", body=msgspec.json.encode(body), headers=_JSON, again=False)

    def change_settings(self, repo: RepoId, values: Mapping[str, object]) -> None:
        """Change visibility and gate of a repo; raises AccessDeniedError, NotFoundError (RepoNotFound)."""
        body = msgspec.json.encode(values)
        self.session.request("PUT", f"{repo.api_path}/settings", body=body, headers=_JSON, again=False)

    def info(self, repo: RepoId, revision: str) -> wire.RepoInfo:
        """Facts of a repo at a revision, with the commit it resolves to; raises NotFoundError (RepoNotFound, RevisionNotFound)."""
        # Who names no facts is told the names of all files, too: a megabyte for 20,000.
        wanted = [*_FACTS, *(["gated"] if repo.kind is not RepoKind.SPACE else [])]
        query = urlencode({"expand": wanted}, doseq=True)
        info = self._ask(wire.RepoInfo, "GET", f"{repo.api_path}/revision/{quote(revision, safe='')}?{query}")
        _check_ids(git_id=info.sha or "")
        return info

    def check_access(self, repo: RepoId) -> None:
        """Return if the caller may read the files of the repo; raises AccessDeniedError (GatedRepo), NotFoundError (RepoNotFound)."""
        self.session.request("GET", f"{repo.api_path}/auth-check")

    def tree(self, repo: RepoId, revision: str, path: str = "") -> Iterator[wire.TreeEntry]:
        """Every file at or below `path`, page by page; raises NotFoundError (RepoNotFound, RevisionNotFound, EntryNotFound)."""
        segment = f"/{quote(path, safe='')}" if path else ""
        for page in self.pages(f"{repo.api_path}/tree/{quote(revision, safe='')}{segment}?recursive=true&expand=false"):
            for entry in _decode(page, list[wire.TreeEntry]):
                if entry.type == "file":
                    yield _checked(entry)

    def pages(self, first: str) -> Iterator[Answer]:
        """The answers at an address and at what each names as the next one; raises UnavailableError (BadAnswer) for a circle."""
        address: str | None = first
        asked: set[str] = set()
        while address:
            asked.add(address)
            answer = self.session.request("GET", address)
            yield answer
            address = wire.next_link(answer.headers)
            if address in asked:
                raise UnavailableError("the hub's listing comes round in a circle", code="BadAnswer")

    def find(self, repo: RepoId, revision: str, path: str) -> wire.TreeEntry | None:
        """The file or folder at one path; None if there is none. Raises NotFoundError (RepoNotFound, RevisionNotFound)."""
        address = f"{repo.api_path}/paths-info/{quote(revision, safe='')}"
        body = urlencode({"paths": path, "expand": "false"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        found = _decode(self.session.request("POST", address, body=body, headers=headers), list[wire.TreeEntry])
        return next((_checked(entry) for entry in found if entry.path == path), None)

    def preupload(
        self, repo: RepoId, revision: str, files: Iterable[wire.PreuploadFile]
    ) -> dict[str, wire.PreuploadAnswer]:
        """How each file is to be sent, by path; asked in pages of 256, each taken from `files` when its turn comes."""
        address = f"{repo.api_path}/preupload/{quote(revision, safe='')}"

        def ask(page: list[wire.PreuploadFile]) -> list[wire.PreuploadAnswer]:
            return self._ask(wire.PreuploadResult, "POST", address, wire.PreuploadRequest(page)).files

        return {answer.path: answer for answer in _by_pages(ask, files, wire.PREUPLOAD_LIMIT)}

    def lfs_batch(
        self, repo: RepoId, objects: Sequence[wire.LfsObject], operation: str = "upload"
    ) -> list[wire.LfsAnswer]:
        """Where to send (or fetch) each object; no actions on an upload means that the repo has it. Asked in pages of 256."""
        words = {"operation": operation, "transfers": ["basic", "multipart"], "hash_algo": "sha256"}
        headers = {"Content-Type": wire.LFS_MEDIA_TYPE, "Accept": wire.LFS_MEDIA_TYPE}
        if self.xet != "off":
            headers[wire.SENDS_CHUNKS] = "1"
        address = f"{repo.web_path}.git/info/lfs/objects/batch"

        def ask(page: list[wire.LfsObject]) -> list[wire.LfsAnswer]:
            body = msgspec.json.encode({**words, "objects": page})
            return _decode(
                self.session.request("POST", address, body=body, headers=headers), wire.LfsBatchResult
            ).objects

        return list(_by_pages(ask, objects, wire.BATCH_LIMIT))

    def xet_token_address(self, repo: RepoId, revision: str) -> str:
        """The path that gives passes to write to the chunk store of a repo."""
        return f"{repo.api_path}/xet-write-token/{quote(revision, safe='')}"

    def xet_token(self, repo: RepoId, revision: str) -> wire.XetToken | None:
        """A pass to write to the chunk store of a repo; None if the hub has no such store."""
        try:
            return self._ask(wire.XetToken, "GET", self.xet_token_address(repo, revision))
        except (NotFoundError, UnavailableError) as error:
            if error.code in {"RouteNotFound", "NotSupported", "EntryNotFound"}:
                return None
            raise

    def commit(
        self, repo: RepoId, revision: str, operations: Iterable[Operation], *, title: str, parent: str
    ) -> wire.CommitResult:
        """Put a commit on top of `parent`.

        Raises ConflictError (StaleParent) if the branch is elsewhere by now. After an UnavailableError the commit may have been made:
        look before trying again.
        """
        header = {"key": "header", "value": {"summary": title, "description": "", "parentCommit": parent}}
        lines = [
            msgspec.json.encode(header),
            *(msgspec.json.encode(_commit_line(operation)) for operation in operations),
        ]
        answer = self.session.request(
            "POST",
            f"{repo.api_path}/commit/{quote(revision, safe='')}",
            body=b"\n".join(lines) + b"\n",
            headers={"Content-Type": wire.COMMIT_MEDIA_TYPE},
            again=False,
        )
        result = _decode(answer, wire.CommitResult)
        _check_ids(git_id=result.commit)
        return result

    def pack_request(self, repo: RepoId, commit: str, paths: Sequence[str]) -> tuple[str, bytes]:
        """Address and body of a request (POST) for many small files in one answer."""
        return f"{repo.api_path}/pack/{quote(commit, safe='')}", msgspec.json.encode({"paths": paths})

    def send_pack(
        self,
        repo: RepoId,
        blocks: Callable[[], Iterable[bytes]],
        size: int,
        stopped: threading.Event | None = None,
    ) -> None:
        """Send many small objects in one body, unless `stopped`; raises IntegrityError (HashMismatch)."""
        self.session.send("PUT", f"{repo.api_path}/pack", blocks, size, {"Content-Type": MEDIA_TYPE}, stopped)

    def file_address(self, repo: RepoId, commit: str, path: str) -> str:
        """The path under which the bytes of a file are served."""
        return f"{repo.web_path}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def _ask(self, kind: type[T], method: str, address: str, body: object = None, *, again: bool = True) -> T:
        content = None if body is None else msgspec.json.encode(body)
        return _decode(
            self.session.request(
                method, address, body=content, headers=_JSON if body is not None else None, again=again
            ),
            kind,
        )


_JSON: Mapping[str, str] = {"Content-Type": "application/json"}


def _by_pages(ask: Callable[[list[T]], list[U]], values: Iterable[T], page_values: int) -> Iterator[U]:
    """The answers to pages of questions, in order; a page of `values` is made when its turn comes."""
    left = iter(values)
    while page := list(islice(left, page_values)):
        yield from ask(page)


def _commit_line(operation: Operation) -> dict[str, object]:
    match operation:
        case Regular(path, content):
            value = {"content": base64.b64encode(content).decode(), "path": path, "encoding": "base64"}
            return {"key": "file", "value": value}
        case Large(path, sha256, size):
            return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": size}}
        case Deleted(path):
            return {"key": "deletedFile", "value": {"path": path}}


def _decode(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnavailableError(
            f"the hub's answer cannot be read: {error}", code="BadAnswer", hint="is this the address of a hub?"
        ) from error


def _checked(entry: wire.TreeEntry) -> wire.TreeEntry:
    _check_ids(git_id=entry.oid, sha256=entry.lfs.oid if entry.lfs else None)
    if not all(0 <= size <= MAX_SIZE_BYTES for size in (entry.size, entry.lfs.size if entry.lfs else 0)):
        raise UnavailableError(f"the hub gives {entry.path!r} a size that no file has", code="BadAnswer")
    return entry


def _check_ids(*, git_id: str, sha256: str | None = None) -> None:
    try:
        check_sha1(git_id)
        if sha256 is not None:
            check_sha256(sha256)
    except UsageError as error:
        raise UnavailableError(f"the hub's answer cannot be read: {error}", code="BadAnswer") from error
