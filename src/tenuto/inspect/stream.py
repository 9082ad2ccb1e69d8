"""Bytes that come one after another and cannot be gone back to, read like a source with a place in it."""

from collections.abc import Iterator

from tenuto.inspect.findings import FormatError


class Stream:
    """Reads pieces as they come; holds no more than one piece and what is asked for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._at = 0
        self.position = 0

    def peek(self, length: int) -> bytes:
        """The next bytes, at most `length`, without moving on."""
        if len(self._buffer) - self._at < length:
            held = [self._buffer[self._at :]]
            missing = length - len(held[0])
            while missing > 0 and (piece := next(self._pieces, b"")):
                held.append(piece)
                missing -= len(piece)
            self._buffer, self._at = b"".join(held), 0
        return self._buffer[self._at : self._at + length]

    def take(self, length: int) -> bytes:
        """The next `length` bytes; moves on. Raises FormatError (Truncated)."""
        data = self.peek(length)
        if len(data) < length:
            raise FormatError(
                "Truncated", f"{length:,} bytes are wanted at {self.position:,}, and {len(data):,} are left"
            )
        self._at += length
        self.position += length
        return data

    def skip(self, length: int) -> None:
        """Move on by `length` bytes. Raises FormatError (Truncated)."""
        while length:
            here = len(self._buffer) - self._at
            if not here and not self.peek(1):
                raise FormatError("Truncated", f"it ends {length:,} bytes before the end of a part")
            step = min(length, len(self._buffer) - self._at)
            self._at += step
            self.position += step
            length -= step

    def skip_all(self) -> None:
        """Read to the end."""
        while self.peek(1):
            self.skip(len(self._buffer) - self._at)
