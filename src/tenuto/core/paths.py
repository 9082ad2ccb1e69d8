"""Relative paths that are safe to write on every operating system, whatever a hub, a zip or a manifest says."""

import re
import unicodedata
from collections.abc import Iterable

from tenuto.core.errors import UsageError

MAX_SEGMENT_BYTES = 255
MAX_PATH_BYTES = 1024

_DEVICE = r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])"
_DEVICE_NAME = re.compile(rf"{_DEVICE} *(?:\.|$)")
_PLAIN_SEGMENT = rf"(?!{_DEVICE}(?:[./]|$))[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?"
_PLAIN_PATH = re.compile(rf"{_PLAIN_SEGMENT}(?:/{_PLAIN_SEGMENT})*")
_FORBIDDEN_CHARACTERS = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]'
)


def check_path(path: str) -> str:
    """Return `path` if it is a relative POSIX path that is safe everywhere.

    Guarantees: no empty, `.` or `..` segment, no leading slash, no drive or device name, no control, bidirectional or
    zero-width character, no character that Windows forbids, no trailing dot or space, no `.git` segment, at most 255
    bytes a segment and 1,024 in all.

    Raises UsageError (BadPath), which names the path and the reason.
    """
    if len(path) <= MAX_SEGMENT_BYTES and _PLAIN_PATH.fullmatch(path):
        return path
    reason = _fault(path)
    if reason:
        raise UsageError(f"path {path!r} is not allowed: {reason}", code="BadPath", hint="rename the file")
    return path


def _fault(path: str) -> str | None:
    if not path:
        return "it is empty"
    forbidden = _FORBIDDEN_CHARACTERS.search(path)
    if forbidden:
        return f"character {forbidden.group()!r} cannot be written on every system"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"it is longer than {MAX_PATH_BYTES} bytes"
    return next((fault for segment in path.split("/") if (fault := _segment_fault(segment))), None)


def _segment_fault(segment: str) -> str | None:
    if segment in {"", ".", ".."}:
        return "it has an empty, '.' or '..' segment"
    if segment[-1] in ". ":
        return "a segment ends in a dot or a space"
    if _DEVICE_NAME.match(segment):
        return f"{segment!r} is a device name on Windows"
    if unicodedata.normalize("NFKC", segment).lower() in {".git", "git~1"}:
        return "'.git' belongs to git"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    return None


def twins(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of paths, or of folders above them, that fall together on a case-blind or Unicode-normalising disk, in input order."""
    seen: dict[str, str] = {}
    looked_at = {""}
    pairs = []
    for path in paths:
        while path not in looked_at:
            looked_at.add(path)
            other = seen.setdefault(folded(path), path)
            if other != path:
                pairs.append((other, path))
                break
            path = path.rpartition("/")[0]
    return pairs


def folded(path: str) -> str:
    """What all paths have in common that a case-blind or Unicode-normalising disk takes for this one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
