"""From the hub into the working folder: fetch and verify everything first, then change files."""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tenuto.core.errors import AccessDeniedError, ConflictError, IntegrityError, NotFoundError, UnavailableError
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.core.paths import check_path
from tenuto.project.folder import Folder, ToPlace
from tenuto.project.plan import Action, Content, Step
from tenuto.project.resolve import Target, checked_listing, fetch_target, name_by_files, named, wanted_files
from tenuto.project.scan import scan
from tenuto.project.statcache import Seen
from tenuto.project.workspace import Workspace
from tenuto.store.adopt import take_over
from tenuto.store.collect import mark_used
from tenuto.store.hashing import ToHash, hash_files
from tenuto.store.local import LocalStore

if TYPE_CHECKING:
    from tenuto.hub.download import Fetched

FETCHING = frozenset({Action.DOWNLOAD, Action.RESTORE})


class Taken(NamedTuple):
    """What a take did: the listing of the whole target, bytes that came over the network, and the folder of files that made way, if any."""

    listing: Listing
    downloaded_bytes: int
    trash: str | None


class Aside(NamedTuple):
    """An own file that makes way for the hub's: its path below the project, and its second name there, or None for the trash."""

    path: str
    second_name: str | None


class Trash:
    """A new folder in `.tenuto/<kind>` for files that leave the working folder and may not be lost; made when the first one moves."""

    def __init__(self, workspace: Workspace, kind: str = "trash") -> None:
        self._workspace, self._kind = workspace, kind
        self.folder: str | None = None

    def take(self, folder: Folder, path: str) -> None:
        """Move a file of the project there, under its own path."""
        self.folder = self.folder or self._workspace.trash(self._kind)
        folder.move_away(path, self.folder)


def take(
    workspace: Workspace,
    artifact: Artifact,
    target: Target,
    here: Mapping[str, Entry],
    steps: Sequence[Step],
    *,
    digest: str | None = None,
    aside: Sequence[Aside] = (),
) -> Taken:
    """Carry out the steps that change the working folder, which held `here` when they were planned.

    Every byte is in the store, verified, before the first file changes; with `digest`, the listing must have it. Files that leave
    go to the trash. Raises IntegrityError (DigestMismatch, HashMismatch), ConflictError (LocalChanges); then the folder is as it was.
    """
    fetching = [step.path for step in steps if step.action in FETCHING]
    nameless = [path for path, content in target.files.items() if content.sha256 is None]
    target, downloaded = fetch(workspace, artifact, target, dict.fromkeys([*nameless, *fetching]))
    listing = checked_listing(artifact, target, digest)
    workspace.store.put(listing.text)
    refuse_changed(workspace, artifact, here, [step.path for step in steps])
    top, trash = workspace.folder_of(artifact), Trash(workspace)
    with Folder(workspace.root) as folder:
        for path, second_name in aside:
            if second_name is None:
                trash.take(folder, path)
            else:
                folder.rename(path, second_name)
        place(workspace, folder, artifact, listing, fetching)
        for step in steps:
            if step.action is Action.REMOVE_HERE:
                trash.take(folder, f"{top}/{step.path}" if top else step.path)
    return Taken(listing, downloaded, trash.folder)


def refuse_changed(
    workspace: Workspace, artifact: Artifact, here: Mapping[str, Entry], paths: Sequence[str], at: str | None = None
) -> None:
    """Raise ConflictError (LocalChanges) if one of the paths is no longer what it was `here`: a transfer takes long, and work goes on."""
    now = scan(workspace, artifact, at=at).listing if paths else {}
    changed = [path for path in paths if now.get(path) != here.get(path)]
    if changed:
        raise ConflictError(
            f"{changed[0]} of {artifact.path} changed while the hub's was fetched",
            code="LocalChanges",
            hint="nothing was changed by us; run the command again",
        )


def with_names(
    workspace: Workspace, artifact: Artifact, target: Target, here: Mapping[str, Entry], base: Mapping[str, Entry]
) -> Target:
    """The target with the sha256 of every file that could be as it is here, or as it was last synced.

    What the hub knows by git id only can be told from no other content without it; it is small, and fetched if need be.
    """
    target = name_by_files(workspace, artifact, target, here)
    unsure = [
        path
        for path, content in target.files.items()
        if content.sha256 is None and path in base and base[path].size == content.size
    ]
    return fetch(workspace, artifact, target, unsure)[0]


def base_listing(
    workspace: Workspace, name: str, artifact: Artifact, here: Mapping[str, Entry], near: Target
) -> Listing:
    """What was last synced, asked of the hub where the store has lost it; empty if nothing was, or nobody remembers.

    `near` is a target that is known already, and is not asked for again.
    """
    base = workspace.base(name)
    listing = workspace.listing(base.digest) if base else None
    if listing is not None or base is None or base.commit is None or artifact.is_web_file:
        return listing or Listing()
    with contextlib.suppress(NotFoundError, AccessDeniedError, UnavailableError, IntegrityError):
        target = near if near.commit == base.commit else fetch_target(workspace, artifact, base.commit)
        target = name_by_files(workspace, artifact, target, here)
        nameless = [path for path, content in target.files.items() if content.sha256 is None]
        found = checked_listing(artifact, fetch(workspace, artifact, target, nameless)[0], base.digest)
        workspace.store.put(found.text)
        return found
    return Listing()


def fetch(
    workspace: Workspace, artifact: Artifact, target: Target, paths: Iterable[str], *, believing: bool = True
) -> tuple[Target, int]:
    """Bring the contents of these paths into the store; returns the target with all their hashes known, and the bytes downloaded.

    What the store has is verified first, as `verified` does it; a damaged object is thrown out and fetched again.
    """
    needed = {path: target.files[path] for path in paths}
    present = verified(workspace, set(needed.values()), believing=believing)
    present |= _from_shared(workspace, {content for content in needed.values() if content.id not in present})
    lacking = wanted_files(artifact, {path: one for path, one in needed.items() if one.id not in present})
    if not lacking:
        return target, 0
    from tenuto.hub.download import download_from  # only now is the HTTP client loaded
    from tenuto.project.sources import sources_of

    total = sum(file.size for file in {file.key: file for file in lacking}.values())
    with workspace.watch("downloading", total) as progress, _named(workspace, artifact, target.commit):
        fetched = download_from(
            sources_of(workspace, artifact, target.commit),
            lacking,
            workspace.store,
            jobs=workspace.settings.jobs,
            progress=progress,
        )
    return target.with_sha256(_learn(workspace, fetched)), total


def _named(workspace: Workspace, artifact: Artifact, commit: str) -> contextlib.AbstractContextManager[None]:
    if artifact.is_web_file:
        return contextlib.nullcontext()
    return named(workspace.remote_of(artifact), artifact.address.repo, commit)


def _from_shared(workspace: Workspace, lacking: set[Content]) -> set[str]:
    """The ids of those contents that the shared store has, undamaged; they are in the own store then."""
    shared = workspace.settings.cache_shared
    if not shared or not lacking:
        return set()
    lower = LocalStore(shared)
    here = [content for content in lacking if content.sha256 and lower.has(content.id)]
    with workspace.watch("copying from the shared store", sum(content.size for content in here)) as progress:
        taken = set()
        for content in here:
            if take_over(workspace.store, lower, content.id):
                taken.add(content.id)
            progress(content.size)
    return taken


def _learn(workspace: Workspace, fetched: Iterable["Fetched"]) -> dict[str, str]:
    pairs = [(one.wanted.git_id, one.sha256) for one in fetched if one.wanted.git_id]
    workspace.state.remember_git_ids(pairs)
    return {f"git:{git_id}": sha256 for git_id, sha256 in pairs}


def verified(workspace: Workspace, needed: set[Content], *, believing: bool = False) -> set[str]:
    """The ids of those contents that the store has, undamaged; what is damaged is thrown out. Raises StorageError.

    All of them are read; with `believing` only those that are not as they were when this project read them last.
    """
    looked_at_s = time.time()
    here = workspace.store.statuses({content.id for content in needed if content.sha256})
    index = workspace.objects
    believed: set[str] = set()
    if believing:
        index.load(here.keys())
        believed = {name for name, status in here.items() if index.believes(name, status)}
    files = [ToHash(name, workspace.store.file(name), here[name].st_size) for name in here if name not in believed]
    if not files:
        return believed
    with workspace.watch("checking the store", sum(file.size for file in files)) as progress:
        outcomes = hash_files(files, progress)
    for outcome in outcomes:
        if outcome.fault and workspace.store.has(outcome.name):
            raise outcome.fault  # it could not be read, which does not say that it is damaged
        if not outcome.fault and outcome.sha256 != outcome.name:
            workspace.store.delete(outcome.name)
    sound = {outcome.name for outcome in outcomes if outcome.sha256 == outcome.name}
    for name in sound:
        index.found_sound(name, here[name], looked_at_s)
    return believed | sound


def place(workspace: Workspace, folder: Folder, artifact: Artifact, listing: Listing, paths: Sequence[str]) -> None:
    """Lay out files of the listing, which the store has and which were verified. What was under their paths is replaced."""
    top, now_s = workspace.folder_of(artifact), time.time()
    seen: list[Seen] = []
    for parent, group in groupby(map(check_path, paths), os.path.dirname):
        full = f"{top}/{parent}" if top and parent else top or parent
        entries = [listing[path] for path in group]
        files = [ToPlace(workspace.store.file(one.sha256), one.path.rpartition("/")[2], one.size) for one in entries]
        statuses = folder.place_all(workspace.layout, full, files)
        objects = []
        for (_, sha256, _), (file, name, _), status in zip(entries, files, statuses, strict=True):
            path = f"{full}/{name}" if full else name
            seen.append(Seen(path, status.st_size, status.st_mtime_ns, status.st_ino, sha256))
            objects.append((sha256, mark_used(file, status if status.st_nlink > 1 else os.stat(file), now_s)))
        workspace.objects.laid_out(objects)
    workspace.state.remember(seen)
    workspace.objects.save()
