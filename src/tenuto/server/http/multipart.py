"""Forms that bring files: `multipart/form-data` as browsers send it (RFC 7578), of a body that is in memory."""

import re
from typing import NamedTuple

from tenuto.core.errors import UsageError

_MOST_PARTS = 300
_HEAD_BYTES = 4096
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]{1,70})\"|([\w'()+,./:=?-]{1,70}))(?:;|$)", re.ASCII)
_NAME = re.compile(r"[;\s]name=\"([^\"]*)\"")
_FILE_NAME = re.compile(r"[;\s]filename=\"([^\"]*)\"")


class Upload(NamedTuple):
    """A file of a form; its name is what the browser says, and may be anything."""

    field: str
    name: str
    content: bytes


class Multipart(NamedTuple):
    """The fields of a form, the last value of each, and its files."""

    fields: dict[str, str]
    files: list[Upload]


def is_multipart(content_type: str) -> bool:
    """Whether a body of that type is one."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def read_multipart(content_type: str, body: bytes) -> Multipart:
    """The form in a body; raises UsageError (BadRequest, TooLarge) if it is none, or has very many parts."""
    match = _BOUNDARY.search(content_type)
    if not match:
        raise _unreadable("it names no boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + (match[1] or match[2]).encode("ascii"), _MOST_PARTS + 2)
    if len(pieces) > _MOST_PARTS + 2:
        raise UsageError(f"a form may have {_MOST_PARTS} parts", code="TooLarge", hint="send fewer files at once")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _unreadable("it has no end")
    form = Multipart({}, [])
    for piece in pieces[1:-1]:
        _take(form, piece)
    return form


def _take(form: Multipart, piece: bytes) -> None:
    head, mark, content = piece.partition(b"\r\n\r\n")
    if not mark or not head.startswith(b"\r\n") or len(head) > _HEAD_BYTES:
        raise _unreadable("a part of it has no head")
    try:
        text = head.decode()
        lines = [line for line in text.split("\r\n") if line.lower().startswith("content-disposition:")]
        name, file_name = (_found(pattern, lines) for pattern in (_NAME, _FILE_NAME))
        if name is None:
            raise _unreadable("a part of it has no name")
        if file_name is None:
            form.fields[name] = content.decode()
        else:
            form.files.append(Upload(name, file_name, content))
    except UnicodeDecodeError as error:
        raise _unreadable("a text in it is not UTF-8") from error


def _found(pattern: "re.Pattern[str]", lines: list[str]) -> str | None:
    """A word of a head; browsers write quotes and ends of lines in it as `%22`, `%0D` and `%0A`."""
    match = pattern.search(lines[0]) if lines else None
    return match[1].replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n") if match else None


def _unreadable(reason: str) -> UsageError:
    return UsageError(f"the form cannot be read: {reason}")
