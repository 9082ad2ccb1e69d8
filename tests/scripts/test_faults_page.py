"""docs/faults.md is true: it has all families, each case says what happens, and every test that it names exists."""

import re

import pytest

from tests.scripts.test_pains import TESTS, named_in, rows

PAGE = (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8")
FAMILIES = {
    "Names of files": 4,
    "Names of objects": 2,
    "Archives": 5,
    "Links and programs in the way": 3,
    "Sources that lie": 4,
    "Rot": 3,
    "Killed, or without power": 3,
    "A hash that one knows": 4,
    "Repos that are not there": 6,
    "What gets past a gate": 16,
    "Decisions that race": 8,
    "Tokens that leak": 17,
    "What answers tell about secrets and people": 7,
    "Where the hub can be sent": 13,
    "What would run in a browser": 16,
    "Files that run code": 3,
    "Sound": 4,
    "Machines that disagree": 3,
    "All at once": 11,
    "No room": 3,
    "The network": 5,
    "Locks and manifests": 3,
    "Size": 4,
}
_TEST = r"`([a-z_/]+\.py)::(test_\w+)`"
NAMED = sorted(set(re.findall(_TEST, PAGE)))


def test_no_family_is_missing() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(FAMILIES)


@pytest.mark.parametrize(("title", "least"), FAMILIES.items(), ids=list(FAMILIES))
def test_each_case_is_shown_by_a_test(title: str, least: int) -> None:
    found = rows(title, PAGE)
    assert len(found) >= least
    for case, result, shown in found:
        assert case, title
        assert result, case
        assert re.fullmatch(rf"{_TEST}(, {_TEST})*", shown), f"{case}: {shown}"


@pytest.mark.parametrize(("file", "name"), NAMED, ids=str)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in named_in(file)
