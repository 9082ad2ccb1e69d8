"""How long a look into a file may take for a page, whatever is in it."""

import time

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source

LOOK_S = 0.4
LOOK_BYTES = 64 << 20


def paced(source: Source, most_s: float = LOOK_S, most_bytes: int = LOOK_BYTES) -> Source:
    """The same bytes. Reading them raises FormatError (NotAllChecked) after so many bytes, or so much time of the processor.

    A look that goes part by part and step by step, such as one into an archive of archives, ends soon after that.
    """
    end_s = time.thread_time() + most_s
    left = most_bytes

    def read_at(offset: int, length: int) -> bytes:
        nonlocal left
        left -= length
        if left < 0 or time.thread_time() > end_s:
            raise FormatError("NotAllChecked", "to look through all of it takes longer than is spent on a page")
        return source.read(offset, length)

    return Source(read_at, 0, source.size)
