"""How a training went, from `trainer_state.json`, `metrics.jsonl` or `metrics.csv`: series of numbers over steps."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping

from tenuto.server.pages.content import File
from tenuto.server.pages.plots import Point

LOGS = ("trainer_state.json", "metrics.jsonl", "metrics.csv")
LOG_BYTES = 4 << 20
_AXES = ("step", "global_step", "epoch")
_MOST_SERIES, _MOST_PLOTS = 12, 6
_NAME_CHARACTERS = 60

Series = dict[str, list[Point]]


def read_log(file: File, body: bytes) -> Series:
    """The series in a log, by name; nothing if there are none. Whatever is in it."""
    try:
        return _series(_records(file.ending, body.decode(errors="replace")))
    except (ValueError, RecursionError, csv.Error):
        return {}


def grouped(series: Series) -> list[tuple[str, Series]]:
    """Which series share a plot: losses do, of all others each has its own."""
    losses = {name: points for name, points in series.items() if "loss" in name.lower()}
    others = [(name, {name: points}) for name, points in series.items() if name not in losses]
    return [*([("loss", losses)] if losses else []), *others][:_MOST_PLOTS]


def _records(ending: str, text: str) -> Iterable[Mapping[str, object]]:
    if ending == "csv":
        return [{key: value for key, value in row.items() if key} for row in csv.DictReader(io.StringIO(text))]
    if ending == "jsonl":
        return _mappings([json.loads(line) for line in text.splitlines() if line.strip()])
    state = json.loads(text)
    history = state.get("log_history") if isinstance(state, dict) else None
    return _mappings(history if isinstance(history, list) else [])


def _mappings(values: list[object]) -> list[Mapping[str, object]]:
    return [value for value in values if isinstance(value, dict)]


def _series(records: Iterable[Mapping[str, object]]) -> Series:
    series: Series = {}
    for number, record in enumerate(records):
        axis = next((value for key in _AXES if (value := _number(record.get(key))) is not None), float(number))
        for name, raw in record.items():
            value = _number(raw)
            if value is None or name in _AXES:
                continue
            if name[:_NAME_CHARACTERS] in series or len(series) < _MOST_SERIES:
                series.setdefault(name[:_NAME_CHARACTERS], []).append((axis, value))
    return {name: points for name, points in series.items() if len(points) > 1}


def _number(value: object) -> float | None:
    """A finite number, as a number or a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e300 else None
