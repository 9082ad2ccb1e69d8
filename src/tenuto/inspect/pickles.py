"""Pickles, and the files that torch wrote before it used zip: five pickles, then the storages."""

import struct

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.pickle_code import PickleCode, Storage
from tenuto.inspect.source import Cursor, Source
from tenuto.inspect.tensors import tell

STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_BEFORE_CONTENT = 2  # a version, and facts about the machine
_COUNT = struct.Struct("<q")


def inspect(source: Source, report: Report) -> None:
    """Walk over the pickle without loading it; over all five, and what follows, where torch wrote it."""
    cursor = Cursor(source)
    first = walk(cursor, report)
    if first.value != _LEGACY_MAGIC:
        describe(first, report)
        report.fact(pickles=1 + walk_rest(cursor, report))
        if cursor.left:
            report.add("TrailingBytes", f"{cursor.left:,} bytes follow the end of the pickle")
        return
    report.format = "torch"
    report.fact(layout="legacy")
    for _ in range(_LEGACY_BEFORE_CONTENT):
        walk(cursor, report)
    content = walk(cursor, report)
    describe(content, report)
    walk(cursor, report)  # the keys of the storages, in the order in which they follow
    _check_storages(cursor, content.storages, report)


def walk(cursor: Cursor, report: Report) -> PickleCode:
    """Walk over one pickle and report all that could run code; the cursor stands behind it afterwards."""
    code = PickleCode(cursor, report.limits.steps)
    try:
        code.walk()
    finally:
        warn(code, report)
    return code


def try_walk(source: Source, report: Report) -> PickleCode | None:
    """Walk over what may be a pickle under another name; None, and nothing reported, where it is none.

    One that breaks off counts if it begins as a pickle and names something: what comes before the break is run by who loads it.
    """
    cursor = Cursor(source)
    code = PickleCode(cursor, report.limits.steps)
    begins = source.head(2) in STARTS
    try:
        code.walk()
    except FormatError as error:
        if not (begins and code.globals):
            return None
        report.add(error.code, error.detail)
    if not (begins or code.globals):
        return None
    warn(code, report)
    with report.part():
        walk_rest(cursor, report)
    return code


def walk_rest(cursor: Cursor, report: Report) -> int:
    """Walk over the pickles that follow, which a program may load as well; how many there are."""
    count = 0
    while cursor.left and cursor.peek(2) in STARTS:
        walk(cursor, report)
        count += 1
    return count


def warn(code: PickleCode, report: Report) -> None:
    """Report what a pickle names that is not on the list of the harmless."""
    for named in code.globals:
        if not named.is_harmless:
            report.add("CodeOnLoad", f"it names {named}")
    for suspicion in code.suspicions:
        report.add("CodeOnLoad", suspicion)


def describe(code: PickleCode, report: Report) -> None:
    """Note the names and tensors of a pickle as facts."""
    report.fact(globals=[str(named) for named in list(code.globals)[: report.limits.listed]])
    if code.tensors:
        tell(code.tensors, report)


def _check_storages(cursor: Cursor, storages: dict[str, Storage], report: Report) -> None:
    """Each storage is its count of numbers, then the numbers; the order is in a list of keys, and sizes tell it too."""
    sizes = sum(storage.numbers * storage.number_bytes + _COUNT.size for storage in storages.values())
    if cursor.left < sizes:
        raise FormatError("Truncated", f"the storages need {sizes:,} bytes, {cursor.left:,} are left")
    if cursor.left > sizes:
        report.add("TrailingBytes", f"{cursor.left - sizes:,} bytes follow the last storage")
