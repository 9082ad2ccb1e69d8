"""Reads a xorb while it arrives: every chunk is unpacked and hashed, never more than one is held (xet-protocol section 5)."""

from array import array

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.store.xet.chunks import HEADER_BYTES, Decoder, read_header
from tenuto.store.xet.hashes import chunk_hash, merkle_root, to_text
from tenuto.store.xet.table import XorbTable

MOST_RAW_BYTES = 64 << 20
MOST_CHUNKS = 8192
MOST_BODY_BYTES = 65 << 20
"""Chunks that do not shrink are stored as they are, each with a header: a body may be somewhat larger than what is in it."""
_FOOTER = b"XETBLOB"


class XorbReader:
    """Takes in the body of a xorb piece by piece."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._rest = b""
        self._in_footer = False
        self._hashes = bytearray()
        self._raw, self._stored = array("I", [0]), array("I", [0])

    @property
    def stored_bytes(self) -> int:
        """Bytes of whole chunks so far; a footer, which old clients send behind them, is not counted."""
        return self._stored[-1]

    def feed(self, data: bytes | memoryview) -> None:
        """Take in more bytes. Raises UsageError (BadRequest, TooLarge) as soon as they cannot belong to a xorb."""
        if self._in_footer:
            return
        at = 0
        while self._rest and at < len(data):
            wanted = HEADER_BYTES
            if len(self._rest) >= HEADER_BYTES:
                wanted += read_header(self._rest).stored
            wanted -= len(self._rest)
            self._rest += data[at : at + wanted]
            at += wanted
            if self._take(memoryview(self._rest), 0) or self._in_footer:
                self._rest = b""
        body = memoryview(data)
        while not self._in_footer and (end := self._take(body, at)) > at:
            at = end
        self._rest += b"" if self._in_footer else body[at:]

    def _take(self, body: memoryview, at: int) -> int:
        """Take the chunk at `at`, if it is here as a whole; returns where the next one begins, `at` if nothing was taken."""
        if len(body) - at < HEADER_BYTES:
            return at
        if body[at : at + len(_FOOTER)] == _FOOTER:
            self._in_footer = True
            return at
        header = read_header(body[at : at + HEADER_BYTES])
        if self._raw[-1] + header.raw > MOST_RAW_BYTES:
            raise UsageError(f"a xorb may unpack to {MOST_RAW_BYTES} bytes at most", code="TooLarge")
        if len(self._raw) > MOST_CHUNKS:
            raise UsageError(f"a xorb may have {MOST_CHUNKS} chunks at most", code="TooLarge")
        start, end = at + HEADER_BYTES, at + HEADER_BYTES + header.stored
        if end > len(body):
            return at
        self._hashes += chunk_hash(self._decoder.decode(header, body[start:end]))
        self._raw.append(self._raw[-1] + header.raw)
        self._stored.append(self._stored[-1] + end - at)
        return end

    def finish(self, name: str) -> XorbTable:
        """The table of the chunks, whose hash is `name`. Raises UsageError (BadRequest), IntegrityError (HashMismatch)."""
        if self._rest:
            raise UsageError(f"the xorb ends inside a chunk, {len(self._rest)} bytes behind its start")
        if len(self._raw) == 1:
            raise UsageError("the xorb has no chunks")
        table = XorbTable(bytes(self._hashes), self._raw, self._stored)
        found = to_text(merkle_root(table.hashes, table.lengths))
        if found != name:
            raise IntegrityError(f"the xorb has the hash {found}, expected {name}", hint="nothing was stored")
        return table
