"""`path` and `pull`: files of a project, or of what a Python package ships, by their local path."""

import functools
import os
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

from tenuto.api.progress import Progress, watch_for
from tenuto.core.settings import Settings
from tenuto.hub.tokens import Connector
from tenuto.project.obtain import Wanted, forget, obtain, relative, wanted_at
from tenuto.project.packaged import (
    Place,
    Shipped,
    find_shipped,
    find_wanted,
    from_folder,
    from_project,
    lend_listings,
    settle,
)
from tenuto.project.preferences import settings_from
from tenuto.project.verify import locked_listing
from tenuto.project.workspace import Workspace, find_root

Name = str | os.PathLike[str]


def path(
    name: Name,
    *,
    package: str | ModuleType | None = None,
    root: Name | None = None,
    offline: bool | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> str:
    """The local path of a locked file or folder; it is there, and has the locked hash, when this returns.

    `name` is relative to the project, which is the one around `root`, or around the current folder. What is missing is fetched from
    the hub and verified, and so is what is still as it was synced last when the lock has moved on; what is here already costs no
    request, and is read only if it changed since it was last read, or if `verify` asks for that. Safe to call from many threads and
    processes.

    With `package`, the lock is the one that this Python package ships, and `name` a file or artifact of it: no project is needed. `root`
    is then a folder in which the files lie; without it, the environment variable TENUTO_PACKAGE_<NAME> names one; else a project around the
    current folder that locks the same version is used; else the files are in a place of this user beside the store, where what is
    damaged is mended.

    `progress` is told what is being done, the bytes done, and the bytes in all. Raises NotFoundError for what the lock does not name,
    ConflictError (LocalChanges) for a file of a project that is not as locked: it is never returned and never overwritten;
    IntegrityError for one in a folder that was named; UnavailableError (Offline where `offline` is set), AccessDeniedError.
    """
    if package is not None:
        return _of_package(package, os.fspath(name), root, _How(offline, verify, progress))
    with open_project(root, offline, progress) as workspace:
        wanted = wanted_at(workspace, relative(workspace, os.fspath(name)))
        if verify:
            forget(workspace, wanted.path)
        return obtain(workspace, wanted)


def pull(
    name: str,
    *,
    package: str | ModuleType | None = None,
    root: Name | None = None,
    offline: bool | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> str:
    """The local path of a whole artifact, by the name that manifest and lock give it; all else as `path`."""
    if package is not None:
        return _of_package(package, name, root, _How(offline, verify, progress))
    with open_project(root, offline, progress) as workspace:
        ((found, artifact),) = workspace.chosen([name]).items()
        if verify:
            forget(workspace, artifact.path)
        return obtain(workspace, Wanted(found, artifact, artifact.path))


def open_project(root: Name | None, offline: bool | None = None, progress: Progress | None = None) -> Workspace:
    """The project around `root`, or around the current folder; raises NotFoundError (ProjectNotFound)."""

    start = os.fspath(root) if root is not None else os.getcwd()

    def settings_of(manifest: Mapping[str, object]) -> Settings:
        return settings_from(os.environ, manifest, {"offline": offline}, find_root(start))

    return Workspace.find(start, settings_of, Connector(), watch_for(progress))


class _How(NamedTuple):
    """What a caller asks for beside a file: no request, every byte read, a word now and then."""

    offline: bool | None
    verify: bool
    progress: Progress | None


def _of_package(package: str | ModuleType, name: str, root: Name | None, how: _How) -> str:
    shipped = find_shipped(package)
    with open_package(shipped, how.offline, how.progress) as workspace:
        wanted = find_wanted(workspace, name, functools.partial(locked_listing, workspace))
        listing = locked_listing(workspace, wanted.name, wanted.artifact)
        folder = os.fspath(root) if root is not None else os.environ.get(shipped.variable)
        if how.verify:
            forget(workspace, os.path.abspath(os.path.expanduser(folder)) if folder else wanted.path)
        if folder:
            return from_folder(workspace, wanted, listing, folder)
        found = from_project(workspace, wanted, listing, os.getcwd(), verify=how.verify)
        return found or obtain(workspace, wanted, mend=True)


def open_package(shipped: Shipped, offline: bool | None = None, progress: Progress | None = None) -> Place:
    """The place of a package, as a project that is complete but for its files."""
    settings = settings_from(os.environ, {"endpoint": shipped.hub}, {"offline": offline})
    workspace = Place(settle(shipped, settings.cache), settings, Connector(), watch_for(progress))
    try:
        lend_listings(shipped, workspace)
    except BaseException:
        workspace.close()
        raise
    return workspace
