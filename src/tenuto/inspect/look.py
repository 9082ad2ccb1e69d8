"""`inspect_file`: find out what a file is, have it looked at by the module for that format, and say how that fits its name."""

import os
from collections.abc import Callable
from typing import TypeAlias

from tenuto.inspect import (
    checkpoint,
    flac,
    gguf,
    gzip,
    images,
    mp3,
    npy,
    ogg,
    onnx,
    parquet,
    pickles,
    safetensors,
    shards,
    tables,
    tars,
    text,
    wav,
)
from tenuto.inspect.detect import FORMATS, HEAD_BYTES, PICKLE_ENDINGS, claimed, claimed_family, sniff
from tenuto.inspect.findings import FormatError, Inspection, Limits, Report
from tenuto.inspect.source import PIECE_BYTES, Source, open_source

Look: TypeAlias = Callable[[Source, Report], None]

_ZERO_TAIL_BYTES = 64 << 10
_ZIP_FORMATS = frozenset({"zip", "torch", "npz"})
_SAFE_NAMES = frozenset({"safetensors", "gguf", "onnx", "npy", "parquet"})
LOOKS: dict[str, Look] = {
    "safetensors": safetensors.inspect,
    "gguf": gguf.inspect,
    "onnx": onnx.inspect,
    "pickle": pickles.inspect,
    "npy": npy.inspect,
    "parquet": parquet.inspect,
    "zip": checkpoint.inspect_zip,
    "tar": tars.inspect,
    "gzip": gzip.inspect,
    "wav": wav.inspect,
    "flac": flac.inspect,
    "mp3": mp3.inspect,
    "ogg": ogg.inspect,
    "png": images.inspect_png,
    "jpeg": images.inspect_jpeg,
    "json": text.inspect_json,
    "jsonl": text.inspect_jsonl,
    "yaml": text.inspect_yaml,
    "csv": tables.inspect,
}


def inspect_file(path: str, *, limits: Limits | None = None) -> Inspection:
    """What a file is and whether it is whole, from reading it: nothing in it is executed, unpickled or written.

    Raises NotFoundError (EntryNotFound), UsageError (BadPath) for what is no regular file, StorageError for what the disk refuses; whatever
    the file holds is a finding. Memory and work are bounded by `limits`.
    """
    report = Report(limits or Limits())
    with open_source(path) as source:
        _look_all(source, path, report)
        if path.endswith(shards.ENDING) and report.format == "json":
            with report.part():
                shards.check_shards(path, report)
        return report.inspection(_printable(path), source.size)


def look_at(source: Source, path: str, limits: Limits) -> Inspection:
    """What the bytes of a source are that has this path; only the name of it counts, and nothing is looked for there."""
    report = Report(limits)
    _look_all(source, path, report)
    return report.inspection(_printable(path), source.size)


def _look_all(source: Source, path: str, report: Report) -> None:
    with report.part():
        _look(source, os.path.basename(path), report)


def _printable(path: str) -> str:
    """The path as JSON can hold it: a name may be no text."""
    return path.encode("utf-8", "backslashreplace").decode()


def _look(source: Source, name: str, report: Report) -> None:
    if not source.size:
        report.format = "empty"
        raise FormatError("Empty", "it has no bytes")
    found = sniff(source.head(HEAD_BYTES), name)
    report.format = found or "unknown"
    if found in LOOKS:
        with report.part():
            LOOKS[found](source, report)
    elif found is None:
        _look_unknown(source, name, report)
    elif found not in {"html", "lfs-pointer"}:
        report.add("NotAllChecked", f"there is no check for {found}")
    _compare_with_name(name, report)
    _check_tail(source, report)


def _look_unknown(source: Source, name: str, report: Report) -> None:
    """Something without a magic number: an old pickle has none either."""
    code = pickles.try_walk(source, report)
    if code:
        report.format = "pickle"
        pickles.describe(code, report)
    elif name.lower().endswith(PICKLE_ENDINGS):
        with report.part():
            pickles.inspect(source, report)  # says how far it goes, and what it names up to there


def _compare_with_name(name: str, report: Report) -> None:
    wanted, family, found = claimed(name), claimed_family(name), report.format
    if found == "html" and wanted != "html" and (wanted or family):
        report.add("HtmlPage", "a web page was saved instead of the file")
    elif found == "lfs-pointer":
        report.add("LfsPointer", "it names its content, and does not hold it: fetch it with git-lfs or from the hub")
    elif wanted is None or _fits(wanted, found):
        if family == "weights" and found in {"7z", "rar", "xz", "bzip2", "zstd", "tar"}:
            report.add("NotThisFormat", f"a file of weights is no {found} archive")
    elif found == "unknown":
        report.add("NotThisFormat", f"it is no {wanted}")
    elif wanted in _SAFE_NAMES and found in {"pickle", "torch"}:
        report.add("DisguisedPickle", f"its name says {wanted}, and it is a pickle")
    elif FORMATS[wanted].family == FORMATS[found].family:
        report.add("OtherFormat", f"its name says {wanted}, and it is {found}")
    else:
        report.add("NotThisFormat", f"its name says {wanted}, and it is {found}")


def _fits(wanted: str, found: str) -> bool:
    return wanted == found or (wanted in _ZIP_FORMATS and found in _ZIP_FORMATS and wanted == "zip")


def _check_tail(source: Source, report: Report) -> None:
    """How much of the end is zero, where that is much; not for what carries checksums or is found broken anyway."""
    if source.size < 2 * _ZERO_TAIL_BYTES or any(finding.severity == "damage" for finding in report.findings):
        return
    end = source.size
    while end:
        start = max(0, end - (_ZERO_TAIL_BYTES if end == source.size else PIECE_BYTES))
        if end < source.size and not report.spend(end - start):
            break
        piece = source.read(start, end - start).rstrip(b"\0")
        if piece:
            end = start + len(piece)
            break
        end = start
    if not end:
        report.add("Empty", f"all of its {source.size:,} bytes are zero")
    elif source.size - end >= _ZERO_TAIL_BYTES:
        report.add("ZeroTail", f"the last {source.size - end:,} bytes are zero")
