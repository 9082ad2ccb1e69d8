"""The three-way comparison of an artifact: here, on the hub, and as last synced. Pure: it says what would be done."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from tenuto.core.listing import Entry


class Action(StrEnum):
    """What becomes of one path."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    RESTORE = "restore"
    DELETE_THERE = "delete on the hub"
    REMOVE_HERE = "remove here"
    CONFLICT = "conflict"


class Content(NamedTuple):
    """The bytes under a path: `id` is their sha256, or `git:` and their git id while only that is known; size in bytes."""

    id: str
    size: int

    @property
    def sha256(self) -> str | None:
        """The sha256, if known."""
        return None if self.id.startswith("git:") else self.id


class Step(msgspec.Struct, frozen=True):
    """One thing to do: the path within the artifact and the bytes that it moves."""

    action: Action
    path: str
    size: int


def contents(listing: Mapping[str, Entry]) -> dict[str, Content]:
    """A listing as contents by path."""
    return {path: Content(entry.sha256, entry.size) for path, entry in listing.items()}


def compare(
    base: Mapping[str, Content],
    here: Mapping[str, Content],
    there: Mapping[str, Content],
    *,
    delete: bool = False,
) -> list[Step]:
    """The steps that bring folder and hub together, sorted by path.

    One side moved: move the other. Both moved to different content: conflict. A file that is merely missing here is fetched
    again; only with `delete` does its absence count as a wish.
    """
    steps = []
    for path in sorted(path for path in here.keys() | there.keys() if here.get(path) != there.get(path)):
        step = _step(path, base.get(path), here.get(path), there.get(path), delete=delete)
        if step:
            steps.append(step)
    return steps


def _step(path: str, base: Content | None, here: Content | None, there: Content | None, *, delete: bool) -> Step | None:
    if here and there and here.id == there.id:
        return None
    if here is None:
        return _absent_here(path, base, there, delete=delete)
    if there is None:
        return Step(_absent_there(base, here), path, here.size)
    if base and here.id == base.id:
        return Step(Action.DOWNLOAD, path, there.size)
    if base and there.id == base.id:
        return Step(Action.UPLOAD, path, here.size)
    return Step(Action.CONFLICT, path, there.size)


def _absent_here(path: str, base: Content | None, there: Content | None, *, delete: bool) -> Step:
    assert there is not None
    if base and base.id == there.id:
        return Step(Action.DELETE_THERE if delete else Action.RESTORE, path, 0 if delete else there.size)
    return Step(Action.DOWNLOAD, path, there.size)


def _absent_there(base: Content | None, here: Content) -> Action:
    if base is None:
        return Action.UPLOAD
    return Action.REMOVE_HERE if here.id == base.id else Action.CONFLICT
