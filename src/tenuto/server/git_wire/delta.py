"""Differences between two bodies, as packs hold them: copy this of the base, insert that. Source: gitformat-pack(5)."""

import re

from tenuto.core.errors import IntegrityError

TREE_ITEM = re.compile(rb"([0-7]{5,6}) ([^\0]+)\0(.{20})", re.DOTALL)
"""One item of a tree that the hub holds: mode, name, binary id."""

_MAX_COPY = 0xFFFFFF
_MAX_INSERT = 127


def delta_sizes(delta: bytes) -> tuple[int, int, int]:
    """Size of the base, size of the result, and where the instructions begin; raises IntegrityError (CorruptObject)."""
    base_size, position = _read_size(delta, 0)
    size, position = _read_size(delta, position)
    return base_size, size, position


def _read_size(delta: bytes, position: int) -> tuple[int, int]:
    size, shift = 0, 0
    while True:
        if position >= len(delta) or shift > 60:
            raise _broken()
        byte = delta[position]
        position += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size, position
        shift += 7


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """What the difference makes of `base`; never more than it says, and raises IntegrityError (CorruptObject) if it is less."""
    base_size, size, position = delta_sizes(delta)
    if base_size != len(base):
        raise _broken()
    result = bytearray()
    while position < len(delta):
        code = delta[position]
        position += 1
        if code & 0x80:
            start, length, position = _read_copy(delta, position, code)
            if start + length > base_size:
                raise _broken()
            result += base[start : start + length]
        elif code and position + code <= len(delta):
            result += delta[position : position + code]
            position += code
        else:
            raise _broken()
        if len(result) > size:
            raise _broken()
    if len(result) != size:
        raise _broken()
    return bytes(result)


def _read_copy(delta: bytes, position: int, code: int) -> tuple[int, int, int]:
    numbers = []
    for first, count in ((0, 4), (4, 3)):
        number = 0
        for index in range(count):
            if code >> (first + index) & 1:
                if position >= len(delta):
                    raise _broken()
                number |= delta[position] << (8 * index)
                position += 1
        numbers.append(number)
    return numbers[0], numbers[1] or 0x10000, position


def _broken() -> IntegrityError:
    return IntegrityError("the pack cannot be read: a difference does not fit its base", code="CorruptObject")


def tree_delta(base: bytes, body: bytes) -> bytes:
    """A difference that makes the tree `body` of the tree `base`: items that both have are copied."""
    places = {match[0]: match.start() for match in TREE_ITEM.finditer(base)}
    delta = bytearray(_size(len(base)) + _size(len(body)))
    copy_start, copy_length = 0, 0
    new = bytearray()
    for match in TREE_ITEM.finditer(body):
        item = match[0]
        place = places.get(item)
        if place is not None and not new and place == copy_start + copy_length:
            copy_length += len(item)
            continue
        if place is None:
            new += item
            continue
        delta += _copies(copy_start, copy_length) + _inserts(new)
        copy_start, copy_length = place, len(item)
        new.clear()
    return bytes(delta + _copies(copy_start, copy_length) + _inserts(new))


def _size(number: int) -> bytes:
    coded = bytearray()
    while number >= 0x80:
        coded.append(number & 0x7F | 0x80)
        number >>= 7
    coded.append(number)
    return bytes(coded)


def _copies(start: int, length: int) -> bytes:
    coded = bytearray()
    while length:
        some = min(length, _MAX_COPY)
        code, operands = 0x80, bytearray()
        for index, byte in enumerate(start.to_bytes(4, "little") + some.to_bytes(3, "little")):
            if byte:
                code |= 1 << index
                operands.append(byte)
        coded.append(code)
        coded += operands
        start, length = start + some, length - some
    return bytes(coded)


def _inserts(data: bytearray) -> bytes:
    coded = bytearray()
    for position in range(0, len(data), _MAX_INSERT):
        some = data[position : position + _MAX_INSERT]
        coded.append(len(some))
        coded += some
    return bytes(coded)
