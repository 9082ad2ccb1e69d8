"""`inventory`: what is here, as facts a machine can read. Normative description of the document: docs/formats/inventory.md."""

import contextlib
import importlib.resources
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from tenuto.core.errors import NotFoundError, TenutoError
from tenuto.core.human import count_text, size_text
from tenuto.core.listing import Listing, differences
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.resolve import DEFAULT_REVISION
from tenuto.project.scan import Scan, scan
from tenuto.project.workspace import Workspace
from tenuto.survey.card import Card, read_card
from tenuto.survey.hfcache import Found, FoundFile, find_artifacts

VERSION = 1
TOP_FILES = 10
KINDS = ("models", "datasets")
Status = Literal["present", "changed", "partial", "missing", "empty", "failed"]
_FINDINGS = frozenset({"partial", "missing", "empty", "failed"})


class TopFile(msgspec.Struct, frozen=True):
    """One of the largest files: its path below the artifact, and its size in bytes."""

    path: str
    size_bytes: int


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One model or dataset. `size` is `size_bytes` for people; what is not known is None."""

    name: str
    kind: str
    folder_name: str
    repo_id: str | None
    source: str | None
    revision: str | None
    snapshot: str | None
    digest: str | None
    local_path: str
    size_bytes: int
    size: str
    files_count: int
    license: str | None
    status: Status
    detail: str | None
    verified_at: str | None
    readme_excerpt: str | None
    top_files: list[TopFile]

    @property
    def is_finding(self) -> bool:
        """Whether something of it is not here."""
        return self.status in _FINDINGS

    @property
    def is_dataset(self) -> bool:
        """Whether it stands among the datasets."""
        return self.kind == "dataset"


class Totals(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sums over all items; bytes that several of them share count once. A kind that was not asked for is left out."""

    models_bytes: int | msgspec.UnsetType = msgspec.UNSET
    models_files: int | msgspec.UnsetType = msgspec.UNSET
    models_size: str | msgspec.UnsetType = msgspec.UNSET
    datasets_bytes: int | msgspec.UnsetType = msgspec.UNSET
    datasets_files: int | msgspec.UnsetType = msgspec.UNSET
    datasets_size: str | msgspec.UnsetType = msgspec.UNSET


class Inventory(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document. A kind that was not asked for is left out."""

    version: int
    generated_at: str
    models: list[Item] | msgspec.UnsetType = msgspec.UNSET
    datasets: list[Item] | msgspec.UnsetType = msgspec.UNSET
    totals: Totals = Totals()

    @property
    def items(self) -> list[Item]:
        """Models, then datasets."""
        return [*(self.models or ()), *(self.datasets or ())]


class Held(NamedTuple):
    """An item, with every file of it."""

    item: Item
    files: Sequence[FoundFile]


class Survey(NamedTuple):
    """The document, and the files behind it."""

    inventory: Inventory
    held: list[Held]


def schema() -> bytes:
    """The JSON Schema that every document satisfies."""
    return importlib.resources.files("tenuto").joinpath("schemas", "inventory.schema.json").read_bytes()


def survey_project(
    workspace: Workspace,
    names: Sequence[str] = (),
    kinds: Sequence[str] = KINDS,
    clock: Callable[[], float] = time.time,
) -> Survey:
    """What is here of the artifacts of a project. Asks no hub; reads files only that changed since they were last read.

    An artifact that is not here, or cannot be looked at, is an item that says so. Raises NotFoundError (ArtifactNotFound).
    """
    chosen = workspace.chosen(names)
    return _survey([_of_artifact(workspace, name, artifact) for name, artifact in chosen.items()], kinds, clock)


def survey_folder(folder: str, kinds: Sequence[str] = KINDS, clock: Callable[[], float] = time.time) -> Survey:
    """What is in a folder of models and datasets, whoever put it there. Reads READMEs and names only.

    Raises NotFoundError (EntryNotFound), StorageError (LocalFile).
    """
    if not os.path.isdir(folder):
        raise NotFoundError(f"{folder} is not a folder", hint="name a folder that holds models or datasets")
    return _survey([_of_found(folder, found) for found in find_artifacts(folder)], kinds, clock)


def _survey(held: Iterable[Held], kinds: Sequence[str], clock: Callable[[], float]) -> Survey:
    groups = {kind: [one for one in held if one.item.is_dataset == (kind == "datasets")] for kind in kinds}
    totals: dict[str, int | str] = {}
    for kind, group in groups.items():
        real = {file.real: file.size for one in group for file in one.files}
        size = sum(real.values())
        totals |= {f"{kind}_bytes": size, f"{kind}_files": len(real), f"{kind}_size": size_text(size)}
    items = {kind: [one.item for one in group] for kind, group in groups.items()}
    document = Inventory(VERSION, moment(clock()), **items, totals=Totals(**totals))  # type: ignore[arg-type]
    return Survey(document, [one for group in groups.values() for one in group])


def moment(time_s: float) -> str:
    """A time in UTC, as the document writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s))


def _top_files(files: Iterable[FoundFile]) -> list[TopFile]:
    largest = sorted(files, key=lambda file: (-file.size, file.path))[:TOP_FILES]
    return [TopFile(shown(file.path), file.size) for file in largest]


def shown(path: str) -> str:
    """A path as JSON can hold it: bytes that are no UTF-8 are written as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _of_found(root: str, found: Found) -> Held:
    status, detail = _status_of_found(found)
    card = read_card(os.path.join(root, found.local_path))
    prefix = "datasets/" if found.kind == "dataset" else ""
    size = sum(file.size for file in found.files)
    item = Item(
        name=found.repo_id or shown(found.local_path),
        kind=found.kind,
        folder_name=shown(found.folder_name),
        repo_id=found.repo_id,
        source=f"hf://{prefix}{found.repo_id}" if found.repo_id else None,
        revision=found.revision,
        snapshot=found.snapshot,
        digest=None,
        local_path=shown(found.local_path),
        size_bytes=size,
        size=size_text(size),
        files_count=len(found.files),
        license=card.license,
        status=status,
        detail=detail,
        verified_at=None,
        readme_excerpt=card.excerpt,
        top_files=_top_files(found.files),
    )
    return Held(item, found.files)


def _status_of_found(found: Found) -> tuple[Status, str | None]:
    lacking = []
    if found.broken:
        lacking.append(f"{count_text(len(found.broken), 'link')} to nothing, such as {shown(found.broken[0])}")
    if found.unfinished:
        lacking.append(f"{count_text(found.unfinished, 'unfinished download')}")
    if found.fault:
        return "failed", found.fault
    if not found.files:
        return ("missing" if found.broken else "empty"), "; ".join(lacking) or "there is no file in it"
    return ("partial", "; ".join(lacking)) if lacking else ("present", None)


def _of_artifact(workspace: Workspace, name: str, artifact: Artifact) -> Held:
    locked = workspace.locked(name)
    try:
        here = scan(workspace, artifact)
        status, detail = _status_of_artifact(workspace, artifact, locked, here)
    except TenutoError as error:
        here, status, detail = (
            Scan(Listing(), (), 0, 0),
            "failed",
            error.message.replace(f"{workspace.root}{os.sep}", ""),
        )
    card = Card() if artifact.file else read_card(os.path.join(workspace.root, artifact.path))
    address = None if artifact.is_web_file else artifact.address
    listing = here.listing
    looks = _looks(workspace, artifact, listing)
    files = [
        FoundFile(path, look.st_size, (look.st_dev, look.st_ino), listing[path].sha256) for path, look in looks.items()
    ]
    item = Item(
        name=name,
        kind=artifact.kind,
        folder_name=os.path.basename(artifact.path),
        repo_id=address.repo.full_name if address else None,
        source=artifact.origin.partition("?")[0],
        revision=(address.revision or DEFAULT_REVISION) if address else None,
        snapshot=locked.commit if locked else None,
        digest=locked.digest if locked else None,
        local_path=artifact.path,
        size_bytes=listing.size_bytes,
        size=size_text(listing.size_bytes),
        files_count=len(listing),
        license=(locked.license if locked else None) or card.license,
        status=status,
        detail=detail,
        verified_at=_verified_at(workspace, artifact, looks) if status == "present" else None,
        readme_excerpt=card.excerpt,
        top_files=_top_files(files),
    )
    return Held(item, files)


def _looks(workspace: Workspace, artifact: Artifact, listing: Listing) -> dict[str, os.stat_result]:
    """How each file looks that is still there."""
    folder = os.path.join(workspace.root, workspace.folder_of(artifact))
    looks = {}
    for path in listing:
        with contextlib.suppress(OSError):
            looks[path] = os.stat(os.path.join(folder, path))
    return looks


def _status_of_artifact(
    workspace: Workspace, artifact: Artifact, locked: Locked | None, here: Scan
) -> tuple[Status, str | None]:
    if here.broken:
        return "partial", f"{count_text(len(here.broken), 'link')} to nothing, such as {here.broken[0]}"
    if not here.listing:
        if locked is None or locked.files:
            return "missing", None if locked else "it was never fetched: the lock does not have it"
        return "empty", "the lock pins no file"
    if locked is None:
        return "present", "not locked"
    if locked.digest == here.listing.digest:
        return "present", None
    listing = workspace.listing(locked.digest)
    changes = differences(listing, here.listing) if listing is not None else []
    removed = sum(change.new is None for change in changes)
    if removed:
        return "partial", f"{removed:,} of {count_text(locked.files, 'file')} missing"
    return "changed", f"{count_text(len(changes), 'file')} not as locked" if changes else "not as locked"


def _verified_at(workspace: Workspace, artifact: Artifact, looks: Mapping[str, os.stat_result]) -> str | None:
    """When the file that was not verified for longest was last verified, as it is now."""
    known = workspace.state.files(artifact.path)
    folder = workspace.folder_of(artifact)
    prefix = f"{folder}/" if folder else ""
    oldest_s = None
    for path, look in looks.items():
        seen = known.get(prefix + path)
        if seen is None or not seen.verified_at_s or not seen.matches(look):
            return None
        oldest_s = min(oldest_s or seen.verified_at_s, seen.verified_at_s)
    return moment(oldest_s) if oldest_s else None
