"""Files that a browser sends become a commit: small ones in it, those that are large by nature as objects beside it."""

import base64
import hashlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tenuto.server.api.uploads import RULES_BYTES
from tenuto.server.content.commits import (
    FileLine,
    FileValue,
    HeaderLine,
    HeaderValue,
    LfsLine,
    LfsValue,
    check_commit_path,
    commit,
)
from tenuto.server.content.lfs import sound
from tenuto.server.git.objects import GitReader
from tenuto.server.git.patterns import LargeFileRules
from tenuto.server.http.exchange import Call
from tenuto.server.hub import Parts

_SUMMARY_CHARACTERS = 200


class NewFile(NamedTuple):
    """What shall lie under a path."""

    path: str
    content: bytes


def put(
    parts: Parts, call: Call, revision: str, files: Sequence[NewFile], summary: str, parent: str | None = None
) -> str:
    """Commit files to a branch and return its head afterwards; with `parent`, only if the branch still stands there.

    Raises what `commits.commit` does, and StorageError (QuotaExceeded).
    """
    for file in files:
        check_commit_path(file.path)
    rules = _rules(parts, call, revision)
    lines: list[object] = [HeaderLine(HeaderValue(summary[:_SUMMARY_CHARACTERS].strip(), "", parent))]
    for file in files:
        is_large = len(file.content) > parts.limits.large_file or (bool(file.content) and rules.is_large(file.path))
        lines.append(_large(parts, call, file) if is_large else _small(file))
    body = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return commit(parts, call.repo, call.origin, revision, io.BytesIO(body))


def _rules(parts: Parts, call: Call, revision: str) -> LargeFileRules:
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        item = git.find(git.resolve(revision).tree, ".gitattributes")
        if item is None or item.is_tree or git.blob(item.oid).size > RULES_BYTES:
            return LargeFileRules("")
        return LargeFileRules(git.body(item.oid).decode(errors="replace"))


def _small(file: NewFile) -> FileLine:
    return FileLine(FileValue(file.path, base64.b64encode(file.content).decode(), "base64"))


def _large(parts: Parts, call: Call, file: NewFile) -> LfsLine:
    """Put the bytes into the store, held by the repo, unless it holds them already; the commit then names them."""
    sha256 = hashlib.sha256(file.content).hexdigest()
    if sha256 not in sound(parts, call.repo.key, [sha256]).sizes:
        with parts.store.receive() as incoming:
            incoming.write(file.content)
            sealed = incoming.seal(sha256=sha256, source="the browser")
        try:
            parts.publisher.publish(call.repo.key, sealed, parts.now_ms())
        finally:
            parts.store.discard(sealed)
    return LfsLine(LfsValue(file.path, sha256, len(file.content)))
