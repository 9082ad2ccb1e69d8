"""When the entries of a folder were last changed, looked for in a bounded part of the history."""

from collections.abc import Sequence

from tenuto.server.gitstore import CommitFacts, GitReader

_MOST_COMMITS = 400


def last_changes(git: GitReader, head: CommitFacts, folder: str, names: Sequence[str]) -> dict[str, CommitFacts]:
    """For each name in `folder` the newest commit, along first parents, that gave it what it holds.

    Only the last few hundred commits are looked at, with a fixed number of questions to the database; what was changed before is left out.
    """
    line = git.history(head.oid, _MOST_COMMITS)
    folders = _folder_ids(git, [commit.tree for commit in line], folder)
    trees = git.trees([oid for oid in dict.fromkeys(folders) if oid])
    held = [trees[oid] if oid else {} for oid in folders]
    found: dict[str, CommitFacts] = {}
    left = list(names)
    for index, commit in enumerate(line):
        is_first = commit.parent is None
        before = held[index + 1] if index + 1 < len(line) else {} if is_first else None
        if before is None or not left:
            break
        if before is held[index]:
            continue
        for name in left:
            if held[index].get(name) != before.get(name):
                found[name] = commit
        left = [name for name in left if name not in found]
    return found


def _folder_ids(git: GitReader, roots: Sequence[str], folder: str) -> list[str | None]:
    """The ids of the folder in each of these trees; read level by level."""
    ids: list[str | None] = list(roots)
    for segment in folder.split("/") if folder else ():
        trees = git.trees([oid for oid in dict.fromkeys(ids) if oid])
        items = [trees[oid].get(segment) if oid else None for oid in ids]
        ids = [item.oid if item and item.is_tree else None for item in items]
    return ids
