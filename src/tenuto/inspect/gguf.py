"""GGUF: counts, typed metadata, tensor infos, then aligned tensors. Source: docs/gguf.md of ggml."""

import math
import struct
from typing import NamedTuple

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Cursor, Source
from tenuto.inspect.tensors import Span, Tensor, check_count, check_spans, tell

_LARGEST_NAME_BYTES = 65_535
_LARGEST_ALIGNMENT = 1 << 20
_SHOWN_BYTES = 1_000
_MOST_AXES = 4
_NEWER, _LARGEST_TYPE = "type ", 255  # types are added now and then
_STRING, _ARRAY, _MOST_NESTED = 8, 9, 3
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Block(NamedTuple):
    """A tensor type: its numbers are stored in blocks of so many numbers and bytes."""

    name: str
    numbers: int
    size_bytes: int


TYPES = {
    0: Block("F32", 1, 4),
    1: Block("F16", 1, 2),
    2: Block("Q4_0", 32, 18),
    3: Block("Q4_1", 32, 20),
    6: Block("Q5_0", 32, 22),
    7: Block("Q5_1", 32, 24),
    8: Block("Q8_0", 32, 34),
    9: Block("Q8_1", 32, 36),
    10: Block("Q2_K", 256, 84),
    11: Block("Q3_K", 256, 110),
    12: Block("Q4_K", 256, 144),
    13: Block("Q5_K", 256, 176),
    14: Block("Q6_K", 256, 210),
    15: Block("Q8_K", 256, 292),
    16: Block("IQ2_XXS", 256, 66),
    17: Block("IQ2_XS", 256, 74),
    18: Block("IQ3_XXS", 256, 98),
    19: Block("IQ1_S", 256, 50),
    20: Block("IQ4_NL", 32, 18),
    21: Block("IQ3_S", 256, 110),
    22: Block("IQ2_S", 256, 82),
    23: Block("IQ4_XS", 256, 136),
    24: Block("I8", 1, 1),
    25: Block("I16", 1, 2),
    26: Block("I32", 1, 4),
    27: Block("I64", 1, 8),
    28: Block("F64", 1, 8),
    29: Block("IQ1_M", 256, 56),
    30: Block("BF16", 1, 2),
    34: Block("TQ1_0", 256, 54),
    35: Block("TQ2_0", 256, 66),
    39: Block("MXFP4", 32, 17),
}


def inspect(source: Source, report: Report) -> None:
    """Check the header, and that every tensor lies inside the file and shares no byte with another."""
    reader = _Reader(source, report.limits.steps)
    version = reader.u32()
    if not 2 <= version <= 3:
        raise FormatError("BadHeader", f"version {version} is not one that is known (2 and 3)")
    tensor_count, metadata_count = reader.u64(), reader.u64()
    check_count(tensor_count, "tensors", report)
    check_count(metadata_count, "metadata entries", report)
    metadata: dict[str, object] = {}
    for _ in range(metadata_count):
        key = reader.text(_LARGEST_NAME_BYTES)
        if key in metadata:
            report.add("Duplicate", f"the metadata have {key} twice")
        metadata[key] = reader.value(reader.u32())
    report.fact(version=version, architecture=metadata.get("general.architecture"), metadata=metadata)
    _tensors(reader, tensor_count, metadata.get("general.alignment", 32), report)


def _tensors(reader: "_Reader", count: int, alignment: object, report: Report) -> None:
    infos = [_info(reader) for _ in range(count)]
    tell([tensor for tensor, _ in infos], report)
    if len({tensor.name for tensor, _ in infos}) < count:
        report.add("Duplicate", "two tensors have the same name")
    if not isinstance(alignment, int) or not 8 <= alignment <= _LARGEST_ALIGNMENT or alignment % 8:
        raise FormatError("BadValue", f"the alignment is {alignment}")
    data_start = reader.cursor.position + -reader.cursor.position % alignment
    data_bytes = max(0, reader.cursor.source.size - data_start)
    for _, span in infos:
        if span.start % alignment:
            report.add("BadValue", f"{span.name} begins at {span.start:,}, which is not aligned to {alignment}")
    check_spans((span for _, span in infos), data_bytes, report, gaps=False)
    if newer := sorted({tensor.dtype for tensor, _ in infos if tensor.dtype.startswith(_NEWER)}):
        report.add("NotAllChecked", f"the size of tensors of {', '.join(newer)} is not known here")
        return
    end = max((span.end for _, span in infos), default=0)
    if data_bytes - end >= alignment:
        report.add("TrailingBytes", f"{data_bytes - end:,} bytes follow the last tensor")


def _info(reader: "_Reader") -> tuple[Tensor, Span]:
    name = reader.text(_LARGEST_NAME_BYTES)
    axes = reader.u32()
    if axes > _MOST_AXES:
        raise FormatError("BadLength", f"{name} has {axes} axes, {_MOST_AXES} are allowed")
    shape = tuple(reader.u64() for _ in range(axes))
    kind, offset = reader.u32(), reader.u64()
    block = TYPES.get(kind, Block(f"{_NEWER}{kind}", 1, 0))
    if kind > _LARGEST_TYPE:
        raise FormatError("BadHeader", f"{name} has the unknown type {kind}")
    numbers = math.prod(shape)
    if numbers % block.numbers:
        raise FormatError("SizeMismatch", f"{name} has {numbers:,} numbers, {block.name} holds {block.numbers} a block")
    size = numbers // block.numbers * block.size_bytes
    # GGUF lists the axis that moves fastest first; everybody else has it last.
    return Tensor(name, block.name, shape[::-1]), Span(offset, offset + size, name)


class _Reader:
    """Reads the header's values in order."""

    def __init__(self, source: Source, steps: int) -> None:
        self.cursor = Cursor(source, 4)
        self._steps = steps
        self._u32, self._u64 = struct.Struct("<I"), struct.Struct("<Q")

    def u32(self) -> int:
        return self.cursor.number(self._u32)

    def u64(self) -> int:
        return self.cursor.number(self._u64)

    def text(self, most_bytes: int | None = None) -> str:
        """The next text; of a long one, its beginning."""
        length = self.u64()
        if most_bytes is not None and length > most_bytes:
            raise FormatError("BadLength", f"a name of {length:,} bytes; {most_bytes:,} are allowed")
        shown = self.cursor.take(min(length, _SHOWN_BYTES))
        self.cursor.skip(length - len(shown))
        return shown.decode("utf-8", "replace")

    def value(self, kind: int, nested: int = 0) -> object:
        """The next value of this type; of an array, what it is and how long."""
        if kind in _SCALARS:
            layout = struct.Struct(f"<{_SCALARS[kind]}")
            (value,) = layout.unpack(self.cursor.take(layout.size))
            return value
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or nested >= _MOST_NESTED:
            raise FormatError("BadHeader", f"metadata of the unknown type {kind}")
        inner, length = self.u32(), self.u64()
        if inner in _SCALARS:
            self.cursor.skip(length * struct.calcsize(f"<{_SCALARS[inner]}"))
        else:
            self._steps -= length
            if self._steps < 0:
                raise FormatError("BadLength", f"an array of {length:,} values is more than is looked at")
            for _ in range(length):
                self.value(inner, nested + 1)
        return f"array of {length}"
