"""Who needs what alone: each thing is claimed by all groups that lead to it, and belongs to the only one, or to none."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, select

from tenuto.server.gitstore import CommitFacts, GitReader, Ref
from tenuto.server.schema import git_commits, git_parents
from tenuto.server.space.contents import Content, Contents

Group = TypeVar("Group", bound=Hashable)


class _Many:
    """Stands for more than one group."""


MANY = _Many()


class Claims(Generic[Group]):
    """The only group that leads to each thing, or MANY. A thing changes at most twice, so that nothing is walked through more often."""

    def __init__(self) -> None:
        self.owner: dict[Hashable, Group | _Many] = {}

    def claim(self, thing: Hashable, group: Group | _Many) -> bool:
        """Whether the owner of the thing changed by that: then what it leads to must be claimed too, for the new one."""
        known = self.owner.get(thing)
        if known is group or known is MANY or known == group:
            return False
        self.owner[thing] = group if known is None else MANY
        return True


class Graph(NamedTuple):
    """The commits of a repo, the parents of each, and its refs."""

    commits: Mapping[str, CommitFacts]
    parents: Mapping[str, Sequence[str]]
    refs: Sequence[Ref]

    def reachable(self) -> list[str]:
        """The commits that refs lead to, each behind its parents."""
        ordered: dict[str, None] = {}
        waiting = [ref.commit for ref in self.refs]
        while waiting:
            oid = waiting[-1]
            missing = [one for one in self.parents.get(oid, ()) if one not in ordered and one in self.commits]
            if oid in ordered or not missing:
                waiting.pop()
                ordered.setdefault(oid)
            else:
                waiting += missing
        return [oid for oid in ordered if oid in self.commits]


def read_graph(git: GitReader) -> Graph:
    """All commits and refs of a repo."""
    connection: Connection = git.connection
    columns = (
        git_commits.c.oid,
        git_commits.c.parent_oid,
        git_commits.c.tree_oid,
        git_commits.c.time_ms,
        git_commits.c.author,
        git_commits.c.message,
    )
    rows = connection.execute(select(*columns).where(git_commits.c.repo_id == git.repo_key))
    commits = {row.oid: CommitFacts(*row) for row in rows}
    parents: dict[str, list[str]] = {}
    links = select(git_parents.c.oid, git_parents.c.parent_oid).where(git_parents.c.repo_id == git.repo_key)
    for oid, parent in connection.execute(links.order_by(git_parents.c.oid, git_parents.c.position)):
        parents.setdefault(oid, []).append(parent)
    return Graph(commits, parents, git.refs())


def claim_trees(git: GitReader, claims: Claims[Group], root: str, group: Group | _Many) -> None:
    """A group claims a tree with all that is below it."""
    waiting = [root] if claims.claim(root, group) else []
    while waiting:
        trees = git.trees(waiting)
        below = [(item, claims.owner[oid]) for oid in dict.fromkeys(waiting) for item in trees[oid].values()]
        waiting = [item.oid for item, owner in below if claims.claim(item.oid, owner) and item.is_tree]


def claim_refs(git: GitReader, graph: Graph) -> Claims[str]:
    """Which ref alone leads to each git object."""
    claims: Claims[str] = Claims()
    for ref in graph.refs:
        claims.claim(ref.target, ref.name)
        waiting = [ref.commit] if ref.target == ref.commit or claims.claim(ref.commit, ref.name) else []
        while waiting:
            oid = waiting.pop()
            if oid not in graph.commits:
                continue
            owner = claims.owner[oid]
            claim_trees(git, claims, graph.commits[oid].tree, owner)
            waiting += [one for one in graph.parents.get(oid, ()) if claims.claim(one, owner)]
    return claims


def claim_versions(git: GitReader, graph: Graph) -> Claims[str]:
    """Which commit alone leads to each git object."""
    claims: Claims[str] = Claims()
    for oid in graph.reachable():
        claims.claim(oid, oid)
        claim_trees(git, claims, graph.commits[oid].tree, oid)
    return claims


def paths_of(git: GitReader, roots: Iterable[str]) -> dict[str, set[str]]:
    """The blobs that were ever under each path."""
    found: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [("", root) for root in dict.fromkeys(roots)]
    while waiting:
        waiting = [one for one in dict.fromkeys(waiting) if one not in seen]
        seen.update(waiting)
        trees = git.trees([oid for _, oid in waiting])
        following = []
        for prefix, oid in waiting:
            for item in trees[oid].values():
                if item.is_tree:
                    following.append((f"{prefix}{item.name}/", item.oid))
                else:
                    found.setdefault(prefix + item.name, set()).add(item.oid)
        waiting = following
    return found


def own_contents(contents: Contents, claims: Claims[Group]) -> dict[Group, set[Content]]:
    """The contents that each group alone leads to. An upload that nothing claimed points to keeps from everybody what it needs."""
    final: Claims[Group] = Claims()
    for thing, owner in claims.owner.items():
        for one in contents.blobs.get(str(thing), (Content("git", str(thing)),)):
            final.claim(one, owner)
    named = {contents.pointers[str(thing)] for thing in claims.owner if str(thing) in contents.pointers}
    for sha256 in contents.objects.keys() - named:
        for one in contents.objects[sha256]:
            final.claim(one, MANY)
    found: dict[Group, set[Content]] = {}
    for content, group in final.owner.items():
        if not isinstance(group, _Many) and isinstance(content, Content) and content in contents.costs:
            found.setdefault(group, set()).add(content)
    return found
