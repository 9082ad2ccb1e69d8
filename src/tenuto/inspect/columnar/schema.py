"""The columns of a Parquet file as a tree: what each holds, and how deep nulls and lists go. Source: parquet.thrift, LogicalTypes.md."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tenuto.inspect.columnar.footer import KINDS, text, whole, word
from tenuto.inspect.findings import FormatError
from tenuto.inspect.thrift import Thrift

OPTIONAL, REPEATED = 1, 2
_DEEPEST = 16
_MOST_LENGTH_BYTES = 1 << 20
_MOST_SCALE = 100
_UNITS = {1: "ms", 2: "us", 3: "ns"}
_LOGICAL = (
    *("", "string", "map", "list", "string", "decimal", "date", "time", "timestamp", ""),
    *("integer", "null", "string", "binary", "uuid", "float16"),
)
_CONVERTED = (
    *("string", "map", "map", "list", "string", "decimal", "date", "time", "time", "timestamp", "timestamp"),
    *("integer",) * 8,
    *("string", "binary", "interval"),
)
_CONVERTED_UNITS = {7: "ms", 8: "us", 9: "ms", 10: "us"}
_PLAIN_WORDS = dict(
    zip(KINDS, ("bool", "int32", "int64", "timestamp[ns]", "float32", "float64", "binary", "binary"), strict=True)
)


class Logical(NamedTuple):
    """What the stored values stand for; the word is empty if they stand for themselves."""

    word: str = ""
    unit: str = ""
    is_utc: bool = False
    scale: int = 0
    bits: int = 0
    is_signed: bool = True


class Node(NamedTuple):
    """A column, or columns that belong together. `leaves` are the numbers of the columns in it.

    A value is null where its definition is below `definition`; an entry with a repetition of `repetition` begins one more item.
    """

    name: str
    rule: int
    physical: str
    length: int
    logical: Logical
    below: "list[Node]"
    leaves: range
    definition: int
    repetition: int


def read_schema(elements: list[dict[int, Thrift]]) -> list[Node]:
    """The columns at the top. Raises FormatError where the elements are no tree, or go too deep."""
    if not elements:
        raise FormatError("BadStructure", "its footer names no columns")
    rest = iter(elements[1:])
    builder = _Builder(rest)
    found = [builder.node(0, 0, 0) for _ in range(min(max(0, whole(elements[0].get(5), 0)), len(elements)))]
    if next(rest, None) is not None:
        raise FormatError("BadStructure", "its footer describes columns that belong to none")
    return found


class _Builder:
    """Makes nodes of the elements of a footer, which are written from the root downwards."""

    def __init__(self, elements: Iterator[dict[int, Thrift]]) -> None:
        self._elements = elements
        self._leaves = 0

    def node(self, definition: int, repetition: int, depth: int) -> Node:
        """The next node with all that is below it."""
        element = next(self._elements, None)
        if element is None or depth > _DEEPEST:
            raise FormatError("BadStructure", "its columns lie within each other without end")
        rule, count, first = whole(element.get(3), 0), whole(element.get(5), 0), self._leaves
        definition, repetition = definition + (rule != 0), repetition + (rule == REPEATED)
        below = [self.node(definition, repetition, depth + 1) for _ in range(count)]
        if count <= 0:
            self._leaves += 1
        length = whole(element.get(2), 0)
        if not 0 <= length <= _MOST_LENGTH_BYTES:
            raise FormatError("BadLength", f"values of {length:,} bytes each")
        return Node(
            text(element.get(4)),
            rule,
            "" if count > 0 else word(KINDS, element.get(1)),
            length,
            _logical(element),
            below,
            range(first, self._leaves),
            definition,
            repetition,
        )


def _logical(element: Mapping[int, Thrift]) -> Logical:
    union = element.get(10)
    if isinstance(union, dict) and union:
        number, facts = next(iter(union.items()))
        facts = facts if isinstance(facts, dict) else {}
        if number == 5:
            return Logical("decimal", scale=_scale(facts.get(1)))
        if number in {7, 8}:
            unit = facts.get(2)
            unit_number = next(iter(unit), 0) if isinstance(unit, dict) else 0
            return Logical(_word_at(_LOGICAL, number), unit=_UNITS.get(unit_number, "ns"), is_utc=facts.get(1) is True)
        if number == 10:
            return Logical("integer", bits=whole(facts.get(1)), is_signed=facts.get(2) is True)
        return Logical(_word_at(_LOGICAL, number))
    number = whole(element.get(6))
    if 11 <= number <= 18:
        return Logical("integer", bits=8 << (number - 11) % 4, is_signed=number > 14)
    if number == 5:
        return Logical("decimal", scale=_scale(element.get(7)))
    return Logical(_word_at(_CONVERTED, number), unit=_CONVERTED_UNITS.get(number, ""), is_utc=number in {9, 10})


def _word_at(words: Sequence[str], number: int) -> str:
    return words[number] if 0 <= number < len(words) else ""


def _scale(value: "Thrift | None") -> int:
    scale = whole(value, 0)
    return scale if 0 <= scale <= _MOST_SCALE else 0


def list_item(node: Node) -> Node | None:
    """The repeated node of a list, or None if it is none."""
    is_list = node.logical.word in {"list", "map"} and len(node.below) == 1
    return node.below[0] if is_list and node.below[0].rule == REPEATED else None


def is_wrapped(node: Node, item: Node) -> bool:
    """Whether the repeated node only stands between a list and the one node that is its item."""
    return len(item.below) == 1 and item.name not in {"array", f"{node.name}_tuple"}


def type_text(node: Node) -> str:
    """What a column holds, as people say it."""
    if node.rule == REPEATED:
        return f"list of {_own_text(node)}"
    return _own_text(node)


def _own_text(node: Node) -> str:
    item = list_item(node)
    if item is not None:
        if node.logical.word == "map":
            return "map"
        return f"list of {type_text(item.below[0]) if is_wrapped(node, item) else _own_text(item)}"
    if node.below:
        return f"struct of {', '.join(one.name for one in node.below[:6])}{', …' if len(node.below) > 6 else ''}"
    kind, unit = node.logical, node.logical.unit
    if kind.word in {"timestamp", "time"}:
        return f"{kind.word}[{unit}{', UTC' if kind.is_utc and kind.word == 'timestamp' else ''}]"
    if kind.word == "integer":
        return f"{'' if kind.is_signed else 'u'}int{kind.bits}"
    return kind.word or _PLAIN_WORDS.get(node.physical, node.physical.lower())


def is_number(node: Node) -> bool:
    """Whether a column holds numbers."""
    is_plain = node.physical in {"INT32", "INT64", "FLOAT", "DOUBLE"} and node.logical.word in {"", "integer"}
    return node.rule != REPEATED and (is_plain or node.logical.word in {"decimal", "float16"})
