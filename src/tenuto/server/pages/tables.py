"""The first rows of a table, whatever kind of file it lies in: CSV, JSON Lines, Parquet."""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from tenuto.inspect.source import Source
from tenuto.server.http.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.previews import Preview, shortened, text
from tenuto.server.pages.render import count_text, weight

_TABLE_BYTES = 256 << 10
_ROWS = 50
COLUMNS = 30
_CELL_CHARACTERS, _NAME_CHARACTERS, _NOTE_CHARACTERS = 120, 60, 200
_ROOM_BYTES, _CELL_BYTES = 50_000, 30


class Column(NamedTuple):
    """What stands above a column; the type is empty where a file tells none."""

    name: str
    type: str = ""
    is_number: bool = False


class Cell(NamedTuple):
    """A text in a table; a quiet one stands for a value that is not there."""

    text: str
    is_quiet: bool = False
    is_number: bool = False


class Table(NamedTuple):
    """The beginning of a table. Nobody knows the number of rows if it is None. `notes` are said of columns, by their names."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    row_count: int | None
    column_count: int
    notes: Sequence[tuple[str, str]] = ()
    facts: Sequence[tuple[str, str]] = ()


def table_view(table: Table, kind: str = "table") -> Preview:
    """As many rows as a page has room for, cut to a width that can be read; and in words what of the table that is.

    The kind is `table` for what lies in a text, else `rows`.
    """
    columns = [_column(one) for one in table.columns[:COLUMNS]]
    notes = [(shortened(name, _NAME_CHARACTERS), shortened(note, _NOTE_CHARACTERS)) for name, note in table.notes]
    room = _ROOM_BYTES - sum(weight(one.name + one.type) + 2 * _CELL_BYTES for one in columns)
    room -= sum(weight(name + note) + _CELL_BYTES for name, note in notes)
    rows: list[list[Cell]] = []
    for row in table.rows:
        cells = [_cell(cell, column) for cell, column in zip_longest(row[:COLUMNS], columns)]
        room -= sum(weight(cell.text) + _CELL_BYTES for cell in cells)
        if room < 0:
            break
        rows.append(cells)
    said = _said(len(rows), table.row_count, len(columns), table.column_count)
    return Preview(kind, {"columns": columns, "rows": rows, "said": said, "notes": notes, "facts": table.facts})


def _column(column: Column) -> Column:
    name, kind = shortened(column.name, _NAME_CHARACTERS), shortened(column.type, _NAME_CHARACTERS)
    return column._replace(name=name, type=kind)


def _cell(cell: Cell | None, column: Column | None) -> Cell:
    """A cell as it is shown; there may be more of them than columns, and fewer."""
    found = cell or Cell("")
    return found._replace(text=shortened(found.text, _CELL_CHARACTERS), is_number=bool(column and column.is_number))


def _said(rows: int, row_count: int | None, columns: int, column_count: int) -> str:
    """What is shown of a table, if it is not all of it, or nothing."""
    parts = []
    if row_count == 0:
        return "There are no rows."
    if row_count is None:
        parts.append(f"first {count_text(rows, 'row')}")
    elif 0 < rows < row_count:
        parts.append(f"first {rows:,} of {count_text(row_count, 'row')}")
    if columns < column_count:
        parts.append(f"first {columns:,} of {count_text(column_count, 'column')}")
    return f"{', '.join(parts).capitalize()}; download the file for all of it." if parts else ""


def _head(source: Source) -> str:
    """The whole lines at the beginning of a text."""
    head = source.head(_TABLE_BYTES).decode("utf-8-sig", errors="replace")
    return head.rpartition("\n")[0] if source.size > _TABLE_BYTES else head


def separated(source: Source, file: File, call: Call) -> Preview | None:
    """The first rows of a CSV file, or one with tabs; as a text if it is no table."""
    head = _head(source)
    delimiter = "\t" if file.ending == "tsv" else max(",;\t|", key=head.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(head), delimiter=delimiter))
    except csv.Error:
        return text(source, file, call)
    if not rows:
        return None
    names, *rows = rows
    shown = rows[:_ROWS]
    columns = [
        Column(name, is_number=_are_numeric(row[index] for row in shown if index < len(row)))
        for index, name in enumerate(names[:COLUMNS])
    ]
    count = len(rows) if source.size <= _TABLE_BYTES else None
    return table_view(Table(columns, [[Cell(cell) for cell in row[:COLUMNS]] for row in shown], count, len(names)))


def _are_numeric(cells: Iterable[str]) -> bool:
    """Whether all texts are numbers, and there is one."""
    found = [cell for cell in cells if cell]
    try:
        return bool([float(cell) for cell in found])
    except ValueError:
        return False


def json_lines(source: Source, file: File, call: Call) -> Preview | None:
    """The first rows of a file of JSON objects, one in each line, with a column for each key; as a text if there is anything else."""
    lines = [line for line in _head(source).split("\n") if line.strip()]
    try:
        values = [msgspec.json.decode(line) for line in lines[:_ROWS]]
    except (msgspec.DecodeError, RecursionError):
        return text(source, file, call)
    if not values or not all(isinstance(value, dict) for value in values):
        return text(source, file, call)
    names = list(dict.fromkeys(name for value in values for name in value))
    columns = [Column(name, is_number=_are_numbers(value.get(name) for value in values)) for name in names[:COLUMNS]]
    rows = [[_json_cell(value, one.name) for one in columns] for value in values]
    return table_view(Table(columns, rows, len(lines) if source.size <= _TABLE_BYTES else None, len(names)))


def _are_numbers(values: Iterable[object]) -> bool:
    return {type(value) for value in values} - {type(None)} in ({int}, {float}, {int, float})


def _json_cell(values: dict[str, object], name: str) -> Cell:
    """A value as a text; a key that a row does not have is empty."""
    if name not in values:
        return Cell("")
    value = values[name]
    if isinstance(value, str):
        return Cell(value)
    return Cell(msgspec.json.encode(value).decode(), is_quiet=value is None)
