"""Tracked files for programs that speak fsspec: `tenuto://NAME/path`, read-only. Loaded by fsspec through its entry point."""

import errno
import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]

from tenuto.api.files import open_package, open_project
from tenuto.core.listing import Entry, Listing
from tenuto.project.obtain import fetch_entries
from tenuto.project.packaged import find_shipped
from tenuto.project.plan import Content
from tenuto.project.scan import scan
from tenuto.project.take import verified
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace


class _Opened(io.BufferedReader):
    """A file of this disk, with the size that fsspec asks for."""

    def __init__(self, file: str) -> None:
        super().__init__(io.FileIO(file))
        self.size = os.fstat(self.fileno()).st_size


class TenutoFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The locked files of a project, or of what a Python package ships: the top has the artifacts, each as a folder, by name.

    What is opened has the locked hash: it is the working file if that is as locked, else the stored object, else fetched from the hub into
    the store. The working folder is never changed. `root`, `package` and `offline` are as in `tenuto.path`.

    Raises FileNotFoundError for what the lock does not name, else errors of Tenuto's.
    """

    protocol = "tenuto"
    cachable = True

    def __init__(
        self, root: str | None = None, package: str | None = None, offline: bool | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.root, self.package, self.offline = root, package, offline
        self._listings: dict[str, Listing] = {}

    def _open_workspace(self) -> Workspace:
        if self.package is not None:
            return open_package(find_shipped(self.package), self.offline)
        return open_project(self.root, self.offline)

    def _listing(self, workspace: Workspace, name: str) -> Listing:
        """The locked listing of an artifact, read once: under its digest it can be no other."""
        locked = workspace.locked(name)
        known = self._listings.get(locked.digest) if locked else None
        if known is None:
            known = locked_listing(workspace, name, workspace.manifest.artifacts[name])
            self._listings[known.digest] = known
        return known

    def ls(self, path: str, detail: bool = True, **_more: Any) -> list[Any]:
        """What is directly in a folder, or a file itself; a folder's size is 0."""
        path = self._strip_protocol(path)
        with self._open_workspace() as workspace:
            found = self._children(workspace, path)
        entries = sorted(found.values(), key=lambda entry: str(entry["name"]))
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **_more: Any) -> dict[str, Any]:
        """Name, type, size in bytes, and the sha256 of a file."""
        path = self._strip_protocol(path)
        if not path:
            return _folder("")
        with self._open_workspace() as workspace:
            found = self._children(workspace, path)
        return found[path] if path in found else _folder(path)

    def checksum(self, path: str) -> str:
        """The sha256 of a file."""
        return str(self.info(path)["sha256"])

    def modified(self, path: str) -> datetime:
        """The same for all time: what is locked does not change."""
        self.info(path)
        return datetime.fromtimestamp(0, UTC)

    def _children(self, workspace: Workspace, path: str) -> dict[str, dict[str, Any]]:
        """What is directly in a folder, by full path; a file has itself. Raises FileNotFoundError."""
        prefix = f"{path}/" if path else ""
        found: dict[str, dict[str, Any]] = {}
        for name in workspace.manifest.artifacts:  # artifacts, and the folders above them
            if name.startswith(prefix):
                child = prefix + name[len(prefix) :].partition("/")[0]
                found[child] = _folder(child)
        for name, inner in _owners(workspace, path):
            listing = self._listing(workspace, name)
            found |= _within(listing, name, inner)
        if not found and path not in {"", *workspace.manifest.artifacts}:
            raise FileNotFoundError(path)
        return found

    def mkdir(self, path: str, create_parents: bool = True, **_more: Any) -> None:
        """Refused."""
        raise _refusal(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Refused."""
        raise _refusal(path)

    def _rm(self, path: str) -> None:
        raise _refusal(path)

    def cp_file(self, path1: str, path2: str, **_more: Any) -> None:
        """Refused."""
        raise _refusal(path2)

    def _open(self, path: str, mode: str = "rb", **_more: Any) -> BinaryIO:
        if mode != "rb":
            raise _refusal(path)
        path = self._strip_protocol(path)
        with self._open_workspace() as workspace:
            for name, inner in _owners(workspace, path):
                listing = self._listing(workspace, name)
                if inner in listing:
                    return _Opened(_whole_file(workspace, name, listing, inner))
        raise FileNotFoundError(path)


def _refusal(path: str) -> PermissionError:
    return PermissionError(errno.EROFS, "what is locked is not written to", path)


def _owners(workspace: Workspace, path: str) -> Iterator[tuple[str, str]]:
    """The artifacts that a path may be in, the one with the longest name first, and the path within each."""
    for name in sorted(workspace.manifest.artifacts, key=len, reverse=True):
        if path == name or path.startswith(f"{name}/"):
            yield name, path[len(name) + 1 :]


def _within(listing: Listing, name: str, inner: str) -> dict[str, dict[str, Any]]:
    if inner in listing:
        return {f"{name}/{inner}": _file(name, listing[inner])}
    prefix = f"{inner}/" if inner else ""
    found: dict[str, dict[str, Any]] = {}
    for path, entry in listing.items():
        if path.startswith(prefix):
            child, deeper, _ = path[len(prefix) :].partition("/")
            full = f"{name}/{prefix}{child}"
            found[full] = _folder(full) if deeper else _file(name, entry)
    return found


def _folder(path: str) -> dict[str, Any]:
    return {"name": path, "size": 0, "type": "directory"}


def _file(name: str, entry: Entry) -> dict[str, Any]:
    return {"name": f"{name}/{entry.path}", "size": entry.size, "type": "file", "sha256": entry.sha256}


def _whole_file(workspace: Workspace, name: str, listing: Listing, path: str) -> str:
    """A file of this disk that has the locked bytes."""
    artifact, entry = workspace.manifest.artifacts[name], listing[path]
    full = "/".join(filter(None, (workspace.folder_of(artifact), path)))
    if scan(workspace, artifact, at=full).listing.get(path) == entry:
        return os.path.join(workspace.root, *full.split("/"))
    if not verified(workspace, {Content(entry.sha256, entry.size)}):
        fetch_entries(workspace, name, artifact, listing, [path])
    return workspace.store.file(entry.sha256)
