"""git over HTTP: what refs there are, fetch, and push (hub-protocol section 7.5).

Source: gitprotocol-http(5). A request with a body is taken in whole, unzipped if need be, and answered from a file.
"""

import tempfile
import zlib
from collections.abc import Callable, Iterable
from typing import BinaryIO, Literal

from tenuto.core.errors import AccessDeniedError, IntegrityError, TenutoError, UsageError
from tenuto.core.human import size_text
from tenuto.server.access import Action, check
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, GitReader, Ref
from tenuto.server.git_wire.answer import Fetch
from tenuto.server.git_wire.protocol import (
    ZERO_ID,
    FetchRequest,
    Mark,
    packet,
    read_command,
    read_fetch_v0,
)
from tenuto.server.git_wire.receive import receive
from tenuto.server.http.exchange import Answer, Call, FileBody, Sink
from tenuto.server.hub import Parts

Service = Literal["upload-pack", "receive-pack"]
AGENT = "agent=tenuto"
MEMORY_BYTES = 1 << 20
FETCH_REQUEST_BYTES = 16 << 20
_FETCH_WORDS = (
    "multi_ack_detailed thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative "
    f"no-progress include-tag allow-tip-sha1-in-want allow-reachable-sha1-in-want filter object-format=sha1 {AGENT}"
)
_PUSH_WORDS = f"report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 {AGENT}"
_V2 = ("version 2", AGENT, "ls-refs=unborn", "fetch=shallow wait-for-done filter", "object-format=sha1")


def _headers(service: Service, what: str) -> dict[str, str]:
    kind = f"application/x-git-{service}-{what}"
    return {"Content-Type": kind, "Cache-Control": "no-cache, max-age=0, must-revalidate"}


def info_refs(parts: Parts, call: Call) -> Answer:
    """The refs of a repo and what this hub can do; a push needs the right to write from here on."""
    match call.text("service"):
        case "git-upload-pack":
            service: Service = "upload-pack"
        case "git-receive-pack":
            service = "receive-pack"
            check(call.actor, Action.WRITE, call.repo)
        case _:
            raise AccessDeniedError("this hub speaks the smart protocol only", hint="use git 1.6.6 or newer")
    version = _version(call)
    if service == "upload-pack" and version == 2:
        body = b"".join(packet(line) for line in _V2) + Mark.FLUSH.value
    else:
        body = b"".join(_advertised(parts, call, service, version))
    return Answer(200, _headers(service, "advertisement"), body)


def _version(call: Call) -> int:
    words = call.headers.get("git-protocol", "").split(":")
    return max((number for number in (0, 1, 2) if f"version={number}" in words), default=0)


def _advertised(parts: Parts, call: Call, service: Service, version: int) -> Iterable[bytes]:
    yield packet(f"# service=git-{service}") + Mark.FLUSH.value
    if version == 1:
        yield packet("version 1")
    with parts.database.read() as connection:
        refs = GitReader(connection, call.repo.key, parts.cache).refs()
    refs.sort(key=lambda ref: ref.name.encode())
    lines: list[tuple[str, str]] = []
    words = _PUSH_WORDS
    if service == "upload-pack":
        words = _FETCH_WORDS
        head = _head(refs)
        if head:
            words += f" symref=HEAD:{head.name}"
            lines.append((head.target, "HEAD"))
    for ref in refs:
        lines.append((ref.target, ref.name))
        if service == "upload-pack" and ref.target != ref.commit:
            lines.append((ref.commit, f"{ref.name}^{{}}"))
    for index, (oid, name) in enumerate(lines or [(ZERO_ID, "capabilities^{}")]):
        yield packet(f"{oid} {name}" + ("" if index else f"\0{words}"))
    yield Mark.FLUSH.value


def _head(refs: list[Ref]) -> Ref | None:
    return next((ref for ref in refs if ref.name == HEADS + DEFAULT_BRANCH), None)


class BodySink(Sink):
    """A body in a file: unzipped if it came zipped, in memory while it is short."""

    def __init__(self, parts: Parts, call: Call, service: Service, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        encoding = call.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise UsageError(f"the content encoding {encoding[:40]!r} is not known here", hint="send gzip, or none")
        kind = call.headers.get("content-type", "")
        if kind != f"application/x-git-{service}-request":
            raise UsageError(f"the content type {kind[:80]!r} is not that of a request of git")
        self._unzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding != "identity" else None
        self._size = 0
        self.file: BinaryIO = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=parts.spool)  # type: ignore[assignment]  # noqa: SIM115

    def write(self, data: bytes | memoryview) -> None:
        if self._unzip is None:
            self.file.write(data)
            return
        while data and not self._unzip.eof:
            try:
                piece = self._unzip.decompress(data, MEMORY_BYTES)
            except zlib.error as error:
                raise UsageError("the body of the request cannot be unzipped") from error
            data = self._unzip.unconsumed_tail
            self._size += len(piece)
            if self._size > self.max_bytes:
                raise UsageError(f"the body of the request is larger than {size_text(self.max_bytes)}", code="TooLarge")
            self.file.write(piece)

    def rewind(self) -> BinaryIO:
        """The whole body, from its beginning."""
        if self._unzip is not None and not self._unzip.eof and self._size:
            raise IntegrityError("the body of the request was cut short", code="SizeMismatch")
        self.file.seek(0)
        return self.file

    def close(self) -> None:
        self.file.close()


def upload_pack(parts: Parts, call: Call) -> Sink:
    """Take in what a client wants and has."""
    return FetchSink(parts, call)


class FetchSink(BodySink):
    """A fetch. What is wrong with it is told in the words of git."""

    def __init__(self, parts: Parts, call: Call) -> None:
        super().__init__(parts, call, "upload-pack", FETCH_REQUEST_BYTES)
        self._parts, self._call = parts, call

    def finish(self) -> Answer:
        body = self.rewind()
        out = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=self._parts.spool)  # noqa: SIM115  # closed once it is sent
        try:
            self._write(body, out)  # type: ignore[arg-type]
        except TenutoError as error:
            out.close()
            if error.http_status >= 500:
                raise
            return Answer(200, _headers("upload-pack", "result"), packet(f"ERR {_one_line(error.message)}"))
        except BaseException:
            out.close()
            raise
        length = out.tell()
        opened: Callable[[], BinaryIO] = lambda: out  # type: ignore[assignment,return-value]  # noqa: E731
        return Answer(200, _headers("upload-pack", "result"), FileBody(opened, 0, length))

    def _write(self, body: BinaryIO, out: BinaryIO) -> None:
        with self._parts.database.read() as connection:
            git = GitReader(connection, self._call.repo.key, self._parts.cache)
            if _version(self._call) < 2:
                request = read_fetch_v0(body)
                if request.wants:
                    Fetch(git, request).answer_v0(out)
                return
            command = read_command(body)
            if command is None:
                return
            if command.name == "ls-refs":
                out.writelines(_listed_refs(git.refs(), command.arguments))
            elif command.name == "fetch":
                request = FetchRequest()
                for line in command.arguments:
                    request.take(line)
                Fetch(git, request).answer_v2(out)
            else:
                raise UsageError(f"this hub does not know the command {command.name[:80]!r}")


def _listed_refs(refs: list[Ref], arguments: list[str]) -> Iterable[bytes]:
    prefixes = tuple(one.removeprefix("ref-prefix ") for one in arguments if one.startswith("ref-prefix "))
    head = _head(refs)
    if not prefixes or "HEAD".startswith(prefixes):
        symref = f" symref-target:{HEADS}{DEFAULT_BRANCH}" if "symrefs" in arguments or not head else ""
        if head or "unborn" in arguments:
            yield packet(f"{head.target if head else 'unborn'} HEAD{symref}")
    for ref in sorted(refs, key=lambda ref: ref.name.encode()):
        if not prefixes or ref.name.startswith(prefixes):
            peeled = f" peeled:{ref.commit}" if "peel" in arguments and ref.target != ref.commit else ""
            yield packet(f"{ref.target} {ref.name}{peeled}")
    yield Mark.FLUSH.value


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1000]


def receive_pack(parts: Parts, call: Call) -> Sink:
    """Take in a push."""
    return PushSink(parts, call)


class PushSink(BodySink):
    """A push: refs to move, and a pack."""

    def __init__(self, parts: Parts, call: Call) -> None:
        super().__init__(parts, call, "receive-pack", parts.limits.push_body)
        self._parts, self._call = parts, call

    def finish(self) -> Answer:
        body = receive(self._parts, self._call.repo, self._call.origin, self.rewind())
        return Answer(200, _headers("receive-pack", "result"), body)
