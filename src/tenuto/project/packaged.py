"""What a Python package ships of a project: manifest, lock and listings. Its files are laid out in a place of this user, never in the package.

The place is `packages/NAME-DIGEST` beside the store, where DIGEST stands for what is shipped, so that two versions of a package never
disturb each other. Nobody works in it: what is not as locked there is damage, and is replaced.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, UnavailableError, UsageError
from tenuto.core.listing import Entry, Listing
from tenuto.core.lockfile import LOCK_NAME, parse_lock
from tenuto.core.manifest import MANIFEST_NAME, Artifact, parse_manifest
from tenuto.core.settings import Settings
from tenuto.project.obtain import Wanted, chosen_entries, forget
from tenuto.project.roots import register
from tenuto.project.scan import RACY_NS, scan
from tenuto.project.statcache import Seen, StateIndex
from tenuto.project.workspace import STATE_FOLDER, Workspace, find_root
from tenuto.store.disk import disk_errors, hash_file, replace_file

if TYPE_CHECKING:
    from tenuto.hub.remote import Remote

SHIPPED_FOLDER = "_tenuto"
LISTINGS_FOLDER = "listings"
PLACES_FOLDER = "packages"


class Shipped(NamedTuple):
    """What a package ships: its name, the texts of manifest and lock, and the folder in it (or in its zip) where the listings are."""

    package: str
    manifest_text: str
    lock_text: str
    folder: Traversable

    @property
    def variable(self) -> str:
        """The environment variable that says where its files are."""
        return "TENUTO_PACKAGE_" + "".join(c if c.isalnum() else "_" for c in self.package).upper()

    @property
    def hub(self) -> str | None:
        """The hub that its repos are on, if not the public one."""
        return parse_manifest(self.manifest_text).project.hub

    def listing_text(self, digest: str) -> bytes | None:
        """A shipped listing, if it is there and has its digest."""
        try:
            text = self.folder.joinpath(LISTINGS_FOLDER, digest).read_bytes()
        except OSError:
            return None
        return text if hashlib.sha256(text).hexdigest() == digest else None


class Place(Workspace):
    """The place of a package, as a project. Where it cannot be written to, as in an image, files are read each time instead of remembered."""

    _spare: "tempfile.TemporaryDirectory[str] | None" = None

    @cached_property
    def state(self) -> StateIndex:
        """The state index of the place, or one for this moment."""
        try:
            return super().state
        except StorageError:
            self._spare = tempfile.TemporaryDirectory(prefix="tenuto-")
            return StateIndex(os.path.join(self._spare.name, "state.db"))

    def close(self) -> None:
        """Close the state index and the connections."""
        super().close()
        if self._spare:
            self._spare.cleanup()


def find_shipped(package: str | ModuleType) -> Shipped:
    """What the package ships; it is imported for that. Raises NotFoundError (ProjectNotFound), UsageError (BadManifest, BadLock)."""
    name = package if isinstance(package, str) else package.__name__
    try:
        folder = files(package).joinpath(SHIPPED_FOLDER)
        texts = [folder.joinpath(file).read_text(encoding="utf-8") for file in (MANIFEST_NAME, LOCK_NAME)]
    except ImportError as error:
        raise NotFoundError(
            f"there is no package {name} to import: {error}",
            code="ProjectNotFound",
            hint="install it where this Python finds it; the name is that of the import",
        ) from error
    except (OSError, TypeError) as error:
        raise NotFoundError(
            f"the package {name} ships no lock: it has no {SHIPPED_FOLDER} with a manifest and a lock",
            code="ProjectNotFound",
            hint="its author makes one with `tenuto package FOLDER`",
        ) from error
    parse_lock(texts[1])
    return Shipped(name, texts[0], texts[1], folder)


def settle(shipped: Shipped, cache: str) -> str:
    """The place of the package, with manifest and lock in it as shipped; `cache` is the folder of the store. Raises StorageError."""
    digest = hashlib.sha256(f"{shipped.manifest_text}\0{shipped.lock_text}".encode()).hexdigest()
    root = os.path.join(os.path.abspath(os.path.expanduser(cache)), PLACES_FOLDER, f"{shipped.package}-{digest[:16]}")
    with disk_errors(root):
        os.makedirs(root, exist_ok=True)
    for name, text in ((LOCK_NAME, shipped.lock_text), (MANIFEST_NAME, shipped.manifest_text)):
        file = os.path.join(root, name)
        if _read(file) != text.encode():
            replace_file(file, text.encode())
    with contextlib.suppress(OSError):  # the time of its last use
        os.utime(root)
    return root


def _read(file: str) -> bytes | None:
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError:
        return None


def lend_listings(shipped: Shipped, workspace: Workspace) -> None:
    """Put the shipped listings into the store, so that no hub is asked for them; those that are not shipped it must be asked for."""
    register(workspace.store, workspace.root)
    for locked in workspace.lock.artifacts.values():
        if workspace.listing(locked.digest) is None:
            text = shipped.listing_text(locked.digest)
            if text is not None:
                workspace.store.put(text)


def find_wanted(workspace: Workspace, name: str, listing_of: Callable[[str, Artifact], Listing]) -> Wanted:
    """What a user of the package calls `name`: an artifact, its path in the author's project, a path below either, or one within just one.

    Raises NotFoundError (ArtifactNotFound), UsageError (BadPath) if several artifacts have such a file.
    """
    path = os.path.normpath(name).replace(os.sep, "/")
    artifacts = workspace.manifest.artifacts
    for each, artifact in artifacts.items():
        if path in (each, artifact.path):
            return Wanted(each, artifact, artifact.path)
    found = []
    for prefixed in (True, False):
        for each, artifact in artifacts.items():
            prefixes = (f"{each}/", f"{artifact.path}/") if prefixed else ("",)
            inners = (path.removeprefix(prefix) for prefix in prefixes if path.startswith(prefix))
            inner = next((inner for inner in inners if _is_in(inner, listing_of(each, artifact))), None)
            if inner:
                found.append(Wanted(each, artifact, "/".join(filter(None, (workspace.folder_of(artifact), inner)))))
        if found:
            break
    return _one_of(found, name, sorted(artifacts))


def _one_of(found: list[Wanted], name: str, known: list[str]) -> Wanted:
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{name} is in {found[0].name} and in {found[1].name}", code="BadPath", hint=f"write {found[0].name}/{name}"
        )
    raise NotFoundError(
        f"the package ships nothing that is named {name}",
        code="ArtifactNotFound",
        hint=f"its artifacts are: {', '.join(known) or 'none'}",
    )


def _is_in(path: str, listing: Iterable[str]) -> bool:
    return any(one == path or one.startswith(f"{path}/") for one in listing)


def from_folder(workspace: Workspace, wanted: Wanted, listing: Listing, folder: str) -> str:
    """The path of what is wanted in a folder that the user named, where it lies as in the project or by itself.

    Raises IntegrityError (HashMismatch), which names both hashes, for a file that is not as locked; NotFoundError (EntryNotFound).
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    places = [os.path.normpath(os.path.join(folder, path)) for path in (wanted.path, _inner(workspace, wanted))]
    found = next((place for place in places if os.path.exists(place)), None)
    if found is None:
        raise NotFoundError(f"{places[0]} does not exist", hint=f"put {wanted.path} there, or name another folder")
    for path, entry in chosen_entries(workspace, wanted, listing).items():
        _check(workspace, os.path.normpath(os.path.join(found, path[len(wanted.path) + 1 :])), entry)
    return found


def _inner(workspace: Workspace, wanted: Wanted) -> str:
    """The path as the listing has it; empty for the whole of a folder."""
    return wanted.path[len(workspace.folder_of(wanted.artifact)) :].lstrip("/")


def _check(workspace: Workspace, file: str, entry: Entry) -> None:
    """Raise IntegrityError unless the file has the hash; it is read only if it changed since that was last found out."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise NotFoundError(f"{file} does not exist", hint="name a folder that holds all of it") from error
    seen = workspace.state.files(file).get(file)
    if seen and seen.matches(status):
        sha256 = seen.sha256
    else:
        with disk_errors(file):
            sha256, _ = hash_file(file)
        if status.st_mtime_ns < time.time_ns() - RACY_NS:
            workspace.state.remember([Seen(file, status.st_size, status.st_mtime_ns, status.st_ino, sha256)])
    if sha256 != entry.sha256:
        raise IntegrityError(
            f"{file} is not what the package wants: it has the sha256 {sha256}, the lock says {entry.sha256}",
            code="HashMismatch",
            hint="put the right file there, or let it be fetched: unset what names this folder",
        )


def from_project(
    workspace: Workspace, wanted: Wanted, listing: Listing, start: str, *, verify: bool = False
) -> str | None:
    """The path of what is wanted in the project around `start`, if its lock has the same version and its files are as locked."""
    try:
        root = find_root(start)
        with Workspace(root, workspace.settings, _nobody) as project:
            return _same_in(project, workspace, wanted, listing, verify=verify)
    except (NotFoundError, UsageError, StorageError, UnavailableError):
        return None  # what is wrong with that project is no matter of the package


def _nobody(settings: Settings) -> "Remote":
    raise UnavailableError(f"{settings.endpoint} is not asked", code="Offline")


def _same_in(project: Workspace, workspace: Workspace, wanted: Wanted, listing: Listing, *, verify: bool) -> str | None:
    for name, artifact in project.manifest.artifacts.items():
        locked = project.locked(name)
        if locked is None or locked.digest != listing.digest:
            continue
        top = project.folder_of(artifact)
        path = "/".join(part for part in (top, _inner(workspace, wanted)) if part)
        if verify:
            forget(project, path)
        here = scan(project, artifact, at=path).listing
        chosen = chosen_entries(workspace, wanted, listing).values()
        if all(here.get(entry.path) == entry for entry in chosen):
            return os.path.join(project.root, *path.split("/"))
    return None


def clear_places(cache: str, unused_since_s: float, *, dry_run: bool = False) -> int:
    """Remove the places of packages that nobody used since then (seconds since 1970 UTC); returns the bytes of their files."""
    top = os.path.join(cache, PLACES_FOLDER)
    freed = 0
    with disk_errors(top):
        for name in sorted(os.listdir(top)) if os.path.isdir(top) else []:
            root = os.path.join(top, name)
            if os.path.isdir(root) and os.stat(root).st_mtime < unused_since_s:
                freed += sum(_file_bytes(root))
                if not dry_run:
                    shutil.rmtree(root)
    return freed


def _file_bytes(root: str) -> Iterator[int]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != STATE_FOLDER]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(folder, name)).st_size
