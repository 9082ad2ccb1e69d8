"""Pull requests: a discussion with a branch `refs/pr/N`, what it changes, and its merge (hub-protocol sections 7.3 and 9.2)."""

from typing import NamedTuple

from tenuto.core.errors import AccessDeniedError, ConflictError, UsageError
from tenuto.server.access import Actor, Repo, may_steer
from tenuto.server.audit import Deed, Origin, record
from tenuto.server.community.discussions import PULL_REQUESTS, Discussion, Status, Thread, check_title
from tenuto.server.content.commits import Enter, HeaderValue, new_commit
from tenuto.server.gates.terms import note_change
from tenuto.server.git.merging import Merge, apply, compare_sides, merge_base
from tenuto.server.git.objects import (
    DEFAULT_BRANCH,
    HEADS,
    CommitFacts,
    GitReader,
    Ref,
    add_commit,
    add_objects,
    add_ref,
    move_ref,
    object_row,
)
from tenuto.server.git.trees import TreeEditor
from tenuto.server.hub import Parts

BASE = HEADS + DEFAULT_BRANCH
_MOST_COMMITS = 250


class Proposal(NamedTuple):
    """A pull request as it stands: the branch that it goes to, its own head, and where both parted."""

    ours: CommitFacts
    theirs: CommitFacts
    base: CommitFacts

    def compare(self, git: GitReader) -> Merge:
        """What the pull request changes, and what stands in its way."""
        return compare_sides(git, self.ours, self.theirs, self.base)


def open_proposal(
    git: GitReader, repo: Repo, origin: Origin, title: str, status: Status, now_ms: int, start: str = BASE
) -> Discussion:
    """A new pull request to the branch `main`, whose own branch begins at `start`."""
    head = git.resolve(start)
    made = Thread(git.connection, repo).open(origin.actor, title, status, True, now_ms)
    add_ref(git.connection, repo.key, Ref(made.ref, head.oid, head.oid))
    record(git.connection, origin, Deed.REF_CREATE, now_ms, repo=repo, subject=made.ref, facts={"new": head.oid})
    return made


class Opening:
    """Lets a commit open a pull request of its own, all in one transaction; its number is known afterwards."""

    def __init__(self, parts: Parts, repo: Repo, origin: Origin, revision: str) -> None:
        self._now_ms, self._repo, self._origin, self._revision = parts.now_ms(), repo, origin, revision
        self.number = 0

    def __call__(self, git: GitReader, header: HeaderValue) -> str:
        start = git.resolve(self._revision) if header.parent is None else git.resolve(header.parent)
        title = " ".join(header.summary.split())[:250] or "Update"
        made = open_proposal(git, self._repo, self._origin, check_title(title), "open", self._now_ms, start.oid)
        if header.description.strip():
            thread = Thread(git.connection, self._repo)
            thread.comment(made.number, self._origin.actor, header.description, self._now_ms)
        self.number = made.number
        return made.ref


def continue_proposal(repo: Repo, actor: Actor, revision: str) -> Enter:
    """Lets a commit go to the branch of a pull request, if the actor may add to it and it is not over."""

    def enter(git: GitReader, _header: HeaderValue) -> str:
        git.resolve(revision)
        found = Thread(git.connection, repo).find(revision.removeprefix(PULL_REQUESTS))
        if not may_steer(actor, repo, found.author_id):
            raise AccessDeniedError(f"pull request {found.number} is not one of yours", hint="open your own")
        _check_going_on(found)
        return revision

    return enter


def _check_going_on(found: Discussion) -> None:
    if found.status in {"merged", "closed"}:
        raise ConflictError(f"pull request {found.number} is {found.status}", hint="open another one")


def find_proposal(git: GitReader, found: Discussion) -> Proposal | None:
    """Where a pull request stands; for one that is merged, as it stood just before. None if it shares no history with `main`."""
    theirs = git.resolve(found.ref)
    ours = git.resolve(BASE)
    if found.merge_oid and (merged := git.find_commit(found.merge_oid)) and merged.parent:
        ours = git.resolve(merged.parent)
    base = merge_base(git, ours.oid, theirs.oid)
    return Proposal(ours, theirs, git.resolve(base)) if base else None


def commits_of(git: GitReader, proposal: Proposal) -> list[CommitFacts]:
    """The commits of a pull request along first parents, oldest first."""
    line: list[CommitFacts] = []
    for commit in git.history(proposal.theirs.oid, _MOST_COMMITS):
        if commit.oid == proposal.base.oid:
            break
        line.append(commit)
    return line[::-1]


def merge(parts: Parts, git: GitReader, repo: Repo, origin: Origin, found: Discussion) -> CommitFacts:
    """Bring a pull request into the branch `main` by a commit with both heads as parents.

    Raises ConflictError if it is over, or changes what `main` changed since, UsageError (BadRequest) if it changes nothing.
    """
    _check_going_on(found)
    proposal = find_proposal(git, found)
    if proposal is None:
        raise ConflictError(f"{found.ref} and {DEFAULT_BRANCH} share no history", hint="open another pull request")
    ours, theirs, _ = proposal
    difference = proposal.compare(git)
    if difference.conflicts:
        raise ConflictError(
            f"pull request {found.number} and {DEFAULT_BRANCH} both changed {', '.join(difference.conflicts[:5])}",
            hint="bring the pull request up to date first",
        )
    editor = TreeEditor(ours.tree, git.trees)
    editor.prefetch(difference.theirs)
    apply(git, editor, difference, ours)
    tree, made = editor.write()
    if tree == ours.tree:
        raise UsageError(f"pull request {found.number} changes nothing")
    message = f"{found.title} (#{found.number})"
    facts, row = new_commit(parts, repo, origin.actor, tree, (ours.oid, theirs.oid), message)
    add_objects(
        parts.database, git.connection, [*(object_row(repo.key, "tree", one.oid, one.body) for one in made), row]
    )
    add_commit(parts.database, git.connection, repo.key, facts)
    if not move_ref(git.connection, repo.key, BASE, ours.oid, facts.oid):
        raise ConflictError(f"{DEFAULT_BRANCH} moved meanwhile", hint="try again")
    note_change(parts, git.connection, repo.key)
    moved = {"old": ours.oid, "new": facts.oid}
    record(git.connection, origin, Deed.COMMIT, parts.now_ms(), repo=repo, subject=BASE, facts=moved)
    return facts
