"""Hashes of chunks, xorbs, files and terms (xet-protocol sections 2 and 4). The only door to blake3.

A hash is 32 bytes; its text is 64 hex digits with each group of 8 bytes reversed. Many hashes are kept one behind the other.
"""

import re
from array import array
from collections.abc import Sequence

from blake3 import blake3

from tenuto.core.errors import UsageError

HASH_BYTES = 32
ZERO = bytes(HASH_BYTES)
"""The hash of the empty file."""
_TEXT = re.compile(r"[0-9a-f]{64}")
_DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_TERM_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_MOST_IN_GROUP = 9
_MOST_WAITING = 4096
_LAST_GROUP_BYTE = 24  # of a hash, in the group whose value modulo 4 or 1024 counts


def check_hash(text: str) -> str:
    """Return `text` if it is 64 lowercase hex digits; raises UsageError (BadRequest) before any path is built of it."""
    if not _TEXT.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a hash: 64 lowercase hex digits")
    return text


def to_text(hashes: bytes | bytearray) -> str:
    """The text of one hash, or the texts of many one behind the other, 64 digits each."""
    return _swapped(hashes).hex()


def from_text(text: str) -> bytes:
    """The hash, or hashes, of a text."""
    return _swapped(bytes.fromhex(text))


def _swapped(data: bytes | bytearray) -> bytes:
    groups = array("Q", data)
    groups.byteswap()
    return groups.tobytes()


def chunk_hash(raw: bytes | bytearray | memoryview) -> bytes:
    """The hash of a chunk, of its bytes as they are in the file."""
    return blake3(raw, key=_DATA_KEY).digest()


def stored_hash(stored: bytes | memoryview) -> bytes:
    """A hash of the stored bytes of a chunk, packed as they are; part of no protocol."""
    return blake3(stored).digest()


def term_hash(hashes: bytes) -> bytes:
    """The hash that proves knowledge of the chunks of a term."""
    return blake3(hashes, key=_TERM_KEY).digest()


def keyed_hash(key: bytes, one: bytes) -> bytes:
    """A chunk hash as it is told to somebody who need not have the chunk; `key` has 32 bytes."""
    return blake3(one, key=key).digest()


def file_hash(hashes: bytes, lengths: Sequence[int]) -> bytes:
    """The hash of a file that consists of these chunks."""
    return file_hash_of_root(merkle_root(hashes, lengths))


def file_hash_of_root(root: bytes) -> bytes:
    """The hash of a file whose chunks have this root."""
    return ZERO if root == ZERO else blake3(root, key=ZERO).digest()


def merkle_root(hashes: bytes, lengths: Sequence[int]) -> bytes:
    """The hash over chunks in order, which is the name of a xorb; lengths in bytes. Of no chunks: 32 zero bytes."""
    tree = MerkleTree()
    tree.add(hashes, lengths)
    return tree.root()


class _Level:
    """What waits on one level of a tree until it is grouped."""

    def __init__(self) -> None:
        self.hashes = bytearray()
        self.lengths: list[int] = []
        self.is_first = True


class MerkleTree:
    """The hash over a list of chunks that comes in pieces and is never held as a whole."""

    def __init__(self) -> None:
        self._levels = [_Level()]

    def add(self, hashes: bytes, lengths: Sequence[int]) -> None:
        """Append chunks; lengths in bytes."""
        self._add(0, hashes, lengths)

    def root(self) -> bytes:
        """The hash over all of them, 32 zero bytes if there are none; nothing may be added afterwards."""
        for height, level in enumerate(self._levels):
            if level.is_first and len(level.lengths) <= 1:
                return bytes(level.hashes) or ZERO
            self._pass_up(height, final=True)
        raise AssertionError("a level of one entry ends the loop")

    def _add(self, height: int, hashes: bytes, lengths: Sequence[int]) -> None:
        if height == len(self._levels):
            self._levels.append(_Level())
        level = self._levels[height]
        level.hashes += hashes
        level.lengths += lengths
        if len(level.lengths) >= _MOST_WAITING:
            self._pass_up(height, final=False)

    def _pass_up(self, height: int, *, final: bool) -> None:
        """Group what waits; unless it is the end of the list, the last few wait on, since their group may grow."""
        level = self._levels[height]
        text = to_text(level.hashes)
        marks = level.hashes[_LAST_GROUP_BYTE::HASH_BYTES]
        lines = [f"{text[64 * index : 64 * index + 64]} : {length}\n" for index, length in enumerate(level.lengths)]
        parents, sums, start = [], [], 0
        while start < len(lines) - (0 if final else _MOST_IN_GROUP - 1):
            end = _group_end(marks, start)
            parents.append(blake3("".join(lines[start:end]).encode(), key=_NODE_KEY).digest())
            sums.append(sum(level.lengths[start:end]))
            start = end
        del level.hashes[: HASH_BYTES * start], level.lengths[:start]
        level.is_first = False
        self._add(height + 1, b"".join(parents), sums)


def _group_end(marks: bytes | bytearray, start: int) -> int:
    left = len(marks) - start
    if left <= 2:
        return len(marks)
    most = min(_MOST_IN_GROUP, left)
    for index in range(2, most):
        if marks[start + index] & 3 == 0:
            return start + index + 1
    return start + most


def is_marked(one: bytes) -> bool:
    """Whether clients ask a hub for this chunk: its hash is 0 modulo 1024."""
    return one[_LAST_GROUP_BYTE] == 0 and one[_LAST_GROUP_BYTE + 1] & 3 == 0


def find_marked(hashes: bytes) -> list[int]:
    """The positions, counted in hashes, of those that are marked."""
    low, high = hashes[_LAST_GROUP_BYTE::HASH_BYTES], hashes[_LAST_GROUP_BYTE + 1 :: HASH_BYTES]
    found = []
    at = low.find(0)
    while at >= 0:
        if high[at] & 3 == 0:
            found.append(at)
        at = low.find(0, at + 1)
    return found
