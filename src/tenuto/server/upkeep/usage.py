"""`tenuto hub usage`: what each user and repo costs, counted once where it is stored once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, func, select

from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, GitReader
from tenuto.server.git.trees import Walk
from tenuto.server.hub import Parts
from tenuto.server.schema import git_objects, lfs_objects, repo_xorbs, repos, xorbs
from tenuto.server.upkeep.trash import Trash
from tenuto.store.local import LocalStore

Group = TypeVar("Group", int, str)


class Cost(msgspec.Struct):
    """What a repo, a user or the whole hub costs.

    `files` and `file_bytes`: at the heads of `main`, as a user sees them. `held_bytes`: every content that is held, past and pending ones too,
    once for each repo. `stored_bytes`: what is on the disk for it, after deduplication. `freed_bytes`: what deleting it would free.
    """

    files: int = 0
    file_bytes: int = 0
    held_bytes: int = 0
    stored_bytes: int = 0
    freed_bytes: int = 0


class RepoCost(msgspec.Struct, frozen=True):
    """A repo and what it costs."""

    repo: str
    user: str
    cost: Cost


class UserCost(msgspec.Struct, frozen=True):
    """A namespace and what its repos cost together."""

    user: str
    repos: int
    cost: Cost


class Usage(msgspec.Struct, frozen=True):
    """The whole hub, by repo and by user, the most expensive first. `loose_bytes`: files that nobody holds; a collection removes them."""

    repos: list[RepoCost]
    users: list[UserCost]
    total: Cost
    loose_bytes: int
    trash_bytes: int


Content = tuple[str, str]
"""An object or a xorb, and its name: what lies on the disk once, whoever holds it."""


class _Repo(NamedTuple):
    key: int
    name: str
    user: str


class _Holdings:
    """What one repo holds: contents in the store, the sizes of its large objects together, and those of its git objects."""

    def __init__(self) -> None:
        self.contents: set[Content] = set()
        self.large_bytes = self.git_bytes = 0
        self.files = self.file_bytes = 0


def measure(parts: Parts, data_dir: str) -> Usage:
    """Count everything, as of one moment; deduplicated contents by where they are."""
    disk: dict[Content, int] = {("object", one.sha256): one.size for one in LocalStore(data_dir)}
    disk |= {("xorb", name): size for name, size in parts.xorbs.folder}
    with parts.database.read() as connection:
        known = _repos(connection)
        held = _holdings(connection, [one.key for one in known])
        for one in known:
            _count_head(GitReader(connection, one.key, parts.cache), held[one.key])
    users: dict[str, list[int]] = {}
    for one in known:
        users.setdefault(one.user, []).append(one.key)
    of_repos = _costs(disk, held, {one.key: [one.key] for one in known})
    of_users = _costs(disk, held, users)
    used = {content for holdings in held.values() for content in holdings.contents}
    return Usage(
        sorted((RepoCost(one.name, one.user, of_repos[one.key]) for one in known), key=_by_cost),
        sorted((UserCost(user, len(keys), of_users[user]) for user, keys in users.items()), key=_by_cost),
        _costs(disk, held, {"": list(held)})[""],
        sum(size for content, size in disk.items() if content not in used),
        sum(batch.bytes for batch in Trash(data_dir).batches()),
    )


def _by_cost(one: RepoCost | UserCost) -> tuple[int, str]:
    return -one.cost.stored_bytes, one.repo if isinstance(one, RepoCost) else one.user


def _repos(connection: Connection) -> list[_Repo]:
    columns = (repos.c.id, repos.c.kind, repos.c.namespace, repos.c.name)
    rows = connection.execute(select(*columns).order_by(repos.c.id))
    return [_Repo(key, str(RepoId(RepoKind(kind), user, name)), user) for key, kind, user, name in rows]


def _holdings(connection: Connection, keys: Iterable[int]) -> dict[int, _Holdings]:
    held = {key: _Holdings() for key in keys}
    large = select(lfs_objects.c.repo_id, lfs_objects.c.sha256, lfs_objects.c.size)
    for key, sha256, size in connection.execute(large):
        held[key].contents.add(("object", sha256))
        held[key].large_bytes += size
    chunked = select(repo_xorbs.c.repo_id, xorbs.c.hash, xorbs.c.source_sha256).join(xorbs)
    for key, name, sha256 in connection.execute(chunked):
        held[key].contents.add(("object", sha256) if sha256 else ("xorb", name))
    sizes = select(git_objects.c.repo_id, func.sum(git_objects.c.size)).group_by(git_objects.c.repo_id)
    for key, total in connection.execute(sizes):
        held[key].git_bytes = int(total)
    return held


def _count_head(git: GitReader, holdings: _Holdings) -> None:
    oid = git.branch_head(HEADS + DEFAULT_BRANCH)
    commit = git.find_commit(oid) if oid else None
    if commit is None:
        return
    walk = Walk(git.trees, recursive=True)
    oids = [item.oid for _, item in walk.entries(commit.tree) if not item.is_tree]
    facts = git.blobs(oids)
    holdings.files, holdings.file_bytes = len(oids), sum(facts[oid].true_size for oid in oids if oid in facts)


def _costs(
    disk: Mapping[Content, int], held: Mapping[int, _Holdings], groups: Mapping[Group, Iterable[int]]
) -> dict[Group, Cost]:
    """What each group of repos costs; a content is freed with a group if no other group holds it."""
    contents = {
        group: {content for key in keys for content in held[key].contents if content in disk}
        for group, keys in groups.items()
    }
    holders = Counter(content for some in contents.values() for content in some)
    costs = {}
    for group, keys in groups.items():
        cost = Cost()
        for one in (held[key] for key in keys):
            cost.files += one.files
            cost.file_bytes += one.file_bytes
            cost.held_bytes += one.large_bytes + one.git_bytes
            cost.stored_bytes += one.git_bytes
            cost.freed_bytes += one.git_bytes
        for content in contents[group]:
            cost.stored_bytes += disk[content]
            cost.freed_bytes += disk[content] if holders[content] == 1 else 0
        costs[group] = cost
    return costs
