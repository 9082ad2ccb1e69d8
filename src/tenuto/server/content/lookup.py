"""The file that a request is for, from memory or from the database, and with it what the same client will ask for next."""

import contextlib
from collections.abc import Collection
from typing import BinaryIO, NamedTuple, cast

from sqlalchemy import Connection, select

from tenuto.core.errors import IntegrityError, NotFoundError, TenutoError
from tenuto.core.gitobj import Pointer
from tenuto.core.wire import REPO_COMMIT
from tenuto.server.content.ahead import ITEM_BYTES, Folder
from tenuto.server.content.commits import held_sizes
from tenuto.server.content.listing import is_file
from tenuto.server.git.objects import BlobFacts, CommitFacts, GitReader
from tenuto.server.holdings.chunks import file_hashes
from tenuto.server.http.exchange import Answer, Call, error_answer
from tenuto.server.hub import Parts
from tenuto.server.known import SMALL_BYTES
from tenuto.server.schema import purged_objects

_FACTS_AHEAD = 128
_BODIES_AHEAD = 32


class Found(NamedTuple):
    """A file at a revision; `large` is the object whose bytes are meant, if it is not the blob itself."""

    commit: str
    blob: BlobFacts
    large: Pointer | None
    xet_hash: str | None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.large.size if self.large else self.blob.size

    @property
    def content(self) -> str:
        """What names the bytes of the file."""
        return self.large.sha256 if self.large else self.blob.oid


class Lookup:
    """One request for a file, as a user sees it or, without `follow`, as git keeps it. What it learns is known to later ones."""

    def __init__(self, parts: Parts, call: Call, *, follow: bool) -> None:
        self._parts, self._repo_key, self._follow = parts, call.repo.key, follow
        self._known = parts.database.known()  # before anything is read
        self._revision, self._path = call.params["rev"], call.params["path"]
        self._folder, _, self._name = self._path.rpartition("/")
        self._wants_body = call.method != "HEAD"

    def recall(self) -> Found | None:
        """The file, if it is known."""
        return self._recall(self._name)

    def recall_body(self, found: Found) -> bytes | None:
        """The bytes of the file, if they are known."""
        body: bytes | None = self._known.get(("body", self._repo_key, found.content))
        return body

    def _recall(self, name: str) -> Found | None:
        found: Found | None = self._known.get(self._key(name))
        return found

    def _key(self, name: str) -> tuple[str, bool, int, str, str, str]:
        return ("file", self._follow, self._repo_key, self._revision, self._folder, name)

    def _keep_body(self, found: Found, body: bytes | None) -> None:
        if body is not None and len(body) == found.size <= SMALL_BYTES:
            self._known.keep(("body", self._repo_key, found.content), body, len(body))

    def find(self) -> tuple[Found, bytes | None] | Answer:
        """The file with its bytes if it is a blob and they are asked for, or small; or the answer that says why there is none.

        Raises NotFoundError (RevisionNotFound), IntegrityError (CorruptObject).
        """
        with self._parts.database.read() as connection:
            git = GitReader(connection, self._repo_key, self._parts.cache)
            commit = git.resolve(self._revision)
            item = git.find(commit.tree, self._path)
            if item is None or not is_file(item):
                return _no_entry(commit.oid, f"{self._path[:300]} does not exist at {commit.oid}")
            blob, body = git.small_blob(item.oid)
            found = self._files(git, commit, [blob]).get(blob.oid)
            if found is None:
                return self._lost(git, commit, blob)
            if found.large:
                body = None
            elif body is None and self._wants_body:
                body = git.body(blob.oid)
            self._known.keep(self._key(self._name), found)
            self._keep_body(found, body)
            self._look_ahead(git, commit)
            if self._wants_body and not found.large:
                self._read_blobs_ahead(git)
        return found, body

    def _files(self, git: GitReader, commit: CommitFacts, blobs: Collection[BlobFacts]) -> dict[str, Found]:
        """The files in these blobs, by their ids; one whose large object the repo does not hold is left out."""
        pointers = [blob.pointer for blob in blobs if blob.pointer] if self._follow else []
        sizes = held_sizes(git.connection, self._repo_key, [one.sha256 for one in pointers])
        told = [one.sha256 for one in pointers if one.size >= self._parts.limits.xet_download_from]
        hashes = file_hashes(git.connection, self._repo_key, told)
        found = {}
        for blob in blobs:
            large = blob.pointer if self._follow else None
            if large is None or sizes.get(large.sha256) == large.size:
                found[blob.oid] = Found(commit.oid, blob, large, hashes.get(large.sha256) if large else None)
        return found

    def _lost(self, git: GitReader, commit: CommitFacts, blob: BlobFacts) -> Answer:
        assert blob.pointer is not None
        if was_purged(git.connection, self._repo_key, blob.pointer.sha256):
            return _no_entry(commit.oid, f"the owner deleted the bytes of {self._path[:300]}")
        raise IntegrityError(f"the hub lacks the large object {blob.pointer.sha256}", code="CorruptObject")

    def _look_ahead(self, git: GitReader, commit: CommitFacts) -> None:
        """Whoever asks for the files of a folder in order finds the next ones known."""
        key = ("folder", self._repo_key, self._revision, self._folder)
        folder: Folder | None = self._known.get(key)
        if folder is None:  # one file of a folder says nothing of the others
            place = git.find(commit.tree, self._folder)
            assert place is not None
            tree = git.tree(place.oid)
            self._known.keep(key, Folder(tree), len(tree) * ITEM_BYTES)
            return
        items = [item for item in folder.next_facts(self._name, _FACTS_AHEAD) if is_file(item)]
        files = self._files(git, commit, git.blobs(item.oid for item in items).values())
        for item in items:
            if item.oid in files:
                self._known.keep(self._key(item.name), files[item.oid])

    def _following(self, kind: str) -> list[Found]:
        """The next small files that are known, while their bytes are not."""
        folder: Folder | None = self._known.get(("folder", self._repo_key, self._revision, self._folder))
        items = folder.next_bodies(self._name, kind, _BODIES_AHEAD) if folder else []
        files = [found for item in items if (found := self._recall(item.name))]
        return [one for one in files if one.size <= SMALL_BYTES and self.recall_body(one) is None]

    def _read_blobs_ahead(self, git: GitReader) -> None:
        files = {found.blob.oid: found for found in self._following("blobs") if not found.large}
        for oid, body in git.small_bodies(files).items():
            self._keep_body(files[oid], body)

    def read_large(self, found: Found) -> bytes | None:
        """The bytes of a large object that is a small file; None if it is none. Raises IntegrityError (CorruptObject)."""
        if found.large is None or found.size > SMALL_BYTES:
            return None
        body = self._read(found.large)
        self._keep_body(found, body)
        with contextlib.suppress(TenutoError, OSError):  # whoever asks for a damaged one is told so
            for one in self._following("objects"):
                if one.large:
                    self._keep_body(one, self._read(one.large))
        return body

    def _read(self, large: Pointer) -> bytes:
        with open_large(self._parts, self._repo_key, large.sha256) as file:
            return file.read(SMALL_BYTES)


def _no_entry(commit: str, message: str) -> Answer:
    return error_answer(NotFoundError(message, code="EntryNotFound"), {REPO_COMMIT: commit})


def was_purged(connection: Connection, repo_key: int, sha256: str) -> bool:
    """Whether a large object was deleted from a repo on purpose."""
    here = (purged_objects.c.repo_id == repo_key) & (purged_objects.c.sha256 == sha256)
    return connection.execute(select(purged_objects.c.sha256).where(here)).first() is not None


def open_large(parts: Parts, repo_key: int, sha256: str) -> BinaryIO:
    """A large object that a repo holds, stored as a whole or as chunks; raises IntegrityError (CorruptObject) if it is missing.

    Chunks are checked while they are read, which raises the same.
    """
    try:
        return parts.store.open(sha256)
    except NotFoundError:
        return cast("BinaryIO", parts.xorbs.open(repo_key, sha256))
