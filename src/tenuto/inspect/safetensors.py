"""safetensors: a length, a JSON header, then the tensors' bytes without gap. Source: the format section of the safetensors README."""

import json
import math
from collections.abc import Iterable

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Source
from tenuto.inspect.tensors import Span, Tensor, check_count, check_numbers, check_pairs, check_spans, tell

LARGEST_HEADER_BYTES = 100_000_000
_VALUES_A_TENSOR = 16
BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}


def inspect(source: Source, report: Report) -> None:
    """Check the header against the file, tensor by tensor, and some numbers."""
    found, start = read_header(source, report)
    tensors = [tensor for tensor, _ in found]
    tell(tensors, report)
    check_pairs(tensors, report)
    check_spans((span for _, span in found), source.size - start, report)
    parts = [(Span(start + span.start, start + span.end, span.name), tensor.dtype) for tensor, span in found]
    check_numbers(source, parts, report)


def read_header(source: Source, report: Report) -> tuple[list[tuple[Tensor, Span]], int]:
    """The tensors that the header declares, where each lies in the data, and where the data begin. Raises FormatError."""
    length = int.from_bytes(source.read(0, 8), "little")
    if length > LARGEST_HEADER_BYTES:
        raise FormatError("BadLength", f"the header is to have {length:,} bytes; {LARGEST_HEADER_BYTES:,} are allowed")
    if length > report.limits.text_bytes:
        raise FormatError("NotAllChecked", f"a header of {length:,} bytes is more than is read")
    text = source.read(8, length)
    # Each value but the first of its list stands behind a comma, so their number is known before any is made.
    if sum(map(text.count, (b",", b"[", b"{"))) > _VALUES_A_TENSOR * report.limits.items:
        raise FormatError("BadLength", "the header holds more values than are looked at")
    header = _parse(text)
    check_count(len(header), "tensors", report)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        report.add("BadHeader", "__metadata__ is not a table of texts")
    report.fact(metadata=metadata)
    found = []
    for name, entry in header.items():
        with report.part(name):
            found.append(_tensor(name, entry))
    return found, 8 + length


def _parse(text: bytes) -> dict[str, object]:
    try:
        header = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise FormatError("BadHeader", "the header is nested without end") from error
    except ValueError as error:
        raise FormatError("BadHeader", f"the header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise FormatError("BadHeader", "the header is no table")
    return header


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise FormatError("Duplicate", f"the header has {key} twice")
        found[key] = value
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _tensor(name: str, entry: object) -> tuple[Tensor, Span]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise FormatError("BadHeader", "it has no dtype, shape and data_offsets as they should be")
    if not all(type(axis) is int and axis >= 0 for axis in shape) or not 0 <= start <= end:
        raise FormatError("BadLength", f"its shape is {shape} and its offsets are {start} to {end}")
    if dtype not in BITS:
        raise FormatError("BadHeader", f"{dtype} is not a number type of this format")
    bits = math.prod(shape) * BITS[dtype]
    if bits != (end - start) * 8:
        raise FormatError("SizeMismatch", f"{dtype} {shape} needs {(bits + 7) // 8:,} bytes, it has {end - start:,}")
    return Tensor(name, dtype, tuple(shape)), Span(start, end, name)
