"""All that git keeps of one repo, read whole in three statements, however deep its folders and long its past are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, literal, select, union_all

from tenuto.core.errors import IntegrityError
from tenuto.core.gitobj import EMPTY_TREE, TREE_MODE
from tenuto.server.git.objects import COMMIT_COLUMNS, CommitFacts, Ref
from tenuto.server.schema import discussions, git_commits, git_objects, git_parents, git_refs

_ITEM = re.compile(rb"[0-7]{5,6} [^\0]+\0.{20}", re.DOTALL)
_OBJECT = re.compile(rb"object ([0-9a-f]{40})\n")
_HERE = git_objects.c.repo_id == bindparam("repo")
_READ_WHOLE = ("tree", "tag")
_STREAMED = {"stream_results": True, "max_row_buffer": 20}
_OBJECTS = select(
    git_objects.c.oid,
    git_objects.c.kind,
    git_objects.c.size,
    git_objects.c.lfs_sha256,
    git_objects.c.lfs_size,
    case((git_objects.c.kind.in_(_READ_WHOLE), git_objects.c.body)),
).where(_HERE)
_COMMITS = (
    select(
        *COMMIT_COLUMNS,
        git_parents.c.parent_oid.label("above"),
    )
    .outerjoin(git_parents, (git_parents.c.repo_id == git_commits.c.repo_id) & (git_parents.c.oid == git_commits.c.oid))
    .where(git_commits.c.repo_id == bindparam("repo"))
    .order_by(git_commits.c.oid, git_parents.c.position)
)
# A merge that a pull request speaks of stays, whatever becomes of the branch; it has no name, as nobody can delete it.
_REFS = union_all(
    select(git_refs.c.name, git_refs.c.target_oid, git_refs.c.commit_oid).where(
        git_refs.c.repo_id == bindparam("repo")
    ),
    select(literal(""), git_objects.c.oid, git_objects.c.oid)
    .join(discussions, discussions.c.merge_oid == git_objects.c.oid)
    .where(_HERE, discussions.c.repo_id == bindparam("repo")),
)


class Item(NamedTuple):
    """What a folder has under a name."""

    name: str
    oid: str
    is_tree: bool


Tree = tuple[Item, ...]


class GitObject(NamedTuple):
    """The size of an object, and what it points to if it is a pointer. Sizes in bytes."""

    kind: str
    size: int
    sha256: str | None
    large_size: int | None


class _Items(dict[bytes, Item]):
    """Items by their bytes, each one once, however many trees have it: of two versions of a folder, most are the same."""

    def __missing__(self, raw: bytes) -> Item:
        head, _, rest = raw[:-20].partition(b" ")
        made = Item(rest[:-1].decode(errors="surrogateescape"), raw[-20:].hex(), int(head, 8) == TREE_MODE)
        self[raw] = made
        return made


class History(NamedTuple):
    """The objects, commits and refs of a repo, what no ref leads to included."""

    objects: Mapping[str, GitObject]
    trees: Mapping[str, Tree]
    tags: Mapping[str, str]
    """What a tag object names, by its own id."""
    commits: Mapping[str, CommitFacts]
    parents: Mapping[str, Sequence[str]]
    refs: Sequence[Ref]
    merges: Sequence[str]
    """Commits that stay although no ref may lead to them: pull requests speak of them."""

    def tree(self, oid: str) -> Tree:
        """The items of a tree; raises IntegrityError (CorruptObject) if it is missing, or cannot be read."""
        found = self.trees.get(oid)
        if found is None:
            raise IntegrityError(
                f"the hub lacks the tree {oid}", code="CorruptObject", hint="restore the hub from a backup"
            )
        return found

    def file_sizes(self) -> dict[str, int]:
        """The size of the file that a user sees for each blob, by its id."""
        found = [(oid, one) for oid, one in self.objects.items() if one.kind == "blob"]
        return {oid: one.size if one.large_size is None else one.large_size for oid, one in found}

    def way(self, ref: Ref) -> Iterator[str]:
        """What a ref stands for: a commit, behind the tags that lead to it."""
        oid = ref.target
        while oid != ref.commit and oid in self.tags:
            yield oid
            oid = self.tags[oid]
        yield ref.commit

    def reachable(self) -> list[str]:
        """The commits that refs and merges lead to, each behind its parents."""
        ordered: dict[str, None] = {}
        waiting = [*(ref.commit for ref in self.refs), *self.merges]
        while waiting:
            oid = waiting[-1]
            missing = [one for one in self.parents.get(oid, ()) if one not in ordered and one in self.commits]
            if oid in ordered or not missing:
                waiting.pop()
                ordered.setdefault(oid)
            else:
                waiting += missing
        return [oid for oid in ordered if oid in self.commits]


def read_history(connection: Connection, repo_key: int) -> History:
    """The history of a repo as of the moment that the connection sees. Of all bodies, few are in memory at a time."""
    objects: dict[str, GitObject] = {}
    trees: dict[str, Tree] = {EMPTY_TREE: ()}
    tags: dict[str, str] = {}
    items = _Items()
    here = {"repo": repo_key}
    for oid, kind, size, sha256, large_size, body in connection.execute(_OBJECTS, here, execution_options=_STREAMED):
        objects[oid] = GitObject(kind, size, sha256, large_size)
        if kind == "tree":
            found = _ITEM.findall(body)
            if sum(map(len, found)) == len(body):
                trees[oid] = tuple(map(items.__getitem__, found))
        elif kind == "tag" and (match := _OBJECT.match(body)):
            tags[oid] = match[1].decode()
    commits: dict[str, CommitFacts] = {}
    parents: dict[str, list[str]] = {}
    for *facts, above in connection.execute(_COMMITS, here):
        commits[facts[0]] = CommitFacts(*facts)
        if above is not None:
            parents.setdefault(facts[0], []).append(above)
    refs = [Ref(*row) for row in connection.execute(_REFS, here)]
    named, merges = [ref for ref in refs if ref.name], [ref.commit for ref in refs if not ref.name]
    return History(objects, trees, tags, commits, parents, sorted(named), merges)
