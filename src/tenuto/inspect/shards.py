"""The index of a model in several files: which file holds which tensor. Source: what `save_pretrained` of transformers writes."""

import math
import os

import msgspec

from tenuto.core.errors import TenutoError
from tenuto.inspect import safetensors
from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.members import leads_out
from tenuto.inspect.source import open_source
from tenuto.inspect.tensors import Tensor

ENDING = ".index.json"


class Index(msgspec.Struct):
    """What an index says, as far as it is checked."""

    weight_map: dict[str, str]
    metadata: dict[str, object] = msgspec.field(default_factory=dict)


def check_shards(path: str, report: Report) -> None:
    """Check that the files that an index names lie beside it and hold the tensors that it says. Does nothing for another JSON file."""
    with open_source(path) as source:
        if source.size > report.limits.text_bytes:
            return
        try:
            index = msgspec.json.decode(source.read(0, source.size), type=Index)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return  # broken JSON is told already
    wanted: dict[str, set[str]] = {}
    for tensor, file in index.weight_map.items():
        wanted.setdefault(file, set()).add(tensor)
    report.fact(tensors=len(index.weight_map), shards=sorted(wanted)[: report.limits.listed])
    found: list[Tensor] = []
    for file, tensors in sorted(wanted.items()):
        with report.part(file):
            found += _check_shard(path, file, tensors, report)
    total, told = sum(map(_size_bytes, found)), index.metadata.get("total_size")
    if len(found) == len(index.weight_map) and isinstance(told, int) and told != total:
        report.add("SizeMismatch", f"{told:,} bytes are declared, the shards have {total:,}")


def _check_shard(path: str, file: str, tensors: set[str], report: Report) -> list[Tensor]:
    """Check one file, and return its tensors if it is of a kind whose names are quickly read."""
    if leads_out(file):
        raise FormatError("PathEscape", "it lies outside of the folder")
    try:
        with open_source(os.path.join(os.path.dirname(path), file)) as source:
            if not file.endswith(".safetensors"):
                return []
            held = [tensor for tensor, _ in safetensors.read_header(source, report)[0]]
    except TenutoError as error:
        raise FormatError("MissingPart", f"it is not beside the index: {error.code}") from error
    names = {tensor.name for tensor in held}
    if lacking := sorted(tensors - names):
        report.add("MissingPart", f"it lacks {len(lacking):,} of its tensors, the first is {lacking[0]}")
    if unknown := sorted(names - tensors):
        report.add(
            "Unusual", f"it holds {len(unknown):,} tensors that the index does not name, the first is {unknown[0]}"
        )
    return held


def _size_bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * safetensors.BITS[tensor.dtype] // 8
