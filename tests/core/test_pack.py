"""Packs are taken apart as they were put together, however they are cut, and nothing else is taken for one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.pack import FILE_LIMIT_BYTES, Unpacker, frame_head, frame_size

FILES = st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=20), st.binary(max_size=200)), max_size=8)


def pack(files):
    return b"".join(frame_head(name, len(content)) + content for name, content in files)


@given(FILES, st.lists(st.integers(1, 64), min_size=1))
def test_any_cut_gives_the_same_files(files, cuts):
    data, unpacker, found, position, turn = pack(files), Unpacker(), [], 0, 0
    while position < len(data):
        step = cuts[turn % len(cuts)]
        found += unpacker.feed(data[position : position + step])
        position, turn = position + step, turn + 1
    unpacker.finish()
    assert found == files
    assert len(data) == sum(frame_size(name, len(content)) for name, content in files)


def test_the_bytes_are_as_the_format_says():
    assert pack([("é", b"xyz")]) == b"\x02\x00" + b"\x03\x00\x00\x00" + "é".encode() + b"xyz"


@given(FILES, st.integers(1, 1000))
def test_a_pack_that_ends_inside_a_file_is_refused(files, cut):
    data = pack([*files, ("last", b"content")])
    unpacker = Unpacker()
    cut = min(cut, frame_size("last", 7) - 1)
    assert list(unpacker.feed(data[:-cut])) == files
    with pytest.raises(UsageError, match="middle of a file"):
        unpacker.finish()


@given(st.binary(max_size=500))
def test_arbitrary_bytes_give_files_or_a_refusal(data):
    unpacker = Unpacker()
    try:
        files = list(unpacker.feed(data))
        unpacker.finish()
    except UsageError:
        return
    assert pack(files) == data


@pytest.mark.parametrize(
    "head", [struct.pack("<HI", 1, FILE_LIMIT_BYTES + 1), struct.pack("<HI", 1025, 0), b"\xff" * 6]
)
def test_what_is_too_large_is_refused_by_its_head(head):
    with pytest.raises(UsageError) as caught:
        list(Unpacker().feed(head))
    assert caught.value.code == "TooLarge"


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(UsageError, match="UTF-8"):
        list(Unpacker().feed(struct.pack("<HI", 1, 0) + b"\xff"))
