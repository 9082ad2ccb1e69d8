"""`read_head`: the first rows of a Parquet file."""

from typing import NamedTuple

from tenuto.inspect.columnar.effort import Effort, TooMuch
from tenuto.inspect.columnar.footer import CODECS, Footer, read_footer, word
from tenuto.inspect.columnar.labels import KEY, class_names
from tenuto.inspect.columnar.pages import KEPT_ENTRIES, ChunkReader, Row, find_chunk
from tenuto.inspect.columnar.schema import Node, is_number, read_schema, type_text
from tenuto.inspect.columnar.values import MOST_LEAVES, Items, Value, assemble
from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source

_STEPS = 300_000


class Column(NamedTuple):
    """The first values of a column; fewer than asked for if they take too much work. `fault`: why there are none.
    `class_names`: what its numbers stand for, if the file says so."""

    name: str
    type: str
    is_number: bool
    values: list[Value]
    fault: str
    class_names: list[str]


class Head(NamedTuple):
    """The first rows of a file by its first columns, and what the footer tells of all of it."""

    columns: list[Column]
    column_count: int
    rows: int
    group_count: int
    codecs: list[str]
    metadata: dict[str, str]
    made_by: str


class _Leaf(NamedTuple):
    """What was read of a column that holds values."""

    rows: list[Row]
    is_all: bool
    fault: str


def read_head(source: Source, *, rows: int, columns: int, steps: int = _STEPS) -> Head:
    """The first `rows` of the first `columns`. Work and memory are bounded by `steps`, whatever the file declares.

    Raises FormatError if the file cannot be read at all; what is wrong with one column is said there.
    """
    footer = read_footer(source, rows=rows, columns=MOST_LEAVES)
    nodes = read_schema(footer.schema)
    shown = nodes[:columns]
    wanted = [leaf for node in shown for leaf in _leaves(node)][:MOST_LEAVES]
    found: dict[int, _Leaf] = {}
    for number, leaf in enumerate(wanted):
        share = steps // (len(wanted) - number)
        effort = Effort(share)
        found[leaf.leaves.start] = _read_leaf(source, footer, leaf, rows, effort)
        steps -= share - max(0, effort.left)
    names = class_names(footer.metadata.get(KEY, ""))
    return Head(
        [_column(node, found, names.get(node.name, [])) for node in shown],
        len(nodes),
        footer.rows,
        footer.group_count,
        _codecs(footer),
        footer.metadata,
        footer.made_by,
    )


def _leaves(node: Node) -> list[Node]:
    return [leaf for child in node.below for leaf in _leaves(child)] if node.below else [node]


def _codecs(footer: Footer) -> list[str]:
    """How the first rows are packed."""
    told = [chunk.get(3) for group in footer.groups for chunk in group.chunks]
    return sorted({word(CODECS, one.get(4)) for one in told if isinstance(one, dict)})


def _read_leaf(source: Source, footer: Footer, leaf: Node, wanted: int, effort: Effort) -> _Leaf:
    """The first rows of a column, from one row group after another."""
    rows: list[Row] = []
    number = leaf.leaves.start
    for group in footer.groups:
        if len(rows) >= wanted or group.rows <= 0:
            continue
        expected = min(group.rows, wanted - len(rows))
        try:
            if number >= len(group.chunks):
                raise FormatError("BadStructure", "its row group has fewer columns than the footer names")
            reader = ChunkReader(source, find_chunk(group.chunks[number]), leaf, effort)
            try:
                reader.read(expected)
            finally:
                rows += reader.rows
        except FormatError as error:
            return _Leaf([], is_all=True, fault=error.detail)
        except TooMuch:
            return _Leaf(
                rows, is_all=False, fault="" if rows else "its first row takes more work than is done for a look"
            )
        if len(reader.rows) < expected:
            return _Leaf([], is_all=True, fault="it has fewer rows than the footer says")
    return _Leaf(rows, is_all=True, fault="")


def _column(node: Node, found: dict[int, _Leaf], names: list[str]) -> Column:
    """A column as it is shown, from the columns of values in it."""
    leaves = {number: found[number] for number in node.leaves if number in found}
    faults = list(dict.fromkeys(leaf.fault for leaf in leaves.values() if leaf.fault))
    whole_ones = {number: leaf for number, leaf in leaves.items() if not leaf.fault}
    count = max((len(leaf.rows) for leaf in whole_ones.values()), default=0)
    values = [_value(node, whole_ones, index) for index in range(count)]
    return Column(node.name, type_text(node), is_number(node), values, "; ".join(faults), names)


def _value(node: Node, leaves: dict[int, _Leaf], index: int) -> Value:
    read = {number: leaf.rows[index] for number, leaf in leaves.items() if index < len(leaf.rows)}
    value = assemble(node, {number: row.entries for number, row in read.items()})
    total = max((row.total for row in read.values()), default=0)
    is_all = all(leaves[number].is_all or index + 1 < len(leaves[number].rows) for number in read)
    if isinstance(value, Items) and (total > KEPT_ENTRIES or not is_all):
        flat = all(leaf.repetition == 1 for leaf in _leaves(node))
        return Items(value.values, total if flat else value.total, is_all=flat and is_all)
    return value
