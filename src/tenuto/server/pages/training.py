"""How a training went, from `trainer_state.json`, `metrics.jsonl` or `metrics.csv`: series of numbers over steps."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tenuto.inspect.findings import FormatError
from tenuto.server.pages.content import File
from tenuto.server.pages.plots import Point
from tenuto.server.pages.records import as_text, json_value, records

LOGS = ("trainer_state.json", "metrics.jsonl", "metrics.csv")
LOG_BYTES = 4 << 20
_AXES = ("step", "global_step", "epoch")
_MOST_SERIES, _MOST_PLOTS = 12, 6
_NAME_CHARACTERS, _NUMBER_CHARACTERS = 60, 40

Series = dict[str, list[Point]]


class Log(NamedTuple):
    """The series in a log, by name, and why they are not all that is in it; empty if they are."""

    series: Series
    fault: str


def read_log(file: File, body: bytes) -> Log:
    """The log in a file, of which `body` is the beginning, or all. Whatever is in it."""
    series: Series = {}
    try:
        for number, record in enumerate(_records(file, body)):
            _add(series, record, float(number))
    except FormatError as error:
        return Log(_drawn(series), f"{file.name}: {error}")
    return Log(_drawn(series), "")


def grouped(series: Series) -> list[tuple[str, Series]]:
    """Which series share a plot: losses do, of all others each has its own."""
    losses = {name: points for name, points in series.items() if "loss" in name.lower()}
    others = [(name, {name: points}) for name, points in series.items() if name not in losses]
    return [*([("loss", losses)] if losses else []), *others][:_MOST_PLOTS]


def _records(file: File, body: bytes) -> Iterator[Mapping[str, object]]:
    is_all = file.size <= len(body)
    if file.ending != "json":
        yield from records(file.ending, body if is_all else body.rpartition(b"\n")[0])
        if not is_all:
            raise FormatError("NotAllChecked", f"only its first {len(body):,} bytes are read")
        return
    if not is_all:
        raise FormatError("NotAllChecked", f"it has more than the {LOG_BYTES:,} bytes that are read for a page")
    state = json_value(body)
    history = state.get("log_history") if isinstance(state, dict) else None
    yield from _mappings(history if isinstance(history, list) else [])


def _mappings(values: Iterable[object]) -> Iterator[Mapping[str, object]]:
    return (value for value in values if isinstance(value, dict))


def _add(series: Series, record: Mapping[str, object], number: float) -> None:
    """Add the numbers of a record to their series; those that come after the first few names are left out."""
    axis = next((value for key in _AXES if (value := _number(record.get(key))) is not None), number)
    for raw_name, raw in record.items():
        value = _number(raw)
        if value is None or raw_name in _AXES or not raw_name:
            continue
        name = as_text(raw_name, _NAME_CHARACTERS)
        if name in series or len(series) < _MOST_SERIES:
            series.setdefault(name, []).append((axis, value))


def _drawn(series: Series) -> Series:
    return {name: points for name, points in series.items() if len(points) > 1}


def _number(value: object) -> float | None:
    """A finite number, as a number or a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and len(value) > _NUMBER_CHARACTERS:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e300 else None
