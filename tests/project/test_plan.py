"""The three-way comparison: every case in a table, and what holds for any folders."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tenuto.core.listing import Entry, Listing
from tenuto.project.plan import Action, Content, Step, compare, contents

A, B, C = Content("a" * 64, 1), Content("b" * 64, 2), Content("c" * 64, 3)
LOSES_HERE = {Action.DOWNLOAD, Action.REMOVE_HERE}
LOSES_THERE = {Action.UPLOAD, Action.DELETE_THERE}


def steps(base: Content | None, here: Content | None, there: Content | None, *, delete: bool = False) -> list[Step]:
    sides = [{} if side is None else {"x": side} for side in (base, here, there)]
    return compare(*sides, delete=delete)


# Every pattern of equal and different contents on three sides, absent ones (-) included: base, here, there -> what is done.
TABLE = {
    "---": None,
    "--a": Action.DOWNLOAD,
    "-a-": Action.UPLOAD,
    "-aa": None,
    "-ab": Action.CONFLICT,
    "a--": None,
    "a-a": Action.RESTORE,
    "a-b": Action.DOWNLOAD,
    "aa-": Action.REMOVE_HERE,
    "ab-": Action.CONFLICT,
    "aaa": None,
    "aab": Action.DOWNLOAD,
    "aba": Action.UPLOAD,
    "abb": None,
    "abc": Action.CONFLICT,
}
SIDES = {"-": None, "a": A, "b": B, "c": C}


@pytest.mark.parametrize(("case", "action"), TABLE.items())
def test_each_case_has_one_action(case: str, action: Action | None) -> None:
    assert [step.action for step in steps(*(SIDES[side] for side in case))] == ([action] if action else [])


def test_the_table_has_every_case() -> None:
    patterns = set()
    for sides in itertools.product("-abc", repeat=3):
        names: dict[str, str] = {"-": "-"}
        patterns.add("".join(names.setdefault(side, "abc"[len(names) - 1]) for side in sides))
    assert patterns == set(TABLE)


@pytest.mark.parametrize("case", TABLE)
def test_delete_changes_one_case_alone(case: str) -> None:
    plain = steps(*(SIDES[side] for side in case))
    with_delete = steps(*(SIDES[side] for side in case), delete=True)
    assert with_delete == ([Step(Action.DELETE_THERE, "x", 0)] if case == "a-a" else plain)


def test_a_step_says_how_many_bytes_it_moves() -> None:
    assert [step.size for step in steps(None, None, B)] == [2]
    assert [step.size for step in steps(None, B, None)] == [2]
    assert [step.size for step in steps(A, A, B)] == [2]
    assert [step.size for step in steps(A, B, A)] == [2]
    assert [step.size for step in steps(A, None, A)] == [1]


def test_steps_come_in_the_order_of_bytes() -> None:
    names = ["b", "a/b", "a.b", "a", "é", "Z", "\U0001f3b5", "\uff5e"]
    assert [step.path for step in compare({}, dict.fromkeys(names, A), {})] == sorted(names, key=str.encode)


def test_a_content_known_by_git_id_alone_has_no_sha256() -> None:
    assert Content("git:" + "a" * 40, 1).sha256 is None
    assert A.sha256 == "a" * 64


def test_a_content_known_by_git_id_is_never_taken_for_the_same() -> None:
    unknown = Content("git:" + "a" * 40, 1)
    assert steps(A, A, unknown) == [Step(Action.DOWNLOAD, "x", 1)]
    assert steps(unknown, unknown, unknown) == []


def test_a_listing_becomes_contents() -> None:
    assert contents(Listing([Entry("x", A.id, 1)])) == {"x": A}


sides = some.dictionaries(some.sampled_from(["x", "y", "z/x", "z/é"]), some.sampled_from([A, B, C]))


@given(sides, sides, sides, some.booleans())
def test_no_step_loses_bytes_that_one_side_alone_has(
    base: dict[str, Content], here: dict[str, Content], there: dict[str, Content], delete: bool
) -> None:
    for step in compare(base, here, there, delete=delete):
        if step.action in LOSES_HERE and step.path in here:
            assert here[step.path] == base[step.path], "an own change would be overwritten"
        if step.action in LOSES_THERE and step.path in there:
            assert there[step.path] == base[step.path], "somebody else's change would be overwritten"


@given(sides, sides, sides)
def test_nothing_is_deleted_there_unasked(
    base: dict[str, Content], here: dict[str, Content], there: dict[str, Content]
) -> None:
    assert Action.DELETE_THERE not in {step.action for step in compare(base, here, there)}


@given(sides, sides, some.booleans())
def test_sides_that_agree_need_nothing(base: dict[str, Content], both: dict[str, Content], delete: bool) -> None:
    assert compare(base, both, both, delete=delete) == []


@given(sides, sides, sides)
def test_a_change_is_seen_alike_from_both_sides(
    base: dict[str, Content], here: dict[str, Content], there: dict[str, Content]
) -> None:
    mirrored = {
        Action.UPLOAD: Action.DOWNLOAD,
        Action.DOWNLOAD: Action.UPLOAD,
        Action.REMOVE_HERE: Action.DELETE_THERE,
        Action.DELETE_THERE: Action.REMOVE_HERE,
        Action.CONFLICT: Action.CONFLICT,
    }
    ours = {step.path: step.action for step in compare(base, here, there, delete=True)}
    theirs = {step.path: step.action for step in compare(base, there, here, delete=True)}
    for path, action in ours.items():
        if (path in here and path in there) or path not in base:
            assert theirs[path] is mirrored[action]
    assert ours.keys() == theirs.keys()


@given(sides, sides, sides, some.booleans())
def test_carrying_out_the_steps_brings_both_sides_together(
    base: dict[str, Content], here: dict[str, Content], there: dict[str, Content], delete: bool
) -> None:
    planned = compare(base, here, there, delete=delete)
    here, there = dict(here), dict(there)
    conflicts = set()
    for step in planned:
        match step.action:
            case Action.UPLOAD:
                there[step.path] = here[step.path]
            case Action.DOWNLOAD | Action.RESTORE:
                here[step.path] = there[step.path]
            case Action.DELETE_THERE:
                del there[step.path]
            case Action.REMOVE_HERE:
                del here[step.path]
            case Action.CONFLICT:
                conflicts.add(step.path)
    assert {path for path in here.keys() | there.keys() if here.get(path) != there.get(path)} == conflicts


@given(sides, sides, some.booleans())
def test_without_a_base_nothing_is_overwritten(
    here: dict[str, Content], there: dict[str, Content], delete: bool
) -> None:
    for step in compare({}, here, there, delete=delete):
        assert step.action is Action.CONFLICT or step.path not in here or step.path not in there
