"""`git` itself says what its patterns mean."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenuto.server.git.patterns import IgnoreRules, LargeFileRules, default_attributes

NAMES = [
    "a",
    "b",
    "ab",
    "abc",
    "a.bin",
    "b.txt",
    "x.y.bin",
    "dir",
    ".hidden",
    "-",
    "a b",
    "[x]",
    "!c",
    "#d",
    "e*",
    "A",
    "z9",
]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)
ATOMS = [
    "a",
    "b",
    "ab",
    "*",
    "?",
    "**",
    "/",
    "*.bin",
    "[a-c]",
    "[!a]",
    "[^b]",
    "[]x]",
    "\\*",
    "dir",
    "x.y",
    ".",
    "[[:alpha:]]",
    "[[:digit:]]",
]


def is_defined(pattern: str) -> bool:
    """`**` beside other characters: what git makes of it depends on where its memory lies."""
    return all("**" not in segment or segment == "**" for segment in pattern.split("/"))


PATTERNS = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=5).map("".join).filter(is_defined)
IGNORE_LINES = st.tuples(st.sampled_from(["", "", "!", "/"]), PATTERNS, st.sampled_from(["", "", "/", " ", "/**"])).map(
    "".join
)


@pytest.fixture(scope="module")
def work_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patterns")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def git(folder: Path, *command: str, lines: list[str]) -> list[str]:
    text = "".join(f"{line}\0" for line in lines)
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", *command],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.split("\0")[:-1]


@given(st.lists(IGNORE_LINES, min_size=1, max_size=4), st.lists(PATHS, min_size=1, max_size=12, unique=True))
@example(["dir/", "!dir/a"], ["dir/a", "dir"])
@example(["**/a", "a/**", "a/**/b"], ["a", "x/a", "a/x/b", "a/b"])
@example(["#d", "\\#d", "e\\*"], ["#d", "e*", "eb"])
@settings(max_examples=100)
def test_ignoring_is_what_git_check_ignore_says(work_tree: Path, lines: list[str], paths: list[str]) -> None:
    (work_tree / ".gitignore").write_text("\n".join(lines) + "\n")
    ignored = set(git(work_tree, "check-ignore", "--no-index", "--stdin", "-z", lines=paths))
    rules = IgnoreRules("\n".join(lines) + "\n")
    assert {path for path in paths if rules.ignores(path)} == ignored


ATTRIBUTES = st.sampled_from(["filter=lfs diff=lfs -text", "-filter", "!filter", "filter=other", "text", "filter"])


@given(
    st.lists(st.tuples(IGNORE_LINES, ATTRIBUTES).map(" ".join), min_size=1, max_size=4),
    st.lists(PATHS, min_size=1, max_size=12, unique=True),
)
@settings(max_examples=100)
def test_large_files_are_what_git_check_attr_says(work_tree: Path, lines: list[str], paths: list[str]) -> None:
    (work_tree / ".gitattributes").write_text("\n".join(lines) + "\n")
    answer = git(work_tree, "check-attr", "--stdin", "-z", "filter", lines=paths)
    expected = {path for path, value in zip(answer[::3], answer[2::3], strict=True) if value == "lfs"}
    rules = LargeFileRules("\n".join(lines) + "\n")
    assert {path for path in paths if rules.is_large(path)} == expected


@pytest.mark.parametrize(
    ("path", "is_large"),
    [
        ("model.safetensors", True),
        ("deep/down/clip.wav", True),
        ("a.bin", True),
        ("saved_model/x", True),
        ("events.tfevents.123", True),
        ("config.json", False),
        ("README.md", False),
        ("wav", False),
        ("x.wavs", False),
    ],
)
def test_a_new_repo_knows_what_is_large(path: str, is_large: bool) -> None:
    assert LargeFileRules(default_attributes()).is_large(path) is is_large


def test_line_ends_of_windows_and_a_byte_order_mark_do_not_matter() -> None:
    assert IgnoreRules("\ufeff*.log\r\nkeep\r\n").ignores("a.log")
    assert LargeFileRules("\ufeff*.dat filter=lfs\r\n").is_large("x/y.dat")


def test_a_hostile_pattern_costs_little() -> None:
    rules = IgnoreRules("\n".join(["*a" * 60 + "b", "**/" * 80 + "b", "[" * 500] * 20))
    started = time.process_time()
    assert not rules.ignores("/".join(["a" * 250] * 4))
    assert time.process_time() - started < 5
