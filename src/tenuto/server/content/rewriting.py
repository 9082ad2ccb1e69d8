"""A repo as if some files had never been in it: new trees, commits, tags and refs; what held the files is gone (hub-protocol section 7.7)."""

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, select, update

from tenuto.core.gitobj import TreeItem, encode_tree, object_id, parse_commit
from tenuto.server.db import Database, chunks
from tenuto.server.git.objects import CommitFacts, GitReader, ObjectRow, Ref, add_commit, add_objects, object_row
from tenuto.server.schema import discussions, git_commits, git_objects, git_refs

_OBJECT = re.compile(rb"object ([0-9a-f]{40})\n")
_SIGNATURES = (b"gpgsig", b"gpgsig-sha256")


class Rewriter:
    """Takes blobs out of every commit of one repo, inside one transaction. Commits that never had them keep their ids."""

    def __init__(self, database: Database, git: GitReader, blobs: Iterable[str]) -> None:
        self._database, self._git, self._connection, self._repo = database, git, git.connection, git.repo_key
        self._doomed = set(blobs)
        self._trees: dict[str, str] = {}
        self._commits: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._made: list[ObjectRow] = []

    def run(self) -> dict[str, str]:
        """The new id of every commit that had to change, by its old one."""
        commits = self._all_commits()
        facts = [self._commit(oid, commits) for oid in _parents_first(self._parents(commits))]
        add_objects(self._database, self._connection, self._made)
        for one in facts:
            if one:
                add_commit(self._database, self._connection, self._repo, one)
        self._move_refs()
        self._move_merges()
        self._drop()
        return {old: new for old, new in self._commits.items() if old != new}

    def _all_commits(self) -> dict[str, bytes]:
        rows = select(git_objects.c.oid, git_objects.c.body).where(
            git_objects.c.repo_id == self._repo, git_objects.c.kind == "commit"
        )
        return {oid: bytes(body) for oid, body in self._connection.execute(rows)}

    @staticmethod
    def _parents(commits: dict[str, bytes]) -> dict[str, tuple[str, ...]]:
        return {oid: parse_commit(body).parents for oid, body in commits.items()}

    def _commit(self, oid: str, commits: dict[str, bytes]) -> CommitFacts | None:
        """Rewrite one commit, whose parents were rewritten before; the facts of the new one, or None if it stays."""
        parsed = parse_commit(commits[oid])
        tree = self._tree(parsed.tree)
        parents = [self._commits.get(parent, parent) for parent in parsed.parents]
        if tree == parsed.tree and tuple(parents) == parsed.parents:
            self._commits[oid] = oid
            return None
        body = _with_links(commits[oid], tree, parents)
        new = object_id("commit", body)
        self._commits[oid] = new
        self._made.append(object_row(self._repo, "commit", new, body))
        known = self._git.find_commit(oid)
        return known._replace(oid=new, tree=tree, parent=parents[0] if parents else None) if known else None

    def _tree(self, oid: str) -> str:
        """The id of a tree without the blobs; folders that are empty by that vanish."""
        if oid in self._trees:
            return self._trees[oid]
        items = self._git.tree(oid)
        kept = []
        for item in items.values():
            new = self._tree(item.oid) if item.is_tree else item.oid
            is_left = new not in self._doomed and not (item.is_tree and new != item.oid and not self._has_items(new))
            if is_left:
                kept.append(item._replace(oid=new))
        self._trees[oid] = oid if kept == list(items.values()) else self._make_tree(kept)
        return self._trees[oid]

    def _has_items(self, oid: str) -> bool:
        return oid != object_id("tree", b"")

    def _make_tree(self, items: Sequence[TreeItem]) -> str:
        body = encode_tree(items)
        oid = object_id("tree", body)
        self._made.append(object_row(self._repo, "tree", oid, body))
        return oid

    def _move_refs(self) -> None:
        for ref in self._git.refs():
            target, commit = self._target(ref.target), self._commits.get(ref.commit, ref.commit)
            if (target, commit) != (ref.target, ref.commit):
                self._point(ref._replace(target=target, commit=commit))

    def _point(self, ref: Ref) -> None:
        here = (git_refs.c.repo_id == self._repo) & (git_refs.c.name == ref.name)
        values = {"target_oid": ref.target, "commit_oid": ref.commit}
        self._connection.execute(update(git_refs).where(here).values(values))

    def _target(self, oid: str) -> str:
        """What a ref stands for afterwards: a commit, or a tag object that leads to one."""
        if oid in self._commits:
            return self._commits[oid]
        body = self._git.body(oid)
        match = _OBJECT.match(body)
        if match is None:
            return oid
        below = match[1].decode()
        new = self._target(below)
        if new == below:
            return oid
        changed = b"object " + new.encode() + b"\n" + body[match.end() :]
        row = object_row(self._repo, "tag", object_id("tag", changed), changed)
        add_objects(self._database, self._connection, [row])
        self._tags[oid] = str(row["oid"])
        return self._tags[oid]

    def _move_merges(self) -> None:
        here = discussions.c.repo_id == self._repo
        found = select(discussions.c.number, discussions.c.merge_oid).where(here, discussions.c.merge_oid.is_not(None))
        for number, oid in self._connection.execute(found).all():
            values = {"merge_oid": self._commits.get(oid, oid)}
            self._connection.execute(update(discussions).where(here, discussions.c.number == number).values(values))

    def _drop(self) -> None:
        """Remove every object that has, or leads to, one of the blobs."""
        replaced = [
            old for known in (self._trees, self._commits, self._tags) for old, new in known.items() if old != new
        ]
        _drop_objects(self._connection, self._repo, [*self._doomed, *replaced])


def _drop_objects(connection: Connection, repo_key: int, oids: Sequence[str]) -> None:
    for table in (git_commits, git_objects):
        for some in chunks(oids):
            connection.execute(delete(table).where(table.c.repo_id == repo_key, table.c.oid.in_(some)))


def _parents_first(parents: dict[str, tuple[str, ...]]) -> list[str]:
    """All commits, each behind those of its parents that are among them."""
    ordered: dict[str, None] = {}
    for start in parents:
        waiting = [start]
        while waiting:
            oid = waiting[-1]
            missing = [one for one in parents[oid] if one in parents and one not in ordered]
            if oid in ordered or not missing:
                ordered.setdefault(oid)
                waiting.pop()
            else:
                waiting.extend(missing)
    return list(ordered)


def _with_links(body: bytes, tree: str, parents: Sequence[str]) -> bytes:
    """A commit object with another tree and other parents. A signature, which would no longer fit, is left out."""
    head, mark, message = body.partition(b"\n\n")
    kept: list[bytes] = []
    for line in head.split(b"\n"):
        key = line.partition(b" ")[0]
        if key in {b"tree", b"parent"}:
            continue
        if key in _SIGNATURES or (line.startswith(b" ") and kept and kept[-1] == b""):
            kept.append(b"")  # holds the place of what is left out, until its last line
            continue
        kept.append(line)
    links = [f"tree {tree}".encode(), *(f"parent {one}".encode() for one in parents)]
    return b"\n".join([*links, *(line for line in kept if line)]) + mark + message
