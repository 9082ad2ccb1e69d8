"""What every weights format has: named tensors of a number type and shape, and the bytes that they lie in."""

import array
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tenuto.inspect.findings import FormatError, Json, Report
from tenuto.inspect.source import Source

_SAMPLE_BYTES = 64 << 10
_SAMPLES = 64


class Tensor(NamedTuple):
    """A tensor as its file declares it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Span(NamedTuple):
    """Bytes that a part of the file claims, from `start` up to `end`."""

    start: int
    end: int
    name: str


def check_spans(spans: Iterable[Span], end: int, report: Report, *, gaps: bool = True) -> None:
    """Report spans that reach beyond `end` or overlap; with `gaps`, also bytes that belong to none."""
    position = 0
    for span in sorted(spans):
        if span.end > end:
            report.add("Truncated", f"{span.name} ends at {span.end:,}, and there are {end:,} bytes")
        if span.start < position and span.start < span.end:
            report.add("Overlap", f"{span.name} begins at {span.start:,}, where the part before ends at {position:,}")
        elif gaps and span.start > position:
            report.add("Gap", f"{span.start - position:,} bytes before {span.name} belong to none")
        position = max(position, span.end)
    if gaps and position < end:
        report.add("SizeMismatch", f"{end - position:,} bytes follow the last part")


def tell(tensors: Sequence[Tensor], report: Report) -> None:
    """Note how many tensors and parameters there are, of which number types, and the first of them by name."""
    dtypes = Counter[str]()
    parameters = 0
    for tensor in tensors:
        count = math.prod(tensor.shape)
        parameters += count
        dtypes[tensor.dtype] += count
    listed: list[Json] = [
        {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
        for tensor in tensors[: report.limits.listed]
    ]
    report.fact(tensors=len(tensors), parameters=parameters, parameters_by_dtype=dict(dtypes), tensor_list=listed)


def check_pairs(tensors: Sequence[Tensor], report: Report) -> None:
    """Report LoRA matrices that lack their other half, or whose ranks differ; note the ranks."""
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    ranks = set()
    for name, shape in shapes.items():
        for this, other in (("lora_A", "lora_B"), ("lora_B", "lora_A")):
            if f".{this}." not in name or len(shape) != 2:
                continue
            partner = shapes.get(name.replace(f".{this}.", f".{other}."))
            if partner is None:
                report.add("MissingPart", f"{name} has no {other}")
            elif len(partner) == 2 and this == "lora_A":
                ranks.add(shape[0])
                if shape[0] != partner[1]:
                    report.add("SizeMismatch", f"{name} has rank {shape[0]}, its {other} has {partner[1]}")
    if ranks:
        report.fact(lora_ranks=sorted(ranks))


def check_numbers(source: Source, parts: Sequence[tuple[Span, str]], report: Report) -> None:
    """Report NaN in the first numbers of tensors that are spread over the file. A part's text is its number type, as safetensors calls it."""
    floats = [
        (span, dtype) for span, dtype in parts if dtype in {"F64", "F32", "F16", "BF16"} and span.end > span.start
    ]
    step = max(1, len(floats) // _SAMPLES)
    for span, dtype in floats[::step]:
        size = min(_SAMPLE_BYTES, span.end - span.start) // 8 * 8
        if span.end > source.size or not report.spend(size):
            continue
        if has_nan(source.read(span.start, size), dtype):
            report.add("NotANumber", f"{span.name} holds NaN")


def has_nan(data: bytes, dtype: str) -> bool:
    """Whether little-endian numbers of type F64, F32, F16 or BF16 hold a NaN; `data` is a whole number of them."""
    if dtype in {"F32", "F64"}:
        numbers = array.array("f" if dtype == "F32" else "d", data)
        if sys.byteorder == "big":
            numbers.byteswap()
        # A sum is NaN if a number is, and also where infinities cancel out.
        return math.isnan(sum(numbers)) and any(map(math.isnan, numbers))
    words = array.array("H", data)
    if sys.byteorder == "big":
        words.byteswap()
    largest = 0x7C00 if dtype == "F16" else 0x7F80
    return any(word & 0x7FFF > largest for word in words)


def check_count(count: int, what: str, report: Report) -> None:
    """Raise FormatError where more of something is declared than is looked at."""
    if count > report.limits.items:
        raise FormatError(
            "BadLength", f"it declares {count:,} {what}; no more than {report.limits.items:,} are looked at"
        )
