"""`repair`: bring back locked files that are damaged or missing; what they held goes to quarantine first."""

from collections.abc import Sequence

import msgspec

from tenuto.core.errors import TenutoError
from tenuto.core.listing import Listing
from tenuto.core.manifest import Artifact
from tenuto.project.folder import Folder
from tenuto.project.plan import contents
from tenuto.project.resolve import Target
from tenuto.project.take import Trash, fetch, place, verified
from tenuto.project.verify import Finding, locked_files, locked_listing, verify_files
from tenuto.project.workspace import Workspace


class RepairReport(msgspec.Struct, frozen=True):
    """A repair: files and bytes read, what is right again, what could not be mended and why, and where the replaced bytes lie now."""

    files: int
    bytes: int
    repaired: list[Finding]
    remaining: list[Finding]
    quarantine: str | None = None
    dry_run: bool = False


def repair(workspace: Workspace, names: Sequence[str] = (), *, dry_run: bool = False) -> RepairReport:
    """Verify, then replace every file that is not what the lock says with verified bytes from the store or the hub.

    A file is touched only after its replacement is at hand, and is moved to `.tenuto/quarantine`, never deleted.
    Raises NotFoundError (ArtifactNotFound); a file without any good source is in `remaining`.
    """
    quarantine = Trash(workspace, "quarantine")
    reports = [
        _repair(workspace, quarantine, name, artifact, dry_run=dry_run)
        for name, artifact in workspace.chosen(names).items()
    ]
    return RepairReport(
        sum(report.files for report in reports),
        sum(report.bytes for report in reports),
        [finding for report in reports for finding in report.repaired],
        [finding for report in reports for finding in report.remaining],
        quarantine.folder,
        dry_run,
    )


def _repair(workspace: Workspace, quarantine: Trash, name: str, artifact: Artifact, *, dry_run: bool) -> RepairReport:
    listing = locked_listing(workspace, name, artifact)
    report = verify_files(workspace, locked_files(workspace, name, artifact, listing))
    if dry_run or not report.findings:
        return RepairReport(report.files, report.bytes, report.findings if dry_run else [], [])
    top = workspace.folder_of(artifact)
    skip = len(top) + 1 if top else 0
    by_path = {finding.path[skip:]: finding for finding in report.findings}
    ready, failure = _obtain(workspace, name, artifact, listing, list(by_path))
    _replace(workspace, quarantine, artifact, listing, {path: by_path[path] for path in sorted(ready)})
    reason = failure.message if failure else "the store has no good copy, and it was never pushed"
    remaining = [
        msgspec.structs.replace(finding, detail=reason) for path, finding in by_path.items() if path not in ready
    ]
    repaired = [finding for path, finding in by_path.items() if path in ready]
    return RepairReport(report.files, report.bytes, repaired, remaining)


def _obtain(
    workspace: Workspace, name: str, artifact: Artifact, listing: Listing, paths: Sequence[str]
) -> tuple[set[str], TenutoError | None]:
    """Bring good copies into the store; returns the paths that have one now, and what kept the others from it."""
    entry = workspace.locked(name)
    commit = entry.commit if entry else None
    target = Target(commit or "", contents(listing))
    failure = None
    if commit:
        try:
            fetch(workspace, artifact, target, paths, believing=False)
            return set(paths), None
        except TenutoError as error:
            failure = error
    good = verified(workspace, {target.files[path] for path in paths})
    return {path for path in paths if listing[path].sha256 in good}, failure


def _replace(
    workspace: Workspace, quarantine: Trash, artifact: Artifact, listing: Listing, ready: dict[str, Finding]
) -> None:
    with Folder(workspace.root) as folder:
        for finding in ready.values():
            if finding.fault != "missing":
                quarantine.take(folder, finding.path)
        place(workspace, folder, artifact, listing, list(ready))
