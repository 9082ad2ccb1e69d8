"""Bytes with a length, read in pieces where they lie: a file, a part of one, or a text in memory."""

import contextlib
import os
import stat
import struct
from collections.abc import Callable, Iterator

from tenuto.core.errors import NotFoundError, StorageError, UsageError
from tenuto.inspect.findings import FormatError

PIECE_BYTES = 1 << 20
_BUFFER_BYTES = 64 << 10


class Source:
    """A range of bytes. Reading outside of it raises FormatError (Truncated); no read holds more than what was asked for."""

    def __init__(self, read_at: Callable[[int, int], bytes], start: int, size: int) -> None:
        self._read_at = read_at
        self._start = start
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset` on."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise FormatError("Truncated", f"{length:,} bytes are wanted at {offset:,}, and it has {self.size:,}")
        data = self._read_at(self._start + offset, length)
        if len(data) != length:
            raise FormatError("Truncated", f"it became shorter than {self.size:,} bytes while it was read")
        return data

    def head(self, length: int) -> bytes:
        """The first bytes, at most `length`."""
        return self.read(0, min(length, self.size))

    def pieces(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `offset` on, in pieces of at most 1 MiB."""
        end = self.size if length is None else offset + length
        while offset < end:
            piece = self.read(offset, min(PIECE_BYTES, end - offset))
            yield piece
            offset += len(piece)

    def window(self, offset: int, length: int) -> "Source":
        """A part as a source of its own."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise FormatError("Truncated", f"a part of {length:,} bytes at {offset:,} ends outside of {self.size:,}")
        return Source(self._read_at, self._start + offset, length)


def from_bytes(data: bytes) -> Source:
    """A source in memory."""
    return Source(lambda offset, length: data[offset : offset + length], 0, len(data))


@contextlib.contextmanager
def open_source(path: str) -> Iterator[Source]:
    """A file as a source.

    Raises NotFoundError (EntryNotFound), UsageError (BadPath) for what is no regular file, StorageError for what the disk refuses.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe is refused, not waited for
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist") from error
    except OSError as error:
        raise _refused(path, error) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is not a file", code="BadPath", hint="name files, not folders")
        yield Source(lambda offset, length: os.pread(descriptor, length, offset), 0, found.st_size)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        os.close(descriptor)


def _refused(path: str, error: OSError) -> StorageError:
    return StorageError(f"{path} cannot be read: {error.strerror}")


class Cursor:
    """A place in a source that moves on with what is read; small reads are served from one buffer."""

    def __init__(self, source: Source, position: int = 0) -> None:
        self.source = source
        self.position = position
        self._buffer = b""
        self._buffer_at = 0

    @property
    def left(self) -> int:
        """How many bytes follow."""
        return self.source.size - self.position

    def peek(self, length: int) -> bytes:
        """The next bytes, at most `length`, without moving on."""
        length = min(length, self.left)
        at = self.position - self._buffer_at
        if at < 0 or at + length > len(self._buffer):
            wanted = min(max(length, _BUFFER_BYTES), self.left)
            self._buffer, self._buffer_at, at = self.source.read(self.position, wanted), self.position, 0
        return self._buffer[at : at + length]

    def take(self, length: int) -> bytes:
        """The next `length` bytes; moves on. Raises FormatError (Truncated)."""
        if length > self.left:
            raise FormatError(
                "Truncated", f"{length:,} bytes are wanted at {self.position:,}, and {self.left:,} are left"
            )
        data = self.peek(length)
        self.position += length
        return data

    def skip(self, length: int) -> None:
        """Move on by `length` bytes. Raises FormatError (Truncated)."""
        if length > self.left:
            raise FormatError(
                "Truncated", f"{length:,} bytes are to follow {self.position:,}, and {self.left:,} are left"
            )
        self.position += length

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next whole numbers."""
        return layout.unpack(self.take(layout.size))

    def number(self, layout: struct.Struct) -> int:
        """The next whole number."""
        (value,) = layout.unpack(self.take(layout.size))
        assert isinstance(value, int)
        return value
