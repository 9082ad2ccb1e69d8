"""Writing down what folder and hub agree on: object, then listing, then base, then lock."""

from tenuto.core.listing import Listing
from tenuto.core.lockfile import Locked
from tenuto.core.manifest import Artifact
from tenuto.project.workspace import Workspace


def locked(
    name: str, artifact: Artifact, listing: Listing, commit: str | None, license_name: str | None = None
) -> Locked:
    """The lock entry of an artifact with this listing."""
    return Locked(
        name=name,
        path=artifact.path,
        kind=artifact.kind,
        source=artifact.origin if artifact.is_web_file else str(artifact.address),
        commit=commit,
        digest=listing.digest,
        files=len(listing),
        bytes=listing.size_bytes,
        license=license_name,
        file=artifact.file,
        include=artifact.include,
        exclude=artifact.exclude,
        variant=artifact.variant,
        all_formats=artifact.all_formats,
    )


def agree(workspace: Workspace, entry: Locked, listing: Listing, commit: str | None) -> None:
    """Record that the hub holds `listing` at `commit`, and that the working folder started from it.

    The lock may go on pinning an older commit with the same files.
    """
    if not workspace.store.has(listing.digest):
        workspace.store.put(listing.text)
    workspace.set_base(entry.name, entry.digest, commit)
    workspace.write_lock(entry)
