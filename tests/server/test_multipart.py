"""Forms with files are read as browsers send them, and refused if they are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.server.http.multipart import Upload, is_multipart, read_multipart

KIND = "multipart/form-data; boundary=----x"


def body(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> bytes:
    pieces = [
        b"------x\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    ]
    return b"".join(pieces) + b"------x" + end


def test_fields_and_files_are_told_apart() -> None:
    form = read_multipart(
        KIND, body(('name="a"', b"1"), ('name="a"', "ü".encode()), ('name="f"; filename="x.bin"', b"\r\n\0--\r\n"))
    )
    assert form.fields == {"a": "ü"}
    assert form.files == [Upload("f", "x.bin", b"\r\n\0--\r\n")]


def test_quotes_in_names_come_back() -> None:
    assert read_multipart(KIND, body(('name="f"; filename="a%22b%0A.txt"', b""))).files[0].name == 'a"b\n.txt'


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", body(('name="a"', b"1"))),
        (KIND, b""),
        (KIND, b"------x\r\n"),
        (KIND, body(('name="a"', b"1"), end=b"\r\n")),
        (KIND, body(("filename=x", b"1"))),
        (KIND, body(('name="a"', b"\xff"))),
        (KIND, b"------x\r\n\r\n1\r\n------x--\r\n"),
        (KIND, b"------x\r\nContent-Disposition: form-data; " + b"x" * 5000 + b"\r\n\r\n1\r\n------x--\r\n"),
    ],
)
def test_what_is_no_form_is_refused(kind: str, content: bytes) -> None:
    with pytest.raises(UsageError):
        read_multipart(kind, content)


def test_very_many_parts_are_refused() -> None:
    with pytest.raises(UsageError, match="parts"):
        read_multipart(KIND, body(*[('name="a"', b"")] * 400))


@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=200)), max_size=5))
def test_every_file_comes_back_whole(files: list[tuple[str, bytes]]) -> None:
    found = read_multipart(KIND, body(*[(f'name="f"; filename="{name}"', content) for name, content in files]))
    wanted = [Upload("f", name, content) for name, content in files]
    assert found.files == wanted


def test_only_that_type_is_one() -> None:
    assert is_multipart("Multipart/Form-Data; boundary=x")
    assert not is_multipart("application/x-www-form-urlencoded")
