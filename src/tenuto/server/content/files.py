"""The bytes of files: resolve, raw, and links to large objects (hub-protocol sections 6.3 and 7.4)."""

import io
import re
from collections.abc import Mapping
from urllib.parse import quote

from tenuto.core.errors import IntegrityError, NotFoundError, UsageError
from tenuto.core.wire import LINKED_ETAG, LINKED_SIZE, REPO_COMMIT
from tenuto.server.content.commits import held_sizes
from tenuto.server.content.lookup import Found, Lookup, open_large
from tenuto.server.http.exchange import Answer, Call, FileBody, error_answer
from tenuto.server.hub import Parts

_SHORT_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PLAIN_NAME = re.compile(r"[^\x20-\x7e]|[\"\\%]")
# Nothing that a browser would run, everything else is a download: what people upload is served from the address of the hub itself.
_SAFE_TYPES = {
    "csv": "text/plain; charset=utf-8",
    "flac": "audio/flac",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "md": "text/plain; charset=utf-8",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "png": "image/png",
    "py": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "wav": "audio/wav",
    "webp": "image/webp",
    "yaml": "text/plain; charset=utf-8",
    "yml": "text/plain; charset=utf-8",
}
_GUARDS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def resolve(parts: Parts, call: Call) -> Answer:
    """A file at a revision, as a user sees it."""
    return _serve(parts, call, follow=True)


def raw(parts: Parts, call: Call) -> Answer:
    """A file as git keeps it: for a large one, the text of its pointer."""
    return _serve(parts, call, follow=False)


def recall_resolve(parts: Parts, call: Call) -> Answer | None:
    """What `resolve` answers, if that is in memory."""
    return _recall(parts, call, follow=True)


def recall_raw(parts: Parts, call: Call) -> Answer | None:
    """What `raw` answers, if that is in memory."""
    return _recall(parts, call, follow=False)


def _serve(parts: Parts, call: Call, *, follow: bool) -> Answer:
    lookup = Lookup(parts, call, follow=follow)
    found, body = lookup.recall(), None
    is_read = call.method != "HEAD"
    if found is None or (is_read and not found.large):
        place = lookup.find()
        if isinstance(place, Answer):
            return place
        found, body = place
    if is_read and found.large:
        body = lookup.read_large(found)
    return _answer(parts, call, found, body)


def _recall(parts: Parts, call: Call, *, follow: bool) -> Answer | None:
    lookup = Lookup(parts, call, follow=follow)
    found, body = lookup.recall(), None
    if found is None:
        return None
    if call.method != "HEAD" and (body := lookup.recall_body(found)) is None:
        return None
    return _answer(parts, call, found, body)


def _answer(parts: Parts, call: Call, found: Found, body: bytes | None) -> Answer:
    """The answer with `body`, which is all of the file; None stands for what is not needed or too long for memory."""
    headers = {REPO_COMMIT: found.commit, **_disposition(call.params["path"])}
    file = FileBody(lambda: io.BytesIO(body or b""), 0, found.size)
    if found.large is None:
        return deliver(call, file, found.blob.oid, headers)
    sha256, size = found.large
    headers |= {LINKED_ETAG: f'"{sha256}"', LINKED_SIZE: str(size)}
    if found.xet_hash:  # what tells a client how to get the file by its chunks
        token_url = f"{call.base_url}/{call.repo.id.api_path}/xet-read-token/{found.commit}"
        headers |= {"X-Xet-Hash": found.xet_hash, "Link": f'<{token_url}>; rel="xet-auth"'}
    if body is None:
        file = large_body(parts, call.repo.key, sha256, size)
    return deliver(call, file, sha256, headers)


def download(parts: Parts, call: Call) -> Answer:
    """A large object by a signed link."""
    claims = call.claims
    with parts.database.read() as connection:
        size = held_sizes(connection, claims.repo_key, [claims.oid]).get(claims.oid)
    if size is None:
        raise NotFoundError(f"this repo holds no object {claims.oid}", code="ObjectNotFound")
    return deliver(call, large_body(parts, claims.repo_key, claims.oid, size), claims.oid, {})


def large_body(parts: Parts, repo_key: int, sha256: str, size: int) -> FileBody:
    """The bytes of a large object as the body of an answer."""
    return FileBody(lambda: open_large(parts, repo_key, sha256), 0, size)


def _disposition(path: str) -> dict[str, str]:
    name = path.rpartition("/")[2]
    suffix = name.rpartition(".")[2].lower()
    how = "inline" if suffix in _SAFE_TYPES else "attachment"
    return {
        "Content-Type": _SAFE_TYPES.get(suffix, "application/octet-stream"),
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(name, safe='')}; filename=\"{_PLAIN_NAME.sub('_', name)}\";",
    }


def deliver(call: Call, file: FileBody, tag: str, headers: Mapping[str, str]) -> Answer:
    """All of `file`, or the part that was asked for."""
    etag = f'"{tag}"'
    headers = {"Content-Type": "application/octet-stream", **_GUARDS, **headers, "ETag": etag}
    if etag in call.headers.get("if-none-match", ""):
        return Answer(304, headers)
    condition = call.headers.get("if-range")
    wanted = call.headers.get("range") if condition in {None, etag} else None
    try:
        part = parse_range(wanted, file.length)
    except UsageError as error:
        return error_answer(error, {"Content-Range": f"bytes */{file.length}"})
    if part is None:
        return Answer(200, headers, _at_hand(call, file))
    start, end = part
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.length}"
    return Answer(206, headers, _at_hand(call, file._replace(start=start, length=end - start)))


def _at_hand(call: Call, file: FileBody) -> bytes | FileBody:
    """A short body is read here, in the thread that found it; a long one is read while it is sent."""
    if file.length > _SHORT_BYTES or call.method == "HEAD":
        return file
    with file.open() as opened:
        opened.seek(file.start)
        data = opened.read(file.length)
    if len(data) != file.length:
        raise IntegrityError("a stored object is shorter than the hub knows it", code="CorruptObject")
    return data


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the one range that is asked for; None stands for everything.

    Several ranges and other units are ignored, as RFC 9110 allows. Raises UsageError (BadRange) for a range that starts at the end or behind it.
    """
    match = _RANGE.fullmatch(text.strip()) if text else None
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= size:
        raise UsageError(f"the file has {size} bytes", code="BadRange")
    return start, end
