"""Numbers as people read and write them."""

import re

from tenuto.core.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def size_text(size_bytes: int) -> str:
    """Bytes in powers of 1,000: `999 B`, `1.3 MB`, `110 MB`."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 99.5 else f"{value:.1f} {unit}"
    return f"{value:.0f} PB"


def count_text(count: int, noun: str) -> str:
    """`1 file`, `20,000 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration_text(seconds: float) -> str:
    """`45 ms`, `3.2 s`, `2 min 5 s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def parse_duration_s(text: str) -> float:
    """Seconds of `90s`, `30m`, `12h`, `7d` or `2w`; raises UsageError (BadCommand)."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", text, re.ASCII)
    if not found:
        raise UsageError(f"{text[:40]!r} is not a time span", code="BadCommand", hint="write 90s, 30m, 12h, 7d or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Bytes of `500MB`, `50 GB`, `2TB` (powers of 1,000) or `1GiB` (of 1,024); raises UsageError (BadCommand)."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?) ?([kKMGT]?)(i?)B?", text, re.ASCII)
    if not found:
        raise UsageError(f"{text[:40]!r} is not a size", code="BadCommand", hint="write 500MB, 50GB or 2TB")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index((found[2] or " ").upper()))


def parse_share(text: str) -> float:
    """`5%` as 0.05: more than nothing, at most all; raises UsageError (BadCommand)."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)%", text, re.ASCII)
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share <= 1:
        raise UsageError(f"{text[:40]!r} is not a share", code="BadCommand", hint="write --sample 5%")
    return share
