"""What a Xet client writes: tokens for it, grants, xorbs, shards (xet-protocol sections 7.1, 8.1 to 8.3)."""

import mmap
import tempfile
from collections.abc import Generator
from typing import BinaryIO

import msgspec

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, TenutoError, UnavailableError
from tenuto.server.git.unneeded import spare_told
from tenuto.server.holdings.chunks import Scope, generation, held_xorbs
from tenuto.server.http.exchange import Answer, Call, Pieces, Sink, error_answer, json_answer
from tenuto.server.hub import Parts
from tenuto.server.signing import LINK_LIFE_S, Claims, Operation
from tenuto.server.xet.check import ShardCheck
from tenuto.store.xet.hashes import check_hash
from tenuto.store.xet.shard import MOST_SHARD_BYTES
from tenuto.store.xet.xorb import MOST_BODY_BYTES

_MEMORY_BYTES = 1 << 20


def write_token(parts: Parts, call: Call) -> Answer:
    """A token to upload chunks to one repo."""
    return _token(parts, call, "xet-write")


def read_token(parts: Parts, call: Call) -> Answer:
    """A token to download chunks of one repo."""
    return _token(parts, call, "xet-read")


def _token(parts: Parts, call: Call, operation: Operation) -> Answer:
    with parts.database.read() as connection:
        scope = Scope(call.repo.key, generation(connection, call.repo.key))
    expires_s = parts.now_ms() // 1000 + LINK_LIFE_S
    claims = Claims(operation, scope.repo_key, str(scope.generation), 0, call.actor.token_id, expires_s)
    token, url = parts.signer.sign(claims), f"{call.base_url}/xet/{scope.repo_key}/{scope.generation}"
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": token,
        "X-Xet-Token-Expiration": str(expires_s),
        "Cache-Control": "no-store",
    }
    return json_answer({"casUrl": url, "exp": expires_s, "accessToken": token}, headers=headers)


def scope_of(call: Call) -> Scope:
    """The scope that the token of a call is for."""
    return Scope(call.claims.repo_key, int(call.claims.oid))


def grant(parts: Parts, call: Call) -> Answer:
    """Whether a xorb need not be sent: exactly 404 makes clients send it here."""
    name = check_hash(call.params["hash"])
    with parts.database.read() as connection:
        lacking = not held_xorbs(connection, call.repo.key, [name]) or parts.xorbs.lacking(connection, [name])
    if lacking:
        raise NotFoundError("this repo holds no such xorb", code="ObjectNotFound")
    spare_told(parts.database, call.repo.key, [name])
    return json_answer({})


def receive_xorb(parts: Parts, call: Call) -> Sink:
    """Take in a xorb."""
    return XorbSink(parts, scope_of(call), check_hash(call.params["hash"]))


class XorbSink(Sink):
    """A xorb that becomes visible once every chunk was unpacked and hashed and the whole has the hash that it is sent under."""

    max_bytes = MOST_BODY_BYTES

    def __init__(self, parts: Parts, scope: Scope, name: str) -> None:
        self._parts, self._scope, self._name = parts, scope, name
        self._incoming = parts.xorbs.folder.receive()

    def write(self, data: bytes | memoryview) -> None:
        self._incoming.write(data)

    def finish(self) -> Answer:
        try:
            table = self._incoming.seal(self._name)
        except IntegrityError as error:
            return error_answer(error, status=400)
        parts = self._parts
        is_new = parts.xorbs.publish(self._scope, self._name, table, self._incoming, parts.now_ms())
        return json_answer({"was_inserted": is_new})

    def close(self) -> None:
        self._incoming.close()


def receive_shard(parts: Parts, call: Call) -> Sink:
    """Take in a shard and answer once it was checked."""
    return ShardSink(parts, scope_of(call))


def receive_shard_in_lines(parts: Parts, call: Call) -> Sink:
    """Take in a shard and report while it is checked; what is wrong with it is said in the last line."""
    return ShardSink(parts, scope_of(call), in_lines=True)


class ShardSink(Sink):
    """A shard, in memory while it is small, else in a file."""

    max_bytes = MOST_SHARD_BYTES

    def __init__(self, parts: Parts, scope: Scope, *, in_lines: bool = False) -> None:
        self._parts, self._scope, self._in_lines = parts, scope, in_lines
        self._file: BinaryIO = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, dir=parts.spool)  # type: ignore[assignment]  # noqa: SIM115
        self._size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._size += len(data)

    def finish(self) -> Answer:
        check = ShardCheck(self._parts, self._scope, _view(self._file, self._size))
        if self._in_lines:
            return Answer(200, {"Content-Type": "application/x-ndjson"}, Pieces(_report(check)))
        try:
            for _ in check.run():
                pass
        except IntegrityError as error:
            return error_answer(error, status=400 if error.code == "HashMismatch" else None)
        return json_answer({"result": int(check.added > 0)})

    def close(self) -> None:
        self._file.close()


def _view(file: BinaryIO, size: int) -> memoryview:
    """The bytes of a file; of a large one a mapping, which outlives the file and lies in no memory of ours."""
    file.seek(0)
    if size <= _MEMORY_BYTES:
        return memoryview(file.read())
    return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


def _report(check: ShardCheck) -> Generator[bytes, None, None]:
    try:
        for _ in check.run():
            yield _line({"type": "validating", "verified": check.done, "total": check.total})
        yield _line({"type": "result", "result": int(check.added > 0)})
    except TenutoError as error:
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        again = isinstance(error, UnavailableError | StorageError) and error.code != "QuotaExceeded"
        yield _line({"type": "error", "message": message, "retryable": again})


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
