"""The header of a safetensors file as a table."""

import math

import msgspec

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source
from tenuto.server.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.previews import Preview

_HEADER_BYTES = 8 << 20
_PAGE = 200
_NAME_CHARACTERS = 120
_MOST_META = 30


def tensors(source: Source, file: File, call: Call) -> Preview | None:
    """Names, types and shapes of the tensors, a page of them; and what the file says of itself.

    Raises FormatError if the header cannot be read.
    """
    length = int.from_bytes(source.read(0, 8), "little")
    if length > min(_HEADER_BYTES, source.size - 8):
        raise FormatError("BadLength", f"its header would have {length:,} bytes")
    try:
        header = msgspec.json.decode(source.read(8, length))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError("BadHeader", "its header is no JSON") from error
    if not isinstance(header, dict):
        raise FormatError("BadHeader", "its header holds no tensors")
    meta = header.pop("__metadata__", {})
    rows = [_row(name, value) for name, value in header.items() if isinstance(value, dict)]
    first = call.number("line", 1, 10**9) - 1
    values = {
        "rows": [row[:3] for row in rows[first : first + _PAGE]],
        "count": len(rows),
        "parameters": sum(row[3] for row in rows),
        "meta": [(str(key)[:_NAME_CHARACTERS], str(value)[:500]) for key, value in list(meta.items())[:_MOST_META]]
        if isinstance(meta, dict)
        else [],
        "next": first + _PAGE + 1 if first + _PAGE < len(rows) else 0,
    }
    return Preview("tensors", values)


def _row(name: str, value: dict[str, object]) -> tuple[str, str, str, int]:
    shape = value.get("shape")
    numbers = [one for one in shape if isinstance(one, int)] if isinstance(shape, list) else []
    count = math.prod(numbers[:16]) if all(0 <= one < 1 << 48 for one in numbers) else 0
    return name[:_NAME_CHARACTERS], str(value.get("dtype"))[:16], " x ".join(map(str, numbers[:16])) or "scalar", count
