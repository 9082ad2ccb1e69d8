"""`package`: a Python package is given what its users need of this project: manifest, lock and listings, and no bytes of the files."""

import contextlib
import os
from collections.abc import Sequence

import msgspec

from tenuto.core.errors import NotFoundError
from tenuto.core.lockfile import LOCK_NAME, Lock, Locked
from tenuto.core.manifest import MANIFEST_NAME, Artifact, with_artifact
from tenuto.core.settings import PUBLIC_HUB
from tenuto.project.packaged import LISTINGS_FOLDER, SHIPPED_FOLDER
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace
from tenuto.store.disk import disk_errors, replace_file


class Packed(msgspec.Struct, frozen=True):
    """An artifact as the package names it, with the totals of its listing. Sizes in bytes."""

    name: str
    path: str
    source: str
    commit: str | None
    digest: str
    files: int
    bytes: int


class PackageReport(msgspec.Struct, frozen=True):
    """What the package ships now, or would: the folder, the artifacts, the files that were written and those that were removed."""

    folder: str
    hub: str
    artifacts: list[Packed]
    written: list[str]
    removed: list[str]
    dry_run: bool = False

    @property
    def changed(self) -> bool:
        """Whether the package shipped something else before."""
        return bool(self.written or self.removed)


def ship(workspace: Workspace, folder: str, names: Sequence[str] = (), *, dry_run: bool = False) -> PackageReport:
    """Write into `folder`, that of a Python package, what `tenuto.path(..., package=...)` reads: all artifacts, or those named.

    Listings come from the store, else from the hub. Raises NotFoundError: EntryNotFound if there is no such folder, ArtifactNotFound for
    what is not locked, or on no hub that the users of the package could fetch it from.
    """
    if not os.path.isdir(folder):
        raise NotFoundError(f"{folder} is not a folder", hint="name the folder of a Python package")
    chosen = workspace.chosen(names)
    entries = {name: _entry(workspace, name) for name in chosen}
    contents = {MANIFEST_NAME: _manifest(workspace, chosen).encode(), LOCK_NAME: Lock(entries).text.encode()}
    for name, artifact in chosen.items():
        listing = locked_listing(workspace, name, artifact)
        contents[f"{LISTINGS_FOLDER}/{listing.digest}"] = listing.text
    target = os.path.join(os.path.abspath(folder), SHIPPED_FOLDER)
    with disk_errors(target):
        before = _present(target)
    written = [path for path, content in contents.items() if before.get(path) != content]
    removed = sorted(path for path in before if path.startswith(f"{LISTINGS_FOLDER}/") and path not in contents)
    if not dry_run:
        _write(target, {path: contents[path] for path in reversed(written)}, removed)
    packed = [_packed(entry) for entry in entries.values()]
    return PackageReport(target, workspace.settings.endpoint, packed, sorted(written), removed, dry_run)


def _entry(workspace: Workspace, name: str) -> Locked:
    entry = workspace.locked(name)
    if entry is None:
        raise NotFoundError(
            f"{name} is not locked", code="ArtifactNotFound", hint="run `tenuto lock` or `tenuto push` first"
        )
    if entry.commit is None and not workspace.manifest.artifacts[name].is_web_file:
        raise NotFoundError(
            f"{name} is on no hub as it is locked, so that nobody could fetch it",
            code="ArtifactNotFound",
            hint="run `tenuto push` first",
        )
    return entry


def _manifest(workspace: Workspace, chosen: dict[str, Artifact]) -> str:
    """The manifest for users of the package: the hub that was pushed to, if it is not the public one, and the artifacts."""
    endpoint = workspace.settings.endpoint
    text = "" if endpoint == PUBLIC_HUB else f'[project]\nhub = "{endpoint}"\n'
    for name, artifact in sorted(chosen.items()):
        text = with_artifact(text, name, msgspec.structs.replace(artifact, groups=()))
    return text


def _present(target: str) -> dict[str, bytes]:
    found = {}
    for folder in (target, os.path.join(target, LISTINGS_FOLDER)):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            file = os.path.join(folder, name)
            if os.path.isfile(file):
                with open(file, "rb") as opened:
                    found[os.path.relpath(file, target).replace(os.sep, "/")] = opened.read()
    return found


def _write(target: str, contents: dict[str, bytes], removed: Sequence[str]) -> None:
    with disk_errors(target):
        os.makedirs(os.path.join(target, LISTINGS_FOLDER), exist_ok=True)
        for path, content in contents.items():
            replace_file(os.path.join(target, *path.split("/")), content)
        for path in removed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(target, *path.split("/")))


def _packed(entry: Locked) -> Packed:
    return Packed(entry.name, entry.path, entry.source, entry.commit, entry.digest, entry.files, entry.bytes)
