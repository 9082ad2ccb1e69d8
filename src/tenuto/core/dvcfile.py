"""What a `.dvc` file says, in the part of YAML that DVC writes: mappings, sequences and scalars by indentation. Pure.

A reader of its own, since a whole YAML library would be a dependency of every client for these few keys; what it does not know is refused.
"""

import json
import re
from typing import Any, NamedTuple

from tenuto.core.errors import UsageError

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_KEY = re.compile(r"(\"[^\"]*\"|'[^']*'|[^\s\"'#:\[\]{}&*!|>%@,?-][^:]*?) *:(?:[ \t]+|$)(.*)")
_BLANKS = " \t"  # what YAML takes for blank; other spaces are part of a name
_NULLS = {"", "~", "null", "Null", "NULL"}


class Out(NamedTuple):
    """A file or folder that DVC tracks: its path as written, relative to the file's `wdir`, and the md5 that it had.

    `is_text_md5` says that line ends may have been made unix before hashing, as DVC did before version 3.
    """

    path: str
    md5: str
    is_text_md5: bool

    @property
    def is_folder(self) -> bool:
        """Whether the md5 is that of a list of files."""
        return self.md5.endswith(".dir")


def parse_dvc(text: str) -> list[Out]:
    """The outs of a `.dvc` file, with `wdir` before their paths. Raises UsageError, which says what is wrong with it."""
    raw_lines = text.replace("\r\n", "\n").split("\n")
    lines = [_Line(len(raw) - len(raw.lstrip(" ")), raw.strip(_BLANKS)) for raw in raw_lines]
    lines = [line for line in lines if line.content and not line.content.startswith(("#", "---", "%"))]
    reader = _Reader(lines)
    content = reader.value(lines[0].indent) if lines else None
    if not isinstance(content, dict) or reader.position < len(lines):
        raise UsageError("it is no YAML as DVC writes it", hint="restore it from git")
    outs = content.get("outs")
    if not isinstance(outs, list) or not outs:
        raise UsageError("it names no outs", hint="restore it from git")
    wdir = content.get("wdir")
    return [_out(out, wdir if isinstance(wdir, str) else "") for out in outs]


def _out(out: object, wdir: str) -> Out:
    if not isinstance(out, dict) or not isinstance(out.get("path"), str):
        raise UsageError("an out has no path", hint="restore it from git")
    path, md5 = out["path"], out.get("md5")
    if md5 is None:
        kind = next((key for key in ("etag", "checksum", "files") if key in out), None)
        why = f"has a {kind} instead of an md5" if kind else "has no md5: DVC never recorded what it is"
        raise UsageError(f"{path} {why}", hint=f"if the files are here: tenuto track {path} --to hf://namespace/name")
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise UsageError(f"{path} has an md5 that is none: {md5!r}", hint="restore it from git")
    return Out(f"{wdir}/{path}" if wdir else path, md5, "hash" not in out)


class _Line(NamedTuple):
    indent: int
    content: str


class _Reader:
    """Reads values by indentation, each line once."""

    def __init__(self, lines: list[_Line]) -> None:
        self._lines = lines
        self.position = 0

    def _at(self, indent: int) -> _Line | None:
        line = self._lines[self.position] if self.position < len(self._lines) else None
        return line if line and line.indent == indent else None

    def value(self, indent: int) -> Any:
        """The mapping or sequence whose lines begin at this indent."""
        line = self._at(indent)
        return self._sequence(indent) if line and _is_item(line.content) else self._mapping(indent)

    def _sequence(self, indent: int) -> list[Any]:
        found: list[Any] = []
        while (line := self._at(indent)) and _is_item(line.content):
            rest = line.content[1:].lstrip(_BLANKS)
            inner = line.indent + len(line.content) - len(rest)
            if _KEY.fullmatch(rest):
                self._lines[self.position] = _Line(inner, rest)
                found.append(self._mapping(inner))
            else:
                self.position += 1
                found.append(self._scalar(rest, indent))
        return found

    def _mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self._at(indent)) and (match := _KEY.fullmatch(line.content)):
            key = _plain(match[1])
            if key in found:
                raise UsageError(f"it has {key!r} twice", hint="restore it from git")
            self.position += 1
            rest = match[2]
            following = self._lines[self.position] if self.position < len(self._lines) else None
            nested = following and (
                following.indent > indent or (following.indent == indent and _is_item(following.content))
            )
            if (not rest or rest.startswith("#")) and following and nested:
                found[key] = self.value(following.indent)
            else:
                found[key] = self._scalar(rest, indent)
        return found

    def _scalar(self, text: str, indent: int) -> str | None:
        """A scalar with the lines that it goes on in, which are deeper."""
        while self.position < len(self._lines) and self._lines[self.position].indent > indent:
            text = f"{text} {self._lines[self.position].content}"
            self.position += 1
        text = text if text[:1] in {"'", '"'} else re.split(r"(?:^|[ \t])#", text, maxsplit=1)[0].strip(_BLANKS)
        return None if text in _NULLS else _plain(text)


def _is_item(content: str) -> bool:
    return content == "-" or content.startswith("- ")


def _plain(text: str) -> str:
    """A scalar without its quotes. Raises UsageError for quotes that do not end."""
    if text[:1] == "'":
        found = re.fullmatch(r"'((?:[^']|'')*)'[ \t]*(?:#.*)?", text)
        if found:
            return found[1].replace("''", "'")
    elif text[:1] == '"':
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            value, end = None, 0
        if isinstance(value, str) and (not text[end:].strip(_BLANKS) or text[end:].lstrip(_BLANKS).startswith("#")):
            return value
    else:
        return text
    raise UsageError(f"{text[:60]} is no text as DVC writes it", hint="restore it from git")
