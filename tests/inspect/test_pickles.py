"""Pickles and torch checkpoints: what they name is found, and nothing of it is ever run."""

import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from tenuto.inspect.findings import Inspection
from tenuto.inspect.look import inspect_file
from tenuto.testing.samples import noise, write_torch_checkpoint
from tests.inspect.conftest import Look, codes

SYSTEM = b"cposix\nsystem\n"
MARK = "ran"


def call(code: bytes) -> bytes:
    """A pickle that would make a folder if it were loaded."""
    return code + b"(S'mkdir " + MARK.encode() + b"'\ntR."


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def names(found: Inspection) -> list[str]:
    return [finding.detail for finding in found.findings if finding.code == "CodeOnLoad"]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (MARK,)


HOSTILE = {
    **{f"protocol {number}": pickle.dumps({"a": Evil()}, protocol=number) for number in range(6)},
    "global": call(SYSTEM),
    "name from the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + call(b""),
    "name from the memo": b"\x80\x04\x8c\x06system\x94\x8c\x05posix\x94h\x01h\x00\x93" + call(b""),
    "name put twice": b"\x80\x04\x8c\x05posix\x8c\x06system2\x93" + call(b""),
    "name made while loading": b"\x80\x04\x8c\x05posixcbuiltins\nstr\n\x8c\x06system\x85R\x93" + call(b""),
    "instance": b"(S'mkdir ran'\niposix\nsystem\n.",
    "object": b"(" + SYSTEM + b"S'mkdir ran'\no.",
    "new object": b"\x80\x02" + SYSTEM + b")\x81.",
    "registry": b"\x80\x02\x82\x07)R.",
    "registry of four bytes": b"\x80\x02\x84\x07\0\0\0)R.",
    "after a harmless one": b"\x80\x02ccollections\nOrderedDict\n)R0" + call(SYSTEM),
    "a dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93)R.",
    "dropped at once": b"\x80\x02" + SYSTEM + b"0N.",
    "broken afterwards": b"\x80\x02" + call(SYSTEM)[:-1] + b"\xff\xff",
    "second pickle": pickle.dumps([1], 2) + b"\x80\x02" + call(SYSTEM),
    "a class that is changed": b"\x80\x02ccollections\nOrderedDict\n}U\x05clear]sb.",
    "a call of what was called": b"\x80\x02ccollections\nOrderedDict\n)R)R.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "pytorch_model.bin", "notes.txt"])
def test_a_pickle_that_could_run_code_is_flagged_and_not_run(look: Look, name: str, content: bytes) -> None:
    if not content.startswith(b"\x80") and name == "notes.txt" and b"\x82" in content:
        pytest.skip("no pickle by any sign")
    found = look(name, content)
    assert names(found)
    assert not found.is_safe
    assert not Path(MARK).exists()


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("member", ["archive/data.pkl", "archive/data/0", "archive/readme.txt"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_so_is_one_inside_a_checkpoint_whatever_its_name(
    look: Look, member: str, content: bytes, compression: int
) -> None:
    members = {"archive/data.pkl": b"\x80\x02}.", member: content}
    found = look("model.pt", zipped(members, compression))
    assert (found.format, found.is_safe) == ("torch", False)
    assert {finding.where for finding in found.findings if finding.code == "CodeOnLoad"} == {member}


def test_and_inside_a_zip_inside_a_zip(look: Look) -> None:
    inner = zipped({"x": HOSTILE["protocol 4"]})
    found = look("data.zip", zipped({"inner.bin": zipped({"more.dat": inner}, zipfile.ZIP_DEFLATED)}))
    assert [finding.where for finding in found.findings if finding.code == "CodeOnLoad"] == ["inner.bin!more.dat!x"]


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "model.onnx", "a.npy"])
def test_a_pickle_under_a_safe_name(look: Look, name: str) -> None:
    found = look(name, pickle.dumps({"a": 1}))
    assert ("DisguisedPickle" in codes(found), found.is_safe) == (True, False)


def test_values_without_code_are_harmless(look: Look) -> None:
    value = {
        "a": [1, 2.5, "x", None, True, b"y", (1, 2), {3}, frozenset({4}), 1 << 80, bytearray(b"z")],
        "o": collections.OrderedDict(b=1),
    }
    for protocol in range(2, 6):
        found = look("values.pkl", pickle.dumps(value, protocol=protocol))
        assert [finding for finding in found.findings if "_codecs" not in finding.detail] == [], protocol


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x80\x04" + b"\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"abc.", "Truncated"),
        (b"\x80\x02T\xff\xff\xff\x7fabc", "Truncated"),
        (b"\x80\x02T\xff\xff\xff\xffabc", "BadLength"),
        (b"\x80\x02R.", "BadStructure"),
        (b"\x80\x02h\x07.", "BadStructure"),
        (b"\x80\x02e.", "BadStructure"),
        (b"\x80\x02N", "Truncated"),
        (b"\x80\x02N.rest", "TrailingBytes"),
    ],
)
def test_a_pickle_that_is_broken(look: Look, content: bytes, code: str) -> None:
    assert code in codes(look("model.pkl", content))


def test_one_without_end_is_not_called_safe(look: Look) -> None:
    found = look("model.pkl", b"\x80\x02" + b"N0" * 1_000 + b"N.", steps=100)
    assert not found.is_safe


def checkpoint(tmp_path: Path) -> bytes:
    file = tmp_path / "made.pt"
    write_torch_checkpoint(str(file), {"cfg": {"layers": 2}, "model": {"a": noise((4, 8), 1), "b": noise((3,), 2)}})
    return file.read_bytes()


def test_what_a_checkpoint_tells(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    found = inspect_file(str(tmp_path / "made.pt"))
    assert (found.format, found.findings) == ("torch", [])
    assert found.facts["tensor_list"] == [
        {"name": "a", "dtype": "F32", "shape": [4, 8]},
        {"name": "b", "dtype": "F32", "shape": [3]},
    ]
    assert found.facts["globals"] == [
        "torch._utils._rebuild_tensor_v2",
        "torch.FloatStorage",
        "collections.OrderedDict",
    ]


def test_a_flipped_bit_in_the_weights_is_found(tmp_path: Path, look: Look) -> None:
    content = bytearray(checkpoint(tmp_path))
    with zipfile.ZipFile(tmp_path / "made.pt") as archive:
        data = archive.read("made/data/0")
    content[content.index(data)] ^= 1
    found = look("flipped.pt", bytes(content))
    assert [(finding.code, finding.where) for finding in found.findings] == [("BadChecksum", "made/data/0")]


def test_a_broken_pickle_does_not_hide_a_flipped_bit_behind_it(look: Look) -> None:
    content = bytearray(zipped({"a/data.pkl": b"\x80\x02N", "a/data/0": b"weights"}))
    content[content.index(b"weights")] ^= 1
    found = look("m.pt", bytes(content))
    assert [(finding.code, finding.where) for finding in found.findings] == [
        ("Truncated", "a/data.pkl"),
        ("BadChecksum", "a/data/0"),
    ]


def test_weights_that_are_missing_or_too_short(tmp_path: Path, look: Look) -> None:
    checkpoint(tmp_path)
    with zipfile.ZipFile(tmp_path / "made.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["made/data/0"] = members["made/data/0"][:-4]
    assert codes(look("short.pt", zipped(members))) == ["SizeMismatch"]
    del members["made/data/0"]
    assert codes(look("without.pt", zipped(members))) == ["MissingPart"]


def test_a_checkpoint_without_true_checksums_is_not_called_damaged(tmp_path: Path, look: Look) -> None:
    content = bytearray(checkpoint(tmp_path))
    with zipfile.ZipFile(tmp_path / "made.pt") as archive:
        for member in archive.infolist():
            content = content.replace(struct.pack("<I", member.CRC), b"\x12\x34\x56\x78")
    found = look("unsummed.pt", bytes(content))
    assert (codes(found), found.is_whole) == (["NotAllChecked"], True)


def legacy(storage: bytes) -> bytes:
    """What torch wrote before it used zip: three small pickles, the content, the keys, the storages."""
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x011U\x03cpuK\x02NtQK\x00K\x02\x85K\x01\x85\x89"
        b"ccollections\nOrderedDict\n)RtR"
    )
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    start = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    return start + b"\x80\x02}U\x01w" + tensor + b"s." + pickle.dumps(["1"], protocol=2) + storage


def test_a_checkpoint_from_before_zip(look: Look) -> None:
    numbers = struct.pack("<q2f", 2, 1.0, 2.0)
    found = look("old.pt", legacy(numbers))
    assert (found.format, found.findings, found.facts["layout"]) == ("torch", [], "legacy")
    assert found.facts["tensor_list"] == [{"name": "w", "dtype": "F32", "shape": [2]}]
    assert codes(look("cut.pt", legacy(numbers[:-1]))) == ["Truncated"]
    assert codes(look("more.pt", legacy(numbers + b"x"))) == ["TrailingBytes"]
