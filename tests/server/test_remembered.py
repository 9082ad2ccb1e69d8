"""What is remembered is bounded by the memory that it takes, and nothing that failed is."""

import tracemalloc

import pytest

from tenuto.server.remembered import Remembered, size_of


def test_a_value_is_computed_once() -> None:
    remembered, asked = Remembered(), []
    for _ in range(3):
        assert remembered.once("key", lambda: asked.append(1) or "value") == "value"
    assert asked == [1]


def test_what_fails_and_what_does_not_last_is_computed_again() -> None:
    remembered = Remembered()
    with pytest.raises(ZeroDivisionError):
        remembered.once("key", lambda: 1 // 0)
    assert remembered.once("key", lambda: [1], lasts=lambda value: value != [1]) == [1]
    assert remembered.once("key", lambda: [2]) == [2]
    assert remembered.once("key", lambda: [3]) == [2]


def test_what_was_not_asked_for_lately_makes_room() -> None:
    remembered = Remembered(100_000)
    for number in range(100):
        remembered.once(("key", number), lambda: "x" * 5_000)
        remembered.once(("key", 0), lambda: "it was forgotten")
        assert remembered.size_bytes <= 100_000
    assert remembered.once(("key", 0), lambda: "") == "x" * 5_000
    assert remembered.once(("key", 1), lambda: "") == ""
    before = remembered.size_bytes
    assert remembered.once("large", lambda: "x" * 50_000)
    assert remembered.size_bytes == before


def test_the_size_of_a_value_is_that_of_all_that_is_in_it() -> None:
    def make() -> list[object]:
        return [{f"name {row}": (float(row), f"text {row} {column}") for column in range(3)} for row in range(2_000)]

    tracemalloc.start()
    value = make()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 0.7 * held < size_of(value) < 1.5 * held
