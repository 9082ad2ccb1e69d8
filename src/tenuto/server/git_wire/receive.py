"""Takes in a push: looks through all of it, stores what its refs need, and moves the refs in one transaction.

Objects are stored in the order blob, tree, commit, tag, so that whatever is there is whole at any moment.
"""

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import BinaryIO

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError as RowRefused

from tenuto.core.errors import AccessDeniedError, ConflictError, TenutoError, UsageError
from tenuto.core.ids import check_revision, is_commit_id
from tenuto.server.access import Repo
from tenuto.server.audit import Origin
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, TAGS
from tenuto.server.git_wire.check import Inspector, Passed
from tenuto.server.git_wire.landing import Move, land
from tenuto.server.git_wire.pack import Pack, PackLimits
from tenuto.server.git_wire.protocol import ZERO_ID, Band, Mark, PushRequest, Update, band_width, packet, read_push
from tenuto.server.git_wire.rows import GitRows
from tenuto.server.hub import MIB, Parts

KEPT_OBJECT_BYTES = 32 * MIB
_PROTECTED = HEADS + DEFAULT_BRANCH


def receive(parts: Parts, repo: Repo, origin: Origin, file: BinaryIO) -> bytes:
    """Do what a push asks for, as far as it may be done; the answer says which refs moved, and why the others did not."""
    request = read_push(file)
    if not request.updates:
        return b""
    push = _Push(parts, repo, origin, request)
    try:
        if all(update.is_delete for update in request.updates):
            push.check_names()
            push.move(Passed(), None)
        else:
            limits = parts.limits
            bounds = PackLimits(max(limits.large_file, KEPT_OBJECT_BYTES), limits.push_objects, limits.push_unpacked)
            with Pack(file, file.tell(), bounds, parts.spool) as pack:
                push.take(pack)
    except RowRefused:  # the repo was deleted, or a ref of the same name was made, meanwhile
        push.refuse(ConflictError("the repo changed during the push: fetch, then push again"))
    except TenutoError as error:
        push.refuse(error)
    return push.report()


class _Push:
    """One push, and what becomes of each of its refs."""

    def __init__(self, parts: Parts, repo: Repo, origin: Origin, request: PushRequest) -> None:
        self._parts, self._repo, self._origin, self._request = parts, repo, origin, request
        self._faults: dict[str, str] = {}
        self._unpack_fault = ""
        self._commits: dict[str, str] = {}
        """The commit that each new target stands for."""

    @property
    def _pending(self) -> list[Update]:
        return [update for update in self._request.updates if update.ref not in self._faults]

    def _judge(self, update: Update, step: Callable[[Update], None]) -> None:
        try:
            step(update)
        except TenutoError as error:
            self._faults[update.ref] = _one_line(error.message)

    def refuse(self, error: TenutoError) -> None:
        """No ref moves, for this reason, but for those that have a reason of their own."""
        for update in self._pending:
            self._faults[update.ref] = _one_line(error.message)

    def check_names(self) -> None:
        """Refs that nobody may push are refused."""
        for update in self._request.updates:
            self._judge(update, _check_ref)

    def take(self, pack: Pack) -> None:
        """Look at everything that comes with the pack, store it, and move the refs."""
        try:
            pack.read(self._outside)
        except TenutoError as error:
            self._unpack_fault = _one_line(error.message)
            raise
        self.check_names()
        with self._parts.database.read() as connection:
            inspector = Inspector(connection, self._repo.key, pack, self._parts.limits)
            for update in self._pending:
                if not update.is_delete:
                    self._judge(update, lambda one: self._admit(inspector, connection, one))
        self.move(inspector.passed, pack)

    def _outside(self, oids: Iterable[str]) -> Mapping[str, tuple[str, bytes]]:
        with self._parts.database.read() as connection:
            return GitRows(connection, self._repo.key).outside(oids, KEPT_OBJECT_BYTES)

    def _admit(self, inspector: Inspector, connection: Connection, update: Update) -> None:
        commit = inspector.admit(update.new)
        if update.ref.startswith(HEADS) and commit != update.new:
            raise UsageError("a branch stands for a commit, not for a tag")
        if update.ref == _PROTECTED and not _builds_on(connection, self._repo.key, inspector.passed, update):
            raise AccessDeniedError(
                f"{DEFAULT_BRANCH} only moves forward: fetch and merge, push to another branch, or squash it on the hub"
            )
        self._commits[update.new] = commit

    def move(self, passed: Passed, pack: Pack | None) -> None:
        """Store what passed, and move the refs that may."""
        is_atomic = "atomic" in self._request.capabilities
        if is_atomic and self._faults:
            raise ConflictError("another ref of this atomic push was refused")
        moves = [Move(update, self._commits.get(update.new, "")) for update in self._pending]
        if moves:
            landed = land(self._parts, self._repo, self._origin, passed, pack, moves, is_atomic=is_atomic)
            self._faults.update(landed)

    def report(self) -> bytes:
        """The answer to the client."""
        words = self._request.capabilities
        if "report-status" not in words:
            return b""
        lines = [f"unpack {self._unpack_fault or 'ok'}"]
        for update in self._request.updates:
            fault = self._faults.get(update.ref)
            lines.append(f"ng {update.ref} {fault}" if fault else f"ok {update.ref}")
        out = BytesIO()
        band = Band(out.write, band_width(words))
        band.write(b"".join(packet(line) for line in lines) + Mark.FLUSH.value)
        band.close()
        return out.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1000]


def _check_ref(update: Update) -> None:
    """Raise AccessDeniedError (Forbidden), UsageError (BadAddress) if a ref is not one to be pushed, or must not vanish."""
    prefix = next((prefix for prefix in (HEADS, TAGS) if update.ref.startswith(prefix)), None)
    if prefix is None:
        raise AccessDeniedError("only branches and tags can be pushed; pull requests are made on the hub")
    name = check_revision(update.ref.removeprefix(prefix))
    if is_commit_id(name) or name == "HEAD" or name.startswith("refs/"):
        raise UsageError(f"{name!r} cannot name a branch or tag", code="BadAddress")
    if update.is_delete and update.ref == _PROTECTED:
        raise AccessDeniedError(f"the branch {DEFAULT_BRANCH} cannot be deleted")


def _builds_on(connection: Connection, repo_key: int, passed: Passed, update: Update) -> bool:
    """Whether the old commit is the new one, or an ancestor of it."""
    if update.old in {ZERO_ID, update.new}:
        return True
    waiting, seen = [update.new], {update.new}
    stored = []
    while waiting:
        oid = waiting.pop()
        if oid not in passed.commits:
            stored.append(oid)
            continue
        further = set(passed.commits[oid].parents) - seen
        seen |= further
        waiting += further
    return update.old in seen or update.old in GitRows(connection, repo_key).graph(stored, [update.old])
