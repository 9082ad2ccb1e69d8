"""Codes, facts and limits: what every look has in common."""

import os
import re
from pathlib import Path

import msgspec
import pytest

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.inspect.findings import CODES, FormatError, Limits, Report, clean, plain
from tenuto.inspect.look import inspect_file
from tests.inspect.conftest import WHOLE_FILES, Look, codes

PAGE = Path(__file__).parents[2] / "docs" / "inspect.md"


def test_the_page_lists_every_code_with_its_severity_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (damage|danger|odd) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(code, kind.severity, kind.meaning) for code, kind in CODES.items()]


@pytest.mark.parametrize("path", WHOLE_FILES, ids=lambda path: path.name)
def test_what_other_programs_wrote_is_whole_and_safe(path: Path) -> None:
    found = inspect_file(str(path))
    assert (found.findings, found.is_whole, found.is_safe) == ([], True, True)
    assert found.format not in {"unknown", "empty"}
    assert found.size_bytes == path.stat().st_size


@pytest.mark.parametrize("path", WHOLE_FILES, ids=lambda path: path.name)
def test_half_a_file_is_not_whole(look: Look, path: Path) -> None:
    content = path.read_bytes()
    assert not look(path.name, content[: len(content) // 2]).is_whole


@pytest.mark.parametrize("path", WHOLE_FILES, ids=lambda path: path.name)
def test_a_look_at_headers_alone_finds_no_fault_and_the_same_format(path: Path) -> None:
    quick = inspect_file(str(path), limits=Limits(content_bytes=0))
    assert (quick.is_whole, quick.is_safe) == (True, True)
    assert quick.format == inspect_file(str(path)).format
    assert {finding.code for finding in quick.findings} <= {"NotAllChecked"}


def test_an_empty_file(look: Look) -> None:
    found = look("model.safetensors", b"")
    assert (found.format, codes(found), found.is_whole) == ("empty", ["Empty"], False)


def test_nothing_but_zeros(look: Look) -> None:
    assert codes(look("weights.bin", bytes(1 << 20))) == ["Empty"]


def test_a_long_tail_of_zeros_is_told(look: Look) -> None:
    found = look("weights.bin", b"\x07\x08" * (100 << 10) + bytes(200 << 10))
    assert codes(found) == ["ZeroTail"]
    assert "204,800" in found.findings[0].detail


@pytest.mark.parametrize("start", ["<!DOCTYPE html>", "\n <html lang=en>", "\ufeff<HTML>"])
@pytest.mark.parametrize("name", ["clip.mp3", "model.safetensors", "pytorch_model.bin", "a.zip", "a.json"])
def test_a_web_page_under_the_name_of_something_else(look: Look, name: str, start: str) -> None:
    found = look(name, f"{start}<body>Sign in</body></html>".encode())
    assert (found.format, codes(found), found.is_whole) == ("html", ["HtmlPage"], False)


def test_a_web_page_under_its_own_name(look: Look) -> None:
    assert codes(look("index.html", b"<!doctype html><p>Hello")) == []


def test_a_pointer_instead_of_its_content(look: Look) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
    found = look("model.safetensors", pointer)
    assert (found.format, codes(found), found.is_whole) == ("lfs-pointer", ["LfsPointer"], False)


@pytest.mark.parametrize(
    ("name", "like", "expected"),
    [
        ("clip.wav", "clip.mp3", ["OtherFormat"]),
        ("clip.mp3", "model.safetensors", ["NotThisFormat"]),
        ("model.safetensors", "arrays.npz", ["NotThisFormat"]),
        ("anything.bin", "clip.flac", []),
    ],
)
def test_a_name_that_says_something_else(look: Look, name: str, like: str, expected: list[str]) -> None:
    content = next(path for path in WHOLE_FILES if path.name == like).read_bytes()
    assert codes(look(name, content)) == expected


@pytest.mark.parametrize(
    "text", ["PARENT\n", "GGU", "ID", "# notes\n", "cat\ndog\n", "(1, 2)", "%PDF-1.7", "{", "\x7fELF"]
)
def test_a_file_that_is_no_business_of_ours(look: Look, text: str) -> None:
    found = look("README.rst", text.encode())
    assert (found.format, found.findings) == ("unknown", [])


def test_an_archive_that_no_reader_of_weights_opens(look: Look) -> None:
    assert "NotThisFormat" in codes(look("model.pt", b"7z\xbc\xaf\x27\x1c" + bytes(100)))


def test_a_folder_a_pipe_and_nothing_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "pipe"):
        with pytest.raises(UsageError, match="is not a file"):
            inspect_file(str(tmp_path / name))
    with pytest.raises(NotFoundError):
        inspect_file(str(tmp_path / "absent"))


def test_texts_from_a_file_cannot_write_on_a_terminal() -> None:
    assert plain("a\x1b[31m\u202eb\ud800\n") == "a\\x1b[31m\\u202eb\\ud800\\n"
    assert len(plain("x" * 10_000)) < 1_000


def test_facts_are_json_whatever_they_are() -> None:
    value = clean({"\ud800": [1 << 70, float("nan"), None, True, 1.5, b"x", ("\n",)]})
    assert msgspec.json.decode(msgspec.json.encode(value)) == value


def test_findings_are_bounded_and_the_worst_shows() -> None:
    report = Report(Limits(findings=3))
    for number in range(9):
        report.add("Unusual", f"number {number}")
    report.add("CodeOnLoad", "late")
    report.add("Truncated", "last")
    found = report.inspection("file", 1)
    assert [finding.code for finding in found.findings] == ["Unusual", "Unusual", "Unusual", "CodeOnLoad", "Truncated"]
    assert (found.is_safe, found.facts["findings_left_out"]) == (False, 6)


def test_a_part_that_breaks_off_does_not_end_the_look() -> None:
    report = Report(Limits())
    with report.part("outer"), report.part("inner"):
        raise FormatError("BadHeader", "what")
    report.add("Unusual", "goes on")
    assert [(finding.code, finding.where) for finding in report.findings] == [
        ("BadHeader", "outer!inner"),
        ("Unusual", ""),
    ]
