"""Tables and logs that strangers wrote, as records: read one by one, and bounded in columns, cells and the length of a row."""

import csv
import io
import json
from collections.abc import Iterator

from tenuto.inspect.findings import FormatError

CELLS = 200_000
"""How many cells of a table, or values of a JSON text, are read for a page."""
_ROW_CELLS = 2  # what a row costs beside its cells
_COLUMNS = 200
_ROW_CHARACTERS = 1 << 16

Record = dict[str, object]


def records(ending: str, body: bytes, most_cells: int = CELLS) -> Iterator[Record]:
    """The rows of a text of that ending, `csv` or `jsonl`, without what is not named in the head of a table.

    Raises FormatError behind the last row that can be read, or is.
    """
    left = most_cells
    for record in _of_csv(body) if ending == "csv" else _of_jsonl(body):
        left -= _ROW_CELLS + len(record)
        if left < 0:
            raise FormatError("NotAllChecked", "only its beginning is read: it is too long for a page")
        yield record


def json_value(body: bytes) -> object:
    """A JSON text as a value; raises FormatError if it is none, or holds more values than a page has use for."""
    # Each value but the first of its list stands behind a comma, so their number is known before any is made.
    if sum(map(body.count, (b",", b"[", b"{"))) > CELLS:
        raise FormatError("NotAllChecked", "it holds more values than are read for a page")
    return _decoded(body.decode("utf-8-sig", "replace"))


def as_text(value: str, characters: int) -> str:
    """The beginning of a text, with a mark in place of half surrogates: JSON may name those, and no page can show them."""
    return value[:characters].encode(errors="replace").decode()


def _of_csv(body: bytes) -> Iterator[Record]:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in _lines(body):
            taken += len(line)
            if taken > _ROW_CHARACTERS:  # a quote that is never closed takes in all that follows
                raise FormatError("BadLength", f"a row of it has more than {_ROW_CHARACTERS:,} characters")
            yield line

    rows = csv.reader(lines())
    try:
        names = next(rows, [])[:_COLUMNS]
        taken = 0
        for row in rows:
            yield dict(zip(names, row, strict=False))
            taken = 0
    except csv.Error as error:
        raise FormatError("BadStructure", f"it is no table: {error}") from error


def _of_jsonl(body: bytes) -> Iterator[Record]:
    for number, line in enumerate(_lines(body), 1):
        if len(line) > _ROW_CHARACTERS:
            raise FormatError("BadLength", f"line {number} has more than {_ROW_CHARACTERS:,} characters")
        value = _decoded(line) if line.strip() else None
        yield value if isinstance(value, dict) else {}


def _lines(body: bytes) -> Iterator[str]:
    """The lines of a text with their ends; one that is longer than a row may be comes in parts, each longer than that but for the last."""
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", "replace", newline="")
    return iter(lambda: text.readline(_ROW_CHARACTERS + 1), "")


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError("BadStructure", "it is no JSON, or nested without end") from error
