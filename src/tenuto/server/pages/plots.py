"""Where the marks of a plot lie: histograms, bars and curves as numbers that a template draws as SVG. Everything here is in pixels of
a view of `WIDTH` by `HEIGHT`."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 36, 12, 30
_COLUMNS = 120  # in which a curve is drawn, each from its least to its greatest value
_BINS = 16
_TICKS = 4

Point = tuple[float, float]
Label = Callable[[float], str]


class Bar(NamedTuple):
    """One bar, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: int


class Tick(NamedTuple):
    """A mark on an axis."""

    at: float
    label: str


class Histogram(NamedTuple):
    """How often values are in which range."""

    bars: list[Bar]
    ticks: list[Tick]
    up: list[Tick]
    smallest: float
    median: float
    largest: float
    total: float


class Line(NamedTuple):
    """A curve: its name, its points as SVG writes them, and its first, least, greatest and last value."""

    name: str
    points: str
    first: str
    least: str
    greatest: str
    last: str


class Curves(NamedTuple):
    """Curves over the same range."""

    lines: list[Line]
    across: list[Tick]
    up: list[Tick]


def histogram(values: Sequence[float]) -> Histogram:
    """The histogram of some values, of which there must be one at least."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    bins = 1 if high == low else _BINS
    step = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in ordered:
        counts[min(int((value - low) / step), bins - 1)] += 1
    wide, most = (WIDTH - _LEFT - _RIGHT) / _BINS, max(counts)
    first = _along(0) if bins > 1 else _along(0.5) - wide / 2  # what is all the same stands in the middle
    bars = [
        Bar(
            x=round(first + index * wide + 1, 1),
            y=round(_down(count / most), 1),
            width=round(wide - 2, 1),
            height=round(HEIGHT - _BOTTOM - _down(count / most), 1),
            label=f"{short(low + index * step)} to {short(low + (index + 1) * step)}" if bins > 1 else short(low),
            value=count,
        )
        for index, count in enumerate(counts)
    ]
    ticks = [
        Tick(round(_along(part / _TICKS), 1), short(low + part / _TICKS * (high - low))) for part in range(_TICKS + 1)
    ]
    below = ticks if bins > 1 else [Tick(round(_along(0.5), 1), short(low))]
    up = [Tick(round(_down(0), 1), "0"), Tick(round(_down(1), 1), f"{most:,}")]
    return Histogram(bars, below, up, low, ordered[len(ordered) // 2], high, math.fsum(ordered))


def curves(series: Mapping[str, Sequence[Point]], across: Label | None = None, up: Label | None = None) -> Curves:
    """Curves of some series of finite points, each with one at least; `across` and `up` say how the numbers of the axes are written."""
    write, write_up = across or short, up or short
    everything = [point for points in series.values() for point in points]
    left, right = min(x for x, _ in everything), max(x for x, _ in everything)
    low, high = min(y for _, y in everything), max(y for _, y in everything)
    lines = []
    for name, points in series.items():
        placed = " ".join(
            f"{_along(_share(x, left, right)):.1f},{_down(_share(y, low, high)):.1f}"
            for x, y in _thinned(points, left, right)
        )
        heights = [y for _, y in points]
        lines.append(Line(name, placed, *map(write_up, (heights[0], min(heights), max(heights), heights[-1]))))
    parts = [part / _TICKS for part in range(_TICKS + 1)]
    below = [Tick(round(_along(part), 1), write(left + part * (right - left))) for part in parts]
    beside = [Tick(round(_down(part), 1), write_up(low + part * (high - low))) for part in parts]
    return Curves(lines, below if right > left else below[2:3], beside if high > low else beside[2:3])


def _thinned(points: Sequence[Point], left: float, right: float) -> list[Point]:
    """The points that can be told apart in a plot from `left` to `right`, in order: of each column the least and the greatest."""
    if len(points) <= 2 * _COLUMNS:
        return sorted(points)
    kept: dict[int, tuple[Point, Point]] = {}
    for point in points:
        column = int(_share(point[0], left, right) * _COLUMNS)
        least, greatest = kept.get(column, (point, point))
        if point[1] < least[1]:
            kept[column] = (point, greatest)
        elif point[1] > greatest[1] or column not in kept:
            kept[column] = (least, point)
    return sorted({point for both in kept.values() for point in both})


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _along(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _down(share: float) -> float:
    return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)


def short(value: float) -> str:
    """A number in few characters."""
    return f"{value:.3g}" if abs(value) < 1000 or abs(value) >= 1e6 else f"{value:,.0f}"
