"""JSON, JSON Lines and YAML: texts that must be whole and of one encoding."""

import codecs
import itertools
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Source

_KEY = re.compile(r"""^(?:"([^"\n]{1,200})"|'([^'\n]{1,200})'|([A-Za-z_][\w .-]{0,200}?))\s*:(?:\s|$)""", re.MULTILINE)
_PYTHON_TAG = re.compile(r"!!python/[\w/.:]+|!<tag:yaml\.org,2002:python/[\w/.:]+")
_ALIAS = re.compile(r"(?:^|[\s,\[{:-])\*[\w-]+")
_TAB_INDENT = re.compile(r"^ *\t+ *[\w\"'-]", re.MULTILINE)
_MOST_ALIASES = 1_000
_MOST_BROKEN_LINES = 10
_OUTLINED_BYTES = 4 << 20
_LARGEST_YAML_BYTES = 8 << 20


def inspect_json(source: Source, report: Report) -> None:
    """Check that it is one JSON value, and note the keys of its top."""
    if source.size > report.limits.text_bytes:
        raise FormatError("NotAllChecked", f"{source.size:,} bytes of JSON are more than are read as one")
    check_text(source)
    text = b"".join(source.pieces()).removeprefix(codecs.BOM_UTF8)
    check_json(text)
    outline = _outline(text, report)
    report.fact(**outline)
    if "auto_map" in outline.get("keys", ()):
        report.add("RemoteCode", "auto_map names classes that a loader fetches and runs if told to trust them")


def check_json(text: bytes) -> None:
    """Raise FormatError unless this is one JSON value: nothing before or after it, no NaN, not nested without end."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError as error:
        raise FormatError("BadStructure", "it is nested without end") from error
    except msgspec.DecodeError as error:
        raise FormatError("BadStructure", f"it is no JSON: {error}") from error


def _outline(text: bytes, report: Report) -> dict[str, Any]:
    """What stands at the top of a JSON value; of a large one, only its kind."""
    if len(text) > _OUTLINED_BYTES:
        return {"kind": {b"{": "table", b"[": "list"}.get(text.lstrip()[:1], "value")}
    try:
        table = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {"kind": "table", "keys": list(table)[: report.limits.listed]}
    except msgspec.DecodeError:
        pass
    try:
        return {"kind": "list", "items": len(msgspec.json.decode(text, type=list[msgspec.Raw]))}
    except msgspec.DecodeError:
        return {"kind": "value"}


def inspect_jsonl(source: Source, report: Report) -> None:
    """Check every line, and note how many there are and the keys of the first."""
    if not report.spend(source.size):
        return
    count = broken = 0
    for number, line in enumerate(_lines(source, report), 1):
        if not line.strip():
            continue
        count += 1
        try:
            check_json(_utf8(line).encode())
        except FormatError as error:
            broken += 1
            if broken <= _MOST_BROKEN_LINES:
                with report.part(f"line {number}"):
                    report.add(error.code, error.detail)
            continue
        if count == 1:
            report.fact(first_line=_outline(line, report))
    report.fact(lines=count, broken_lines=broken)


def _lines(source: Source, report: Report) -> Iterator[bytes]:
    rest = b""
    for piece in source.pieces():
        *lines, last = piece.split(b"\n")
        if lines:
            lines[0] = rest + lines[0]
            rest = b""
            yield from lines
        rest += last
        if len(rest) > report.limits.text_bytes:
            raise FormatError("BadLength", f"a line of more than {report.limits.text_bytes:,} bytes")
    yield rest


def inspect_yaml(source: Source, report: Report) -> None:
    """Check what can be told without a parser: the encoding, tags that make Python objects, aliases that multiply, tabs."""
    if source.size > min(_LARGEST_YAML_BYTES, report.limits.text_bytes):
        raise FormatError("NotAllChecked", f"{source.size:,} bytes of YAML are more than are read as one")
    text = _utf8(b"".join(source.pieces()))
    for tag in itertools.islice(_PYTHON_TAG.finditer(text), _MOST_BROKEN_LINES):
        report.add("CodeOnLoad", f"it has the tag {tag[0]}")
    aliases = sum(1 for _ in _ALIAS.finditer(text))
    if aliases > _MOST_ALIASES and "&" in text:
        report.add("Bomb", f"it has {aliases:,} aliases, which multiply what they stand for")
    if _TAB_INDENT.search(text):
        report.add("BadStructure", "a line is indented with tabs")
    keys = [next(filter(None, found.groups())) for found in itertools.islice(_KEY.finditer(text), report.limits.listed)]
    report.fact(keys=keys, aliases=aliases)


def check_text(source: Source) -> None:
    """Raise FormatError unless the whole is UTF-8 and has no zero bytes; holds one piece at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    try:
        for piece in source.pieces():
            if b"\0" in piece:
                raise FormatError(
                    "BadStructure", f"a zero byte stands at {position + piece.index(0):,}: this is no text"
                )
            decoder.decode(piece)
            position += len(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise FormatError("BadStructure", f"it is not UTF-8 near byte {position:,}: {error.reason}") from error


def _utf8(data: bytes) -> str:
    if b"\0" in data:
        raise FormatError("BadStructure", f"a zero byte stands at {data.index(0):,}: this is no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError("BadStructure", f"it is not UTF-8: {error.reason} at {error.start:,}") from error
