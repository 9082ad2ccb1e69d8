"""`checksums`: lines that `sha256sum -c` reads, and reading them."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tenuto.core.errors import UsageError
from tenuto.project.workspace import Watch, unwatched
from tenuto.store.hashing import Hashed, ToHash, hash_files
from tenuto.survey.holdings import Holding, distinct, largest
from tenuto.survey.inventory import KINDS, shown

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PLAIN = {written: character for character, written in _ESCAPES.items()}
_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)


class Sum(NamedTuple):
    """A path and the sha256 of its bytes. Bytes of a path that are no UTF-8 stand as `os.fsdecode` gives them."""

    path: str
    sha256: str

    @property
    def line(self) -> str:
        """The line, without its end. A name with a backslash or line break is escaped, and a backslash before the line says so."""
        name = re.sub(r"[\\\n\r]", lambda found: _ESCAPES[found[0]], self.path)
        return f"{self.sha256}  {name}" if name == self.path else f"\\{self.sha256}  {name}"


class Summed(msgspec.Struct, frozen=True):
    """One line of the outcome; size in bytes."""

    path: str
    sha256: str
    size_bytes: int


class ChecksumsReport(msgspec.Struct, frozen=True):
    """The checksums, how much was read to know them, and what could not be summed: path and reason."""

    files: int
    bytes: int
    read_files: int
    read_bytes: int
    sums: list[Summed]
    failed: dict[str, str]


class Checksums(NamedTuple):
    """The report, and the lines."""

    report: ChecksumsReport
    lines: list[str]


def checksums(
    root: str,
    holdings: Sequence[Holding],
    *,
    limit: int | None = None,
    full: bool = False,
    watch: Watch = unwatched,
) -> Checksums:
    """Sum the files below `root`, or the `limit` largest of each kind; what is known is not read again unless `full`.

    A file under two paths counts once where the largest are chosen; else every path has its line.
    """
    chosen = sorted(holdings, key=lambda holding: os.fsencode(holding.path))
    if limit is not None:
        chosen = largest(distinct(holdings), dict.fromkeys(KINDS, limit))
    reading = [holding for holding in chosen if holding.real and (full or holding.known is None)]
    outcomes = read(root, reading, watch)
    sums, failed = [], {shown(holding.path): "it is not there" for holding in chosen if not holding.real}
    for holding in chosen:
        outcome = outcomes.get(holding.path)
        if outcome and outcome.fault:
            failed[shown(holding.path)] = outcome.fault.message.replace(f"{root}{os.sep}", "")
        elif outcome:
            sums.append((Sum(holding.path, outcome.sha256), outcome.size))
        elif holding.known and holding.real:
            sums.append((Sum(holding.path, holding.known), holding.size))
    report = ChecksumsReport(
        len(sums),
        sum(size for _, size in sums),
        len(outcomes),
        sum(outcome.size for outcome in outcomes.values()),
        [Summed(shown(one.path), one.sha256, size) for one, size in sums],
        failed,
    )
    return Checksums(report, [one.line for one, _ in sums])


def read(root: str, holdings: Sequence[Holding], watch: Watch = unwatched) -> dict[str, Hashed]:
    """Hash files below `root`, in parallel, each path once."""
    files = [ToHash(one.path, os.path.join(root, one.path), one.size) for one in dict.fromkeys(holdings)]
    with watch("reading", sum(file.size for file in files)) as progress:
        return {outcome.name: outcome for outcome in hash_files(files, progress)}


def parse_sums(text: bytes) -> list[Sum]:
    """Read lines as `sha256sum` writes them; empty lines and lines that begin with `#` are passed over.

    Raises UsageError (BadRequest), which names the line.
    """
    found = []
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = os.fsdecode(raw.removesuffix(b"\r"))
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"line {number} is no checksum: {shown(line)[:80]!r}", hint="write it with `sha256sum`")
        name = re.sub(r"\\[\\nr]", lambda found: _PLAIN[found[0]], match[3]) if match[1] else match[3]
        found.append(Sum(name, match[2].lower()))
    return found
