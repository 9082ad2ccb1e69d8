"""docs/pains.md is true: no complaint is missing, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "pains.md").read_text(encoding="utf-8")
ROWS = {
    "Reported by users of other tools": 20,
    "An app that keeps adapters and datasets in a hub": 15,
    "A library that ships checkpoints": 8,
    "A workspace of models and datasets": 9,
}
NAMED = re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE)


def rows(title: str, page: str = PAGE) -> list[list[str]]:
    """The cells of the table below a title, without its head."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    lines = [line.strip("|").split(" | ") for line in text.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


@cache
def named_in(file: str) -> frozenset[str]:
    """The names of the functions in a file of tests, those of classes too."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("title", "count"), ROWS.items(), ids=list(ROWS))
def test_no_complaint_is_missing(title: str, count: int) -> None:
    assert [row[0] for row in rows(title)] == [str(number) for number in range(1, count + 1)]
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(ROWS)


@pytest.mark.parametrize("title", ROWS)
def test_each_is_shown_by_a_test_or_open(title: str) -> None:
    for number, complaint, answer, shown in rows(title):
        assert complaint, number
        tests = re.sub(r"`[a-z_/]+\.py::test_\w+`", "", shown)
        assert tests.strip(", ") == "", f"{number}: {tests} names no test"
        assert "::" in shown or answer.startswith("Not yet: "), number


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)), ids=str)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in named_in(file)


def test_a_name_that_nobody_bears_is_noticed() -> None:
    assert "test_that_nobody_wrote" not in named_in("scripts/test_pains.py")
    assert "test_no_complaint_is_missing" in named_in("scripts/test_pains.py")
    assert len(NAMED) > 80
