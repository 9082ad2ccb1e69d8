"""CSV and TSV: the encoding of the whole, and the columns of the first line."""

import csv

from tenuto.inspect.findings import Report
from tenuto.inspect.source import Source
from tenuto.inspect.text import check_text

_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
_HEAD_BYTES = 64 << 10


def inspect(source: Source, report: Report) -> None:
    """Check that it is a text; note the columns of its head, how many lines it has, and lines there that have more or fewer fields."""
    head = source.head(_HEAD_BYTES)
    text = head.decode("utf-8-sig", "replace")
    lines = text.splitlines(keepends=True)
    if source.size > len(head):
        lines = lines[:-1]  # it may be cut
    delimiter = max(_DELIMITERS, key=lines[0].count) if lines else ","
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        rows = []
        report.add("Unusual", f"its first lines cannot be read as a table: {error}")
    if rows:
        report.fact(columns=rows[0][: report.limits.listed], delimiter=_DELIMITERS[delimiter])
        wrong = [number for number, row in enumerate(rows, 1) if row and len(row) != len(rows[0])]
        if wrong:
            report.add(
                "Unusual", f"line {wrong[0]:,} has {len(rows[wrong[0] - 1])} fields, the first has {len(rows[0])}"
            )
    if not report.spend(source.size):
        return
    check_text(source)
    report.fact(lines=sum(piece.count(b"\n") for piece in source.pieces()))
