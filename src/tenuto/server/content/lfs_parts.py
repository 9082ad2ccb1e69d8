"""Large objects in parts: take in each part, then make them one object (hub-protocol section 7.4)."""

import contextlib
import re
from collections.abc import Sequence

import msgspec

from tenuto.core.errors import UnavailableError, UsageError
from tenuto.server.content.commits import held_sizes
from tenuto.server.content.lfs import check_claimed_room, check_size
from tenuto.server.holdings.uploads import Part, Plan, Upload
from tenuto.server.http.exchange import Answer, Call, Sink, json_answer
from tenuto.server.hub import Parts
from tenuto.server.signing import Claims

_ETAG = re.compile(r'"?([0-9]{5}-[0-9a-f]{2})"?')


def upload_part(parts: Parts, call: Call) -> Sink:
    """Take in one part of an object by a signed link."""
    check_claimed_room(parts, call.claims)
    return PartSink(parts, call.claims)


class PartSink(Sink):
    """A part, written where it belongs in the object. Sending a part again replaces it."""

    def __init__(self, parts: Parts, claims: Claims) -> None:
        start = (claims.part - 1) * claims.part_bytes
        self.max_bytes = min(claims.part_bytes, claims.size - start)
        self._held = contextlib.ExitStack()
        self._upload = self._held.enter_context(parts.uploads.at(_plan(claims)))
        self._number, self._size = claims.part - 1, 0
        self._begun: Part | None = None

    @property
    def _part(self) -> Part:
        """Begun at its first byte: a request that is refused before changes nothing."""
        if self._begun is None:
            self._begun = self._upload.begin(self._number)
        return self._begun

    def write(self, data: bytes | memoryview) -> None:
        self._part.write(data)
        self._size += len(data)

    def finish(self) -> Answer:
        check_size(self._size, self.max_bytes)
        return Answer(200, {"ETag": f'"{self._part.complete()}"'})

    def close(self) -> None:
        if self._begun:
            self._upload.leave(self._begun)
        self._held.close()


def _plan(claims: Claims) -> Plan:
    return Plan(claims.upload, claims.size, claims.part_bytes, claims.expires_s)


class PartClaim(msgspec.Struct, frozen=True):
    """A part that the client has sent, and the tag that it got for it."""

    number: int = msgspec.field(name="partNumber")
    etag: str


class Completion(msgspec.Struct, frozen=True):
    """The body that completes an upload in parts."""

    oid: str
    parts: list[PartClaim]


def complete(parts: Parts, call: Call) -> Answer:
    """The parts are one object, visible if it has the sha256 that the link names. May be asked again, also while it is under way."""
    claims, completion = call.claims, call.json(Completion)
    if [one.number for one in completion.parts] != list(range(1, claims.part + 1)) or completion.oid != claims.oid:
        raise UsageError(f"an upload of {claims.part} parts is completed by naming all of them in order")
    tags = [_tag(one) for one in completion.parts]
    with parts.uploads.at(_plan(claims)) as upload, upload.completing:
        if _is_complete(parts, claims):
            upload.forget()  # the answer to an earlier request was lost, or not waited for, or it came by another way
            return json_answer({})
        check_claimed_room(parts, claims)
        _publish(parts, claims, upload, tags)
    return json_answer({})


def _publish(parts: Parts, claims: Claims, upload: Upload, tags: Sequence[str]) -> None:
    """The repo holds the object. If that failed because the hub was busy, another request to complete may try it once more."""
    publish = parts.publisher.hold if upload.is_stored else parts.publisher.publish
    sealed = upload.seal(tags, claims.oid)
    try:
        publish(claims.repo_key, sealed, parts.now_ms())
    except UnavailableError:
        if parts.store.has(claims.oid):
            upload.keep(sealed)
        raise
    finally:
        parts.store.discard(sealed)


def _is_complete(parts: Parts, claims: Claims) -> bool:
    with parts.database.read() as connection:
        return held_sizes(connection, claims.repo_key, [claims.oid]).get(claims.oid) == claims.size


def _tag(part: PartClaim) -> str:
    match = _ETAG.fullmatch(part.etag)
    if not match:
        raise UsageError(f"part {part.number} has no tag of this hub")
    return match[1]
