"""zip, tar and gzip: members that are not what the directory says, and members that would be written elsewhere."""

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable

import pytest

from tests.inspect.conftest import Look, codes

LEADS_OUT = ["../x", "a/../../x", "/etc/x", "C:/x", "d:x", "..\\x", "\\\\host\\share\\x", "a\\..\\..\\x"]


def zipped(fill: Callable[[zipfile.ZipFile], None], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore", UserWarning)  # doubles are made on purpose
        fill(archive)
    return file.getvalue()


def member(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system = 3
    made.external_attr = mode << 16
    return made


def plain_zip() -> bytes:
    return zipped(lambda archive: [archive.writestr(name, name * 100) for name in ("a.txt", "b/c.txt")] and None)


def test_what_a_zip_tells(look: Look) -> None:
    found = look("a.zip", plain_zip())
    assert (found.format, found.findings) == ("zip", [])
    assert found.facts == {"members": 2, "unpacked_bytes": 1_200, "member_list": ["a.txt", "b/c.txt"]}


class OneWay(io.BytesIO):
    """A place to write to that cannot go back, as a pipe is."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError("a pipe")

    def tell(self) -> int:
        raise OSError("a pipe")


def test_zips_that_were_written_to_a_pipe_and_those_for_large_members(look: Look) -> None:
    file = OneWay()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "a" * 100)
        with archive.open("large.txt", "w", force_zip64=True) as opened:
            opened.write(b"large")
    assert look("a.zip", file.getvalue()).findings == []
    content = zipped(lambda archive: archive.open("l.txt", "w", force_zip64=True).close())
    assert look("l.zip", content).findings == []


def test_bytes_before_and_behind_a_zip(look: Look) -> None:
    assert codes(look("a.bin", plain_zip() + b"tail")) == ["TrailingBytes"]
    assert codes(look("a.zip", b"PK\x03\x04" + plain_zip())) == ["Unusual"]


@pytest.mark.parametrize("name", LEADS_OUT)
def test_a_name_in_a_zip_that_leads_out(look: Look, name: str) -> None:
    found = look("a.zip", zipped(lambda archive: archive.writestr(name, "x")))
    assert (codes(found), found.is_safe, found.is_whole) == (["PathEscape"], False, True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("../../x", ["PathEscape"]),
        ("/etc", ["PathEscape"]),
        ("c.txt", []),
        ("../a.txt", []),
        ("../../../..", ["PathEscape"]),
    ],
)
def test_a_link_in_a_zip(look: Look, target: str, expected: list[str]) -> None:
    content = zipped(lambda archive: archive.writestr(member("b/link", stat.S_IFLNK | 0o777), target))
    assert codes(look("a.zip", content)) == expected


def test_a_device_in_a_zip(look: Look) -> None:
    content = zipped(lambda archive: archive.writestr(member("tty", stat.S_IFCHR | 0o666), ""))
    assert codes(look("a.zip", content)) == ["SpecialFile"]


@pytest.mark.parametrize("other", ["a.txt", "./a.txt", "b/../a.txt"])
def test_two_members_of_one_name(look: Look, other: str) -> None:
    content = zipped(lambda archive: [archive.writestr(name, "x") for name in ("a.txt", other)] and None)
    assert codes(look("a.zip", content)) == ["Duplicate"]


def test_a_bomb_is_not_unpacked(look: Look) -> None:
    content = bytearray(plain_zip())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 3 << 30)
    found = look("a.zip", bytes(content))
    assert "Bomb" in codes(found)
    assert not found.is_safe


def test_more_comes_out_than_was_declared(look: Look) -> None:
    content = plain_zip().replace(struct.pack("<I", 500), struct.pack("<I", 10))
    assert "SizeMismatch" in codes(look("a.zip", content))


def test_members_beyond_counting(look: Look) -> None:
    content = zipped(lambda archive: [archive.writestr(str(number), "") for number in range(20)] and None)
    assert codes(look("a.zip", content, items=10)) == ["BadLength"]


def test_encrypted_members(look: Look) -> None:
    content = bytearray(plain_zip())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    found = look("a.zip", bytes(content))
    assert [(finding.code, finding.where) for finding in found.findings] == [("Encrypted", "a.txt")]
    assert not found.is_safe


def test_a_member_whose_own_header_tells_another_name(look: Look) -> None:
    content = bytearray(plain_zip())
    content[content.index(b"a.txt")] = ord("z")
    assert codes(look("a.zip", bytes(content))) == ["BadStructure"]


def test_members_that_share_their_bytes(look: Look) -> None:
    content = bytearray(zipped(lambda archive: [archive.writestr(name, "same") for name in ("a", "a")] and None))
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = bytes(4)
    assert "Overlap" in codes(look("a.zip", bytes(content)))


def test_a_flipped_bit_and_a_cut(look: Look) -> None:
    content = bytearray(zipped(lambda archive: archive.writestr("a.bin", b"0123456789"), zipfile.ZIP_STORED))
    content[content.index(b"0123")] ^= 1
    assert codes(look("a.zip", bytes(content))) == ["BadChecksum"]
    assert codes(look("a.zip", bytes(content[:-30]))) == ["Truncated"]


def tarred(*members: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for one in members:
            archive.addfile(one, io.BytesIO(b"x" * one.size))
    return file.getvalue()


def tar_member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = size if kind == tarfile.REGTYPE else 0
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_what_a_tar_tells(look: Look, form: int) -> None:
    long_name = "folder" * 12 + "/" + "name" * 20 + ".json"
    content = tarred(
        tar_member("000.flac", 700), tar_member(long_name), tar_member("f", kind=tarfile.DIRTYPE), form=form
    )
    for name, packed in (("a.tar", content), ("a.tar.gz", gzip.compress(content))):
        found = look(name, packed)
        assert found.findings == []
        assert found.facts["members"] == 3
        assert found.facts["member_list"] == ["000.flac", long_name, "f/"]
        assert found.facts["files_by_ending"] == {"flac": 1, "json": 1}


def test_a_tar_from_before_there_was_a_mark(look: Look) -> None:
    content = bytearray(tarred(tar_member("a.txt"), form=tarfile.USTAR_FORMAT))
    content[156] = 0
    content[257:265] = bytes(8)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    assert look("old.tar", bytes(content)).findings == []


@pytest.mark.parametrize("name", LEADS_OUT)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_name_in_a_tar_that_leads_out(look: Look, name: str, form: int) -> None:
    assert codes(look("a.tar", tarred(tar_member(name), form=form))) == ["PathEscape"]


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        (tarfile.SYMTYPE, "../../x", ["PathEscape"]),
        (tarfile.SYMTYPE, "../x", []),
        (tarfile.SYMTYPE, "/etc", ["PathEscape"]),
        (tarfile.LNKTYPE, "../x", ["PathEscape"]),
        (tarfile.LNKTYPE, "b/x", []),
        (tarfile.CHRTYPE, "", ["SpecialFile"]),
        (tarfile.FIFOTYPE, "", ["SpecialFile"]),
    ],
)
def test_links_and_devices_in_a_tar(look: Look, kind: bytes, target: str, expected: list[str]) -> None:
    assert codes(look("a.tar", tarred(tar_member("b/it", kind=kind, link=target)))) == expected


def test_a_tar_that_is_cut_or_changed(look: Look) -> None:
    content = tarred(tar_member("a", 5_000), tar_member("b", 10))
    assert codes(look("a.tar", content[:3_000])) == ["Truncated"]
    assert codes(look("a.tar", content[: 512 + 5_120])) == ["Truncated"]
    changed = bytearray(content)
    changed[512 + 5_120] ^= 1
    assert codes(look("a.tar", bytes(changed))) == ["BadChecksum"]
    assert codes(look("a.tar", content + b"x" * 512)) == ["TrailingBytes"]
    assert codes(look("a.tar", tarred(tar_member("a"), tar_member("a")))) == ["Duplicate"]


def test_gzip_that_is_cut_or_changed(look: Look) -> None:
    content = gzip.compress(bytes(range(256)) * 100)
    assert look("a.gz", content).facts["unpacked_bytes"] == 25_600
    assert look("a.gz", content + content).facts["unpacked_bytes"] == 51_200
    assert codes(look("a.gz", content[:-9])) == ["Truncated"]
    changed = bytearray(content)
    changed[-6] ^= 1
    assert codes(look("a.gz", bytes(changed))) == ["BadStructure"]


@pytest.mark.slow
def test_a_gigabyte_out_of_a_megabyte(look: Look) -> None:
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as packed:
        for _ in range(1_100):
            packed.write(bytes(1 << 20))
    assert codes(look("a.gz", file.getvalue())) == ["Bomb"]
