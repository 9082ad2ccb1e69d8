"""`verify`: compare every locked file with its hash, by reading all bytes, some of them, or none."""

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from tenuto.core.claims import lacks
from tenuto.core.errors import NotFoundError
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.project.resolve import checked_listing, locked_target
from tenuto.project.scan import RACY_NS
from tenuto.project.statcache import Seen
from tenuto.project.take import fetch
from tenuto.project.workspace import Workspace
from tenuto.store.hashing import Hashed, ToHash, hash_files

Fault = Literal["damaged", "missing", "unreadable", "unsound", "unproven"]
Mode = Literal["full", "quick", "sample", "since"]


class Depth(NamedTuple):
    """How much is read: everything; nothing, if `quick`; about a `share` of the bytes; or what was not verified at or after `since_s`.

    Whatever is not read must still be there and have the right size; `since_s` is in seconds since 1970 UTC. With `deep`, what was read and
    found right is looked into as well.
    """

    quick: bool = False
    share: float = 1.0
    since_s: float | None = None
    deep: bool = False

    @property
    def mode(self) -> Mode:
        """The name of this depth."""
        return "quick" if self.quick else "sample" if self.share < 1 else "full" if self.since_s is None else "since"


FULL = Depth()


class Finding(msgspec.Struct, frozen=True):
    """A file that is not what the lock says: its path below the project, the hash it must have, and the one it has, if it could be read.

    `unsound` is a file with the right hash that is damaged or dangerous inside, as `detail` says. `unproven` is a file of the right size that
    changed since it was last read, or never was: only `quick` says so, for lack of reading it.
    """

    artifact: str
    path: str
    fault: Fault
    expected: str
    found: str | None
    size: int
    detail: str | None = None


class Verified(msgspec.Struct, frozen=True):
    """One artifact: its locked files and bytes, and how many of its files are not as locked."""

    name: str
    files: int
    bytes: int
    findings: int


class VerifyReport(msgspec.Struct, frozen=True):
    """What a verification read, in files and bytes, and what it found wrong.

    `locked_files` and `locked_bytes` are what there is to verify; `share` is the part of these bytes that was read.
    """

    files: int
    bytes: int
    findings: list[Finding]
    mode: Mode
    locked_files: int
    locked_bytes: int
    share: float
    artifacts: list[Verified]

    @property
    def broken(self) -> bool:
        """Whether a file is damaged, missing or unreadable, beyond doubt."""
        return any(finding.fault != "unproven" for finding in self.findings)


class LockedFile(NamedTuple):
    """A file that the lock pins: its artifact, its path below the project, what it must be, how it looks, and what is remembered of it."""

    artifact: str
    path: str
    entry: Entry
    status: os.stat_result | None
    seen: Seen | None

    @property
    def known_sha256(self) -> str | None:
        """Its hash, if it was read before and looks the same today."""
        return self.seen.sha256 if self.seen and self.status and self.seen.matches(self.status) else None

    @property
    def verified_at_s(self) -> int:
        """When it was last verified as it is now, in seconds since 1970 UTC; 0 if never."""
        return self.seen.verified_at_s if self.seen and self.known_sha256 == self.entry.sha256 else 0

    @property
    def is_suspect(self) -> bool:
        """Whether one look says that it cannot be as locked."""
        if self.status is None:
            return True
        right = stat.S_ISREG(self.status.st_mode) and self.status.st_size == self.entry.size
        return not right or self.known_sha256 not in (None, self.entry.sha256)

    def finding(self, fault: Fault, found: str | None = None, detail: str | None = None) -> Finding:
        """What is wrong with it."""
        return Finding(self.artifact, self.path, fault, self.entry.sha256, found, self.entry.size, detail)


def verify(
    workspace: Workspace, names: Sequence[str] = (), depth: Depth = FULL, clock: Callable[[], float] = time.time
) -> VerifyReport:
    """Compare the locked files of the working folder with the lock; what was read and found right is remembered with the time.

    Files that are not locked are not looked at. Raises NotFoundError (ArtifactNotFound) where an artifact was never locked.
    The listing comes from the store, or else from the hub.
    """
    files: list[LockedFile] = []
    for name, artifact in workspace.chosen(names).items():
        files += locked_files(workspace, name, artifact, locked_listing(workspace, name, artifact))
    return verify_files(workspace, files, depth, clock)


def verify_files(
    workspace: Workspace, files: Sequence[LockedFile], depth: Depth = FULL, clock: Callable[[], float] = time.time
) -> VerifyReport:
    """Compare these files with what they must be."""
    reading = _to_read(files, depth)
    outcomes = _read(workspace, reading, clock)
    findings = []
    for file in files:
        outcome = outcomes.get(file.path)
        finding = _by_sight(file, quick=depth.quick) if outcome is None else _by_hash(file, outcome)
        findings += [finding] if finding else []
    if depth.deep:
        wrong = {finding.path for finding in findings}
        findings += _look_inside(workspace, [file for file in reading if file.path not in wrong])
        findings += _look_for_lacking(workspace, files)
    locked_bytes = sum(file.entry.size for file in files)
    read_bytes = sum(outcome.size for outcome in outcomes.values())
    return VerifyReport(
        files=len(outcomes),
        bytes=read_bytes,
        findings=findings,
        mode=depth.mode,
        locked_files=len(files),
        locked_bytes=locked_bytes,
        share=round(sum(file.entry.size for file in reading) / locked_bytes, 6) if locked_bytes else 1.0,
        artifacts=_by_artifact(files, findings),
    )


def locked_listing(workspace: Workspace, name: str, artifact: Artifact) -> Listing:
    """The listing that the lock pins, from the store or else from the hub; raises NotFoundError."""
    locked = workspace.locked(name)
    if locked is None:
        other = workspace.lock.artifacts.get(name)
        what = f"is locked from {other.source}, the manifest says {artifact.origin}" if other else "is not locked"
        raise NotFoundError(f"{name} {what}", code="ArtifactNotFound", hint="run `tenuto pull` or `tenuto track` first")
    listing = workspace.listing(locked.digest)
    if listing is not None:
        return listing
    target = locked_target(workspace, name, artifact)
    if target is None:
        raise NotFoundError(
            f"the listing {locked.digest} of {name} is neither in the store nor on a hub",
            code="ObjectNotFound",
            hint=f"run `tenuto track {artifact.path}` to record what is here now",
        )
    target, _ = fetch(
        workspace, artifact, target, [path for path, content in target.files.items() if not content.sha256]
    )
    listing = checked_listing(artifact, target, locked.digest)
    workspace.store.put(listing.text)
    return listing


def locked_files(workspace: Workspace, name: str, artifact: Artifact, listing: Listing) -> list[LockedFile]:
    """Every file of a listing, as it looks in the working folder; none is read."""
    folder = workspace.folder_of(artifact)
    prefix = f"{folder}/" if folder else ""
    known = workspace.state.files(artifact.path)
    return [
        LockedFile(name, path, entry, _status(f"{workspace.root}/{path}"), known.get(path))
        for path, entry in ((prefix + entry.path, entry) for entry in listing.values())
    ]


def _status(file: str) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None


def _to_read(files: Sequence[LockedFile], depth: Depth) -> Sequence[LockedFile]:
    """The files to read: where anything is read at all, what looks wrong is, so that its hash can be named."""
    if depth.quick:
        return []
    if depth.mode == "full":
        return files
    suspects, due = [], []
    for file in files:
        if file.is_suspect:
            suspects.append(file)
        elif depth.since_s is None or file.verified_at_s < depth.since_s:
            due.append(file)
    return [*suspects, *(due if depth.share >= 1 else _sample(due, depth.share))]


def _sample(files: Sequence[LockedFile], share: float) -> list[LockedFile]:
    """A share of the bytes, at least one file: first those that nobody read for longest, so that all get their turn; else by lot."""
    order = list(files)
    secrets.SystemRandom().shuffle(order)
    order.sort(key=lambda file: file.verified_at_s)
    wanted_bytes = share * sum(file.entry.size for file in order)
    chosen: list[LockedFile] = []
    for file in order:
        if chosen and wanted_bytes <= 0:
            break
        chosen.append(file)
        wanted_bytes -= file.entry.size
    return chosen


def _read(workspace: Workspace, files: Sequence[LockedFile], clock: Callable[[], float]) -> dict[str, Hashed]:
    """Hash the files, and remember when those that are right were read."""
    started_s = clock()
    todo = [ToHash(file.path, f"{workspace.root}/{file.path}", file.entry.size) for file in files]
    with workspace.watch("verifying", sum(file.size for file in todo)) as progress:
        outcomes = {outcome.name: outcome for outcome in hash_files(todo, progress)}
    seen = [_seen(file, outcomes[file.path], started_s) for file in files]
    workspace.state.remember(one for one in seen if one)
    return outcomes


def _seen(file: LockedFile, outcome: Hashed, started_s: float) -> Seen | None:
    """What to remember of a file; nothing of a new one that is not as locked: whether that is damage or work, others find out."""
    status = file.status
    if status is None or status.st_mtime_ns >= started_s * 1e9 - RACY_NS:
        return None
    if outcome.sha256 == file.entry.sha256:
        return Seen(file.path, outcome.size, status.st_mtime_ns, status.st_ino, outcome.sha256, int(started_s))
    return file.seen._replace(verified_at_s=0) if file.seen else None


def _look_inside(workspace: Workspace, files: Sequence[LockedFile]) -> list[Finding]:
    from tenuto.project.deep import fault_inside

    findings = []
    with workspace.watch("looking inside", sum(file.entry.size for file in files)) as progress:
        for file in files:
            fault = fault_inside(os.path.join(workspace.root, file.path))
            findings += [file.finding("unsound", file.entry.sha256, fault)] if fault else []
            progress(file.entry.size)
    return findings


def _look_for_lacking(workspace: Workspace, files: Sequence[LockedFile]) -> list[Finding]:
    """What adapters do not hold though they are of no use without it, as a finding on the largest file of theirs."""
    findings = []
    for name, artifact in workspace.manifest.artifacts.items():
        own = [file for file in files if file.artifact == name]
        if artifact.kind == "adapter" and not artifact.file and own:
            largest = max(own, key=lambda file: file.entry.size)
            faults = lacks(artifact.kind, {file.entry.path: file.entry.size for file in own})
            findings += [largest.finding("unsound", largest.entry.sha256, fault) for fault in faults]
    return findings


def _by_hash(file: LockedFile, outcome: Hashed) -> Finding | None:
    if outcome.sha256 == file.entry.sha256:
        return None
    if outcome.fault is None:
        return file.finding("damaged", outcome.sha256)
    missing = isinstance(outcome.fault.__cause__, FileNotFoundError)
    return file.finding("missing" if missing else "unreadable", detail=outcome.fault.message)


def _by_sight(file: LockedFile, *, quick: bool) -> Finding | None:
    """What can be said of a file that is not read."""
    if file.status is None:
        return file.finding("missing")
    if not stat.S_ISREG(file.status.st_mode):
        return file.finding("unreadable", detail="it is no file")
    if file.is_suspect:
        size = file.status.st_size
        wrong_size = f"{size:,} bytes instead of {file.entry.size:,}" if size != file.entry.size else None
        return file.finding("damaged", file.known_sha256, wrong_size)
    if quick and file.known_sha256 is None:
        return file.finding("unproven", detail="it changed since it was last read, or never was")
    return None


def _by_artifact(files: Iterable[LockedFile], findings: Iterable[Finding]) -> list[Verified]:
    totals: dict[str, list[int]] = {}
    for file in files:
        total = totals.setdefault(file.artifact, [0, 0, 0])
        total[0] += 1
        total[1] += file.entry.size
    for finding in findings:
        totals[finding.artifact][2] += 1
    return [Verified(name, *total) for name, total in totals.items()]
