"""git objects and refs of a repo as rows. Objects never change, so trees and commits are kept in memory once they were read."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, delete, insert, literal, select, update

from tenuto.core.errors import IntegrityError, NotFoundError, TenutoError
from tenuto.core.gitobj import EMPTY_TREE, Pointer, TreeItem, parse_commit, parse_pointer, parse_tree
from tenuto.core.ids import is_commit_id
from tenuto.server.db import READ_ROWS, Database, chunks, is_writing
from tenuto.server.git.unneeded import spare, spare_all_if_listed
from tenuto.server.known import SMALL_BYTES
from tenuto.server.schema import git_commits, git_objects, git_parents, git_refs

DEFAULT_BRANCH = "main"
HEADS = "refs/heads/"
TAGS = "refs/tags/"
_SHORT_ID = re.compile(r"[0-9a-f]{5,39}")
_CACHED_ITEMS = 150_000

Tree = dict[str, TreeItem]
"""The items of a tree by name, in git's order."""

Load = Callable[[Sequence[str]], dict[str, Tree]]
"""Reads trees by id; raises IntegrityError (CorruptObject) if one is missing."""


class CommitFacts(NamedTuple):
    """What history needs of a commit; `parent` is its first parent."""

    oid: str
    parent: str | None
    tree: str
    time_ms: int
    author: str
    message: str


class BlobFacts(NamedTuple):
    """The size of a blob in bytes and the large object that it points to, if it is a pointer."""

    oid: str
    size: int
    pointer: Pointer | None

    @property
    def true_size(self) -> int:
        """The size of the file that a user sees."""
        return self.pointer.size if self.pointer else self.size


class Ref(NamedTuple):
    """A name, the object under it, and the commit that it stands for."""

    name: str
    target: str
    commit: str


class GitCache:
    """The trees and commits read last, of all repos; safe for use from many threads."""

    def __init__(self, capacity_items: int = _CACHED_ITEMS) -> None:
        self._lock = threading.Lock()
        self._trees: OrderedDict[tuple[int, str], Tree] = OrderedDict()
        self._commits: OrderedDict[tuple[int, str], CommitFacts] = OrderedDict()
        self._capacity, self._items = capacity_items, 0

    def tree(self, repo_key: int, oid: str) -> Tree | None:
        """A tree, if it is here."""
        with self._lock:
            found = self._trees.get((repo_key, oid))
            if found is not None:
                self._trees.move_to_end((repo_key, oid))
            return found

    def keep_tree(self, repo_key: int, oid: str, tree: Tree) -> None:
        """Remember a tree, at the price of those that were not asked for lately."""
        with self._lock:
            if len(tree) >= self._capacity or (repo_key, oid) in self._trees:
                return
            self._trees[repo_key, oid] = tree
            self._items += len(tree) + 1
            while self._items > self._capacity:
                self._items -= len(self._trees.popitem(last=False)[1]) + 1

    def commit(self, repo_key: int, oid: str) -> CommitFacts | None:
        """A commit, if it is here."""
        with self._lock:
            return self._commits.get((repo_key, oid))

    def keep_commit(self, repo_key: int, facts: CommitFacts) -> None:
        """Remember a commit."""
        with self._lock:
            self._commits[repo_key, facts.oid] = facts
            while len(self._commits) > 4096:
                self._commits.popitem(last=False)

    def forget(self, repo_key: int) -> None:
        """Drop what is known of a repo whose objects were deleted."""
        with self._lock:
            for key in [key for key in self._trees if key[0] == repo_key]:
                self._items -= len(self._trees.pop(key)) + 1
            for key in [key for key in self._commits if key[0] == repo_key]:
                del self._commits[key]


_TREES = select(git_objects.c.oid, git_objects.c.body).where(
    git_objects.c.repo_id == bindparam("repo"),
    git_objects.c.oid.in_(bindparam("oids", expanding=True)),
    git_objects.c.kind == "tree",
)
_BLOBS = select(git_objects.c.oid, git_objects.c.size, git_objects.c.lfs_sha256, git_objects.c.lfs_size).where(
    git_objects.c.repo_id == bindparam("repo"),
    git_objects.c.oid.in_(bindparam("oids", expanding=True)),
    git_objects.c.kind == "blob",
)
_BLOB = select(
    git_objects.c.size,
    git_objects.c.lfs_sha256,
    git_objects.c.lfs_size,
    case((git_objects.c.size <= SMALL_BYTES, git_objects.c.body)),
).where(git_objects.c.repo_id == bindparam("repo"), git_objects.c.oid == bindparam("oid"), git_objects.c.kind == "blob")
_BODY = select(git_objects.c.body).where(
    git_objects.c.repo_id == bindparam("repo"), git_objects.c.oid == bindparam("oid")
)
_BODIES = select(git_objects.c.oid, git_objects.c.body).where(
    git_objects.c.repo_id == bindparam("repo"), git_objects.c.oid.in_(bindparam("oids", expanding=True))
)
_SMALL_BODIES = select(git_objects.c.oid, git_objects.c.body).where(
    git_objects.c.repo_id == bindparam("repo"),
    git_objects.c.oid.in_(bindparam("oids", expanding=True)),
    git_objects.c.size <= SMALL_BYTES,
)
COMMIT_COLUMNS = (
    git_commits.c.oid,
    git_commits.c.parent_oid,
    git_commits.c.tree_oid,
    git_commits.c.time_ms,
    git_commits.c.author,
    git_commits.c.message,
)
_COMMIT = select(*COMMIT_COLUMNS).where(
    git_commits.c.repo_id == bindparam("repo"), git_commits.c.oid == bindparam("oid")
)
_SHORT = (
    select(git_commits.c.oid)
    .where(
        git_commits.c.repo_id == bindparam("repo"),
        git_commits.c.oid >= bindparam("low"),
        git_commits.c.oid < bindparam("high"),
    )
    .limit(2)
)
_NAMED = select(git_refs.c.name, git_refs.c.commit_oid).where(
    git_refs.c.repo_id == bindparam("repo"), git_refs.c.name.in_(bindparam("names", expanding=True))
)


class GitReader:
    """The git side of one repo, seen through one connection."""

    def __init__(self, connection: Connection, repo_key: int, cache: GitCache) -> None:
        self.connection, self.repo_key, self._cache = connection, repo_key, cache
        self._remembered: str | None = None

    def resolve(self, revision: str) -> CommitFacts:
        """The commit that a branch, tag, full ref name, or full or short commit id stands for.

        Raises NotFoundError (RevisionNotFound).
        """
        oid = self._ref(revision) or self._commit_id(revision)
        facts = self.find_commit(oid) if oid else None
        if facts is None:
            raise NotFoundError(f"Invalid rev id: {revision[:250]}", code="RevisionNotFound")
        return facts

    def _ref(self, revision: str) -> str | None:
        if is_commit_id(revision):
            return None
        if revision == "HEAD":
            revision = DEFAULT_BRANCH
        names = [HEADS + revision, TAGS + revision, revision]
        rows = self.connection.execute(_NAMED, {"repo": self.repo_key, "names": names})
        found: dict[str, str] = dict(tuple(row) for row in rows)
        return next((found[name] for name in names if name in found), None)

    def _commit_id(self, revision: str) -> str | None:
        if is_commit_id(revision):
            return revision
        if not _SHORT_ID.fullmatch(revision):
            return None
        bounds = {"repo": self.repo_key, "low": revision, "high": revision + "g"}
        found = self.connection.execute(_SHORT, bounds).scalars().all()
        return found[0] if len(found) == 1 else None

    def find_commit(self, oid: str) -> CommitFacts | None:
        """The commit with that id, or None."""
        # What is written builds on what is there: a commit in memory may have been collected. Its trees go after it, never before.
        facts = None if is_writing(self.connection) else self._cache.commit(self.repo_key, oid)
        if facts is None:
            row = self.connection.execute(_COMMIT, {"repo": self.repo_key, "oid": oid}).first()
            if row is None:
                return None
            facts = CommitFacts(*row)
            self._cache.keep_commit(self.repo_key, facts)
        else:
            self._remembered = oid
        return facts

    def _missing(self, kind: str, oid: str) -> TenutoError:
        """What it means that an object is not here: its commit, known from memory, was collected; or the hub is damaged."""
        commit = self._remembered
        if commit and self.connection.execute(_COMMIT, {"repo": self.repo_key, "oid": commit}).first() is None:
            self._cache.forget(self.repo_key)
            return NotFoundError(f"Invalid rev id: {commit}", code="RevisionNotFound")
        return IntegrityError(
            f"the hub lacks the {kind} {oid}", code="CorruptObject", hint="restore the hub from a backup"
        )

    def branch_head(self, ref: str) -> str | None:
        """The commit under a full ref name, read afresh."""
        return self.connection.execute(_NAMED, {"repo": self.repo_key, "names": [ref]}).scalars("commit_oid").first()

    def trees(self, oids: Sequence[str]) -> dict[str, Tree]:
        """Trees by id; raises IntegrityError (CorruptObject) if one is missing."""
        found: dict[str, Tree] = {EMPTY_TREE: {}}
        lacking = []
        for oid in oids:
            tree = self._cache.tree(self.repo_key, oid)
            if tree is not None:
                found[oid] = tree
            elif oid != EMPTY_TREE:
                lacking.append(oid)
        for some in chunks(lacking, READ_ROWS):
            for oid, body in self.connection.execute(_TREES, {"repo": self.repo_key, "oids": some}):
                found[oid] = {item.name: item for item in parse_tree(body)}
                self._cache.keep_tree(self.repo_key, oid, found[oid])
        missing = next((oid for oid in lacking if oid not in found), None)
        if missing:
            raise self._missing("tree", missing)
        return found

    def tree(self, oid: str) -> Tree:
        """One tree; raises IntegrityError (CorruptObject) if it is missing."""
        return self.trees([oid])[oid]

    def find(self, root: str, path: str) -> TreeItem | None:
        """What lies under `path` in the tree `root`; the root itself for an empty path."""
        item = TreeItem("", 0o40000, root)
        for segment in path.split("/") if path else ():
            if not item.is_tree:
                return None
            below = self.tree(item.oid).get(segment)
            if below is None:
                return None
            item = below
        return item

    def blobs(self, oids: Iterable[str]) -> dict[str, BlobFacts]:
        """Facts of blobs by id; those that are missing are left out."""
        found = {}
        for some in chunks(list(dict.fromkeys(oids)), READ_ROWS):
            rows = self.connection.execute(_BLOBS, {"repo": self.repo_key, "oids": some}).all()
            for oid, size, sha256, lfs_size in rows:
                found[oid] = BlobFacts(oid, size, Pointer(sha256, lfs_size) if sha256 else None)
        return found

    def blob(self, oid: str) -> BlobFacts:
        """Facts of one blob; raises IntegrityError (CorruptObject) if it is missing."""
        return self.small_blob(oid)[0]

    def small_blob(self, oid: str) -> tuple[BlobFacts, bytes | None]:
        """The same, with the bytes of the blob if it has at most `SMALL_BYTES`."""
        row = self.connection.execute(_BLOB, {"repo": self.repo_key, "oid": oid}).first()
        if row is None:
            raise self._missing("blob", oid)
        size, sha256, lfs_size, body = row
        return BlobFacts(oid, size, Pointer(sha256, lfs_size) if sha256 else None), body

    def body(self, oid: str) -> bytes:
        """The bytes of an object; raises IntegrityError (CorruptObject) if it is missing."""
        found = self.connection.execute(_BODY, {"repo": self.repo_key, "oid": oid}).scalar()
        if found is None:
            raise self._missing("object", oid)
        return bytes(found)

    def small_bodies(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those objects that have at most `SMALL_BYTES`; those that are missing are left out."""
        found: dict[str, bytes] = {}
        for some in chunks(list(oids)):
            rows = self.connection.execute(_SMALL_BODIES, {"repo": self.repo_key, "oids": some})
            found.update(tuple(row) for row in rows)
        return found

    def bodies(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of objects by id, in any order, one at a time in memory; those that are missing are left out."""
        for some in chunks(oids, READ_ROWS):
            for oid, body in self.connection.execute(_BODIES, {"repo": self.repo_key, "oids": some}):
                yield oid, bytes(body)

    def refs(self) -> list[Ref]:
        """All refs, by name."""
        query = select(git_refs.c.name, git_refs.c.target_oid, git_refs.c.commit_oid)
        return [
            Ref(*row)
            for row in self.connection.execute(query.where(git_refs.c.repo_id == self.repo_key).order_by("name"))
        ]

    def history(self, oid: str, limit: int) -> list[CommitFacts]:
        """A commit and its first parents, newest first, at most `limit` of them."""
        start = select(*COMMIT_COLUMNS, literal(1).label("depth")).where(
            git_commits.c.repo_id == self.repo_key, git_commits.c.oid == oid
        )
        line = start.cte("line", recursive=True)
        further = (
            select(*COMMIT_COLUMNS, line.c.depth + 1)
            .where(git_commits.c.repo_id == self.repo_key)
            .join(line, git_commits.c.oid == line.c.parent_oid)
            .where(line.c.depth < limit)
        )
        line = line.union_all(further)
        return [CommitFacts(*row[:6]) for row in self.connection.execute(select(line).order_by(line.c.depth))]


ObjectRow = dict[str, object]


def object_row(repo_key: int, kind: str, oid: str, body: bytes) -> ObjectRow:
    """The row of a git object."""
    pointer = parse_pointer(body) if kind == "blob" else None
    return {
        "repo_id": repo_key,
        "oid": oid,
        "kind": kind,
        "size": len(body),
        "lfs_sha256": pointer.sha256 if pointer else None,
        "lfs_size": pointer.size if pointer else None,
        "body": body,
    }


def add_objects(database: Database, connection: Connection, rows: Sequence[ObjectRow]) -> None:
    """Add objects of one repo; those that are there already stay, and are needed again."""
    if rows:
        connection.execute(database.insert_new(git_objects), rows)
        spare(connection, int(str(rows[0]["repo_id"])), [str(row["oid"]) for row in rows])


def add_commit(database: Database, connection: Connection, repo_key: int, facts: CommitFacts) -> None:
    """Add the facts of a commit whose object is there; all its parents are read from the object."""
    body = connection.execute(_BODY, {"repo": repo_key, "oid": facts.oid}).scalar_one()
    add_commits(database, connection, repo_key, [(facts, parse_commit(body).parents)])


def add_commits(
    database: Database, connection: Connection, repo_key: int, commits: Sequence[tuple[CommitFacts, Sequence[str]]]
) -> None:
    """Add the facts of commits whose objects are there, each with all its parents; those that are there already stay."""
    rows = [
        {
            "repo_id": repo_key,
            "oid": facts.oid,
            "parent_oid": facts.parent,
            "tree_oid": facts.tree,
            "time_ms": facts.time_ms,
            "author": facts.author[:200],
            "message": facts.message,
        }
        for facts, _ in commits
    ]
    lines = [
        {"repo_id": repo_key, "oid": facts.oid, "position": position, "parent_oid": parent}
        for facts, parents in commits
        for position, parent in enumerate(parents)
    ]
    if rows:
        connection.execute(database.insert_new(git_commits), rows)
    if lines:
        connection.execute(database.insert_new(git_parents), lines)


def add_ref(connection: Connection, repo_key: int, ref: Ref) -> None:
    """Add a ref; the caller has looked, inside the same transaction, that there is none of that name."""
    row = {"repo_id": repo_key, "name": ref.name, "target_oid": ref.target, "commit_oid": ref.commit}
    connection.execute(insert(git_refs).values(row))
    spare_all_if_listed(connection, repo_key, ref.commit)


def move_ref(connection: Connection, repo_key: int, name: str, old: str, new: str) -> bool:
    """Let a branch stand for `new`, if it still stands for `old`; whether it did."""
    here = (git_refs.c.repo_id == repo_key) & (git_refs.c.name == name) & (git_refs.c.commit_oid == old)
    spare_all_if_listed(connection, repo_key, new)
    return connection.execute(update(git_refs).where(here).values(target_oid=new, commit_oid=new)).rowcount == 1


def delete_ref(connection: Connection, repo_key: int, name: str) -> bool:
    """Drop a ref; whether it was there. Its commits stay."""
    here = (git_refs.c.repo_id == repo_key) & (git_refs.c.name == name)
    return connection.execute(delete(git_refs).where(here)).rowcount == 1
