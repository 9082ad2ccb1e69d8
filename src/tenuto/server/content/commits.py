"""Commits through the API: lines of JSON become blobs, trees, a commit, and a moved branch (hub-protocol section 7.3)."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import IntegrityError as RowRefused

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.gitobj import FILE_MODE, Commit, Pointer, TreeItem, blob_id, encode_tree, object_id
from tenuto.core.ids import check_sha256
from tenuto.core.paths import check_path
from tenuto.server.access import Action, Actor, Repo
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.content.staging import Stage
from tenuto.server.db import chunks
from tenuto.server.gates.terms import note_change
from tenuto.server.git.objects import (
    DEFAULT_BRANCH,
    HEADS,
    CommitFacts,
    GitReader,
    ObjectRow,
    Ref,
    add_commit,
    add_objects,
    add_ref,
    move_ref,
    object_row,
)
from tenuto.server.git.patterns import default_attributes
from tenuto.server.git.trees import TreeEditor
from tenuto.server.hub import Parts
from tenuto.server.permit import check_still
from tenuto.server.quota import guard
from tenuto.server.schema import lfs_objects

MESSAGE_BYTES = 1 << 16
_HELD = select(lfs_objects.c.sha256, lfs_objects.c.size).where(
    lfs_objects.c.repo_id == bindparam("repo"), lfs_objects.c.sha256.in_(bindparam("oids", expanding=True))
)
_COMMIT_ID = re.compile(r"[0-9a-f]{5,40}")


class HeaderValue(msgspec.Struct, frozen=True):
    """Message of a commit, and the head that it builds on, if the caller insists on one."""

    summary: str = ""
    description: str = ""
    parent: str | None = msgspec.field(name="parentCommit", default=None)


class FileValue(msgspec.Struct, frozen=True):
    """A small file with its content."""

    path: str
    content: str
    encoding: str = "utf-8"


class LfsValue(msgspec.Struct, frozen=True):
    """A large file by sha256; without a size it is looked up."""

    path: str
    oid: str
    size: int | None = None
    algo: str = "sha256"


class CopyValue(msgspec.Struct, frozen=True, rename="camel"):
    """A file that is the same as another one, at the head or at some revision."""

    path: str
    src_path: str
    src_revision: str | None = None


class PathValue(msgspec.Struct, frozen=True):
    """A path that goes."""

    path: str


class HeaderLine(msgspec.Struct, frozen=True, tag_field="key", tag="header"):
    """The first line."""

    value: HeaderValue


class FileLine(msgspec.Struct, frozen=True, tag_field="key", tag="file"):
    """Put a small file."""

    value: FileValue


class LfsLine(msgspec.Struct, frozen=True, tag_field="key", tag="lfsFile"):
    """Put a large file."""

    value: LfsValue


class CopyLine(msgspec.Struct, frozen=True, tag_field="key", tag="copyFile"):
    """Put a copy."""

    value: CopyValue


class DeleteFileLine(msgspec.Struct, frozen=True, tag_field="key", tag="deletedFile"):
    """Remove a file."""

    value: PathValue


class DeleteFolderLine(msgspec.Struct, frozen=True, tag_field="key", tag="deletedFolder"):
    """Remove a folder."""

    value: PathValue


Line: TypeAlias = HeaderLine | FileLine | LfsLine | CopyLine | DeleteFileLine | DeleteFolderLine


class Put(NamedTuple):
    """Let `path` be the blob `oid`."""

    path: str
    oid: str


class Pending(NamedTuple):
    """Let `path` be the large object `pointer`, which the repo must hold; a size of -1 is looked up."""

    path: str
    pointer: Pointer


class Copy(NamedTuple):
    """Let `path` be what `source` is, at `revision` or as it stands."""

    path: str
    source: str
    revision: str | None


class Delete(NamedTuple):
    """Remove a file or a folder."""

    path: str
    is_folder: bool


Operation: TypeAlias = Put | Pending | Copy | Delete


def check_commit_path(path: str) -> str:
    """Return `path` if a commit may use it; raises UsageError (BadPath)."""
    check_path(path)
    if path.startswith(".cache/") or "/.cache/" in path or path.rpartition("/")[2] == ".cache":
        raise UsageError(f"path {path!r} is not allowed: '.cache' belongs to clients", code="BadPath")
    return path


class CommitReader:
    """Reads the lines of one commit; its small files are on the `stage`, which whoever reads it closes."""

    def __init__(self, parts: Parts, repo: Repo) -> None:
        self.header = HeaderValue()
        self.operations: list[Operation] = []
        self.stage = Stage(parts, repo.key)
        self._parts, self._repo = parts, repo
        self._decoder = msgspec.json.Decoder(Line)

    def read(self, file: BinaryIO) -> None:
        """Take in all lines; raises UsageError (BadRequest, BadPath, TooLarge)."""
        longest = self._parts.limits.large_file * 4 // 3 + (1 << 16)
        first = True
        while line := file.readline(longest + 1):
            if len(line) > longest:
                raise UsageError(
                    "a file of this commit is too large to be sent with it",
                    code="TooLarge",
                    hint="upload it as a large file; the answer to `preupload` says which ones are",
                )
            if line.strip():
                self._take(line, first)
                first = False
        if first:
            raise UsageError("the commit is empty: its first line must be the header")

    def _take(self, line: bytes, first: bool) -> None:
        try:
            parsed = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(
                f"line {len(self.operations) + 1 + (not first)} of the commit does not fit: {error}"
            ) from error
        if isinstance(parsed, HeaderLine) is not first:
            raise UsageError("the first line of a commit, and no other one, must be the header")
        if isinstance(parsed, HeaderLine):
            self.header = _check_header(parsed.value)
            return
        if len(self.operations) >= self._parts.limits.commit_paths:
            raise UsageError(f"a commit may name {self._parts.limits.commit_paths} paths at most", code="TooLarge")
        self.operations.append(self._operation(parsed))

    def _operation(self, line: Line) -> Operation:
        match line:
            case FileLine(value):
                return self._file(check_commit_path(value.path), _content(value))
            case LfsLine(value):
                if value.algo != "sha256" or (value.size is not None and value.size < 0):
                    raise UsageError(f"{value.path!r}: a large file needs algo sha256 and a size of 0 or more")
                pointer = Pointer(check_sha256(value.oid), -1 if value.size is None else value.size)
                return Pending(check_commit_path(value.path), pointer)
            case CopyLine(value):
                return Copy(check_commit_path(value.path), check_commit_path(value.src_path), value.src_revision)
            case DeleteFileLine(value):
                return Delete(check_commit_path(value.path), False)
            case DeleteFolderLine(value):
                return Delete(check_commit_path(value.path.rstrip("/")), True)
        raise AssertionError(f"{type(line).__name__} is not an operation")

    def _file(self, path: str, content: bytes) -> Operation:
        if len(content) > self._parts.limits.large_file:
            raise UsageError(
                f"{path!r} is too large for a regular file", code="TooLarge", hint="upload it as a large file"
            )
        row = object_row(self._repo.key, "blob", blob_id(content), content)
        sha256 = row["lfs_sha256"]
        if sha256 is not None:
            # A pointer sent as text is a claim to a large object like any other one.
            return Pending(path, Pointer(str(sha256), int(str(row["lfs_size"]))))
        self.stage.add(row)
        return Put(path, str(row["oid"]))


def _check_header(header: HeaderValue) -> HeaderValue:
    if header.parent is not None and not _COMMIT_ID.fullmatch(header.parent):
        raise UsageError(f"parentCommit {header.parent[:60]!r} is not a commit id")
    if len(header.summary) + len(header.description) > MESSAGE_BYTES:
        raise UsageError("the message of the commit is too long", code="TooLarge")
    return header


def _content(value: FileValue) -> bytes:
    if value.encoding == "utf-8":
        return value.content.encode()
    if value.encoding != "base64":
        raise UsageError(f"{value.path!r}: {value.encoding[:40]!r} is not an encoding of a commit")
    try:
        return base64.b64decode(value.content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"the content of {value.path!r} is not base64") from error


Enter: TypeAlias = Callable[[GitReader, HeaderValue], str]
"""Says inside the transaction of a commit to which branch it goes; may make the branch, or refuse."""


def commit(
    parts: Parts, repo: Repo, origin: Origin, revision: str | Enter, file: BinaryIO, action: Action = Action.WRITE
) -> str:
    """Apply the lines in `file` to a branch and return its head afterwards; no change makes no commit.

    The actor is asked for the right to `action` once more when the head moves.

    All or nothing. Raises ConflictError (StaleParent) if the head is not the one that the caller built on, StorageError (QuotaExceeded),
    NotFoundError (RevisionNotFound, EntryNotFound, RepoNotFound), UsageError (BadRequest, BadPath, TooLarge).
    """
    reader = CommitReader(parts, repo)
    try:
        reader.read(file)
        with parts.database.write() as connection, guard(connection, repo.key, parts.now_ms()):
            check_still(parts, connection, origin.actor, repo, action)
            return _apply(parts, repo, origin, revision, reader, connection)
    except RowRefused as error:  # the repo was deleted meanwhile
        raise _repo_is_gone() from error
    finally:
        reader.stage.close()


def _repo_is_gone() -> NotFoundError:
    return NotFoundError("Repository not found", code="RepoNotFound")


def _apply(
    parts: Parts, repo: Repo, origin: Origin, place: str | Enter, reader: CommitReader, connection: Connection
) -> str:
    git = GitReader(connection, repo.key, parts.cache)
    revision = place if isinstance(place, str) else place(git, reader.header)
    ref, head = find_branch(git, revision)
    if reader.header.parent is not None and not head.oid.startswith(reader.header.parent):
        raise ConflictError(
            f"the head of {revision} is {head.oid}, not {reader.header.parent}",
            code="StaleParent",
            hint="fetch what is new, then try again",
        )
    operations, pointers = _settle(connection, repo, reader.operations)
    editor = TreeEditor(head.tree, git.trees)
    _edit(git, editor, operations)
    tree, made = editor.write()
    if tree == head.tree:
        return head.oid
    rows = [*pointers, *(object_row(repo.key, "tree", one.oid, one.body) for one in made)]
    message = "\n\n".join(filter(None, (reader.header.summary or "Update", reader.header.description)))
    facts, row = new_commit(parts, repo, origin.actor, tree, (head.oid,), message)
    for batch in (*reader.stage.batches(), [*rows, row]):
        add_objects(parts.database, connection, batch)
    add_commit(parts.database, connection, repo.key, facts)
    if not move_ref(connection, repo.key, ref, head.oid, facts.oid):
        raise ConflictError(f"{revision} moved while the commit was made", hint="try again")
    note_change(parts, connection, repo.key)
    moved = {"old": head.oid, "new": facts.oid}
    record(connection, origin, Deed.COMMIT, parts.now_ms(), repo=repo, subject=ref, facts=moved)
    return facts.oid


def find_branch(git: GitReader, revision: str) -> tuple[str, CommitFacts]:
    """The full name and the head of a branch or of `refs/pr/N`; raises NotFoundError (RevisionNotFound), UsageError (BadRequest)."""
    for ref in (HEADS + revision, revision):
        oid = git.branch_head(ref) if ref.startswith((HEADS, "refs/pr/")) else None
        facts = git.find_commit(oid) if oid else None
        if facts:
            return ref, facts
    git.resolve(revision)
    raise UsageError(f"{revision[:250]!r} is not a branch", hint="commit to a branch; tags and commits never move")


def new_commit(
    parts: Parts, repo: Repo, actor: Actor, tree: str, parents: tuple[str, ...], message: str
) -> tuple[CommitFacts, ObjectRow]:
    """A commit object made now by `actor`, and its facts."""
    now_ms = parts.now_ms()
    author = f"{actor.name} <{actor.name}@users.noreply.localhost>"
    body = Commit(tree, parents, author, now_ms // 1000, message).encode()
    oid = object_id("commit", body)
    text = message.replace("\0", "")
    facts = CommitFacts(oid, parents[0] if parents else None, tree, now_ms // 1000 * 1000, actor.name, text)
    return facts, object_row(repo.key, "commit", oid, body)


def begin(parts: Parts, connection: Connection, repo: Repo, actor: Actor) -> None:
    """Give a new repo its branch `main` with a first commit, which says what is large by nature."""
    body = default_attributes().encode()
    oid = blob_id(body)
    tree = encode_tree([TreeItem(".gitattributes", FILE_MODE, oid)])
    tree_oid = object_id("tree", tree)
    facts, row = new_commit(parts, repo, actor, tree_oid, (), "initial commit")
    rows = [object_row(repo.key, "blob", oid, body), object_row(repo.key, "tree", tree_oid, tree), row]
    add_objects(parts.database, connection, rows)
    add_commit(parts.database, connection, repo.key, facts)
    add_ref(connection, repo.key, Ref(HEADS + DEFAULT_BRANCH, facts.oid, facts.oid))


def _settle(
    connection: Connection, repo: Repo, operations: list[Operation]
) -> tuple[list[Put | Copy | Delete], list[ObjectRow]]:
    """Turn large files into blobs of their pointers, if the repo holds them; raises UsageError (BadRequest), which names the path."""
    held = held_sizes(connection, repo.key, [one.pointer.sha256 for one in operations if isinstance(one, Pending)])
    settled: list[Put | Copy | Delete] = []
    rows = []
    for one in operations:
        if not isinstance(one, Pending):
            settled.append(one)
            continue
        size = held.get(one.pointer.sha256)
        if size is None or one.pointer.size not in {-1, size}:
            raise UsageError(
                f"{one.path!r}: this repo holds no object {one.pointer.sha256} of that size",
                hint="upload the file first",
            )
        body = Pointer(one.pointer.sha256, size).encode()
        oid = blob_id(body)
        rows.append(object_row(repo.key, "blob", oid, body))
        settled.append(Put(one.path, oid))
    return settled, rows


def held_sizes(connection: Connection, repo_key: int, oids: Iterable[str]) -> dict[str, int]:
    """Which of these large objects a repo holds, with their sizes."""
    found: dict[str, int] = {}
    for some in chunks(list(dict.fromkeys(oids))):
        found.update(tuple(row) for row in connection.execute(_HELD, {"repo": repo_key, "oids": some}))
    return found


def _edit(git: GitReader, editor: TreeEditor, operations: list[Put | Copy | Delete]) -> None:
    editor.prefetch([one.path for one in operations])
    for one in operations:
        match one:
            case Put(path, oid):
                editor.put(path, FILE_MODE, oid)
            case Delete(path, True):
                editor.delete_folder(path)
            case Delete(path, False):
                editor.delete_file(path)
            case Copy(path, source, revision):
                item = _source(git, editor, source, revision)
                editor.put(path, item.mode, item.oid)


def _source(git: GitReader, editor: TreeEditor, path: str, revision: str | None) -> TreeItem:
    item = git.find(git.resolve(revision).tree, path) if revision else editor.find(path)
    if item is None or item.is_tree:
        raise NotFoundError(f"A file with this name doesn't exist: {path}", code="EntryNotFound")
    return item
