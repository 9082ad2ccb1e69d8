"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.human import count_text, duration_text, parse_duration_s, parse_share, parse_size, size_text


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43_200), ("1.5d", 129_600), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 d", "7D", "7y", "1e9d", "nan", "\u0667d", "7d\n"])
def test_what_is_no_time_span(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration_s(text)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.5%", 0.005), ("100%", 1.0)])
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "5", "%", "0%", "101%", "-5%", "nan%", "1e1%", "5 %"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(UsageError):
        parse_share(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("999B", 999),
        ("1kB", 1000),
        ("1.5 MB", 1_500_000),
        ("50GB", 50 * 10**9),
        ("2TiB", 2 << 40),
        ("3G", 3 * 10**9),
    ],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1XB", "1 G B", "1e9", "1,5GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)
