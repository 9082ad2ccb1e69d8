"""No name from outside leads out of its folder, on any system."""

import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.paths import check_path, twins

REFUSED = [
    "",
    ".",
    "..",
    "../x",
    "a/../../b",
    "a/..",
    "/etc/x",
    "//host/share",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    "C:\\x",
    "C:/x",
    "D:x",
    "\\\\host\\share\\x",
    "a\\b",
    "..\\x",
    "file:stream",
    "CON",
    "con",
    "aux.txt",
    "a/NUL",
    "com1",
    "COM9.tar.gz",
    "lpt1/x",
    "com\u00b9",
    "CON .txt",
    "conin$",
    "Prn.pt",
    "a\u202e.pt",
    "a\u200b.pt",
    "a\u2066b",
    "a\ufeff",
    "a\u061cb",
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a*",
    "a?",
    "<a>",
    'a"b',
    "a|b",
    "dir./x",
    "dir /x",
    "x.",
    "x ",
    "x...",
    ".git",
    ".GIT/config",
    "a/.Git/hooks/post-checkout",
    "git~1/config",
    "GIT~1",
    "\uff0egit/config",
    "n" * 256,
    "n" * 300,
    "\u00e9" * 128,
    "/".join(["abcdefgh"] * 114),
    "\ud800",
]
ACCEPTED = [
    "a",
    "model.safetensors",
    "data/train/clip_0001.wav",
    "BEATs_iter3.pt",
    ".gitattributes",
    ".gitignore",
    ".github/x",
    "a.git/x",
    "gitx~1",
    "~/x",
    "-rf",
    "a b/c d.txt",
    " leading",
    "console/auxiliary.txt",
    "com10",
    "lpt",
    "null",
    "r\u00e9sum\u00e9/\u97f3.wav",
    "re\u0301sume\u0301",
    "a'b&c;d$e(f)[g]{h}=i+j,k!l@m#n%o^p`q",
    "..a",
    "a..b",
    "...a",
    "n" * 255,
    "/".join(["abcdefgh"] * 113),
    "\U0001f3b5.wav",
]

pieces = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "\\",
        "a",
        "B",
        "con",
        "aux",
        ".git",
        "GIT~1",
        ":",
        " ",
        "\u202e",
        "\x00",
        "e\u0301",
        "C:",
        "~",
        "lpt1",
        ".txt",
        "\u0130",
    ]
)
texts = st.one_of(st.text(max_size=40), st.lists(pieces, max_size=8).map("".join))


@pytest.mark.parametrize("path", REFUSED)
def test_refused(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_path(path)
    assert caught.value.code == "BadPath"
    assert repr(path) in str(caught.value)
    assert str(caught.value).isprintable(), "the message may be shown on any terminal"


@pytest.mark.parametrize("path", ACCEPTED)
def test_accepted_as_it_is(path: str) -> None:
    assert check_path(path) == path


def accepted(path: str) -> bool:
    try:
        return check_path(path) == path
    except UsageError:
        return False


@given(texts)
@example("a/\u2024\u2024/b")
def test_an_accepted_path_stays_inside_on_every_system(path: str) -> None:
    if not accepted(path):
        return
    assert posixpath.normpath(path) == path
    assert posixpath.normpath(posixpath.join("/root/of/it", path)) == f"/root/of/it/{path}"
    assert not ntpath.isabs(path)
    assert ntpath.splitdrive(path)[0] == ""
    joined = ntpath.normpath(ntpath.join("C:\\root\\of\\it", path))
    assert joined == "C:\\root\\of\\it\\" + path.replace("/", "\\")
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        segments = unicodedata.normalize(form, path).lower().replace("\\", "/").split("/")
        assert ".git" not in segments
    assert len(path.encode()) <= 1024
    for segment in path.split("/"):
        assert segment not in {"", ".", ".."}
        assert len(segment.encode()) <= 255
        assert not ntpath.isreserved(segment) if hasattr(ntpath, "isreserved") else True


@given(texts)
def test_the_fast_way_and_the_thorough_way_agree(path: str) -> None:
    """A path that begins with a character of no fast path is judged by the thorough rules alone; both must say the same of the rest."""
    assert accepted(path) == accepted(f"\u00e9/{path}")


@given(st.from_regex(r"[A-Za-z0-9_.\-/]{1,40}", fullmatch=True))
def test_plain_paths_agree_too(path: str) -> None:
    assert accepted(path) == accepted(f"\u00e9/{path}")


class TestTwins:
    def test_none_among_different_names(self) -> None:
        assert twins(["a", "b", "a/b", "ab"]) == []

    def test_case(self) -> None:
        assert twins(["Model.bin", "other", "model.bin", "MODEL.BIN"]) == [
            ("Model.bin", "model.bin"),
            ("Model.bin", "MODEL.BIN"),
        ]

    def test_normalisation(self) -> None:
        assert twins(["r\u00e9sum\u00e9", "re\u0301sume\u0301"]) == [("r\u00e9sum\u00e9", "re\u0301sume\u0301")]

    def test_folders(self) -> None:
        """A case-blind disk makes one folder of two, or has no room for a file where a folder is."""
        assert twins(["Model/a", "Model/b", "model/c", "model/d"]) == [("Model", "model")]
        assert twins(["data", "Data/x"]) == [("data", "Data")]
        assert twins(["Data/x", "data"]) == [("Data", "data")]
        assert twins(["a/b/c", "a/B/c/d"]) == [("a/b/c", "a/B/c")]
        assert twins(["A/x", "a/x"]) == [("A/x", "a/x")]

    def test_the_same_path_is_no_twin_of_itself(self) -> None:
        assert twins(["a", "a"]) == []

    @given(st.text(min_size=1, max_size=10))
    def test_every_form_of_a_name_is_its_twin(self, name: str) -> None:
        forms = {name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")), name.casefold()}
        assert len(twins(sorted(forms))) == len(forms) - 1
