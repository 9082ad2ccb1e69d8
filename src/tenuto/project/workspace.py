"""The project on disk: where it is, what it wants, what is locked, and who works on it right now."""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from tenuto.core.errors import ConflictError, IntegrityError, LockedError, NotFoundError, UsageError
from tenuto.core.ids import Address
from tenuto.core.listing import Entry, Listing
from tenuto.core.lockfile import LOCK_NAME, Lock, Locked, literal, parse_lock
from tenuto.core.manifest import MANIFEST_NAME, WEB, Artifact, Manifest, parse_manifest
from tenuto.core.settings import Settings, resolve
from tenuto.project.objectindex import ObjectIndex
from tenuto.project.roots import register
from tenuto.project.statcache import Base, StateIndex
from tenuto.store.disk import Layout, disk_errors, replace_file
from tenuto.store.local import LocalStore

if TYPE_CHECKING:
    from tenuto.hub.remote import Remote

STATE_FOLDER = ".tenuto"
NEW_MANIFEST = """\
# What this project needs. `tenuto track PATH --to hf://namespace/name` adds what is yours,
# `tenuto add hf://namespace/name` what others publish.
"""

Watch = Callable[[str, int], contextlib.AbstractContextManager[Callable[[int], None]]]
"""Opens a display of work: a label and the bytes to do in all; what it yields is told the bytes done."""


@contextlib.contextmanager
def unwatched(_label: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda _bytes: None


class Only(NamedTuple):
    """Which artifacts a command is for: those of any of the groups, if some are given, and of any of the kinds, likewise."""

    groups: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def has(self, artifact: Artifact) -> bool:
        """Whether the artifact is one of them."""
        in_groups = not self.groups or not set(self.groups).isdisjoint(artifact.groups)
        return in_groups and (not self.kinds or artifact.kind in self.kinds)


class Workspace:
    """One project: its folder, manifest, lock, state index and store. Close it when done.

    `connect` opens a conversation with the hub at first need, so that verbs that need none make none.
    """

    def __init__(
        self,
        root: str,
        settings: Settings,
        connect: "Callable[[Settings], Remote]",
        watch: Watch = unwatched,
    ) -> None:
        self.root = os.path.abspath(root)
        self.watch = watch
        self.settings = settings
        self._connect = connect
        self._remotes: dict[str, Remote] = {}
        self._listing: Listing | None = None
        """The one read last: a verb often needs the same as locked and as base."""
        self._read()

    def _read(self) -> None:
        self.manifest_text = _read_text(os.path.join(self.root, MANIFEST_NAME))
        self.manifest: Manifest = parse_manifest(self.manifest_text)
        self.lock: Lock = parse_lock(_read_text(os.path.join(self.root, LOCK_NAME), missing="version = 1\n"))
        self._written_lock = self.lock

    @classmethod
    def find(
        cls,
        start: str,
        settings_of: Callable[[Mapping[str, object]], Settings],
        connect: "Callable[[Settings], Remote]",
        watch: Watch = unwatched,
    ) -> Self:
        """The project that `start` lies in: the nearest folder upwards with a manifest.

        `settings_of` is given what the manifest says and returns the settings. Raises NotFoundError (ProjectNotFound).
        """
        root = find_root(start)
        manifest = parse_manifest(_read_text(os.path.join(root, MANIFEST_NAME)))
        return cls(root, settings_of({"endpoint": manifest.project.hub}), connect, watch)

    def close(self) -> None:
        """Close the state index and the connections."""
        if "state" in self.__dict__:
            self.state.close()
        for remote in self._remotes.values():
            remote.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def endpoint_of(self, artifact: Artifact) -> str:
        """The endpoint of the hub that the artifact is on."""
        return artifact.hub.rstrip("/") if artifact.hub else self.settings.endpoint

    def remote_of(self, artifact: Artifact) -> "Remote":
        """The hub that the artifact is on."""
        return self.remote_at(self.endpoint_of(artifact))

    def remote_at(self, endpoint: str) -> "Remote":
        """A hub or another server; one that only an artifact names gets no token that was given for another one."""
        if endpoint not in self._remotes:
            settings = self.settings
            if endpoint != settings.endpoint:
                origins = {**settings.origins, "endpoint": "manifest"}
                settings = settings._replace(endpoint=endpoint, token=None, origins=origins)
            self._remotes[endpoint] = self._connect(settings)
        return self._remotes[endpoint]

    @property
    def requests_made(self) -> int:
        """How many requests were made to all hubs so far."""
        return sum(remote.session.requests_made for remote in self._remotes.values())

    @cached_property
    def store(self) -> LocalStore:
        """The store of this user."""
        return LocalStore(self.settings.cache)

    @cached_property
    def layout(self) -> Layout:
        """How stored objects become working files."""
        return Layout(self.settings.link)

    @cached_property
    def state(self) -> StateIndex:
        """The state index of this folder."""
        return StateIndex(os.path.join(self.state_folder(), "state.db"))

    @cached_property
    def objects(self) -> ObjectIndex:
        """What is remembered of objects that were read."""
        return ObjectIndex(os.path.join(self.state_folder(), "objects.db"))

    def state_folder(self) -> str:
        """`.tenuto`, which git ignores by itself."""
        folder = os.path.join(self.root, STATE_FOLDER)
        with disk_errors(folder):
            os.makedirs(folder, exist_ok=True)
            ignore = os.path.join(folder, ".gitignore")
            if not os.path.exists(ignore):
                replace_file(ignore, b"*\n")
        return folder

    def chosen(self, names: Sequence[str], only: Only = Only()) -> dict[str, Artifact]:  # noqa: B008 - a constant
        """The artifacts by these names or paths, or all, of the wanted groups and kinds; raises NotFoundError (ArtifactNotFound)."""
        known = self.manifest.artifacts
        groups = {group for artifact in known.values() for group in artifact.groups}
        if unknown := set(only.groups) - groups:
            listed = ", ".join(sorted(groups)) or "none"
            raise NotFoundError(
                f"no artifact is in the group {min(unknown)!r}", code="ArtifactNotFound", hint=f"groups are: {listed}"
            )
        found = {name: known[name] for name in (map(self._name_of, names) if names else known)}
        return {name: artifact for name, artifact in found.items() if only.has(artifact)}

    def _name_of(self, text: str) -> str:
        if text in self.manifest.artifacts:
            return text
        path = text.rstrip("/").removeprefix("./")
        for name, artifact in self.manifest.artifacts.items():
            if artifact.path == path:
                return name
        known = ", ".join(sorted(self.manifest.artifacts)) or "none yet"
        raise NotFoundError(
            f"no artifact is named {text!r}", code="ArtifactNotFound", hint=f"the manifest has: {known}"
        )

    def folder_of(self, artifact: Artifact) -> str:
        """The folder below the project that the paths of the artifact's listing are relative to; empty for the project itself."""
        return os.path.dirname(artifact.path) if artifact.file else artifact.path

    def locked(self, name: str) -> Locked | None:
        """What the lock says of an artifact; None if nothing, or if it was resolved for something else than the manifest wants now."""
        artifact, entry = self.manifest.artifacts[name], self.pinned(name)
        return entry if entry and fits(entry, artifact) else None

    def pinned(self, name: str) -> Locked | None:
        """What the lock says of an artifact, be it for another choice of files; None if it is for another source."""
        artifact, entry = self.manifest.artifacts[name], self.lock.artifacts.get(name)
        return entry if entry and is_from_source(entry, artifact) else None

    def listing(self, digest: str) -> Listing | None:
        """The listing with this digest, if the store has it whole."""
        if self._listing and self._listing.digest == digest:
            return self._listing
        if not self.store.has(digest):
            return None
        try:
            text = self.store.read(digest)
        except IntegrityError:
            self.store.delete(digest)
            return None
        try:
            self._listing = Listing.parse(text)
        except IntegrityError:  # a sound object, and no listing: a wrong digest is no reason to throw it away
            return None
        return self._listing

    def base(self, name: str) -> Base | None:
        """What this folder and the artifact's repo last agreed on; None if it was another repo or hub, or nobody remembers."""
        base = self.state.base(name)
        return base if base and base.source == self._source(name) else None

    def set_base(self, name: str, digest: str, commit: str | None) -> None:
        """Record that folder and hub agree on the listing with this digest, which `commit` holds."""
        self.state.set_base(name, Base(digest, commit, self._source(name)))

    def _source(self, name: str) -> str:
        artifact = self.manifest.artifacts[name]
        if artifact.is_web_file:
            return artifact.origin
        address = artifact.address if artifact.is_own else artifact.address._replace(revision=None)
        return f"{self.endpoint_of(artifact)} {address}"

    def base_listing(self, name: str) -> Listing:
        """What was last synced; empty if nothing was, or nobody remembers."""
        base = self.base(name)
        return (self.listing(base.digest) if base else None) or Listing()

    def write_manifest(self, text: str) -> None:
        """Replace the manifest; raises UsageError (BadManifest) and writes nothing if it would not be valid."""
        self.manifest = parse_manifest(text)
        self.manifest_text = text
        replace_file(os.path.join(self.root, MANIFEST_NAME), text.encode())

    @contextlib.contextmanager
    def planned(self, text: str) -> Iterator[None]:
        """Work as if the manifest were `text`, and write it at the end; if that fails, nothing is written, and the manifest is as it was."""
        before = self.manifest
        self.manifest = parse_manifest(text)
        try:
            yield
            self.write_manifest(text)
        except BaseException:
            self.manifest = before
            raise

    def write_lock(self, *changed: Locked) -> None:
        """Record resolved artifacts, and drop those that the manifest no longer has; a lock that would not change is not touched."""
        lock = self.lock.replace(*changed)
        for name in lock.artifacts.keys() - self.manifest.artifacts.keys():
            lock = lock.without(name)
        if lock.text != self._written_lock.text or not os.path.exists(os.path.join(self.root, LOCK_NAME)):
            replace_file(os.path.join(self.root, LOCK_NAME), lock.text.encode())
        self.lock = self._written_lock = lock

    @contextlib.contextmanager
    def exclusive(self, *, wait: bool = False) -> Iterator[None]:
        """Be the only process that changes this project; raises LockedError, which names the other one, unless it shall `wait`.

        Manifest and lock are read anew: the other one may have changed them. The store knows from now on that the project uses it.
        """
        path = os.path.join(self.state_folder(), "lock")
        with disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with disk_errors(path):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                except BlockingIOError as error:
                    raise _held(os.pread(descriptor, 4096, 0)) from error
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _holder(), 0)
            self._read()
            register(self.store, self.root)
            yield
        finally:
            os.close(descriptor)

    def trash(self, kind: str = "trash") -> str:
        """A new folder in `.tenuto/<kind>` for files that must leave the working folder and may not be lost."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = os.path.join(self.state_folder(), kind, f"{stamp}-{time.time_ns() % 1_000_000:06d}")
        with disk_errors(folder):
            os.makedirs(folder)
        return folder


def fits(entry: Locked, artifact: Artifact) -> bool:
    """Whether an entry of the lock was resolved for what the manifest wants: this source, this choice of files, this hash."""
    return is_from_source(entry, artifact) and entry.selection == artifact.selection and _has_hash(entry, artifact)


def is_from_source(entry: Locked, artifact: Artifact) -> bool:
    """Whether an entry of the lock is for the source that the manifest names, however it is written."""
    if entry.source == artifact.origin:
        return True
    both_on_hubs = not artifact.is_web_file and not entry.source.startswith(WEB)
    return both_on_hubs and Address.parse(entry.source) == artifact.address


def _has_hash(entry: Locked, artifact: Artifact) -> bool:
    """Whether a file from the web is locked by the hash that the manifest gives."""
    if artifact.sha256 is None:
        return True
    return Listing([Entry(os.path.basename(artifact.path), artifact.sha256, entry.bytes)]).digest == entry.digest


def _holder() -> bytes:
    """Who holds the lock, for those who find it held: no more of the command line than what cannot be a secret."""
    program, *words = sys.argv or [""]
    if "tenuto" in {os.path.basename(program), os.path.basename(os.path.dirname(program))}:
        command = " ".join(["tenuto", *[word for word in words if word.isalpha()][:1]])
    else:
        command = os.path.basename(program) or "python"
    holder = {"pid": os.getpid(), "host": os.uname().nodename, "since": int(time.time()), "command": command}
    return msgspec.json.encode(holder)


def _held(record: bytes) -> LockedError:
    try:
        holder = msgspec.json.decode(record)
        who = f"process {holder['pid']} on {holder['host']} ({holder['command']})"
    except (msgspec.DecodeError, KeyError, TypeError):
        who = "another process"
    return LockedError(f"{who} is at work on this project", hint="wait until it is done, then run the command again")


def find_root(start: str) -> str:
    """The nearest folder at or above `start` that holds a manifest; raises NotFoundError (ProjectNotFound)."""
    folder = os.path.abspath(start)
    while not os.path.isfile(os.path.join(folder, MANIFEST_NAME)):
        parent = os.path.dirname(folder)
        if parent == folder:
            raise NotFoundError(
                f"no {MANIFEST_NAME} in {os.path.abspath(start)} or above it",
                code="ProjectNotFound",
                hint="run `tenuto init` first",
            )
        folder = parent
    return folder


def create(root: str, hub: str | None = None) -> str:
    """Write a new manifest in `root` and return its path; raises ConflictError (Exists)."""
    path = os.path.join(os.path.abspath(root), MANIFEST_NAME)
    if os.path.exists(path):
        raise ConflictError(
            f"{path} exists already", code="Exists", hint="edit it, or run `tenuto track PATH --to hf://namespace/name`"
        )
    text = NEW_MANIFEST
    if hub:
        text += f"\n[project]\nhub = {literal(resolve({'endpoint': hub}).endpoint)}\n"
    with disk_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    parse_manifest(text)
    replace_file(path, text.encode())
    return path


def _read_text(path: str, missing: str | None = None) -> str:
    if missing is not None and not os.path.exists(path):
        return missing
    try:
        with disk_errors(path), open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        code = "BadLock" if path.endswith(LOCK_NAME) else "BadManifest"
        raise UsageError(f"{path} is not UTF-8 text", code=code, hint="restore it from git") from error


def manifest_settings(start: str) -> dict[str, object]:
    """What the manifest of the project around `start` says about settings; raises NotFoundError (ProjectNotFound)."""
    manifest = parse_manifest(_read_text(os.path.join(find_root(start), MANIFEST_NAME)))
    return {"endpoint": manifest.project.hub}
