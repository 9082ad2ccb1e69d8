"""Parquet: pages of columns in row groups, and a footer that says where they are. Source: parquet.thrift of parquet-format."""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tenuto.inspect.columnar.footer import CODECS, KINDS, MAGIC_BYTES, find_footer, structures, text, whole, word
from tenuto.inspect.columnar.rows import read_head
from tenuto.inspect.columnar.texts import value_text
from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.members import leads_out
from tenuto.inspect.source import Source
from tenuto.inspect.tensors import Span, check_spans
from tenuto.inspect.thrift import Thrift, ThriftReader, read_structure

_MOST_VALUES = 2_000_000
_SHOWN_COLUMNS = 30
_MOST_PAGES = 100_000
_LONGEST_PAGE_HEADER_BYTES = 1 << 20


class Chunk(NamedTuple):
    """One column of one row group."""

    name: str
    codec: str
    values: int
    start: int
    size: int


def inspect(source: Source, report: Report) -> None:
    """Check the footer, that all columns lie inside the file, and the pages' lengths and checksums."""
    start, length = find_footer(source, report.limits.text_bytes)
    footer = ThriftReader(source.read(start, length), min(_MOST_VALUES, report.limits.steps)).structure()
    chunks = _tell(footer, report)
    if report.limits.rows:
        with contextlib.suppress(FormatError):  # what is wrong with it is found below
            report.fact(first_rows=_first_rows(source, report.limits.rows))
    spans = [Span(chunk.start, chunk.start + chunk.size, chunk.name) for chunk in chunks]
    check_spans(spans, start, report, gaps=False)
    if any(finding.severity == "damage" for finding in report.findings):
        return
    checked = 0
    for chunk in chunks:
        if report.spend(chunk.size):
            with report.part(chunk.name):
                checked += _check_pages(source.window(chunk.start, chunk.size), chunk, report)
    report.fact(pages_with_checksum=checked)


def _tell(footer: dict[int, Thrift], report: Report) -> list[Chunk]:
    """Note rows, columns and row groups; the chunks of all columns."""
    schema, groups = structures(footer.get(2)), structures(footer.get(4))
    rows = whole(footer.get(3))
    metadata = {text(one.get(1)): text(one.get(2)) for one in structures(footer.get(5))}
    chunks = [chunk for number, group in enumerate(groups) for chunk in _chunks(group, number, report)]
    told = sum(whole(group.get(3)) for group in groups)
    if told != rows:
        report.add("SizeMismatch", f"{rows:,} rows are declared, the row groups have {told:,}")
    report.fact(
        rows=rows,
        row_groups=len(groups),
        columns=_columns(schema)[: report.limits.listed],
        codecs=sorted({chunk.codec for chunk in chunks}),
        made_by=text(footer.get(6)),
        metadata=metadata,
    )
    return chunks


def _first_rows(source: Source, count: int) -> list[dict[str, str]]:
    """The first rows by their first columns, as texts; without the columns that cannot be read."""
    columns = read_head(source, rows=count, columns=_SHOWN_COLUMNS).columns
    texts = {one.name: [value_text(value, one.class_names) for value in one.values] for one in columns if not one.fault}
    count = max(map(len, texts.values()), default=0)
    return [{name: told[number] for name, told in texts.items() if number < len(told)} for number in range(count)]


def _columns(schema: Sequence[dict[int, Thrift]]) -> list[dict[str, str]]:
    """The columns that hold values, by their path; the schema is a tree, written from its root downwards."""
    found = []
    open_groups: list[list[int]] = []
    path: list[str] = []
    for one in schema[1:]:
        name, children = text(one.get(4)), whole(one.get(5), missing=0)
        if children > 0:
            open_groups.append([children])
            path.append(name)
            continue
        found.append({"name": ".".join([*path, name]), "type": word(KINDS, one.get(1))})
        while open_groups:
            open_groups[-1][0] -= 1
            if open_groups[-1][0] > 0:
                break
            open_groups.pop()
            path.pop()
    return found


def _chunks(group: dict[int, Thrift], number: int, report: Report) -> Iterator[Chunk]:
    for column in structures(group.get(1)):
        facts = column.get(3)
        if not isinstance(facts, dict):
            report.add("BadHeader", f"a column of row group {number} is not described")
            continue
        path = facts.get(3)
        name = ".".join(text(step) for step in path) if isinstance(path, list) else "?"
        elsewhere = column.get(1)
        if elsewhere is not None:
            other = text(elsewhere)
            report.add("PathEscape" if leads_out(other) else "NotAllChecked", f"{name} lies in the file {other}")
            continue
        # A dictionary, if there is one, lies before the data.
        starts = [whole(facts.get(key)) for key in (9, 11) if facts.get(key)]
        start, size = min(starts, default=0), whole(facts.get(7))
        if start < MAGIC_BYTES or size < 0:
            report.add("BadLength", f"{name} has {size:,} bytes at {start:,}")
            continue
        yield Chunk(f"{name}[{number}]", word(CODECS, facts.get(4)), whole(facts.get(5)), start, size)


def _check_pages(source: Source, chunk: Chunk, report: Report) -> int:
    """Walk over the pages of a column; how many of them had a checksum."""
    position = values = checked = pages = 0
    while position < source.size:
        pages += 1
        if pages > _MOST_PAGES:
            raise FormatError("NotAllChecked", "it has more pages than are looked at")
        header, position = read_structure(source, position, _LONGEST_PAGE_HEADER_BYTES, _MOST_VALUES)
        size, checksum = whole(header.get(3)), header.get(4)
        if size < 0:
            raise FormatError("BadLength", f"a page of {size:,} bytes")
        page = source.window(position, size)
        position += size
        data_header = header.get(5) or header.get(8)
        values += whole(data_header.get(1)) if isinstance(data_header, dict) else 0
        if isinstance(checksum, int):
            crc = 0
            for piece in page.pieces():
                crc = zlib.crc32(piece, crc)
            checked += 1
            if crc != checksum & 0xFFFFFFFF:
                report.add("BadChecksum", f"the page at {position - size:,} differs from its checksum")
    if values != chunk.values:
        report.add("SizeMismatch", f"{chunk.values:,} values are declared, the pages have {values:,}")
    return checked
