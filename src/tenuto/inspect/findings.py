"""What a look into a file tells: facts, findings, and how far the look may go."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

Severity = Literal["damage", "danger", "odd"]
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_TEXT_CHARS = 300
_JSON_INTEGER_BITS = 63


class Kind(NamedTuple):
    """What one stable code stands for."""

    severity: Severity
    meaning: str


CODES: dict[str, Kind] = {
    "Empty": Kind("damage", "the file has no bytes, or none but zeros"),
    "HtmlPage": Kind("damage", "a web page was saved under this name"),
    "LfsPointer": Kind("damage", "a git-lfs pointer stands where its content should be"),
    "NotThisFormat": Kind("damage", "the content is not what the name says"),
    "Truncated": Kind("damage", "the file ends before what it declares"),
    "BadHeader": Kind("damage", "the header cannot be read"),
    "BadLength": Kind("damage", "a length, count or offset points outside the file or beyond what the format allows"),
    "BadStructure": Kind("damage", "the content breaks the rules of its format"),
    "BadChecksum": Kind("damage", "bytes differ from the checksum that the file carries"),
    "BadValue": Kind("damage", "a value makes no sense, such as no channels or an absurd rate"),
    "SizeMismatch": Kind("damage", "declared sizes disagree with each other or with the bytes that are there"),
    "Overlap": Kind("damage", "two parts claim the same bytes"),
    "Gap": Kind("damage", "bytes between the parts belong to none"),
    "MissingPart": Kind("damage", "something that the file refers to is not there"),
    "NotANumber": Kind("damage", "numbers are NaN"),
    "CodeOnLoad": Kind(
        "danger", "loading it can run code: it names something that is not on the list of harmless ones"
    ),
    "DisguisedPickle": Kind("danger", "it is a pickle, and its name says something else"),
    "PathEscape": Kind("danger", "a path in it leads out of the folder it is unpacked to"),
    "SpecialFile": Kind("danger", "it holds a device, a pipe or another thing that is neither file, folder nor link"),
    "Duplicate": Kind("danger", "two parts have the same name: readers disagree on which one counts"),
    "Bomb": Kind("danger", "it unpacks to far more bytes or members than it should"),
    "Encrypted": Kind("danger", "parts are encrypted: nobody can say what is in them"),
    "NotAllChecked": Kind("odd", "not everything was read: a limit was reached, or there is no check for this part"),
    "OtherFormat": Kind("odd", "the content is fine, and of another format than the name says"),
    "TrailingBytes": Kind("odd", "bytes follow after the end"),
    "Streamed": Kind("odd", "the size was never filled in, as by a program that wrote to a pipe"),
    "ZeroTail": Kind("odd", "it ends in a long run of zeros, as an interrupted download does"),
    "RemoteCode": Kind("odd", "the configuration names code that a loader would fetch and run if told to trust it"),
    "Unusual": Kind("odd", "allowed, and rarely meant"),
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong or worth knowing: a code of `CODES`, where in the file (a part's name, or nothing for the whole), and what."""

    code: str
    severity: Severity
    where: str
    detail: str


class Inspection(msgspec.Struct, frozen=True):
    """What a file is. `is_whole`: no damage was found. `is_safe`: opening it with the usual reader runs no code and writes nowhere else,
    as far as the look went."""

    file: str
    format: str
    size_bytes: int
    is_whole: bool
    is_safe: bool
    facts: dict[str, Json]
    findings: list[Finding]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a look goes. Work and memory are bounded by these, whatever a file declares."""

    content_bytes: int = 64 << 30  # read for checksums and numbers; 0 looks at headers only
    text_bytes: int = 64 << 20  # held in memory as one piece, such as a header or a line
    items: int = 250_000  # members, tensors, metadata: what is kept as a list
    steps: int = 5_000_000  # opcodes, frames, pages: what is walked over
    depth: int = 3  # archives within archives
    listed: int = 1_000  # names in the facts
    rows: int = 0  # of a table, as texts in the facts
    findings: int = 100


class FormatError(Exception):
    """A part of a file cannot be read any further; becomes a finding."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Report:
    """Where the look into one file gathers what it learns."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.format = "unknown"
        self.facts: dict[str, Json] = {}
        self.findings: list[Finding] = []
        self.unread_bytes = 0
        self._content_bytes = limits.content_bytes
        self._left_out = 0
        self._where: list[str] = []

    def add(self, code: str, detail: str) -> None:
        """Note a finding about the part that is being looked at; once, if it is met again."""
        found = Finding(code, CODES[code].severity, plain("!".join(self._where)), plain(detail))
        if found in self.findings:
            return
        # The first one of a severity always shows, however many lesser ones came before.
        if len(self.findings) < self.limits.findings or all(one.severity != found.severity for one in self.findings):
            self.findings.append(found)
        else:
            self._left_out += 1

    def fact(self, **facts: object) -> None:
        """Note facts about the whole file; those of parts are dropped."""
        if not self._where:
            self.facts |= {name: clean(value) for name, value in facts.items()}

    def spend(self, size: int) -> bool:
        """Whether `size` bytes of content may still be read; they are counted as read, or as left unread."""
        if size > self._content_bytes:
            self.unread_bytes += size
            return False
        self._content_bytes -= size
        return True

    @contextlib.contextmanager
    def part(self, name: str = "") -> Iterator[None]:
        """What is found within belongs to the part `name`. If that cannot be read to its end, the look goes on behind it."""
        if name:
            self._where.append(name)
        try:
            yield
        except FormatError as error:
            self.add(error.code, error.detail)
        finally:
            if name:
                self._where.pop()

    @property
    def depth(self) -> int:
        """In how many parts the look is at the moment."""
        return len(self._where)

    def inspection(self, file: str, size_bytes: int) -> Inspection:
        """All that was learnt. Leaves out no severity, however many findings there are."""
        if self.unread_bytes:
            self.add("NotAllChecked", f"{self.unread_bytes:,} bytes of content were not read")
        if self._left_out:
            self.facts["findings_left_out"] = self._left_out
        severities = {finding.severity for finding in self.findings}
        whole, safe = "damage" not in severities, "danger" not in severities
        return Inspection(file, self.format, size_bytes, whole, safe, self.facts, self.findings)


def plain(text: str) -> str:
    """`text` as it may stand in a line: one line, no control or direction characters, no half surrogates, not endless."""
    shown = text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]}…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def clean(value: object) -> Json:
    """`value` as JSON can hold it, with its texts made plain."""
    match value:
        case None | bool():
            return value
        case int():
            return value if value.bit_length() <= _JSON_INTEGER_BITS else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {plain(str(key)): clean(item) for key, item in value.items()}
        case list() | tuple():
            return [clean(item) for item in value]
        case _:
            return plain(str(value))
