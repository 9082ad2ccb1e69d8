"""The listing is a canonical text: one artifact, one digest. Oracle: `sha256sum --check` reads it too."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import IntegrityError, TenutoError, UsageError
from tenuto.core.listing import Change, Entry, Listing, differences

HASH = "0123456789abcdef" * 4
OTHER = "f" * 64

DEVICE = re.compile(r"(?:^|/)(?:con|prn|aux|nul|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?:/|$)", re.IGNORECASE)
segments = st.text(st.characters(codec="utf-8", categories=("L", "N", "So")), min_size=1, max_size=8)
paths = st.lists(segments, min_size=1, max_size=3).map("/".join).filter(lambda path: not DEVICE.search(path))
entries = st.builds(Entry, paths, st.sampled_from([HASH, OTHER]), st.integers(0, (1 << 63) - 1))
listings = st.lists(entries, unique_by=lambda entry: entry.path, max_size=8).filter(
    lambda found: not any(one.path.startswith(f"{other.path}/") for one in found for other in found)
)


def parse_or_code(text: bytes) -> Listing | str:
    """The listing, or the code of the refusal."""
    try:
        return Listing.parse(text)
    except TenutoError as error:
        return error.code


def test_the_digest_of_known_files_never_changes() -> None:
    listing = Listing(
        [
            Entry("z.txt", hashlib.sha256(b"last").hexdigest(), 4),
            Entry("a/b.bin", hashlib.sha256(b"").hexdigest(), 0),
            Entry("\u00e9.wav", hashlib.sha256(b"sound").hexdigest(), 5),
            Entry("Z.txt", hashlib.sha256(b"case").hexdigest(), 4),
        ]
    )
    assert list(listing) == ["Z.txt", "a/b.bin", "z.txt", "\u00e9.wav"]
    assert listing.text.decode() == (
        "bbfcd4160a1e8674dac62292ae48be4785262ad7078f9ec11b74a254ce70fa06  4  Z.txt\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  0  a/b.bin\n"
        "3547cb112ac4489af2310c0626cdba6f3097a2ad5a3b42ddd3b59c76c7a079a3  4  z.txt\n"
        "dd29442deca69f52c50006b831cb216edf78a7da33748f0a80ff19f2ebe57ecd  5  é.wav\n"
    )
    assert listing.digest == "0b032ab755e67ce9d1bf3ee85b05291eaf7f5c076adddd56a2e8434c7fac820a"


def test_the_empty_listing() -> None:
    assert (len(Listing()), Listing().text, Listing().size_bytes) == (0, b"", 0)
    assert Listing().digest == hashlib.sha256(b"").hexdigest()
    assert len(Listing.parse(b"")) == 0


@given(listings)
def test_parse_gives_back_what_was_written(found: list[Entry]) -> None:
    listing = Listing(found)
    again = Listing.parse(listing.text)
    assert again == listing
    assert again.digest == listing.digest == hashlib.sha256(listing.text).hexdigest()
    assert dict(again) == {entry.path: entry for entry in found}
    assert listing.size_bytes == sum(entry.size for entry in found)


@given(listings, st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_count(found: list[Entry], chance: object) -> None:
    shuffled = found[:]
    chance.shuffle(shuffled)
    assert Listing(shuffled).text == Listing(found).text
    lines = Listing(found).text.splitlines()
    assert lines == sorted(lines, key=lambda line: line.split(b"  ", 2)[2])


@given(st.binary(max_size=200))
def test_any_other_text_is_refused(text: bytes) -> None:
    listing = parse_or_code(text)
    assert listing in {"CorruptObject", "BadPath"} if isinstance(listing, str) else listing.text == text


@given(listings.filter(bool), st.data())
def test_a_tampered_text_is_refused_or_has_another_digest(found: list[Entry], data: st.DataObject) -> None:
    listing = Listing(found)
    position = data.draw(st.integers(0, len(listing.text) - 1))
    value = data.draw(st.integers(1, 255))
    text = bytearray(listing.text)
    text[position] ^= value
    found = parse_or_code(bytes(text))
    assert found in {"CorruptObject", "BadPath"} if isinstance(found, str) else found.digest != listing.digest


LINE = f"{HASH}  5  a\n"


@pytest.mark.parametrize(
    "text",
    [
        LINE[:-1],
        LINE + "\n",
        "\n" + LINE,
        LINE.replace("  5  ", " 5 "),
        LINE.replace("  5  ", "  05  "),
        LINE.replace("  5  ", "  +5  "),
        LINE.replace("  5  ", "  -5  "),
        LINE.replace("  5  ", "  5_0  "),
        LINE.replace("  5  ", "  \u0665  "),
        LINE.replace("  5  ", "  5.0  "),
        LINE.replace("  5  ", "    "),
        LINE.replace("  5  ", "  9223372036854775808  "),
        LINE.replace("  5  ", f"  {'9' * 5000}  "),
        LINE.upper(),
        LINE[1:],
        f"{HASH}  5  b\n{HASH}  5  a\n",
        f"{HASH}  5\n",
        "\ufeff" + LINE,
        LINE + "# a comment\n",
    ],
)
def test_not_canonical(text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        Listing.parse(text.encode())
    assert caught.value.code == "CorruptObject"


def test_not_utf8() -> None:
    with pytest.raises(IntegrityError):
        Listing.parse(f"{HASH}  5  ".encode() + b"\xff\n")


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "C:/x", "a/../b", "CON", ".git/config", "a\tb", "a\r", " ", ""]
)
def test_a_path_that_may_not_be_written(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        Listing.parse(f"{HASH}  5  {path}\n".encode())
    assert caught.value.code == "BadPath"


@pytest.mark.parametrize(
    "pair", [("a", "a"), ("a", "a/b"), ("a/b/c/d", "a/b"), ("a", "a/b/c")], ids=lambda pair: " ".join(pair)
)
def test_one_path_is_one_file(pair: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        Listing([Entry(pair[0], HASH, 1), Entry("a!", HASH, 1), Entry(pair[1], OTHER, 2)])
    assert caught.value.code == "BadPath"


def test_names_that_only_begin_alike_are_no_folders_of_each_other() -> None:
    assert len(Listing([Entry(path, HASH, 1) for path in ("a", "a!b", "a.b", "ab/c", "b/a", "b.a")])) == 6


def test_sha256sum_agrees(tmp_path: Path) -> None:
    contents = {"a b.txt": b"space", "d/\u00e9.bin": b"\x00" * 1000, "empty": b"", "d/e/f": b"deep"}
    for path, data in contents.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    listing = Listing(Entry(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in contents.items())
    lines = [line.split("  ", 2) for line in listing.text.decode().splitlines()]
    check = "".join(f"{sha256}  {path}\n" for sha256, _size, path in lines)
    subprocess.run(
        ["sha256sum", "--check", "--strict", "-"], cwd=tmp_path, input=check.encode(), check=True, capture_output=True
    )
    assert [(tmp_path / path).stat().st_size for _sha256, _size, path in lines] == [int(size) for _, size, _ in lines]


class TestDifferences:
    def test_verbs(self) -> None:
        old = Listing([Entry("kept", HASH, 1), Entry("gone", HASH, 1), Entry("new bytes", HASH, 1)])
        new = Listing([Entry("kept", HASH, 1), Entry("new bytes", OTHER, 1), Entry("come", HASH, 1)])
        changes = differences(old, new)
        assert [(change.path, change.verb) for change in changes] == [
            ("come", "added"),
            ("gone", "removed"),
            ("new bytes", "modified"),
        ]
        assert changes[2] == Change("new bytes", old["new bytes"], new["new bytes"])

    @given(listings, listings)
    def test_applied_to_the_old_they_give_the_new(self, old: list[Entry], new: list[Entry]) -> None:
        files = {entry.path: entry for entry in old}
        for change in differences(Listing(old), Listing(new)):
            assert files.get(change.path) == change.old
            if change.new is None:
                del files[change.path]
            else:
                files[change.path] = change.new
        assert files == {entry.path: entry for entry in new}

    @given(listings)
    def test_none_between_equals(self, found: list[Entry]) -> None:
        assert differences(Listing(found), Listing(found)) == []
