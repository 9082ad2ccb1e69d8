"""Many small files in one request, where the hub speaks packs (docs/formats/pack.md)."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tenuto.core.pack import PACK_LIMIT_FILES, Unpacker
from tenuto.hub.session import Stream

PACK_FROM_FILES = 8
PACK_FILES = min(256, PACK_LIMIT_FILES)
PACK_BYTES = 8 << 20

T = TypeVar("T")


def by_pack(files: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """The files in groups of a pack each: small enough that several are under way, large enough that a request costs nothing."""
    group: list[T] = []
    size = 0
    for file in files:
        group.append(file)
        size += size_of(file)
        if len(group) >= PACK_FILES or size >= PACK_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def unpack(stream: Stream) -> Iterator[tuple[str, bytes]]:
    """Every file of the pack in an answer, by name; raises UsageError if it is no pack, or not a whole one."""
    unpacker = Unpacker()
    for block in stream.blocks:
        yield from unpacker.feed(block)
    unpacker.finish()
