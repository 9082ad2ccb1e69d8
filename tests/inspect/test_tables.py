"""NPY, NPZ, Parquet, texts and pictures."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest

from tests.inspect.conftest import Look, codes, made


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode("latin-1") + data


def saved(array: object, **more: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), **more)
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4), "<f4"),
        np.asfortranarray(np.ones((3, 4), ">i2")),
        np.array("text"),
        np.zeros(0),
        np.zeros(2, [("a", "<f4"), ("b", "<i2", (2, 3)), ("c", [("d", "U5")])]),
        np.zeros(2, "datetime64[ns]"),
        np.zeros(1_000, bool),
    ],
    ids=lambda array: str(array.dtype),
)
def test_what_numpy_saves_is_whole(look: Look, array: np.ndarray[tuple[int, ...], np.dtype[np.void]]) -> None:
    found = look("a.npy", saved(array))
    assert (found.findings, found.facts["shape"]) == ([], list(array.shape))
    assert not look("a.npy", saved(array)[:-1]).is_whole


def test_a_shape_that_python_2_wrote(look: Look) -> None:
    content = npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2L,), }", bytes(8))
    assert (codes(look("a.npy", content)), look("a.npy", content).facts["shape"]) == ([], [2])


def test_objects_of_numpy_are_pickles(look: Look) -> None:
    content = saved(np.array([{}], dtype=object), allow_pickle=True)
    assert (codes(look("a.npy", content)), look("a.npy", content).is_safe) == (["CodeOnLoad"], False)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.npy", content)
    found = look("a.npz", packed.getvalue())
    assert [(finding.code, finding.where) for finding in found.findings] == [("CodeOnLoad", "a.npy")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", bytes(7)), "Truncated"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", bytes(9)), "TrailingBytes"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"), "Truncated"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "BadHeader"),
        (npy("{'descr': '|V99999999999', 'fortran_order': False, 'shape': (), }"), "BadLength"),
        (npy("{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (), }"), "CodeOnLoad"),
        (npy("{'descr': [('a', ('O', (2,)))], 'fortran_order': False, 'shape': (), }"), "CodeOnLoad"),
        (npy("{'shape': ()}"), "BadHeader"),
        (npy("__import__('os').abort()"), "BadHeader"),
        (npy("(" * 5_000), "BadHeader"),
        (
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", struct.pack("<d", float("nan"))),
            "NotANumber",
        ),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "BadLength"),
        (b"\x93NUMPY\x09\0", "BadHeader"),
    ],
)
def test_an_array_that_is_not_what_it_says(look: Look, content: bytes, code: str) -> None:
    assert code in codes(look("a.npy", content))


def test_what_arrays_in_a_zip_tell(look: Look) -> None:
    found = look("a.npz", made("arrays.npz"))
    assert found.format == "npz"
    assert [(one["name"], one["shape"]) for one in found.facts["arrays"]] == [("a", [100]), ("b", [3])]  # type: ignore[union-attr,index,call-overload]


def test_what_parquet_tells(look: Look) -> None:
    found = look("t.parquet", made("table.parquet"))
    assert (found.facts["rows"], found.facts["row_groups"]) == (40, 2)
    assert [column["name"] for column in found.facts["columns"]] == ["id", "label", "seconds", "parts.x"]  # type: ignore[union-attr,index,call-overload]
    assert isinstance(found.facts["pages_with_checksum"], int)
    assert found.facts["pages_with_checksum"] > 0


def test_a_flipped_bit_in_a_page_of_parquet(look: Look) -> None:
    content = made("table.parquet")
    label = content.index(b"\x01\0\0\0a")
    assert codes(look("t.parquet", content[: label + 4] + b"z" + content[label + 5 :])) == ["BadChecksum"]


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 1, 0])
def test_a_footer_of_parquet_that_is_not_there(look: Look, length: int) -> None:
    content = made("table.parquet")
    assert not look("t.parquet", content[:-8] + struct.pack("<I", length) + b"PAR1").is_whole


@pytest.mark.parametrize(
    "footer", [b"\x19" * 5_000, b"\x1c" * 5_000, b"\x19\xfc\xff\xff\xff\xff\x0f", b"\x18\xff\xff\xff\xff\x0f", b"\x1f"]
)
def test_thrift_without_end(look: Look, footer: bytes) -> None:
    assert not look("t.parquet", b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1").is_whole


def test_encrypted_parquet(look: Look) -> None:
    assert not look("t.parquet", b"PARE" + bytes(20) + b"PARE").is_safe


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '{"a": [1, 2.5, null, "\u00e9"]}', []),
        ("a.json", '\ufeff{"a": 1}', []),
        ("a.json", '{"a": NaN}', ["BadStructure"]),
        ("a.json", '{"a": 1}}', ["BadStructure"]),
        ("a.json", "[" * 200_000, ["BadStructure"]),
        ("a.json", '{"auto_map": {"AutoModel": "modeling.Model"}}', ["RemoteCode"]),
        ("a.json", '{"a": "auto_map"}', []),
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}', []),
        ("a.jsonl", '{"a": 1}\n{"a": \n', ["BadStructure"]),
        ("a.yaml", "a: 1\nb: &x [1]\nc: *x\n", []),
        ("a.yaml", "a: !!python/object/apply:os.system ['x']\n", ["CodeOnLoad"]),
        ("a.yaml", "a:\n\tb: 1\n", ["BadStructure"]),
        ("a.yaml", "a: &a [1]\nb: [" + "*a," * 2_000 + "]\n", ["Bomb"]),
        ("a.csv", "file,label\na.wav,rain\n", []),
        ("a.csv", "file,label\na.wav\n", ["Unusual"]),
        ("a.csv", "file,label\n" + '"' * 3, ["Unusual"]),
    ],
)
def test_texts(look: Look, name: str, content: str, expected: list[str]) -> None:
    assert codes(look(name, content.encode())) == expected


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.yaml", "a.csv"])
def test_a_text_that_is_none(look: Look, name: str) -> None:
    assert not look(name, b'{"a": "\xff"}').is_whole
    assert not look(name, b'{"a": "\0"}').is_whole
    assert codes(look(name, b"x" * 4_096 + b"\0"))[:1] == ["BadStructure"]


def test_what_texts_tell(look: Look) -> None:
    assert look("a.json", b'{"r": 8, "x": []}').facts == {"kind": "table", "keys": ["r", "x"]}
    assert look("a.json", b"[1, 2]").facts == {"kind": "list", "items": 2}
    assert look("a.jsonl", b'{"a": 1}\n' * 3).facts["lines"] == 3
    assert look("a.yaml", b"# x\nname: y\n'b c': 1\n  d: 2\n").facts["keys"] == ["name", "b c"]
    assert look("a.tsv", b"a\tb\n1\t2\n").facts == {"columns": ["a", "b"], "delimiter": "tab", "lines": 2}


def test_a_text_beyond_the_limit_is_not_read(look: Look) -> None:
    found = look("a.json", json.dumps(["x" * 1_000]).encode(), text_bytes=100)
    assert (codes(found), found.is_whole) == (["NotAllChecked"], True)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", b"x")
    + chunk(b"IEND", b"")
)
JPEG = b"\xff\xd8\xff\xe0\0\x04JF\xff\xc0\0\x0b\x08\0\x02\0\x03\x01\x01\x11\0\xff\xda\0\x02pixels\xff\xd9"


@pytest.mark.parametrize(("name", "content"), [("a.png", PNG), ("a.jpg", JPEG)])
def test_pictures(look: Look, name: str, content: bytes) -> None:
    found = look(name, content)
    assert (found.findings, found.facts) == ([], {"width": 3, "height": 2})
    for end in range(1, len(content)):
        assert not look(name, content[:end]).is_whole, end


def test_a_flipped_bit_in_a_png(look: Look) -> None:
    assert codes(look("a.png", PNG.replace(b"IDATx", b"IDATy"))) == ["BadChecksum"]
