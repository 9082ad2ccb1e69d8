"""The pack: many small files in one body, so that each costs no request. Normative description: docs/formats/pack.md.

frame = length of the name (2 bytes), length of the content (4 bytes), name in UTF-8, content; numbers are little-endian
"""

import struct
from collections.abc import Iterator

from tenuto.core.errors import UsageError

MEDIA_TYPE = "application/vnd.tenuto.pack"
FEATURE_HEADER = "X-Tenuto-Pack"
FEATURE_VERSION = "1"
FILE_LIMIT_BYTES = 4 << 20
PACK_LIMIT_FILES = 1024
PACK_LIMIT_BYTES = 32 << 20
NAME_LIMIT_BYTES = 1024
_HEAD = struct.Struct("<HI")


def frame_head(name: str, size: int) -> bytes:
    """What stands before the `size` bytes of a file's content."""
    encoded = name.encode()
    return _HEAD.pack(len(encoded), size) + encoded


def frame_size(name: str, size: int) -> int:
    """The bytes that a file takes in a pack."""
    return _HEAD.size + len(name.encode()) + size


class Unpacker:
    """Takes a pack apart as it comes in, holding one frame at the most."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[str, bytes]]:
        """Every file that is complete with `data`, as name and content; raises UsageError (BadRequest, TooLarge) for what is no pack."""
        self._held += data
        position = 0
        try:
            while (frame := self._frame(position)) is not None:
                name, content, position = frame
                yield name, content
        finally:
            del self._held[:position]

    def finish(self) -> None:
        """Raise UsageError (BadRequest) if the pack ended in the middle of a file."""
        if self._held:
            raise UsageError("the pack ends in the middle of a file")

    def _frame(self, position: int) -> tuple[str, bytes, int] | None:
        if len(self._held) - position < _HEAD.size:
            return None
        name_bytes, size = _HEAD.unpack_from(self._held, position)
        if name_bytes > NAME_LIMIT_BYTES or size > FILE_LIMIT_BYTES:
            raise UsageError(f"a pack holds no file above {FILE_LIMIT_BYTES} bytes", code="TooLarge")
        start = position + _HEAD.size
        end = start + name_bytes + size
        if len(self._held) < end:
            return None
        view = memoryview(self._held)
        try:
            name = bytes(view[start : start + name_bytes]).decode()
            return name, bytes(view[start + name_bytes : end]), end
        except UnicodeDecodeError as error:
            raise UsageError("a name in the pack is not UTF-8") from error
        finally:
            view.release()
