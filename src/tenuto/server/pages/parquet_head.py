"""The first rows of a Parquet file."""

from tenuto.inspect.columnar.rows import Column as Read
from tenuto.inspect.columnar.rows import Head, read_head
from tenuto.inspect.columnar.texts import UNREAD, value_text
from tenuto.inspect.columnar.values import Unread
from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source
from tenuto.server.http.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.previews import Preview, inspected
from tenuto.server.pages.tables import COLUMNS, Cell, Column, Table, table_view

_ROWS = 20


def parquet(source: Source, file: File, call: Call) -> Preview | None:
    """The first rows; what is wrong with the file if it has none that can be read."""
    try:
        head = read_head(source, rows=_ROWS, columns=COLUMNS)
    except FormatError:
        return inspected(source, file, call)
    shown = [_cells(column) for column in head.columns]
    count = max(map(len, shown), default=0)
    missing = Cell(UNREAD, is_quiet=True)
    return table_view(
        Table(
            [Column(one.name, _type(one), one.is_number and not one.class_names) for one in head.columns],
            [[cells[number] if number < len(cells) else missing for cells in shown] for number in range(count)],
            max(head.rows, count),
            head.column_count,
            [(one.name, one.fault) for one in head.columns if one.fault],
            _facts(head),
        ),
        "rows",
    )


def _type(column: Read) -> str:
    return f"{column.type}, {len(column.class_names):,} classes" if column.class_names else column.type


def _cells(column: Read) -> list[Cell]:
    return [
        Cell(value_text(value, column.class_names), value is None or isinstance(value, Unread))
        for value in column.values
    ]


def _facts(head: Head) -> list[tuple[str, str]]:
    facts = [("rows", f"{head.rows:,}"), ("columns", f"{head.column_count:,}"), ("row groups", f"{head.group_count:,}")]
    if head.codecs:
        facts.append(("packed with", ", ".join(head.codecs)))
    return [*facts, ("made by", head.made_by[:200])] if head.made_by else facts
