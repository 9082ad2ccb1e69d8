"""`tag`: a label such as `best` for a version of an artifact. Tags are in the lock, and so in git."""

from collections.abc import Sequence

import msgspec

from tenuto.core.errors import NotFoundError
from tenuto.core.lockfile import Tag, check_label
from tenuto.project.versions import find_version
from tenuto.project.workspace import Workspace


class Tagged(msgspec.Struct, frozen=True):
    """A tag as it is now, the digest that it was for before, and whether its version is the one that the lock pins."""

    name: str
    label: str
    commit: str
    digest: str
    before: str | None
    pinned: bool


class TagReport(msgspec.Struct, frozen=True):
    """Tags that were asked for, set or removed."""

    tags: list[Tagged]
    changed: bool = False


def tag(workspace: Workspace, name: str, label: str, version: str | None = None) -> TagReport:
    """Give a label to the version that the lock pins, or to another one; a label of that name moves there.

    Raises NotFoundError (ArtifactNotFound) for what was never pushed, since a label must lead somewhere; else as `find_version`.
    """
    check_label(label)
    ((name, _),) = workspace.chosen([name]).items()
    locked = workspace.locked(name)
    if version is None and locked is None:
        raise NotFoundError(
            f"{name} is not locked", code="ArtifactNotFound", hint="run `tenuto push` or `tenuto lock` first"
        )
    entry = find_version(workspace, name, version or (locked.digest if locked else ""))
    assert entry.commit is not None
    before = workspace.lock.tags.get((name, label))
    made = Tag(name=name, label=label, source=entry.source, commit=entry.commit, digest=entry.digest)
    if before and before.digest == made.digest:
        made = before
    workspace.lock = workspace.lock.with_tag(made)
    workspace.write_lock()
    return TagReport([_tagged(workspace, made, before)], changed=made != before)


def untag(workspace: Workspace, name: str, label: str) -> TagReport:
    """Remove a label; the version stays. Raises NotFoundError (RevisionNotFound)."""
    ((name, _),) = workspace.chosen([name]).items()
    gone = workspace.lock.tags.get((name, label))
    if gone is None:
        labels = ", ".join(sorted(tag.label for tag in workspace.lock.tags.values() if tag.name == name)) or "none"
        raise NotFoundError(f"{name} has no label {label!r}", code="RevisionNotFound", hint=f"its labels are: {labels}")
    workspace.lock = workspace.lock.without_tag(name, label)
    workspace.write_lock()
    return TagReport([_tagged(workspace, gone, gone)], changed=True)


def tags(workspace: Workspace, names: Sequence[str] = ()) -> TagReport:
    """All tags of some artifacts, or of all, by name and label."""
    chosen = workspace.chosen(names)
    found = [tag for _, tag in sorted(workspace.lock.tags.items()) if tag.name in chosen]
    return TagReport([_tagged(workspace, tag, tag) for tag in found])


def _tagged(workspace: Workspace, tag: Tag, before: Tag | None) -> Tagged:
    locked = workspace.lock.artifacts.get(tag.name)
    pinned = locked is not None and locked.digest == tag.digest
    return Tagged(tag.name, tag.label, tag.commit, tag.digest, before.digest if before else None, pinned)
