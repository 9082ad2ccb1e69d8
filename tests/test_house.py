"""The house is as it is written down: rooms, commands, targets; and tracked files tell nothing of the machine they were made on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "tenuto"
TARGETS = {"demo", "test", "test-all", "check", "fix", "bench", "docs"}
PRIVATE = [
    "/" + "work/",
    "/" + "root/.",
    "../" + "shared",
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "/" + "opt/wheels",
]
SECRET = re.compile(r"\bhf_[A-Za-z0-9]{30,}")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def fences(text: str) -> list[str]:
    """The code blocks of a page."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_every_room_stands_in_the_architecture_and_the_other_way_round() -> None:
    rooms = {f"{path.name}/" for path in SOURCES.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    modules = {path.name for path in SOURCES.glob("*.py") if not path.name.startswith("_")}
    written = re.findall(r"^(\S+)  ", fences(read("ARCHITECTURE.md"))[0], re.MULTILINE)
    assert sorted(written) == sorted(rooms | modules)


def test_every_module_named_in_the_architecture_exists() -> None:
    rooms = "|".join(path.name for path in SOURCES.iterdir() if path.is_dir())
    named = set(re.findall(rf"`((?:{rooms})\.[a-z_]+)[`.]", read("ARCHITECTURE.md") + read("CONTRIBUTING.md")))
    assert len(named) > 5
    places = {name: SOURCES.joinpath(*name.split(".")) for name in named}
    assert [n for n, place in places.items() if not place.is_dir() and not place.with_suffix(".py").is_file()] == []


def test_the_architecture_is_one_page() -> None:
    assert len(read("ARCHITECTURE.md").splitlines()) <= 100


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda page: page.stem)
def test_a_decision_has_its_four_parts_and_is_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Problem", "Options", "Choice", "What stays unsolved"]
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert len(text.splitlines()) <= 150


def test_the_targets_of_the_makefile_are_there_and_those_that_pages_name_exist() -> None:
    defined = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    assert defined >= TARGETS
    for page in ("README.md", "CONTRIBUTING.md", ".ci/run"):
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", read(page), re.MULTILINE)) <= defined, page


def commands_of_the_readme() -> list[tuple[str, ...]]:
    """`tenuto` and the words after it that are commands, wherever the README shows one."""
    text = read("README.md")
    shown = "\n".join([*fences(text), *re.findall(r"`(tenuto [^`]*)`", text)])
    found = {
        match
        for line in shown.splitlines()
        for match in re.findall(r"^(?:\$ )?tenuto ((?:[a-z][a-z-]*[a-z] ?){1,3})", line.strip())
    }
    return sorted({command_words(words.split()) for words in found} - {()})


def command_words(words: list[str]) -> tuple[str, ...]:
    """The leading words that name a command: those of a group have two or three."""
    depth = (
        {"repo": 2, "cache": 2, "hook": 2, "hub": 3 if words[1:2] in (["user"], ["token"]) else 2}.get(words[0], 1)
        if words
        else 0
    )
    return tuple(words[:depth])


def test_the_readme_shows_commands() -> None:
    assert {("track",), ("push",), ("pull",), ("hub", "serve")} <= set(commands_of_the_readme())


@pytest.mark.parametrize("command", commands_of_the_readme(), ids=" ".join)
def test_a_command_of_the_readme_exists(command: tuple[str, ...]) -> None:
    asked = [sys.executable, "-m", "tenuto", *command, "--help"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"tenuto {' '.join(command)}" in " ".join(answer.stdout.split())


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", read(page))
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_tracked_files_tell_nothing_of_a_machine_and_hold_no_secret() -> None:
    found = []
    for name in tracked_files():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        found += [f"{name}: {word}" for word in PRIVATE if word in text]
        found += [f"{name}: a token" for _ in SECRET.findall(text)]
    assert found == []


def test_what_runs_on_every_change_is_check_and_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert [line for line in script.read_text().splitlines() if line.startswith("make ")] == ["make check", "make test"]


def test_no_tests_found_is_a_failure() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-k", "nothing_has_this_name", "tests/test_house.py"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 5
    assert "|| true" not in read("Makefile") + read(".ci/run")


def test_what_the_readme_hosts_is_made_before_it_is_used() -> None:
    """A dataset is uploaded as one before it is gated, and whoever is let in was added, and asked, before."""
    text = read("README.md").partition("## You host a hub")[2]
    steps = [
        "hf upload --repo-type dataset ann/voices",
        "hf download --repo-type dataset ann/voices",
        "tenuto repo settings hf://datasets/ann/voices",
        "tenuto hub user add ben",
        "tenuto hub token create ben",
        "tenuto access request hf://datasets/ann/voices",
        "tenuto access accept hf://datasets/ann/voices ben",
    ]
    found = [text.find(step) for step in steps]
    assert -1 not in found
    assert found == sorted(found)
