"""Checks the git side of one repo: every ref -> commit -> tree -> blob, each with the id that it is named by, and the rows that tell of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, func, select

from tenuto.core.errors import IntegrityError
from tenuto.core.gitobj import Pointer, object_id, parse_commit, parse_pointer, parse_tree
from tenuto.server.db import chunks
from tenuto.server.git_wire.rows import GitRows
from tenuto.server.schema import git_commits, git_objects, git_parents, git_refs, lfs_objects, purged_objects
from tenuto.server.upkeep.graph import named_by
from tenuto.server.upkeep.report import Counts, Damage, Depth, Fault, Place

_HERE = git_objects.c.repo_id == bindparam("repo")
_ROWS = select(
    git_objects.c.oid,
    git_objects.c.kind,
    git_objects.c.size,
    func.length(git_objects.c.body).label("length"),
    git_objects.c.lfs_sha256,
    git_objects.c.lfs_size,
    case((git_objects.c.kind != "blob", git_objects.c.body)).label("body"),
).where(_HERE, git_objects.c.oid.in_(bindparam("oids", expanding=True)))
_TREES = select(git_objects.c.oid, git_objects.c.body).where(
    _HERE, git_objects.c.oid.in_(bindparam("oids", expanding=True)), git_objects.c.kind == "tree"
)
_ANY = "object"


class _Row(NamedTuple):
    oid: str
    kind: str
    size: int
    length: int
    lfs_sha256: str | None
    lfs_size: int | None
    body: bytes | None


class GitCheck:
    """Looks through one repo, as of one moment; adds to `damage` what it finds."""

    def __init__(
        self, connection: Connection, repo_key: int, depth: Depth, counts: Counts, damage: list[Damage]
    ) -> None:
        self.damage = damage
        self._connection, self._repo, self._depth, self._counts = connection, repo_key, depth, counts
        self._pointers: dict[str, Pointer] = {}
        self._whole: dict[str, str] = {}
        """Tags and commits that were read, with what they lead to next."""
        self._to_read: list[str] = []

    def run(self) -> None:
        """Look at everything that refs lead to, and at what the pointers among it claim."""
        query = select(git_refs.c.name, git_refs.c.target_oid, git_refs.c.commit_oid)
        refs = self._connection.execute(query.where(git_refs.c.repo_id == self._repo).order_by("name")).all()
        self._counts.refs += len(refs)
        self._walk({oid: _ANY for _, oid, _ in refs} | {oid: "commit" for _, _, oid in refs})
        for name, target, commit in refs:
            self._check_ref(name, target, commit)
        self._check_bodies()
        self._check_pointers()

    def _add(self, fault: Fault, kind: str, name: str, detail: str) -> None:
        self.damage.append(Damage(fault, kind, name, detail, ((self._repo, ""),)))

    def _check_ref(self, name: str, target: str, commit: str) -> None:
        oid, seen = target, set[str]()
        while oid != commit and oid not in seen:
            seen.add(oid)
            oid = self._whole.get(oid, oid)
        if oid != commit:
            self._add("dangling", "ref", name, f"it stands for {target}, which does not lead to the commit {commit}")
        elif commit not in self._whole:
            self._add("dangling", "ref", name, f"the commit {commit} is not whole")

    def _walk(self, level: dict[str, str]) -> None:
        seen: set[str] = set()
        while level:
            seen.update(level)
            below: dict[str, str] = {}
            for some in chunks(list(level)):
                rows = self._connection.execute(_ROWS, {"repo": self._repo, "oids": some})
                found: dict[str, str] = {}
                for row in map(_Row._make, rows):
                    found[row.oid] = row.kind
                    below.update(self._check_row(row, level[row.oid]))
                for oid in some:
                    if oid not in found:
                        self._add("missing", level[oid], oid, f"this {level[oid]} is not in the database")
                self._check_facts([oid for oid, kind in found.items() if kind == "commit" and oid in self._whole])
            level = {oid: kind for oid, kind in below.items() if oid not in seen}

    def _check_row(self, row: _Row, expected: str) -> Mapping[str, str]:
        """What is right about one row; what it leads to, by id, with the kind that it must have there."""
        if expected not in {row.kind, _ANY}:
            self._add("wrong row", expected, row.oid, f"its row says that it is a {row.kind}")
            return {}
        if row.size != row.length:
            self._add("wrong row", row.kind, row.oid, f"its row says {row.size} bytes, it has {row.length}")
        if row.kind == "blob":
            self._counts.blobs += 1
            if row.lfs_sha256 is not None:
                self._pointers[row.oid] = Pointer(row.lfs_sha256, row.lfs_size or 0)
            if self._depth.takes(row.oid):
                self._to_read.append(row.oid)
            return {}
        assert row.body is not None
        if object_id(row.kind, row.body) != row.oid:
            self._add("damaged", row.kind, row.oid, "its bytes have another id")
            return {}
        return self._follow(row.oid, row.kind, row.body)

    def _follow(self, oid: str, kind: str, body: bytes) -> Mapping[str, str]:
        try:
            further, blobs = named_by(kind, body)
        except IntegrityError as error:
            self._add("damaged", kind, oid, error.message)
            return {}
        if kind == "tree":
            self._counts.trees += 1
            return dict.fromkeys(further, "tree") | dict.fromkeys(blobs, "blob")
        self._whole[oid] = further[0] if further else ""
        if kind == "tag":
            return dict.fromkeys(further, _ANY)
        self._counts.commits += 1
        commit = parse_commit(body)
        return {one: "tree" if one == commit.tree else "commit" for one in further}

    def _check_facts(self, oids: list[str]) -> None:
        """The rows that tell of commits say the same as the commits."""
        here = (git_commits.c.repo_id == self._repo) & git_commits.c.oid.in_(oids)
        query = select(git_commits.c.oid, git_commits.c.tree_oid, git_commits.c.parent_oid).where(here)
        facts = {oid: (tree, parent) for oid, tree, parent in self._connection.execute(query)}
        lines = select(git_parents.c.oid, git_parents.c.parent_oid).where(
            git_parents.c.repo_id == self._repo, git_parents.c.oid.in_(oids)
        )
        parents: dict[str, list[str]] = {}
        for oid, parent in self._connection.execute(lines.order_by(git_parents.c.oid, git_parents.c.position)):
            parents.setdefault(oid, []).append(parent)
        for oid, _, body in GitRows(self._connection, self._repo).bodies(oids):
            commit = parse_commit(body)
            told = (commit.tree, commit.parents[0] if commit.parents else None)
            if oid not in facts:
                self._add("missing", "commit", oid, "there is no row that tells of it")
            elif facts[oid] != told or tuple(parents.get(oid, ())) != commit.parents:
                self._add("wrong row", "commit", oid, "the rows that tell of it name another tree or other parents")

    def _check_bodies(self) -> None:
        for oid, _, body in GitRows(self._connection, self._repo).bodies(self._to_read):
            self._counts.bytes_read += len(body)
            if object_id("blob", body) != oid:
                self._add("damaged", "blob", oid, "its bytes have another id")
            elif parse_pointer(body) != self._pointers.get(oid):
                self._add("wrong row", "blob", oid, "its row and its text do not point to the same large object")

    def _check_pointers(self) -> None:
        """What pointers claim is held, or was deleted on purpose."""
        held = select(lfs_objects.c.sha256, lfs_objects.c.size).where(lfs_objects.c.repo_id == self._repo)
        sizes: dict[str, int] = dict(tuple(row) for row in self._connection.execute(held))
        purged = select(purged_objects.c.sha256).where(purged_objects.c.repo_id == self._repo)
        gone = set(self._connection.execute(purged).scalars())
        for sha256, size in sorted(set(self._pointers.values())):
            user = ((self._repo, sha256),)
            if sha256 not in sizes and sha256 not in gone:
                detail = "the repo has no row for this object, and a file points to it"
                self.damage.append(Damage("missing", "large object", sha256, detail, user))
            elif sha256 in sizes and sizes[sha256] != size:
                detail = f"its row says {sizes[sha256]} bytes, and a file that points to it {size}"
                self.damage.append(Damage("wrong row", "large object", sha256, detail, user))


class Finder:
    """Finds the paths of objects in one repo, whatever is missing there."""

    def __init__(self, connection: Connection, repo_key: int, repo: str) -> None:
        self._connection, self._key, self._repo = connection, repo_key, repo
        self._seen: set[str] = set()

    def find(self, wanted: Iterable[str]) -> dict[str, Place]:
        """One place for each git id that is found: at the head of a ref, `main` first, else in the past."""
        lacking, found = set(wanted), dict[str, Place]()
        for ref, commit, tree in self._roots():
            if not lacking:
                break
            for oid, path in self._below(ref, commit, tree):
                if oid in lacking:
                    lacking.discard(oid)
                    found[oid] = Place(self._repo, ref, commit, path)
        return found

    def _roots(self) -> Iterator[tuple[str, str, str]]:
        joined = (git_commits.c.repo_id == git_refs.c.repo_id) & (git_commits.c.oid == git_refs.c.commit_oid)
        heads = select(git_refs.c.name, git_commits.c.oid, git_commits.c.tree_oid).join(git_commits, joined)
        heads = heads.where(git_refs.c.repo_id == self._key)
        rows = sorted(self._connection.execute(heads), key=lambda row: (row[0] != "refs/heads/main", row[0]))
        yield from ((name, oid, tree) for name, oid, tree in rows)
        past = select(git_commits.c.oid, git_commits.c.tree_oid).where(git_commits.c.repo_id == self._key)
        for oid, tree in self._connection.execute(past.order_by(git_commits.c.time_ms.desc())).all():
            yield "", oid, tree

    def _below(self, ref: str, commit: str, root: str) -> Iterator[tuple[str, str]]:
        yield commit, ""
        level = {} if root in self._seen else {root: ""}
        yield from level.items()
        while level:
            self._seen.update(level)
            below: dict[str, str] = {}
            for oid, body in self._bodies(level):
                for item in parse_tree(body):
                    path = f"{level[oid]}/{item.name}" if level[oid] else item.name
                    yield item.oid, path
                    if item.is_tree and item.oid not in self._seen:
                        below.setdefault(item.oid, path)
            level = below

    def _bodies(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for some in chunks(list(oids)):
            for oid, body in self._connection.execute(_TREES, {"repo": self._key, "oids": some}):
                if object_id("tree", body) == oid:
                    yield oid, body


def pointing_blobs(connection: Connection, repo_key: int, sha256s: Iterable[str]) -> dict[str, str]:
    """The blobs of a repo that point to any of these objects: sha256 by git id."""
    found: dict[str, str] = {}
    for some in chunks(sorted(set(sha256s))):
        here = (git_objects.c.repo_id == repo_key) & git_objects.c.lfs_sha256.in_(some)
        query = select(git_objects.c.oid, git_objects.c.lfs_sha256).where(here)
        found.update(tuple(row) for row in connection.execute(query))
    return found
