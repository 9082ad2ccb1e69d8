"""ONNX: a message with a graph of nodes and tensors, whose bytes may lie in other files. Source: onnx.proto3 of ONNX."""

import math
from collections import Counter

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.members import leads_out
from tenuto.inspect.protobuf import BYTES, VARINT, Field, fields, varint
from tenuto.inspect.source import Cursor, Source
from tenuto.inspect.tensors import Tensor, tell

_DEEPEST_GRAPH = 16
_EXTERNAL = 1
_TYPES = {
    1: ("F32", 4),
    2: ("U8", 1),
    3: ("I8", 1),
    4: ("U16", 2),
    5: ("I16", 2),
    6: ("I32", 4),
    7: ("I64", 8),
    8: ("text", 0),
    9: ("BOOL", 1),
    10: ("F16", 2),
    11: ("F64", 8),
    12: ("U32", 4),
    13: ("U64", 8),
    14: ("C64", 8),
    15: ("C128", 16),
    16: ("BF16", 2),
}


def inspect(source: Source, report: Report) -> None:
    """Check the message down to every tensor, and that files it refers to lie beside it."""
    model = _Model(report)
    model.read(source)
    model.tell()


class _Model:
    """Gathers what a model holds while it is walked over."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._steps = report.limits.steps
        self._facts: dict[str, object] = {}
        self._opsets: dict[str, int] = {}
        self._operators = Counter[str]()
        self._domains: set[str] = set()
        self._tensors: list[Tensor] = []
        self._external: dict[str, None] = {}
        self._has_graph = False

    def read(self, source: Source) -> None:
        """Walk over the model."""
        texts = {2: "producer", 3: "producer_version", 4: "domain", 6: "description"}
        for field in self._fields(source):
            if field.number in texts:
                self._facts[texts[field.number]] = field.text()
            elif field.number == 1:
                self._facts["ir_version"] = field.value
            elif field.number == 8 and field.data:
                self._opset(field.data)
            elif field.number == 7 and field.data:
                self._has_graph = True
                self._graph(field.data, 0)

    def tell(self) -> None:
        """Note what was found."""
        if not self._has_graph or "ir_version" not in self._facts:
            self._report.add("BadHeader", "it has no graph or no version")
        tell(self._tensors, self._report)
        listed = self._report.limits.listed
        self._report.fact(
            **self._facts,
            opsets=self._opsets,
            operators=dict(self._operators.most_common(listed)),
            external_files=list(self._external)[:listed],
        )

    def _fields(self, source: Source) -> list[Field]:
        found: list[Field] = []
        for field in fields(source):
            self._steps -= 1
            if self._steps < 0 or len(found) >= self._report.limits.items:
                raise FormatError("NotAllChecked", "it has more parts than are looked at")
            found.append(field)
        return found

    def _opset(self, source: Source) -> None:
        domain, version = "", 0
        for field in self._fields(source):
            domain = field.text() if field.number == 1 else domain
            version = field.value if field.number == 2 else version
        self._opsets[domain or "ai.onnx"] = version

    def _graph(self, source: Source, depth: int) -> None:
        if depth > _DEEPEST_GRAPH:
            raise FormatError("BadStructure", "graphs within graphs without end")
        names: dict[int, list[str]] = {11: [], 12: []}
        for field in self._fields(source):
            if not field.data:
                continue
            if field.number == 1:
                self._node(field.data, depth)
            elif field.number == 2 and depth == 0:
                self._facts["graph"] = field.text()
            elif field.number == 5:
                self._tensor(field.data)
            elif field.number in names:
                names[field.number] += [one.text() for one in self._fields(field.data) if one.number == 1]
        if depth == 0:
            listed = self._report.limits.listed
            self._facts |= {"inputs": names[11][:listed], "outputs": names[12][:listed]}

    def _node(self, source: Source, depth: int) -> None:
        for field in self._fields(source):
            if field.number == 4:
                self._operators[field.text(100)] += 1
            elif field.number == 5 and field.data:
                self._attribute(field.data, depth)

    def _attribute(self, source: Source, depth: int) -> None:
        for field in self._fields(source):
            if field.number in {5, 10} and field.data:
                self._tensor(field.data)
            elif field.number in {6, 11} and field.data:
                self._graph(field.data, depth + 1)

    def _tensor(self, source: Source) -> None:
        name, kind, raw_bytes, location = "", 0, None, 0
        shape: list[int] = []
        places: list[tuple[str, str]] = []
        for field in self._fields(source):
            if field.number == 1:
                shape += _numbers(field, self._report.limits.items)
            elif field.number == 2:
                kind = field.value
            elif field.number == 8:
                name = field.text()
            elif field.number == 9 and field.data:
                raw_bytes = field.data.size
            elif field.number == 13 and field.data:
                places.append(self._pair(field.data))
            elif field.number == 14:
                location = field.value
        with self._report.part(name):
            dtype, number_bytes = _TYPES.get(kind, (f"type {kind}", 0))
            wanted = math.prod(shape) * number_bytes
            if number_bytes and raw_bytes is not None and raw_bytes != wanted:
                self._report.add("SizeMismatch", f"{dtype} {shape} needs {wanted:,} bytes, it has {raw_bytes:,}")
            if location == _EXTERNAL or places:
                self._external_place(dict(places))
        self._tensors.append(Tensor(name, dtype, tuple(shape)))

    def _pair(self, source: Source) -> tuple[str, str]:
        key = value = ""
        for field in self._fields(source):
            key = field.text() if field.number == 1 else key
            value = field.text(4_096) if field.number == 2 else value
        return key, value

    def _external_place(self, place: dict[str, str]) -> None:
        path = place.get("location", "")
        self._external[path] = None
        if not path or leads_out(path):
            self._report.add("PathEscape", f"its bytes are to be read from {path!r}")


def _numbers(field: Field, most: int) -> list[int]:
    """A repeated number: one by one, or packed."""
    if field.kind == VARINT:
        return [field.value]
    found: list[int] = []
    if field.kind == BYTES and field.data:
        cursor = Cursor(field.data)
        while cursor.left and len(found) < most:
            found.append(varint(cursor))
    return found
