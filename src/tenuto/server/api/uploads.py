"""What changes a repo's content: validate-yaml, preupload, commit, branches, tags (hub-protocol section 7)."""

import base64
import binascii
import tempfile
from typing import BinaryIO, Literal

import msgspec
from sqlalchemy import Connection

from tenuto.core.errors import AccessDeniedError, ConflictError, NotFoundError, UsageError
from tenuto.core.gitobj import object_id
from tenuto.core.ids import check_revision, is_commit_id
from tenuto.core.wire import (
    PREUPLOAD_LIMIT,
    CommitResult,
    PreuploadAnswer,
    PreuploadFile,
    PreuploadRequest,
    PreuploadResult,
)
from tenuto.server.access import Action
from tenuto.server.audit import Deed, record
from tenuto.server.community.discussions import PULL_REQUESTS
from tenuto.server.community.proposals import Opening, continue_proposal
from tenuto.server.content.commits import commit
from tenuto.server.git.objects import (
    DEFAULT_BRANCH,
    HEADS,
    TAGS,
    GitReader,
    ObjectRow,
    Ref,
    add_objects,
    add_ref,
    delete_ref,
    object_row,
)
from tenuto.server.git.patterns import IgnoreRules, LargeFileRules
from tenuto.server.holdings.chunks import chunk_knowledge
from tenuto.server.http.exchange import Answer, Call, Sink, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import writing
from tenuto.server.quota import check_room
from tenuto.server.repos.card import CardError, read_card

RULES_BYTES = 1 << 18
_MEMORY_BYTES = 1 << 20


class CardCheck(msgspec.Struct, frozen=True):
    """A README to look at."""

    content: str
    kind: str = msgspec.field(name="repoType", default="model")


def validate_yaml(parts: Parts, call: Call) -> Answer:
    """Whether the front matter of a README can be read; anybody may ask."""
    try:
        card = read_card(call.json(CardCheck).content)
    except CardError as error:
        message = f"the front matter of README.md cannot be used: {error}"
        return json_answer({"error": message, "errors": [{"message": message}], "warnings": []}, 400)
    warnings = [] if card else [{"message": "empty or missing yaml metadata in repo card"}]
    return json_answer({"errors": [], "warnings": warnings})


def preupload(parts: Parts, call: Call) -> Answer:
    """For each file: how to send it, whether to leave it out, and what is under its name now."""
    request = call.json(PreuploadRequest)
    if len(request.files) > PREUPLOAD_LIMIT:
        raise UsageError(f"ask for {PREUPLOAD_LIMIT} files at most", code="TooLarge")
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        head = git.resolve(call.params["rev"])
        attributes = _coming_attributes(request.files)
        large = LargeFileRules(_rules(git, head.tree, ".gitattributes") if attributes is None else attributes)
        ignore = IgnoreRules(_rules(git, head.tree, ".gitignore") if request.git_ignore is None else request.git_ignore)
        items = {one.path: git.find(head.tree, one.path) for one in request.files}
        facts = git.blobs(item.oid for item in items.values() if item and not item.is_tree)
        sizes = {path: facts[item.oid].size for path, item in items.items() if item and item.oid in facts}
        # What comes inside the commit, and is surely not here yet under its name.
        small = [one for one in request.files if not _is_large(parts, large, one) and not ignore.ignores(one.path)]
        check_room(connection, call.repo.key, sum(one.size for one in small if sizes.get(one.path) != one.size))
        earlier = [blob.pointer.sha256 for blob in facts.values() if blob.pointer]
        chunks = chunk_knowledge(connection, call.repo.key, earlier)
    answers = []
    for one in request.files:
        item = items[one.path]
        blob = facts.get(item.oid) if item else None
        is_large = _is_large(parts, large, one)
        oid = (blob.pointer.sha256 if blob.pointer else blob.oid) if blob else None
        # Chunks of something much smaller are no reason to send all of this by chunks.
        is_alike = blob is not None and one.size <= 2 * blob.true_size
        known = chunks.get(oid or "", msgspec.UNSET) if is_alike else msgspec.UNSET
        mode: Literal["lfs", "regular"] = "lfs" if is_large else "regular"
        answers.append(PreuploadAnswer(one.path, mode, ignore.ignores(one.path), oid, known))
    return json_answer(PreuploadResult(answers, head.oid))


def _is_large(parts: Parts, rules: LargeFileRules, file: PreuploadFile) -> bool:
    return file.size > 0 and (file.size > parts.limits.large_file or rules.is_large(file.path))


def _rules(git: GitReader, root: str, name: str) -> str:
    item = git.find(root, name)
    if item is None or item.is_tree or git.blob(item.oid).size > RULES_BYTES:
        return ""
    return git.body(item.oid).decode(errors="replace")


def _coming_attributes(files: list[PreuploadFile]) -> str | None:
    """The `.gitattributes` that is about to be uploaded, if it is short enough to be in its sample."""
    coming = next((one for one in files if one.path == ".gitattributes"), None)
    if coming is None:
        return None
    try:
        sample = base64.b64decode(coming.sample, validate=True)
    except (binascii.Error, ValueError):
        return None
    return sample.decode(errors="replace") if len(sample) == coming.size else None


def receive_commit(parts: Parts, call: Call) -> Sink:
    """Take in a commit, then apply it."""
    return CommitSink(parts, call)


class CommitSink(Sink):
    """The lines of a commit; in memory while they are few, else in a file."""

    def __init__(self, parts: Parts, call: Call) -> None:
        self.max_bytes = parts.limits.commit_body
        self._parts, self._call = parts, call
        self._file: BinaryIO = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, dir=parts.spool)  # type: ignore[assignment]  # noqa: SIM115

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)

    def finish(self) -> Answer:
        call, revision = self._call, self._call.params["rev"]
        page = f"{call.base_url}/{call.repo.id.web_path}"
        self._file.seek(0)
        if call.flag("create_pr"):
            opening = Opening(self._parts, call.repo, call.origin, revision)
            oid = commit(self._parts, call.repo, call.origin, opening, self._file, Action.PROPOSE)
            answer = {"success": True, "commitOid": oid, "commitUrl": f"{page}/commit/{oid}", "hookOutput": ""}
            return json_answer({**answer, "pullRequestUrl": f"{page}/discussions/{opening.number}"})
        is_proposal = revision.startswith(PULL_REQUESTS)
        place = continue_proposal(call.repo, call.actor, revision) if is_proposal else revision
        action = Action.PROPOSE if is_proposal else Action.WRITE
        oid = commit(self._parts, call.repo, call.origin, place, self._file, action)
        return json_answer(CommitResult(oid, f"{page}/commit/{oid}"))

    def close(self) -> None:
        self._file.close()


class BranchRequest(msgspec.Struct, frozen=True):
    """Where a new branch starts."""

    start: str | None = msgspec.field(name="startingPoint", default=None)


def create_branch(parts: Parts, call: Call) -> Answer:
    """Make a branch at a revision."""
    name = _ref_name(call.params["branch"])
    start = call.json(BranchRequest).start or DEFAULT_BRANCH
    with writing(parts, call, Action.WRITE) as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        _refuse_existing(git, HEADS + name)
        oid = git.resolve(start).oid
        add_ref(connection, call.repo.key, Ref(HEADS + name, oid, oid))
        _record(parts, connection, call, Deed.REF_CREATE, HEADS + name, {"new": oid})
    return json_answer({})


def delete_branch(parts: Parts, call: Call) -> Answer:
    """Drop a branch other than `main`."""
    if call.params["branch"] == DEFAULT_BRANCH:
        raise AccessDeniedError(f"the branch {DEFAULT_BRANCH} cannot be deleted")
    return _delete(parts, call, HEADS, call.params["branch"])


class TagRequest(msgspec.Struct, frozen=True):
    """A new tag; with a message it becomes an annotated one."""

    tag: str
    message: str | None = None


def create_tag(parts: Parts, call: Call) -> Answer:
    """Make a tag at a revision."""
    request = call.json(TagRequest)
    name = _ref_name(request.tag)
    with writing(parts, call, Action.WRITE) as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        _refuse_existing(git, TAGS + name)
        oid = target = git.resolve(call.params["rev"]).oid
        if request.message:
            row = _tag_object(parts, call, name, oid, request.message)
            target = str(row["oid"])
            add_objects(parts.database, connection, [row])
        add_ref(connection, call.repo.key, Ref(TAGS + name, target, oid))
        _record(parts, connection, call, Deed.REF_CREATE, TAGS + name, {"new": oid})
    return json_answer({})


def _tag_object(parts: Parts, call: Call, name: str, commit_oid: str, message: str) -> ObjectRow:
    tagger = f"{call.actor.name} <{call.actor.name}@users.noreply.localhost> {parts.now_ms() // 1000} +0000"
    text = message.replace("\0", "").rstrip("\n")
    body = f"object {commit_oid}\ntype commit\ntag {name}\ntagger {tagger}\n\n{text}\n".encode()
    return object_row(call.repo.key, "tag", object_id("tag", body), body)


def delete_tag(parts: Parts, call: Call) -> Answer:
    """Drop a tag."""
    return _delete(parts, call, TAGS, call.params["tag"])


def _ref_name(name: str) -> str:
    check_revision(name)
    if is_commit_id(name) or name == "HEAD" or name.startswith("refs/"):
        raise UsageError(f"{name!r} cannot name a branch or tag", code="BadAddress", hint="take another name")
    return name


def _refuse_existing(git: GitReader, ref: str) -> None:
    """Raise ConflictError (Exists) if the ref is there, or one that git could not keep beside it (`a` and `a/b`)."""
    for other in git.refs():
        if other.name == ref or other.name.startswith(ref + "/") or ref.startswith(other.name + "/"):
            raise ConflictError(f"Reference {other.name} exists already", code="Exists")


def _delete(parts: Parts, call: Call, prefix: str, name: str) -> Answer:
    with writing(parts, call, Action.WRITE) as connection:
        old = GitReader(connection, call.repo.key, parts.cache).branch_head(prefix + name)
        if not delete_ref(connection, call.repo.key, prefix + name):
            raise NotFoundError(f"there is no {prefix}{name[:250]}", code="RevisionNotFound")
        _record(parts, connection, call, Deed.REF_DELETE, prefix + name, {"old": old})
    return json_answer({})


def _record(
    parts: Parts, connection: Connection, call: Call, deed: Deed, ref: str, facts: dict[str, str | None]
) -> None:
    record(connection, call.origin, deed, parts.now_ms(), repo=call.repo, subject=ref, facts=facts)
