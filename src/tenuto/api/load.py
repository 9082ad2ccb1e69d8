"""`load`: what is in a locked file, without executing anything."""

import importlib
import json
import os
import tomllib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Literal
from zipfile import BadZipFile

from tenuto.api.files import Name, path
from tenuto.api.progress import Progress
from tenuto.core.errors import IntegrityError, UsageError
from tenuto.inspect.findings import FormatError, Limits, Report
from tenuto.inspect.safetensors import read_header
from tenuto.inspect.source import Source, open_source
from tenuto.inspect.tensors import check_spans
from tenuto.store.disk import disk_errors

Framework = Literal["numpy", "torch"]

TEXTS = (".txt", ".md", ".csv", ".tsv", ".jsonl", ".yaml", ".yml", ".vocab")
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".joblib", ".th")
_NUMPY = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
}
_TORCH = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def load(
    name: Name,
    *,
    package: str | ModuleType | None = None,
    root: Name | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    framework: Framework = "numpy",
) -> Any:
    """What a locked file holds, by the ending of its name; all else as `tenuto.path`. Nothing in it is executed.

    `.safetensors`: a dict of arrays by name, of numpy or, if `framework` says so, torch; numpy has no bfloat16, and gets the same numbers as
    float32. `.pt` and the like, for torch alone: what torch reads with `weights_only` on the CPU, after a look of ours that found tensors
    and plain values and nothing else. `.npy` and `.npz`: an array, or a dict of them. `.json` and `.toml`: their values. `.txt`, `.md`,
    `.csv`, `.tsv`, `.jsonl`, `.yaml`: their text.

    Raises UsageError for a file of any other kind, above all a pickle that could run code; IntegrityError (CorruptObject) for one that is
    not what its name says; ImportError where numpy or torch is needed and not installed.
    """
    kind = os.path.splitext(os.fspath(name))[1].lower()
    reader = _reader(kind, framework)
    if reader is None:
        raise _refusal(os.fspath(name), kind)
    file = path(name, package=package, root=root, offline=offline, progress=progress)
    try:
        with disk_errors(file):
            return reader(file)
    except (FormatError, ValueError, EOFError, RecursionError, BadZipFile) as error:
        if isinstance(error, UsageError):
            raise
        raise IntegrityError(
            f"{file} cannot be read as {kind[1:]}: {error}",
            code="CorruptObject",
            hint="it is what the lock names; `tenuto inspect` says what is in it",
        ) from error


def _reader(kind: str, framework: Framework) -> Callable[[str], Any] | None:
    if kind == ".safetensors":
        return _torch_tensors if framework == "torch" else _numpy_tensors
    if kind in PICKLES:
        return _checkpoint if framework == "torch" else None
    if kind in {".npy", ".npz"}:
        return _arrays
    if kind == ".json":
        return lambda file: json.loads(_text(file))
    if kind == ".toml":
        return lambda file: tomllib.loads(_text(file))
    return _text if kind in TEXTS else None


def _refusal(name: str, kind: str) -> UsageError:
    if kind in PICKLES:
        hint = "publish safetensors; or say framework='torch', which takes weights alone, as torch.load does with weights_only"
        return UsageError(f"{name} may be a pickle, and loading one can run any code", hint=hint)
    return UsageError(f"nothing is known of how to load {name}", hint="tenuto.path gives you the file itself")


def _text(file: str) -> str:
    with open(file, encoding="utf-8", newline="") as opened:
        return opened.read()


def _arrays(file: str) -> Any:
    import numpy as np

    with open(file, "rb") as opened:
        found = np.load(opened, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}


def _numpy_tensors(file: str) -> dict[str, Any]:
    import numpy as np

    found = {}
    with open_source(file) as source:
        for name, dtype, shape, data in _tensors(source):
            if dtype == "BF16":  # the upper half of a float32
                numbers = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
            elif dtype in _NUMPY:
                numbers = np.frombuffer(data, _NUMPY[dtype])
            else:
                raise _no_such_type(file, name, dtype, "numpy")
            found[name] = numbers.reshape(shape)
    return found


def _torch_tensors(file: str) -> dict[str, Any]:
    torch: Any = importlib.import_module("torch")
    found = {}
    with open_source(file) as source:
        for name, dtype, shape, data in _tensors(source):
            kind = getattr(torch, _TORCH.get(dtype, ""), None)
            if kind is None:
                raise _no_such_type(file, name, dtype, "torch")
            numbers = torch.frombuffer(data, dtype=kind) if data else torch.empty(0, dtype=kind)
            found[name] = numbers.reshape(shape)
    return found


def _checkpoint(file: str) -> Any:
    from tenuto.api.checkpoint import load_checkpoint

    return load_checkpoint(file)


def _tensors(source: Source) -> Iterator[tuple[str, str, tuple[int, ...], bytearray]]:
    """Name, number type, shape and bytes of each tensor; the bytes are the caller's own. Raises FormatError before the first one."""
    report = Report(Limits())
    found, start = read_header(source, report)
    check_spans((span for _, span in found), source.size - start, report)
    for finding in report.findings:
        raise FormatError(finding.code, finding.detail)
    for tensor, span in found:
        data = bytearray(span.end - span.start)
        position = 0
        for piece in source.pieces(start + span.start, len(data)):
            data[position : position + len(piece)] = piece
            position += len(piece)
        yield tensor.name, tensor.dtype, tensor.shape, data


def _no_such_type(file: str, name: str, dtype: str, framework: str) -> UsageError:
    return UsageError(
        f"{name} in {file} is {dtype}, which {framework} does not have", hint="load it with another framework"
    )
