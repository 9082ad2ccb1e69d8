"""safetensors, GGUF and ONNX."""

import json
import struct
from pathlib import Path

import pytest

from tenuto.inspect.look import inspect_file
from tenuto.testing.samples import lora_folder
from tests.inspect.conftest import Look, codes, made


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


def test_what_a_safetensors_file_tells(look: Look) -> None:
    found = look("m.safetensors", made("model.safetensors"))
    assert found.facts["metadata"] == {"format": "pt"}
    assert (found.facts["tensors"], found.facts["parameters"]) == (2, 20)
    assert found.facts["parameters_by_dtype"] == {"F32": 20, "F16": 0}
    assert {"name": "a", "dtype": "F32", "shape": [4, 5]} in found.facts["tensor_list"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (struct.pack("<Q", 1 << 63) + b"{}", "BadLength"),
        (struct.pack("<Q", 100_000_001) + b"{}", "BadLength"),
        (struct.pack("<Q", 50) + b"{}", "Truncated"),
        (safetensors(b"{]"), "BadHeader"),
        (safetensors(b'{"a":NaN}'), "BadHeader"),
        (safetensors(b'{"a":' + b"[" * 100_000), "BadHeader"),
        (safetensors({"a": {"dtype": "U8"}}), "BadHeader"),
        (safetensors({"a": entry(0, 4, dtype="X9")}, bytes(4)), "BadHeader"),
        (safetensors(b'{"a":1,"a":2}'), "Duplicate"),
        (safetensors({"a": entry(0, 4), "b": entry(2, 6)}, b"123456"), "Overlap"),
        (safetensors({"a": entry(0, 4), "b": entry(8, 9)}, b"123456789"), "Gap"),
        (safetensors({"a": entry(0, 4)}, b"123"), "Truncated"),
        (safetensors({"a": entry(0, 4)}, b"12345"), "SizeMismatch"),
        (safetensors({"a": entry(0, 4, [5])}, b"1234"), "SizeMismatch"),
        (safetensors({"a": entry(0, 4, [1 << 62, 1 << 62])}, b"1234"), "SizeMismatch"),
        (safetensors({"a": entry(4, 0, [-4])}, b"1234"), "BadLength"),
        (safetensors({"a": entry(0, 8, [2], "F32")}, struct.pack("<2f", 1, float("nan"))), "NotANumber"),
        (safetensors({"a": entry(0, 8, [4], "BF16")}, b"\x80\x3f\xc0\x7f\0\0\0\0"), "NotANumber"),
    ],
)
def test_a_safetensors_file_that_is_not_what_it_says(look: Look, content: bytes, code: str) -> None:
    found = look("m.safetensors", content)
    assert code in codes(found)
    assert not (found.is_whole and found.is_safe)


def test_infinity_is_a_number(look: Look) -> None:
    data = struct.pack("<4f", float("inf"), float("-inf"), 0, 1)
    assert codes(look("m.safetensors", safetensors({"mask": entry(0, 16, [4], "F32")}, data))) == []


def test_an_adapter_and_one_that_lacks_a_half(tmp_path: Path, look: Look) -> None:
    folder = Path(lora_folder(str(tmp_path / "lora"), rank=4, hidden=16))
    found = inspect_file(str(folder / "adapter_model.safetensors"))
    assert (found.findings, found.facts["lora_ranks"]) == ([], [4])
    header = {
        "x.lora_A.weight": entry(0, 4, [2, 2]),
        "y.lora_A.weight": entry(4, 8, [2, 2]),
        "y.lora_B.weight": entry(8, 14, [2, 3]),
    }
    assert codes(look("a.safetensors", safetensors(header, bytes(14)))) == ["MissingPart", "SizeMismatch"]


def gguf(*, tensors: int = 0, metadata: int = 0, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, metadata) + rest


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf_info(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    return gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def test_what_a_gguf_file_tells(look: Look) -> None:
    found = look("m.gguf", made("model.gguf"))
    assert (found.facts["architecture"], found.facts["version"], found.facts["tensors"]) == ("llama", 3, 2)
    assert found.facts["metadata"]["tokenizer.ggml.tokens"] == "array of 2"  # type: ignore[call-overload,index]
    assert {"name": "t", "dtype": "F32", "shape": [4, 64]} in found.facts["tensor_list"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gguf(version=99), "BadHeader"),
        (gguf(tensors=(1 << 64) - 1), "BadLength"),
        (gguf(metadata=(1 << 64) - 1), "BadLength"),
        (gguf(metadata=1, rest=struct.pack("<Q", (1 << 64) - 8)), "BadLength"),
        (gguf(metadata=1, rest=gguf_text("k") + struct.pack("<IQ", 8, (1 << 64) - 1)), "Truncated"),
        (gguf(metadata=1, rest=gguf_text("k") + struct.pack("<IIQ", 9, 4, (1 << 63) + 1)), "Truncated"),
        (gguf(metadata=1, rest=gguf_text("k") + struct.pack("<IIQ", 9, 8, (1 << 63) + 1)), "BadLength"),
        (gguf(metadata=1, rest=gguf_text("k") + b"\x09\0\0\0" + struct.pack("<IQ", 9, 1) * 9), "BadHeader"),
        (gguf(tensors=1, rest=gguf_info("t", [32], 0, (1 << 64) - 32)), "Truncated"),
        (gguf(tensors=1, rest=gguf_info("t", [1 << 63, 1 << 63], 0, 0)), "Truncated"),
        (gguf(tensors=1, rest=gguf_info("t", [33], 2, 0)), "SizeMismatch"),
        (gguf(tensors=1, rest=gguf_info("t", [1], 1 << 31, 0)), "BadHeader"),
        (gguf(tensors=2, rest=gguf_info("t", [16], 0, 0) + gguf_info("u", [16], 0, 32) + bytes(512)), "Overlap"),
        (gguf(tensors=1, rest=gguf_info("t", [16], 0, 5) + bytes(512)), "BadValue"),
        (gguf(tensors=2, rest=gguf_info("t", [8], 0, 0) + gguf_info("t", [8], 0, 32) + bytes(128)), "Duplicate"),
    ],
)
def test_a_gguf_file_that_is_not_what_it_says(look: Look, content: bytes, code: str) -> None:
    found = look("m.gguf", content)
    assert code in codes(found)
    assert not (found.is_whole and found.is_safe)


def test_a_gguf_type_that_is_newer_than_this_program(look: Look) -> None:
    content = gguf(tensors=2, rest=gguf_info("t", [8], 0, 0) + gguf_info("u", [8], 99, 32))
    found = look("m.gguf", content + bytes(-len(content) % 32 + 64))
    assert (codes(found), found.is_whole) == (["NotAllChecked"], True)


def test_what_an_onnx_file_tells(look: Look) -> None:
    found = look("m.onnx", made("model.onnx"))
    assert found.facts["graph"] == "small"
    assert (found.facts["inputs"], found.facts["outputs"]) == (["x"], ["y"])
    assert found.facts["opsets"] == {"ai.onnx": 17}
    assert found.facts["operators"] == {"MatMul": 1}
    assert found.facts["tensor_list"] == [{"name": "w", "dtype": "F32", "shape": [4, 3]}]
    assert look("e.onnx", made("external.onnx")).facts["external_files"] == ["weights.bin"]


@pytest.mark.parametrize("place", ["../weight.b", "/etc/passwd", "C:/weights", "a/../../ab", "..\\weights"])
def test_onnx_weights_that_are_to_come_from_elsewhere(look: Look, place: str) -> None:
    content = made("external.onnx").replace(b"weights.bin", place.encode().ljust(11, b"b"))
    found = look("m.onnx", content)
    assert (codes(found), found.is_safe, found.is_whole) == (["PathEscape"], False, True)


def test_onnx_tensors_that_lack_bytes(look: Look) -> None:
    content = made("model.onnx")
    shape = content.index(b"\x08\x04\x08\x03\x10\x01")
    assert "SizeMismatch" in codes(look("m.onnx", content[:shape] + b"\x08\x05" + content[shape + 2 :]))


def test_onnx_fields_without_end(look: Look) -> None:
    assert "BadStructure" in codes(look("m.onnx", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
    assert "Truncated" in codes(look("m.onnx", b"\x08\x08\x3a\xff\xff\xff\xff\x0f"))


def sharded(folder: Path, index: dict[str, object]) -> Path:
    (folder / "m-1.safetensors").write_bytes(safetensors({"a": entry(0, 4), "b": entry(4, 6)}, bytes(6)))
    (folder / "m-2.safetensors").write_bytes(safetensors({"c": entry(0, 8, [2], "F32")}, bytes(8)))
    file = folder / "m.safetensors.index.json"
    file.write_text(json.dumps(index))
    return file


MAP = {"a": "m-1.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({"metadata": {"total_size": 14}, "weight_map": MAP}, []),
        ({"weight_map": MAP}, []),
        ({"metadata": {"total_size": 15}, "weight_map": MAP}, [("SizeMismatch", "")]),
        ({"weight_map": {**MAP, "d": "m-2.safetensors"}}, [("MissingPart", "m-2.safetensors")]),
        ({"weight_map": {"a": "m-1.safetensors"}}, [("Unusual", "m-1.safetensors")]),
        ({"weight_map": {**MAP, "d": "m-3.safetensors"}}, [("MissingPart", "m-3.safetensors")]),
        ({"weight_map": {**MAP, "d": "../m-3.safetensors"}}, [("PathEscape", "../m-3.safetensors")]),
        ({"weight_map": [1]}, []),
        ({"another": "index"}, []),
    ],
)
def test_an_index_and_its_shards(tmp_path: Path, index: dict[str, object], expected: list[tuple[str, str]]) -> None:
    found = inspect_file(str(sharded(tmp_path, index)))
    assert [(finding.code, finding.where) for finding in found.findings] == expected
