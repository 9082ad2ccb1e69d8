"""`smoke`: are the recorded files, or else the largest ones, here, and do they have the hashes that they should?"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tenuto.core.errors import UsageError
from tenuto.project.workspace import Watch, unwatched
from tenuto.store.disk import disk_errors
from tenuto.store.hashing import Hashed
from tenuto.survey.checksums import Sum, parse_sums, read
from tenuto.survey.holdings import Holding, distinct, largest
from tenuto.survey.inventory import moment, shown
from tenuto.survey.junit import Case, Suite, junit

RECORD = "models/checksums.sha256"
REPORTS = "tests/env_tests"
LARGEST: Mapping[str, int] = {"models": 12, "datasets": 8}
NOTHING, RECORDED_FAULT, MISSING = 2, 3, 4


class SmokeResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file. `size_bytes` and `sha256` are null where it cannot be read, `expected` and `match` where no hash is recorded for it."""

    path: str
    exists: bool
    size_bytes: int | None
    sha256: str | None
    expected: str | None
    match: bool | None
    sha256_error: str | msgspec.UnsetType = msgspec.UNSET


class SmokeSummary(msgspec.Struct, frozen=True):
    """Counts over all results."""

    generated_at: str
    total_files: int
    matched: int
    missing: int
    has_recorded_checksums: bool


class SmokeReport(msgspec.Struct, frozen=True):
    """The document that is written."""

    summary: SmokeSummary
    results: list[SmokeResult]

    @property
    def exit_status(self) -> int:
        """0: all is well; 2: there was nothing to check; 3: a recorded file is missing or differs; 4: a file is missing that nobody recorded."""
        if not self.results:
            return NOTHING
        if any(result.match is False for result in self.results):
            return RECORDED_FAULT
        return MISSING if any(result.sha256 is None for result in self.results) else 0


class _Wanted(NamedTuple):
    path: str
    expected: str | None
    known: str | None = None


def smoke(
    root: str,
    holdings: Sequence[Holding],
    *,
    record: str | None = None,
    counts: Mapping[str, int] = LARGEST,
    quick: bool = False,
    watch: Watch = unwatched,
    clock: Callable[[], float] = time.time,
) -> SmokeReport:
    """Check files below `root`: those of the `record`, a file of checksums, if there is one; else the largest of the holdings.

    Bytes that have several paths are one file before the largest are chosen. `quick` believes hashes of files that look as when they were
    last read. Nothing is changed. Raises UsageError (BadRequest) for a record that cannot be read, StorageError.
    """
    recorded = None if record is None else _read_record(record)
    if recorded is not None:
        wanted = [_Wanted(one.path, one.sha256) for one in dict.fromkeys(recorded)]
    else:
        chosen = largest(distinct(holdings), dict(counts))
        wanted = [_Wanted(one.path, one.expected, one.known if quick and one.real else None) for one in chosen]
    readable = [one for one in wanted if one.known is None and _is_below(one.path)]
    outcomes = read(root, [Holding("models", one.path, _size(root, one.path), None) for one in readable], watch)
    results = [_result(root, one, outcomes.get(one.path)) for one in wanted]
    return SmokeReport(
        SmokeSummary(
            moment(clock()),
            len(results),
            sum(result.match is True for result in results),
            sum(not result.exists for result in results),
            any(one.expected for one in wanted) or recorded is not None,
        ),
        results,
    )


def report_path(root: str, clock: Callable[[], float] = time.time) -> str:
    """Where a report goes if nobody says: a new file for each second."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock()))
    return os.path.join(root, REPORTS, f"smoke_report_{stamp}.json")


def smoke_junit(report: SmokeReport) -> bytes:
    """The report as JUnit XML: a case a file."""
    cases = []
    for result in report.results:
        if result.match is False or result.sha256 is None:
            fault = "mismatch" if result.sha256 else "unreadable" if result.exists else "missing"
            detail = f"expected sha256 {result.expected}\nfound    sha256 {result.sha256}\n{result.sha256_error or ''}"
            cases.append(Case(result.path, fault, detail))
        else:
            cases.append(Case(result.path))
    return junit("tenuto smoke", [Suite("smoke", cases)])


def _read_record(path: str) -> list[Sum]:
    with disk_errors(path), open(path, "rb") as file:
        text = file.read()
    try:
        return parse_sums(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from error


def _is_below(path: str) -> bool:
    """Whether a recorded path leads to nowhere but below the root; one of another machine does not."""
    steps = path.split("/")
    return not path.startswith("/") and ".." not in steps and "\0" not in path


def _size(root: str, path: str) -> int:
    try:
        return os.stat(os.path.join(root, path)).st_size
    except OSError:
        return 0


def _result(root: str, wanted: _Wanted, outcome: Hashed | None) -> SmokeResult:
    path = shown(wanted.path)
    if outcome is None and wanted.known is None:
        match = False if wanted.expected else None
        return SmokeResult(path, False, None, None, wanted.expected, match, "it is no path below this folder")
    if outcome is not None and outcome.fault is not None:
        exists = os.path.exists(os.path.join(root, wanted.path))
        match = False if wanted.expected else None
        reason = outcome.fault.message.replace(f"{root}{os.sep}", "")
        return SmokeResult(path, exists, None, None, wanted.expected, match, reason if exists else msgspec.UNSET)
    sha256 = outcome.sha256 if outcome else wanted.known
    size = outcome.size if outcome else _size(root, wanted.path)
    return SmokeResult(
        path, True, size, sha256, wanted.expected, sha256 == wanted.expected if wanted.expected else None
    )
