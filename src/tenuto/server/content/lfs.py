"""Large objects: batch, upload in one piece, verify (hub-protocol section 7.4)."""

import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from tenuto.core.errors import IntegrityError, NotFoundError, UsageError
from tenuto.core.ids import check_sha256
from tenuto.core.wire import (
    BATCH_LIMIT,
    CHUNKS_FROM_BYTES,
    LFS_MEDIA_TYPE,
    SENDS_CHUNKS,
    LfsAction,
    LfsAnswer,
    LfsBatchRequest,
    LfsFault,
    LfsObject,
)
from tenuto.server.access import Action, check
from tenuto.server.content.commits import held_sizes
from tenuto.server.git.unneeded import spare_told
from tenuto.server.holdings.chunks import file_hashes
from tenuto.server.http.exchange import Answer, Call, Sink, json_answer
from tenuto.server.hub import Parts
from tenuto.server.quota import check_room
from tenuto.server.signing import LINK_LIFE_S, Claims, Operation

_MAX_PARTS = 4000


class BranchName(msgspec.Struct, frozen=True):
    """The branch that objects are for."""

    name: str = ""


class BatchRequest(LfsBatchRequest, frozen=True):
    """A batch, with the branch that it is for; none is named before a pull request has one."""

    ref: BranchName | None = None

    @property
    def action(self) -> Action:
        """What the policy is asked."""
        if self.operation == "download":
            return Action.READ
        return Action.PROPOSE if self.ref is None or self.ref.name.startswith("refs/pr/") else Action.WRITE


class TimedAction(LfsAction, frozen=True):
    """An action and how many seconds it may be begun in."""

    expires_in: int = LINK_LIFE_S


def batch(parts: Parts, call: Call) -> Answer:
    """Links to upload or download objects. Only what this very repo holds counts as being there."""
    request = call.json(BatchRequest)
    if len(request.objects) > BATCH_LIMIT:
        raise UsageError(f"ask for {BATCH_LIMIT} objects at most", code="TooLarge")
    if request.hash_algo != "sha256":
        raise UsageError("objects are named by their sha256 here")
    for one in request.objects:
        check_sha256(one.oid)
    check(call.actor, request.action, call.repo)
    if request.operation == "upload":
        transfer, answers = _offer_uploads(parts, call, request)
    else:
        with parts.database.read() as connection:
            held = held_sizes(connection, call.repo.key, [one.oid for one in request.objects])
        links = _Links(parts, call)
        transfer, answers = "basic", [_offer_download(links, one, held.get(one.oid)) for one in request.objects]
    answer = {"transfer": transfer, "hash_algo": "sha256", "objects": answers}
    return json_answer(answer, headers={"Content-Type": LFS_MEDIA_TYPE})


def _offer_uploads(parts: Parts, call: Call, request: BatchRequest) -> tuple[str, list[LfsAnswer]]:
    """The way that is best for what the repo lacks; what was lost counts as lacking."""
    held, usable = sound(parts, call.repo.key, [one.oid for one in request.objects])
    lacking = {one.oid: one for one in request.objects if one.oid not in held}.values()
    transfer = "basic"
    # Clients send all of a batch by Xet, or none: whole objects that are here would be sent again. What offers no parts is git-lfs with an
    # agent of its own, which takes other answers.
    if lacking and usable.issuperset(held) and {"multipart", "xet"}.issubset(request.transfers):
        transfer = "xet"
    elif "multipart" in request.transfers and any(one.size > parts.limits.multipart_from for one in lacking):
        transfer = "multipart"
    with parts.database.read() as connection:
        check_room(connection, call.repo.key, _least_new_bytes(call, transfer, lacking))
    links, in_parts = _Links(parts, call), transfer == "multipart"
    return transfer, [_offer_upload(parts, links, one, held.get(one.oid), in_parts) for one in request.objects]


class Sound(NamedTuple):
    """The sizes of objects that a repo holds and the hub can give, and which of them lie here in chunks."""

    sizes: dict[str, int]
    chunked: set[str]


def sound(parts: Parts, repo_key: int, oids: Sequence[str]) -> Sound:
    """What of these objects need not be sent to a repo again; no collection takes it in the time that a commit may take."""
    with parts.database.read() as connection:
        held = held_sizes(connection, repo_key, oids)
        chunked = file_hashes(connection, repo_key, held).values()
        usable = set(parts.xorbs.usable(connection, repo_key, chunked).values())
    held = {oid: size for oid, size in held.items() if oid in usable or _is_whole(parts, oid, size)}
    spare_told(parts.database, repo_key, held)
    return Sound(held, usable)


def _least_new_bytes(call: Call, transfer: str, lacking: Iterable[LfsObject]) -> int:
    """What these objects add at least. Of one that comes by its chunks, nobody knows yet how much is new: but for a byte, perhaps nothing."""
    is_xet = transfer == "xet"
    may_be_cut, from_bytes = is_xet or SENDS_CHUNKS.lower() in call.headers, 0 if is_xet else CHUNKS_FROM_BYTES
    return sum(1 if may_be_cut and one.size >= from_bytes else max(one.size, 0) for one in lacking)


def _is_whole(parts: Parts, oid: str, size: int) -> bool:
    try:
        return parts.store.size(oid) == size
    except NotFoundError:
        return False


class _Links:
    """Makes links for the caller and repo of one call."""

    def __init__(self, parts: Parts, call: Call) -> None:
        self._signer, self._call = parts.signer, call
        self._expires_s = parts.now_ms() // 1000 + LINK_LIFE_S

    def link(
        self, operation: Operation, one: LfsObject, *, upload: str = "", part: int = 0, part_bytes: int = 0
    ) -> str:
        claims = Claims(
            operation,
            self._call.repo.key,
            one.oid,
            one.size,
            self._call.actor.token_id,
            self._expires_s,
            upload,
            part,
            part_bytes,
        )
        return f"{self._call.base_url}/lfs/{operation}/{one.oid}?link={self._signer.sign(claims)}"


def _offer_download(links: _Links, one: LfsObject, size: int | None) -> LfsAnswer:
    if size is None or size != one.size:
        return LfsAnswer(one.oid, one.size, error=LfsFault(404, "Object does not exist"))
    return LfsAnswer(one.oid, one.size, True, {"download": TimedAction(links.link("download", one))})


def _offer_upload(parts: Parts, links: _Links, one: LfsObject, held: int | None, in_parts: bool) -> LfsAnswer:
    if held == one.size:
        return LfsAnswer(one.oid, one.size)
    if held is not None or not 0 <= one.size <= parts.limits.object:
        return LfsAnswer(one.oid, one.size, error=LfsFault(422, "An object of that name cannot have that size"))
    verify = TimedAction(links.link("verify", one))
    send = _part_links(parts, links, one) if in_parts else TimedAction(links.link("upload", one))
    return LfsAnswer(one.oid, one.size, True, {"upload": send, "verify": verify})


def _part_links(parts: Parts, links: _Links, one: LfsObject) -> TimedAction:
    part_bytes = max(parts.limits.part, -(-one.size // _MAX_PARTS))
    upload = secrets.token_hex(16)
    count = max(-(-one.size // part_bytes), 1)
    header = {"chunk_size": str(part_bytes)}
    for part in range(1, count + 1):
        header[f"{part:05d}"] = links.link("part", one, upload=upload, part=part, part_bytes=part_bytes)
    return TimedAction(links.link("complete", one, upload=upload, part=count, part_bytes=part_bytes), header)


def upload(parts: Parts, call: Call) -> Sink:
    """Take in a whole object by a signed link."""
    check_claimed_room(parts, call.claims)
    return ObjectSink(parts, call.claims)


def check_claimed_room(parts: Parts, claims: Claims) -> None:
    """Raise StorageError (QuotaExceeded) if the object of a link is new to its repo and does not fit."""
    with parts.database.read() as connection:
        if not held_sizes(connection, claims.repo_key, [claims.oid]):
            check_room(connection, claims.repo_key, claims.size)


class ObjectSink(Sink):
    """An object that becomes visible once its bytes have the size and the sha256 that its link names."""

    def __init__(self, parts: Parts, claims: Claims) -> None:
        self.max_bytes = claims.size
        self._parts, self._claims = parts, claims
        self._incoming = parts.store.receive()

    def write(self, data: bytes | memoryview) -> None:
        self._incoming.write(data)

    def finish(self) -> Answer:
        check_size(self._incoming.size, self._claims.size)
        sealed = self._incoming.seal(sha256=self._claims.oid, source="the upload")
        try:
            self._parts.publisher.publish(self._claims.repo_key, sealed, self._parts.now_ms())
        finally:
            self._parts.store.discard(sealed)
        return Answer(200, {"ETag": f'"{sealed.sha256}"'})

    def close(self) -> None:
        self._incoming.close()


def check_size(found: int, expected: int) -> None:
    """Raise IntegrityError (SizeMismatch) if that many bytes came, and others were expected."""
    if found != expected:
        raise IntegrityError(
            f"the upload has {found} bytes, expected {expected}", code="SizeMismatch", hint="send the whole of it again"
        )


def verify(parts: Parts, call: Call) -> Answer:
    """Whether the repo holds an object of that name and size now."""
    wanted = call.json(LfsObject)
    claims = call.claims
    with parts.database.read() as connection:
        held = held_sizes(connection, claims.repo_key, [claims.oid]).get(claims.oid)
    if held is None or (wanted.oid, wanted.size) != (claims.oid, held):
        raise NotFoundError(f"this repo holds no object {claims.oid} of that size", code="ObjectNotFound")
    return json_answer({})
