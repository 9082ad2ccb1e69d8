"""NPY: one array of numpy, with a header that is a Python literal. Source: the docstring of numpy.lib.format."""

import ast
import math
import re
from collections.abc import Iterator

from tenuto.inspect.findings import FormatError, Json, Report
from tenuto.inspect.source import Source
from tenuto.inspect.tensors import has_nan

_MAGIC_BYTES = 8
_LONGEST_HEADER_BYTES = 65_536
_PLAIN_TYPE = re.compile(r"[<>|=]?([biufcSVUMmO])(\d+)?(?:\[\w+\])?")
_LONG_NUMBER = re.compile(r"(\d)L\b")  # as Python 2 wrote it
_LARGEST_ITEM_BYTES = 1 << 30
_MOST_AXES = 64
_FLOATS = {"<f2": "F16", "<f4": "F32", "<f8": "F64"}


def inspect(source: Source, report: Report) -> None:
    """Check the header against the size of the file, and the numbers."""
    facts = read_header("", source, source.size, report)
    report.fact(**{name: value for name, value in facts.items() if name != "name"})
    dtype = _FLOATS.get(str(facts["dtype"]))
    start = facts["data_starts"]
    assert isinstance(start, int)
    if dtype and report.spend(source.size - start):
        whole = source.size - (source.size - start) % 8
        if any(has_nan(piece, dtype) for piece in source.pieces(start, max(0, whole - start)) if len(piece) % 8 == 0):
            report.add("NotANumber", "the array holds NaN")


def read_header(name: str, source: Source, size: int, report: Report) -> dict[str, Json]:
    """Type, shape and size of an array of which `source` has the beginning and that has `size` bytes in all; reports what does not fit."""
    magic = source.read(0, _MAGIC_BYTES)
    if magic[:6] != b"\x93NUMPY" or magic[6] not in {1, 2, 3}:
        raise FormatError("BadHeader", "it does not begin as an array of numpy")
    length_bytes = 2 if magic[6] == 1 else 4
    length = int.from_bytes(source.read(_MAGIC_BYTES, length_bytes), "little")
    if length > _LONGEST_HEADER_BYTES:
        raise FormatError("BadLength", f"the header is to have {length:,} bytes")
    start = _MAGIC_BYTES + length_bytes + length
    shape, descr = _parse(source.read(_MAGIC_BYTES + length_bytes, length).decode("latin-1"))
    kinds = list(_plain_types(descr))
    if any(kind == "O" for kind, _ in kinds):
        report.add("CodeOnLoad", "it holds Python objects, which numpy unpickles")
    else:
        wanted = math.prod(shape) * sum(item_bytes for _, item_bytes in kinds)
        found = size - start
        if found < wanted:
            report.add("Truncated", f"{wanted:,} bytes of numbers are declared, {found:,} are there")
        elif found > wanted:
            report.add("TrailingBytes", f"{found - wanted:,} bytes follow the array")
    dtype = descr if isinstance(descr, str) else str(descr)
    return {"name": name, "dtype": dtype, "shape": list(shape), "numbers": math.prod(shape), "data_starts": start}


def _parse(text: str) -> tuple[tuple[int, ...], object]:
    try:
        header = ast.literal_eval(_LONG_NUMBER.sub(r"\1", text.strip()))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise FormatError("BadHeader", f"the header is no Python literal: {type(error).__name__}") from error
    match header:
        case {"descr": descr, "fortran_order": bool(), "shape": tuple(shape)}:
            if len(shape) <= _MOST_AXES and all(type(axis) is int and axis >= 0 for axis in shape):
                return shape, descr
    raise FormatError("BadHeader", "the header lacks descr, fortran_order or shape as they should be")


def _plain_types(descr: object, depth: int = 0) -> Iterator[tuple[str, int]]:
    """The kinds of number that a type is made of, with their bytes."""
    if depth > 16:
        raise FormatError("BadHeader", "the type is nested without end")
    match descr:
        case str():
            found = _PLAIN_TYPE.fullmatch(descr)
            if not found:
                raise FormatError("BadHeader", f"{descr[:50]!r} is no number type")
            item_bytes = int((found[2] or "0")[:12]) * (4 if found[1] == "U" else 1)
            if item_bytes > _LARGEST_ITEM_BYTES:
                raise FormatError("BadLength", f"{descr[:50]} is absurdly large")
            yield found[1], item_bytes
        case list():
            for field in descr:
                yield from _field_types(field, depth)
        case (inner, tuple(shape)):
            yield from _repeated(inner, shape, depth)
        case _:
            raise FormatError("BadHeader", "the type is not described as it should be")


def _field_types(field: object, depth: int) -> Iterator[tuple[str, int]]:
    match field:
        case (_, inner):
            yield from _plain_types(inner, depth + 1)
        case (_, inner, tuple(shape)):
            yield from _repeated(inner, shape, depth)
        case _:
            raise FormatError("BadHeader", "a field of the type is not described as it should be")


def _repeated(inner: object, shape: tuple[object, ...], depth: int) -> Iterator[tuple[str, int]]:
    if not all(type(axis) is int and 0 <= axis <= _LARGEST_ITEM_BYTES for axis in shape):
        raise FormatError("BadHeader", "a field has an absurd shape")
    count = math.prod(axis for axis in shape if isinstance(axis, int))
    for kind, item_bytes in _plain_types(inner, depth + 1):
        yield kind, item_bytes * count
