"""The first rows of a Parquet file, with the names that `datasets` gave to the numbers in it."""

import msgspec

from tenuto.inspect.columnar.rows import Column as Read
from tenuto.inspect.columnar.rows import Head, read_head
from tenuto.inspect.columnar.texts import UNREAD, value_text
from tenuto.inspect.columnar.values import Unread
from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source
from tenuto.server.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.previews import Preview, inspected
from tenuto.server.pages.tables import COLUMNS, Cell, Column, Table, table_view

_ROWS = 20
_MOST_NAMES = 10_000


def parquet(source: Source, file: File, call: Call) -> Preview | None:
    """The first rows; what is wrong with the file if it has none that can be read."""
    try:
        head = read_head(source, rows=_ROWS, columns=COLUMNS)
    except FormatError:
        return inspected(source, file, call)
    names = class_names(head.metadata.get("huggingface", ""))
    shown = [_cells(column, names.get(column.name, [])) for column in head.columns]
    count = max(map(len, shown), default=0)
    missing = Cell(UNREAD, is_quiet=True)
    return table_view(
        Table(
            [Column(one.name, one.type, one.is_number and one.name not in names) for one in head.columns],
            [[cells[number] if number < len(cells) else missing for cells in shown] for number in range(count)],
            max(head.rows, count),
            head.column_count,
            [(one.name, one.fault) for one in head.columns if one.fault],
            _facts(head),
        ),
        "rows",
    )


def _cells(column: Read, names: list[str]) -> list[Cell]:
    return [Cell(value_text(value, names), value is None or isinstance(value, Unread)) for value in column.values]


def _facts(head: Head) -> list[tuple[str, str]]:
    facts = [("rows", f"{head.rows:,}"), ("columns", f"{head.column_count:,}"), ("row groups", f"{head.group_count:,}")]
    if head.codecs:
        facts.append(("packed with", ", ".join(head.codecs)))
    return [*facts, ("made by", head.made_by[:200])] if head.made_by else facts


def class_names(described: str) -> dict[str, list[str]]:
    """The names of the classes that the numbers of a column stand for, by column, from what `datasets` writes about it."""
    try:
        found = msgspec.json.decode(described, type=_Described)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {name: labels for name, feature in found.info.features.items() if (labels := _labels(feature))}


class _Info(msgspec.Struct):
    features: dict[str, object] = {}


class _Described(msgspec.Struct):
    info: _Info = msgspec.field(default_factory=_Info)


def _labels(feature: object) -> list[str]:
    """The names of a feature, or of the items of a list of it."""
    if isinstance(feature, list):
        return _labels(feature[0]) if len(feature) == 1 else []
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") in {"Sequence", "List", "LargeList"}:
        return _labels(feature.get("feature"))
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return [str(name)[:100] for name in names[:_MOST_NAMES]] if isinstance(names, list) else []
