"""What a hub holds of an artifact at a commit, as paths and contents."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from tenuto.core.errors import AccessDeniedError, IntegrityError, NotFoundError, UsageError
from tenuto.core.gitobj import object_hasher
from tenuto.core.ids import RepoId, is_commit_id
from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact
from tenuto.core.paths import check_path, twins
from tenuto.core.wire import RepoInfo, TreeEntry
from tenuto.project.plan import Content, contents
from tenuto.project.scan import is_left_out
from tenuto.project.workspace import Workspace
from tenuto.store.disk import BLOCK_BYTES, disk_errors

if TYPE_CHECKING:
    from tenuto.hub.remote import Remote
    from tenuto.hub.sources import Wanted

DEFAULT_REVISION = "main"


class Target(NamedTuple):
    """The files of an artifact at one commit, by path within the artifact. `license` is what the repo's card says, where it was asked."""

    commit: str
    files: dict[str, Content]
    license: str | None = None

    @property
    def listing(self) -> Listing | None:
        """The listing, once every sha256 is known."""
        entries = [Entry(path, content.sha256, content.size) for path, content in self.files.items() if content.sha256]
        return Listing(entries) if len(entries) == len(self.files) else None

    def with_sha256(self, known: Mapping[str, str]) -> "Target":
        """This target with contents by git id replaced by the sha256 that `known` (id to sha256) gives."""
        files = {path: Content(known.get(content.id, content.id), content.size) for path, content in self.files.items()}
        return self._replace(files=files)


def checked_listing(artifact: Artifact, target: Target, digest: str | None) -> Listing:
    """The listing of a target whose hashes are all known; raises IntegrityError (DigestMismatch) if it should be another one."""
    listing = target.listing
    assert listing is not None
    if digest is not None and listing.digest != digest:
        raise IntegrityError(
            f"{artifact.address} at {target.commit} has the digest {listing.digest}, the lock says {digest}",
            code="DigestMismatch",
            hint="nothing was changed; find out who changed the lock or the hub",
        )
    return listing


def repo_path(artifact: Artifact, path: str) -> str:
    """Where a file of the artifact lies in its repo."""
    prefix = "" if artifact.is_web_file else artifact.address.path
    return f"{prefix}/{path}" if prefix else path


def wanted_files(artifact: Artifact, contents: Mapping[str, Content]) -> "list[Wanted]":
    """The files with these contents, by their paths within the artifact, as a download asks for them."""
    from tenuto.hub.sources import Wanted  # loads the HTTP client

    top = repo_path(artifact, "")
    return [
        Wanted(top + path, size, None, name.removeprefix("git:"))
        if name.startswith("git:")
        else Wanted(top + path, size, name)
        for path, (name, size) in contents.items()
    ]


def locked_target(workspace: Workspace, name: str, artifact: Artifact) -> Target | None:
    """What the lock pins, known without the hub where the store has the listing; None if the lock has no commit for it."""
    locked = workspace.locked(name)
    if locked and artifact.is_web_file and artifact.sha256:
        return Target("", {os.path.basename(artifact.path): Content(artifact.sha256, locked.bytes)})
    if locked is None or locked.commit is None:
        return None
    listing = workspace.listing(locked.digest)
    if listing is not None:
        return Target(locked.commit, contents(listing), locked.license)
    return fetch_target(workspace, artifact, locked.commit)


def wanted_target(workspace: Workspace, name: str, artifact: Artifact) -> Target:
    """What the manifest wants of a source: at the commit that is locked, if one is, else as it is today."""
    pinned = workspace.pinned(name)
    if pinned and pinned.commit:
        return fetch_target(workspace, artifact, pinned.commit)._replace(license=pinned.license)
    return head_target(workspace, name, artifact)


def head_target(workspace: Workspace, name: str, artifact: Artifact) -> Target:
    """What the hub holds today; raises NotFoundError (RepoNotFound, RevisionNotFound)."""
    address = artifact.address
    info = find_head(workspace.remote_of(artifact), address.repo, address.revision or DEFAULT_REVISION)
    return target_at(workspace, name, artifact, info.sha or "")._replace(license=license_of(info))


def license_of(info: RepoInfo) -> str | None:
    """The licence that the repo's card states: a name, or the name that stands for another one."""
    card = info.card or {}
    stated = card.get("license")
    if stated == "other" and isinstance(card.get("license_name"), str):
        stated = card["license_name"]
    return stated if isinstance(stated, str) else None


def find_head(remote: "Remote", repo: RepoId, revision: str) -> RepoInfo:
    """What the hub says of a repo's branch; raises NotFoundError (RepoNotFound, RevisionNotFound), AccessDeniedError."""
    with named(remote, repo, revision):
        return remote.info(repo, revision)


@contextlib.contextmanager
def named(remote: "Remote", repo: RepoId, revision: str) -> Iterator[None]:
    """Say which repo or revision it is that a hub does not find, or does not give."""
    try:
        yield
    except AccessDeniedError as error:
        if error.code in {"GatedRepo", "TokenTooNarrow"}:
            raise _gated(remote, repo, error) from error
        raise
    except NotFoundError as error:
        if error.code == "RepoNotFound":
            raise NotFoundError(
                f"{repo} is not on {remote.endpoint}, or you may not see it",
                code="RepoNotFound",
                hint=f"correct the name; if it is private, `tenuto login`; if it is to be yours, `tenuto repo create {repo}`",
            ) from error
        if error.code == "RevisionNotFound":
            what = f"commit {revision[:12]}" if is_commit_id(revision) else f"branch {revision!r}"
            raise NotFoundError(
                f"{repo} has no {what}",
                code="RevisionNotFound",
                hint="its history was rewritten, or the lock is not for this repo: `tenuto sync` takes what is there now"
                if is_commit_id(revision)
                else "make the branch on the hub, or name another one",
            ) from error
        raise


_CLOSED = {
    "awaiting": ("your request waits for an answer of its owner", "look at {page}"),
    "rejected": ("your request was rejected by its owner", "talk to the owner; see {page}"),
    "taken back": ("your access was taken back by its owner", "talk to the owner; see {page}"),
    "has expired": ("your access has expired", "{ask}, as you did before"),
    "terms have changed": ("its terms have changed since you were let in", "read and accept them: {ask}"),
}
"""By words of a hub: what is so, and what opens the gate."""


def _gated(remote: "Remote", repo: RepoId, error: AccessDeniedError) -> AccessDeniedError:
    """Which of the ways through a gate it is that is closed, and what opens it."""
    page, said = f"{remote.endpoint}/{repo.web_path}", error.message.lower()
    by_command = f"run `tenuto access request {repo}`, or " if remote.session.speaks_pack else ""
    ask = f"{by_command}ask for access at {page}"
    if error.code == "TokenTooNarrow":
        why = "your fine-grained token may not read gated repos"
        hint = f"allow it that at {remote.endpoint}/settings/tokens, or take a token that reads all you may read"
    elif not remote.session.has_token:
        why, hint = "you are not logged in", f"run `tenuto login`, then {ask} if you never did"
    else:
        unasked = ("access was not granted to you", "{ask}, logged in as the owner of your token")
        why, hint = next((texts for words, texts in _CLOSED.items() if words in said), unasked)
    reason = error.message.partition(" They say: ")[2]
    why += f", who says: {reason}" if reason else ""
    return AccessDeniedError(
        f"{repo} is gated, and {why}", code=error.code, hint=hint.replace("{ask}", ask).replace("{page}", page)
    )


def target_at(workspace: Workspace, name: str, artifact: Artifact, commit: str) -> Target:
    """What the hub holds at a commit, known without asking if that is where folder and hub last agreed."""
    base = workspace.base(name) if artifact.is_own or workspace.locked(name) else None
    listing = workspace.listing(base.digest) if base and base.commit == commit else None
    return fetch_target(workspace, artifact, commit) if listing is None else Target(commit, contents(listing))


def fetch_target(workspace: Workspace, artifact: Artifact, commit: str) -> Target:
    """List the artifact at a commit: one listing, however many files. A folder that the commit does not have is empty."""
    address = artifact.address
    prefix = f"{address.path}/" if address.path else ""
    only = os.path.basename(artifact.path) if artifact.file else None
    files: dict[str, Content] = {}
    remote = workspace.remote_of(artifact)
    try:
        with named(remote, address.repo, commit):
            for entry in remote.tree(address.repo, commit, address.path):
                path = entry.path.removeprefix(prefix)
                if path == only or (only is None and not is_left_out(artifact, path)):
                    files[check_path(path)] = _content(entry)
    except NotFoundError as error:
        if error.code != "EntryNotFound":
            raise
    if not artifact.is_own and not artifact.file:
        files = {path: files[path] for path in artifact.selection.of(files)}
    clash = next(iter(twins(files)), None)
    if clash:
        raise _twins_refused(artifact, *clash, is_folder=clash[1] not in files)
    return _name_known(workspace, Target(commit, files))


def _twins_refused(artifact: Artifact, one: str, other: str, *, is_folder: bool) -> UsageError:
    pattern = f"{other}/" if is_folder else other
    return UsageError(
        f"{artifact.address.repo} holds {one} and {other}, which are one name on some systems",
        code="BadPath",
        hint="rename one of them on the hub" if artifact.is_own else f"leave one out with --exclude '{pattern}'",
    )


def _content(entry: TreeEntry) -> Content:
    return Content(entry.lfs.oid, entry.lfs.size) if entry.lfs else Content(f"git:{entry.oid}", entry.size)


def _name_known(workspace: Workspace, target: Target) -> Target:
    git_ids = {content.id.removeprefix("git:") for content in target.files.values() if not content.sha256}
    known = workspace.state.sha256_of(git_ids)
    return target.with_sha256({f"git:{git_id}": sha256 for git_id, sha256 in known.items()})


def name_by_files(workspace: Workspace, artifact: Artifact, target: Target, here: Mapping[str, Entry]) -> Target:
    """Learn the sha256 of small files that the hub names by git id only, where the same file lies in the working folder."""
    pairs = []
    folder = os.path.join(workspace.root, workspace.folder_of(artifact))
    for path, content in target.files.items():
        local = here.get(path)
        if content.sha256 is None and local and local.size == content.size:
            git_id = _git_id(os.path.join(folder, path), local)
            pairs += [(git_id, local.sha256)] if git_id else []
    workspace.state.remember_git_ids(pairs)
    return target.with_sha256({f"git:{git_id}": sha256 for git_id, sha256 in pairs})


def _git_id(file: str, entry: Entry) -> str | None:
    """The git id of a file, if it still holds the bytes that the entry says."""
    git, sha256 = object_hasher("blob", entry.size), hashlib.sha256()
    with disk_errors(file), open(file, "rb", buffering=0) as opened:
        while block := opened.read(BLOCK_BYTES):
            git.update(block)
            sha256.update(block)
    return git.hexdigest() if sha256.hexdigest() == entry.sha256 else None
