"""Checksums of sound formats that the standard library does not have."""

import array
import functools
import sys
import zlib

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_forward(data: bytes) -> int:
    """CRC-32 with polynomial 0x04C11DB7, most significant bit first, starting from 0 and not inverted, as Ogg has it.

    It is the mirror image of the one of zlib, so that one does the work on mirrored bytes.
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


def crc16(data: bytes, crc: int = 0) -> int:
    """CRC-16 with polynomial 0x8005, most significant bit first, as FLAC frames have it; goes on from `crc`."""
    table = _crc16_table()
    even = len(data) & ~1
    words = array.array("H", data[:even])
    if sys.byteorder == "little":
        words.byteswap()
    for word in words:
        crc = table[crc ^ word]
    for byte in data[even:]:
        crc = crc << 8 & 0xFF00 ^ table[crc >> 8 ^ byte]
    return crc


@functools.cache
def _crc16_table() -> "array.array[int]":
    """What two bytes do to the register, for each of the 65,536 pairs; those below 256 are what one byte does."""
    one = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = crc << 1 & 0xFFFF ^ (0x8005 if crc & 0x8000 else 0)
        one.append(crc)
    return array.array(
        "H", (one[pair >> 8] << 8 & 0xFF00 ^ one[one[pair >> 8] >> 8 ^ pair & 0xFF] for pair in range(1 << 16))
    )


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07, as FLAC frame headers have it."""
    table = _crc8_table()
    crc = 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


@functools.cache
def _crc8_table() -> bytes:
    """What one byte does to the register."""
    table = bytearray(range(256))
    for _ in range(8):
        table = bytearray(crc << 1 & 0xFF ^ (0x07 if crc & 0x80 else 0) for crc in table)
    return bytes(table)
