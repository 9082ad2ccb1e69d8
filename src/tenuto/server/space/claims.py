"""Who needs what alone: each thing is claimed by all groups that lead to it, and belongs to the only one, or to none."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from tenuto.server.space.contents import Content, Contents
from tenuto.server.space.history import History, Item

Group = TypeVar("Group", bound=Hashable)


class Claims(Generic[Group]):
    """The only group that leads to each thing, or that there are several. A thing changes at most twice, and so often it is walked through."""

    def __init__(self) -> None:
        self.owner: dict[str, Group] = {}
        self.shared: set[str] = set()

    def claim(self, things: Iterable[str], group: Group | None) -> list[str]:
        """A group, or several (None), claim things; those whose owner changed by that: what they lead to must be claimed, too."""
        owner, shared = self.owner, self.shared
        # Of the items of a tree nearly all were claimed before, by this group or by several.
        changed = [one for one in things if one not in shared and (group is None or owner.get(one) != group)]
        for thing in changed:
            if group is None or owner.setdefault(thing, group) != group:
                owner.pop(thing, None)
                shared.add(thing)
        return changed


def claim_trees(history: History, claims: Claims[Group], roots: Iterable[str], group: Group | None) -> None:
    """A group claims trees with all that is below them."""
    waiting = claims.claim(roots, group)
    while waiting:
        oid = waiting.pop()
        changed = claims.claim([item.oid for item in history.tree(oid)], claims.owner.get(oid))
        waiting += [one for one in changed if one in history.trees]


def claim_refs(history: History) -> Claims[str]:
    """Which ref alone leads to each git object. Merges that pull requests speak of belong to no ref."""
    claims: Claims[str] = Claims()
    _claim_commits(history, claims, claims.claim(history.merges, None))
    for ref in history.refs:
        _claim_commits(history, claims, claims.claim(history.way(ref), ref.name))
    return claims


def _claim_commits(history: History, claims: Claims[str], waiting: list[str]) -> None:
    """Whoever owns these commits claims what they lead to."""
    while waiting:
        oid = waiting.pop()
        if oid in history.commits:
            owner = claims.owner.get(oid)
            claim_trees(history, claims, [history.commits[oid].tree], owner)
            waiting += claims.claim(history.parents.get(oid, ()), owner)


def claim_versions(history: History, commits: Iterable[str]) -> Claims[str]:
    """Which of these commits alone leads to each git object."""
    claims: Claims[str] = Claims()
    for oid in commits:
        claims.claim([oid], oid)
        claim_trees(history, claims, [history.commits[oid].tree], oid)
    return claims


def paths_of(history: History, roots: Iterable[str]) -> dict[str, set[str]]:
    """The blobs that were ever under each path."""
    found: dict[str, set[str]] = {}
    seen: dict[str, set[Item]] = {}
    waiting = [("", root) for root in dict.fromkeys(roots)]
    while waiting:
        prefix, oid = waiting.pop()
        known = seen.setdefault(prefix, set())
        fresh = set(history.tree(oid)) - known
        known |= fresh
        for item in fresh:
            if item.is_tree:
                waiting.append((f"{prefix}{item.name}/", item.oid))
            else:
                found.setdefault(prefix + item.name, set()).add(item.oid)
    return found


def own_contents(contents: Contents, claims: Claims[Group]) -> dict[Group, set[Content]]:
    """The contents that each group alone leads to. What nobody claimed is gone soon, and keeps nothing from anybody."""
    found: dict[Group, set[Content]] = {}
    for thing, owner in claims.owner.items():
        if thing in contents.disk:
            found.setdefault(owner, set()).add(Content(thing))
    large: Claims[Group] = Claims()
    for thing, sha256 in contents.pointers.items():
        if thing in claims.owner or thing in claims.shared:
            large.claim(contents.objects.get(sha256, ()), claims.owner.get(thing))
    for content, owner in large.owner.items():
        found.setdefault(owner, set()).add(Content(content))
    return found
