"""gzip: what it unpacks to is read as a stream; a tar inside is walked. Source: RFC 1952."""

import zlib
from collections.abc import Iterator

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.members import is_bomb
from tenuto.inspect.source import Source
from tenuto.inspect.stream import Stream
from tenuto.inspect.tars import is_tar, walk_tar
from tenuto.inspect.zips import inflate


def inspect(source: Source, report: Report) -> None:
    """Unpack to the end, which checks the checksum; walk the tar if it holds one."""
    if not report.spend(source.size):
        return
    stream = Stream(_unpacked(source))
    if is_tar(stream.peek(512)):
        report.fact(holds="tar")
        walk_tar(stream, report)
    stream.skip_all()
    report.fact(unpacked_bytes=stream.position)


def _unpacked(source: Source) -> Iterator[bytes]:
    size = 0
    for piece in inflate(source, zlib.MAX_WBITS | 16, several=True):
        size += len(piece)
        if is_bomb(source.size, size):
            raise FormatError("Bomb", f"more than {size:,} bytes come out of {source.size:,}")
        yield piece
