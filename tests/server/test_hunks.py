"""Hunks turn one text into another, say as little as git does, and take no longer for texts that were made to take long."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto.server.community.hunks import FILE_STEPS, hunks, lines_of

texts = st.lists(st.sampled_from("abcd"), max_size=40)


def applied(old: list[str], lines: list[str]) -> list[str]:
    """What the hunks make of a text; each line that they take away or keep must be there."""
    made: list[str] = []
    at = 0
    for line in lines:
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            begin = int(start) - (length != "0")
            made, at = made + old[at:begin], begin
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert old[at] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            at += 1
    return made + old[at:]


def changed(lines: list[str]) -> int:
    return sum(line[0] in "+-" for line in lines)


@given(texts, texts, st.integers(0, 200))
def test_hunks_turn_one_text_into_another(old: list[str], new: list[str], most_steps: int) -> None:
    found = hunks(old, new, most_steps)
    assert applied(old, found.lines) == new
    assert found.steps <= most_steps + 2 * (len(old) + len(new)) + 1
    assert changed(hunks(old, new).lines) <= changed(found.lines)


@pytest.mark.parametrize("seed", range(4))
def test_git_agrees_and_takes_them(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    old = [chance.choice("abcdefgh") * 3 for _ in range(120)]
    new = [line for line in old if chance.random() > 0.1]
    new[30:30] = [f"new {number}" for number in range(seed * 5)]
    for name, lines in (("old", old), ("new", new)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    found = hunks(old, new).lines
    told = subprocess.run(
        ["git", "diff", "--no-index", "--minimal", "--numstat", "old", "new"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert changed(found) == sum(map(int, told.stdout.split()[:2]))
    patch = "\n".join(["--- a/old", "+++ b/old", *found, ""])
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch, text=True, check=True)
    assert (tmp_path / "old").read_text() == (tmp_path / "new").read_text()


ENDS = [
    ("a", "a\n"),
    ("a\n", "a"),
    ("a\nb", "a\nx"),
    ("", "a"),
    ("a", ""),
    ("\n", "a"),
    ("a\n\n", "a\n"),
    ("b\nb", "b\nb\nb"),
]
some_texts = st.text("ab\n", max_size=30)


def patched(folder: Path, old: str, new: str) -> str:
    """What `git apply` makes of a text that is one of two; both are not the same."""
    (folder / "text").write_bytes(old.encode())
    patch = "\n".join(["--- a/text", "+++ b/text", *hunks(lines_of(old), lines_of(new)).lines, ""])
    subprocess.run(["git", "apply", "-"], cwd=folder, input=patch.encode(), check=True)
    file = folder / "text"
    return file.read_bytes().decode()


@pytest.mark.parametrize(("old", "new"), ENDS)
def test_git_takes_texts_that_no_newline_ends(tmp_path: Path, old: str, new: str) -> None:
    assert patched(tmp_path, old, new) == new


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_texts, some_texts)
def test_git_takes_what_changes_any_text(tmp_path: Path, old: str, new: str) -> None:
    if old != new:
        assert patched(tmp_path, old, new) == new


@given(st.text("ab\r\u2028\n", max_size=30))
def test_lines_are_a_text_again(text: str) -> None:
    marker = "\n\\ No newline at end of file"
    lines = "".join(f"{line}\n" for line in lines_of(text))
    assert lines.removesuffix(f"{marker}\n") == text
    assert lines.endswith(f"{marker}\n") == bool(text and not text.endswith("\n"))


NUMBERS = [str(number) for number in range(2000)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NUMBERS, NUMBERS[::-1]),
        (NUMBERS, [f"x{line}" if int(line) % 2 else line for line in NUMBERS]),
        (["a"] * 2000, ["a", "b"] * 1000),
        (["a", "b"] * 1000, ["b", "a", "a"] * 666),
        ([""], [f"{line}" for line in NUMBERS]),
    ],
)
def test_no_text_takes_more_steps_than_are_allowed(old: list[str], new: list[str]) -> None:
    found = hunks(old, new)
    assert found.steps < FILE_STEPS + 10_000
    assert applied(old, found.lines) == new


def test_few_changes_in_a_long_text_are_found_exactly() -> None:
    new = [line for line in NUMBERS if line not in {"5", "1000"}]
    new[1500:1500] = ["more"]
    found = hunks(NUMBERS, new)
    assert [line for line in found.lines if line[0] in "+-"] == ["-5", "-1000", "+more"]
    assert [line for line in found.lines if line[0] == "@"] == [
        "@@ -3,7 +3,6 @@",
        "@@ -998,7 +997,6 @@",
        "@@ -1500,6 +1498,7 @@",
    ]
    assert hunks(["a"], ["a"]).lines == []
    assert hunks([], ["a"]).lines == ["@@ -0,0 +1 @@", "+a"]
