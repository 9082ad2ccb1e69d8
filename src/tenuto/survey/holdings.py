"""The files that are, or should be, in a project or in a folder of models and datasets: one by one, each of its bytes once."""

import os
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from tenuto.core.errors import NotFoundError
from tenuto.core.listing import Listing
from tenuto.project.scan import scan
from tenuto.project.verify import locked_files, locked_listing
from tenuto.project.workspace import Workspace
from tenuto.survey.hfcache import find_artifacts
from tenuto.survey.inventory import KINDS


class Holding(NamedTuple):
    """A file: its path below the project or folder, size in bytes, and device and inode, or None for one that is not there.

    `expected` is the sha256 that the lock pins, `known` the one it had when it was last read, if it looks the same today.
    """

    kind: Literal["models", "datasets"]
    path: str
    size: int
    real: tuple[int, int] | None
    expected: str | None = None
    known: str | None = None


def locked_holdings(workspace: Workspace, kinds: Sequence[str] = KINDS) -> list[Holding]:
    """Every file that the lock pins, there or not, and the files of what is not locked. The listing comes from the store, or else the hub."""
    holdings = []
    for name, artifact in workspace.chosen(()).items():
        kind = _plural(artifact.kind)
        if kind not in kinds:
            continue
        if workspace.locked(name) is None:
            holdings += present_holdings(workspace, [name])
            continue
        for file in locked_files(workspace, name, artifact, locked_listing(workspace, name, artifact)):
            real = (file.status.st_dev, file.status.st_ino) if file.status else None
            holdings.append(Holding(kind, file.path, file.entry.size, real, file.entry.sha256, file.known_sha256))
    return holdings


def present_holdings(workspace: Workspace, names: Sequence[str] = (), kinds: Sequence[str] = KINDS) -> list[Holding]:
    """Every file that is there, with its hash, and what should be there and is not; reads only files that changed since they were last read."""
    holdings = []
    for name, artifact in workspace.chosen(names).items():
        kind = _plural(artifact.kind)
        if kind not in kinds:
            continue
        here = scan(workspace, artifact)
        folder = workspace.folder_of(artifact)
        prefix = f"{folder}/" if folder else ""
        for entry in here.listing.values():
            status = _status(os.path.join(workspace.root, prefix + entry.path))
            real = (status.st_dev, status.st_ino) if status else None
            holdings.append(Holding(kind, prefix + entry.path, entry.size, real, known=entry.sha256))
        missing = {*here.broken, *(prefix + path for path in _lacking(workspace, name, here.listing))}
        if not here.listing and not missing:
            missing = {artifact.path}
        holdings += [Holding(kind, path, 0, None) for path in sorted(missing, key=os.fsencode)]
    return holdings


def _lacking(workspace: Workspace, name: str, here: Listing) -> Iterable[str]:
    """The locked paths that are not here, where the store knows which are locked."""
    locked = workspace.locked(name)
    listing = workspace.listing(locked.digest) if locked and locked.digest != here.digest else None
    return listing.keys() - here.keys() if listing else ()


def folder_holdings(root: str, kinds: Sequence[str] = KINDS) -> list[Holding]:
    """Every file of the models and datasets in a folder, whoever put them there, and links that lead nowhere.

    Raises NotFoundError (EntryNotFound), StorageError (LocalFile).
    """
    if not os.path.isdir(root):
        raise NotFoundError(f"{root} is not a folder", hint="name a folder that holds models or datasets")
    holdings = []
    for found in find_artifacts(root):
        kind = _plural(found.kind)
        if kind in kinds:
            prefix = "" if found.local_path == "." else f"{found.local_path}/"
            holdings += [Holding(kind, prefix + file.path, file.size, file.real) for file in found.files]
            holdings += [Holding(kind, prefix + path, 0, None) for path in found.broken]
    return holdings


def distinct(holdings: Iterable[Holding]) -> list[Holding]:
    """The holdings without second paths to the same bytes, by path."""
    seen: set[tuple[int, int]] = set()
    kept = []
    for holding in sorted(holdings, key=lambda holding: os.fsencode(holding.path)):
        if holding.real is None or holding.real not in seen:
            kept.append(holding)
        if holding.real is not None:
            seen.add(holding.real)
    return kept


def largest(holdings: Iterable[Holding], counts: dict[str, int]) -> list[Holding]:
    """The largest of each kind, the largest first, models before datasets. What `holdings` has twice must be gone before: see `distinct`."""
    chosen: list[Holding] = []
    ordered = sorted(holdings, key=lambda holding: (-holding.size, os.fsencode(holding.path)))
    for kind in KINDS:
        chosen += [holding for holding in ordered if holding.kind == kind][: counts.get(kind, 0)]
    return chosen


def _plural(kind: str) -> Literal["models", "datasets"]:
    return "datasets" if kind == "dataset" else "models"


def _status(file: str) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None
