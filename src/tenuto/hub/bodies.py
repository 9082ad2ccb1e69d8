"""Whether the body of an answer can be the wanted file: looked at before a byte of it is taken in."""

import re

from tenuto.core.errors import IntegrityError, TenutoError, UnavailableError
from tenuto.hub.patience import Attempt
from tenuto.hub.session import Stream
from tenuto.hub.sources import Source, Wanted

_LENGTH = re.compile(r"[0-9]{1,18}")


def check_body(stream: Stream, wanted: Wanted, source: Source) -> None:
    """Raise Attempt or IntegrityError (SizeMismatch) for a body that cannot be the wanted one."""
    if stream.headers.get("Content-Encoding", "identity") != "identity":
        raise Attempt(UnavailableError(f"{wanted.path} came compressed, unasked", code="BadAnswer"), again=True)
    if stream.status != 200:
        return
    length = stream.headers.get("Content-Length", "")
    announced = int(length) if _LENGTH.fullmatch(length) else None
    is_page = stream.headers.get("Content-Type", "").lower().startswith("text/html")
    if is_page and announced != wanted.size and not wanted.path.endswith((".html", ".htm")):
        raise Attempt(_web_page(wanted, source), again=True)
    if announced is not None and announced != wanted.size:
        raise other_size(wanted, str(announced), source)


def is_range(stream: Stream, start: int, end: int, size: int) -> bool:
    """Whether the answer is exactly the bytes from `start` to before `end` of a file of that size."""
    return stream.status == 206 and stream.headers.get("Content-Range", "") == f"bytes {start}-{end - 1}/{size}"


def _web_page(wanted: Wanted, source: Source) -> TenutoError:
    return UnavailableError(
        f"{source.title} answered with a web page in place of {wanted.path}",
        code="BadAnswer",
        hint="does this network ask you to log in? Open a browser, then run the command again",
    )


def other_size(wanted: Wanted, sent: str, source: Source) -> TenutoError:
    """The error for a source that has a file of another size under this name."""
    return IntegrityError(
        f"{source.title} sends {sent} bytes for {wanted.path}, which has {wanted.size} and the id {wanted.key}",
        code="SizeMismatch",
        hint="nothing was stored; try again, or use another source",
    )


def cannot_resume(wanted: Wanted) -> TenutoError:
    """The error for an answer that is neither the file nor the asked part of it."""
    return UnavailableError(f"the hub did not continue {wanted.path} where it stopped", code="BadAnswer")


def short(wanted: Wanted, got: int) -> TenutoError:
    """The error for a body that ended too soon."""
    return UnavailableError(
        f"{wanted.path} ended after {got} of {wanted.size} bytes",
        hint="run the command again: it goes on where it stopped",
    )
