"""The header of a safetensors file as a table."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source
from tenuto.server.http.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.previews import Preview, shortened
from tenuto.server.pages.records import CELLS
from tenuto.server.pages.render import weight
from tenuto.server.pages.room import fitting

HEADER_BYTES = 2 << 20
_PAGE, _PAGE_BYTES, _ROW_BYTES = 200, 55_000, 90
_NAME_CHARACTERS, _SHAPE_CHARACTERS, _TYPE_CHARACTERS = 120, 60, 16
_MOST_META, _META_CHARACTERS, _META_BYTES = 30, 500, 12_000
_MOST_AXES, _LONGEST_AXIS = 16, 1 << 48


def tensors(source: Source, file: File, call: Call) -> Preview | None:
    """Names, types and shapes of the tensors, a page of them; and what the file says of itself.

    Raises FormatError if the header cannot be read, or is longer than is read for a page.
    """
    header = _header(source)
    meta = header.pop("__metadata__", {})
    found = [(name, value) for name, value in header.items() if isinstance(value, dict)]
    first = call.number("line", 1, 10**9) - 1
    rows = list(fitting((_row(name, value) for name, value in found[first : first + _PAGE]), _PAGE_BYTES, _cost))
    following = first + len(rows)
    values = {
        "rows": rows,
        "count": len(found),
        "parameters": sum(_count(value) for _, value in found),
        "meta": list(fitting(_told(meta), _META_BYTES, _cost)) if isinstance(meta, dict) else [],
        "next": following + 1 if following < len(found) else 0,
    }
    return Preview("tensors", values)


def _header(source: Source) -> dict[str, object]:
    length = int.from_bytes(source.read(0, 8), "little")
    if length > source.size - 8:
        raise FormatError("BadLength", f"its header would have {length:,} bytes")
    text = source.read(8, min(length, HEADER_BYTES + 1))
    if not text.lstrip().startswith(b"{"):
        raise FormatError("BadHeader", "its header is no table")
    if length > HEADER_BYTES or sum(map(text.count, (b",", b"[", b"{"))) > CELLS:
        raise FormatError("NotAllChecked", f"its header has {length:,} bytes, which is more than is read for a page")
    try:
        header = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError("BadHeader", "its header is no JSON") from error
    return header


def _told(meta: dict[object, object]) -> Iterator[tuple[str, str]]:
    """What the file says of itself."""
    for key, value in islice(meta.items(), _MOST_META):
        yield shortened(str(key), _NAME_CHARACTERS), shortened(str(value), _META_CHARACTERS)


def _cost(row: tuple[str, ...]) -> int:
    return sum(map(weight, row)) + _ROW_BYTES


def _axes(value: dict[str, object]) -> Sequence[int]:
    shape = value.get("shape")
    return [one for one in shape[:_MOST_AXES] if type(one) is int] if isinstance(shape, list) else []


def _count(value: dict[str, object]) -> int:
    axes = _axes(value)
    return math.prod(axes) if all(0 <= one < _LONGEST_AXIS for one in axes) else 0


def _row(name: str, value: dict[str, object]) -> tuple[str, str, str]:
    shape = " x ".join(str(one) if abs(one) < _LONGEST_AXIS else "…" for one in _axes(value)) or "scalar"
    dtype = str(value.get("dtype"))
    return shortened(name, _NAME_CHARACTERS), shortened(dtype, _TYPE_CHARACTERS), shortened(shape, _SHAPE_CHARACTERS)
