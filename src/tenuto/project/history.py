"""The lock as git remembers it."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from tenuto.core.errors import NotFoundError, StorageError, UsageError
from tenuto.core.lockfile import LOCK_NAME, Lock, parse_lock
from tenuto.project.git import ask_git


class PastLock(NamedTuple):
    """The lock at a commit of the project's own git history."""

    commit: str
    lock: Lock


def lock_at(root: str, revision: str) -> PastLock | None:
    """The lock that git has at a revision; None if git is not here, or knows no such revision.

    Raises NotFoundError (EntryNotFound) for a revision without a lock, UsageError (BadLock) for one that cannot be read, StorageError for
    one that git has lost.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        return None
    name = commit.decode("ascii").strip()
    text = _git(root, "cat-file", "blob", f"{name}:./{LOCK_NAME}")
    if text is None:
        if _git(root, "ls-tree", name, "--", LOCK_NAME) != b"":
            hint = f"look what `git -C {root} show {name}:./{LOCK_NAME}` says"
            raise StorageError(f"git does not say what {LOCK_NAME} was at {revision}", hint=hint)
        raise NotFoundError(f"git has no {LOCK_NAME} at {revision}", hint="name a later revision")
    return PastLock(name, parse_lock(text.decode("utf-8", "replace")))


def revision_names(root: str) -> list[str]:
    """The branches and tags of the project's git, each by its short name; none where there is no git."""
    listed = _git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return (listed or b"").decode("utf-8", "replace").split()


def _git(root: str, *arguments: str) -> bytes | None:
    """What git prints; None if it refuses or is not here."""
    done = ask_git(root, *arguments)
    return done.stdout if done and not done.returncode else None


def past_locks(root: str) -> Iterator[Lock]:
    """Every lock that the history of any branch or tag has, the latest first, each once; nothing where there is no git."""
    listed = _git(root, "log", "--all", "--format=%H", "--", LOCK_NAME)
    seen = set()
    for commit in (listed or b"").decode("ascii").split():
        text = _git(root, "cat-file", "blob", f"{commit}:./{LOCK_NAME}")
        if text is not None and text not in seen:
            seen.add(text)
            with contextlib.suppress(UsageError):  # one that cannot be read names nothing
                yield parse_lock(text.decode("utf-8", "replace"))
