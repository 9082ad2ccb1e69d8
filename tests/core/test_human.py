"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.human import count_text, duration_text, size_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (99_499, "99.5 kB"),
        (99_500, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (110_000_000, "110 MB"),
        (1_340_000_000, "1.3 GB"),
        (5 * 10**12, "5.0 TB"),
        (10**15, "1.0 PB"),
        (12_345 * 10**15, "12345 PB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@given(st.integers(0, 10**17))
def test_a_size_is_right_to_within_a_twentieth(size_bytes: int) -> None:
    number, unit = size_text(size_bytes).split(" ")
    assert len(number) <= 5
    value = float(number) * 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert value == pytest.approx(size_bytes, rel=0.05)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 files"), (1, "1 file"), (2, "2 files"), (20_000, "20,000 files"), (1_234_567, "1,234,567 files")],
)
def test_counts(count: int, text: str) -> None:
    assert count_text(count, "file") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.045, "45 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (3.21, "3.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (60, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3725, "62 min 5 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
