"""Files of model weights, written without any heavy library: safetensors, and the zip that `torch.save` writes."""

import json
import math
import os
import random
import struct
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

_ALIGNMENT_BYTES = 64
_SAFETENSORS_ALIGNMENT_BYTES = 8
_FLOAT32_MASK, _FLOAT32_BASE = b"\xff\xff\x7f\x80", b"\x00\x00\x00\x3d"
_FLOAT16_MASK, _FLOAT16_BASE = b"\xff\x83", b"\x00\x28"


class Kind(NamedTuple):
    """A number format: its safetensors name, the storage class of torch, and bytes a number."""

    name: str
    storage: str
    size_bytes: int


FLOAT32 = Kind("F32", "FloatStorage", 4)
FLOAT16 = Kind("F16", "HalfStorage", 2)


class Tensor(NamedTuple):
    """Numbers of one kind in row-major order, little-endian."""

    kind: Kind
    shape: tuple[int, ...]
    data: bytes


def noise(shape: tuple[int, ...], seed: int, kind: Kind = FLOAT32) -> Tensor:
    """A tensor of finite random numbers of either sign, between 2^-5 and 2^-4; the same for the same seed, on every system."""
    mask, base = (_FLOAT32_MASK, _FLOAT32_BASE) if kind is FLOAT32 else (_FLOAT16_MASK, _FLOAT16_BASE)
    count = math.prod(shape)
    size = count * kind.size_bytes
    bits = int.from_bytes(random.Random(seed).randbytes(size), "little")
    bits = bits & int.from_bytes(mask * count, "little") | int.from_bytes(base * count, "little")
    return Tensor(kind, shape, bits.to_bytes(size, "little"))


def write_safetensors(path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> int:
    """Write a safetensors file and return its size in bytes. Source: the format section of the safetensors README."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, tensor in tensors.items():
        end = position + len(tensor.data)
        header[name] = {"dtype": tensor.kind.name, "shape": tensor.shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SAFETENSORS_ALIGNMENT_BYTES)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.data)
        return file.tell()


def write_torch_checkpoint(path: str, content: Mapping[str, object]) -> int:
    """Write what `torch.save(content, path)` writes, so that `torch.load(path, weights_only=True)` reads it; returns the size in bytes.

    `content` is made of dicts, lists, tuples, str, int, float, bool, None and `Tensor`. Nothing is pickled by Python: the opcodes are
    put together here. Raises TypeError for any other value. Source: the layout that torch 1.6 and later use.
    """
    pickled = _Pickled()
    pickled.add(content)
    root = os.path.splitext(os.path.basename(path))[0] or "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, f"{root}/data.pkl", b"\x80\x02" + bytes(pickled.code) + b".")
        _add(archive, f"{root}/byteorder", b"little")
        for number, tensor in enumerate(pickled.tensors):
            _add(archive, f"{root}/data/{number}", tensor.data)
        _add(archive, f"{root}/version", b"3\n")
    return os.path.getsize(path)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Append a member whose bytes begin on a multiple of 64, as torch wants to map them."""
    member = zipfile.ZipInfo(name)
    start = archive.fp.tell() + 30 + len(name) + 4 if archive.fp else 0
    padding = -start % _ALIGNMENT_BYTES
    member.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(member, data)


class _Pickled:
    """Opcodes of pickle protocol 2 for plain values and tensors; the tensors' bytes are listed apart."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.tensors: list[Tensor] = []

    def add(self, value: object) -> None:
        """Append the opcodes that make `value`."""
        match value:
            case None:
                self.code += b"N"
            case bool():
                self.code += b"\x88" if value else b"\x89"
            case int():
                size = value.bit_length() // 8 + 1
                self.code += b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
            case float():
                self.code += b"G" + struct.pack(">d", value)
            case str():
                text = value.encode()
                self.code += b"X" + struct.pack("<I", len(text)) + text
            case Tensor():  # before tuple, which it is too
                self._tensor(value)
            case tuple() | list():
                self._sequence(value)
            case Mapping():
                self._mapping(value)
            case _:
                raise TypeError(f"a checkpoint sample cannot hold a {type(value).__name__}")

    def _sequence(self, values: tuple[object, ...] | list[object]) -> None:
        self.code += b"(" if isinstance(values, tuple) else b"]("
        for value in values:
            self.add(value)
        self.code += b"t" if isinstance(values, tuple) else b"e"

    def _mapping(self, values: Mapping[str, object]) -> None:
        self.code += b"}("
        for key, value in values.items():
            self.add(key)
            self.add(value)
        self.code += b"u"

    def _tensor(self, tensor: Tensor) -> None:
        strides = tuple(math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape)))
        self._global("torch._utils", "_rebuild_tensor_v2")
        self.code += b"(("
        self.add("storage")
        self._global("torch", tensor.kind.storage)
        for part in (str(len(self.tensors)), "cpu", math.prod(tensor.shape)):
            self.add(part)
        self.code += b"tQ"
        for value in (0, tensor.shape, strides, False):
            self.add(value)
        self._global("collections", "OrderedDict")
        self.code += b")RtR"
        self.tensors.append(tensor)

    def _global(self, module: str, name: str) -> None:
        self.code += f"c{module}\n{name}\n".encode()
