"""WAV: RIFF, RF64 and BW64 chunks, the format, and the samples. Source: Multimedia Programming Interface 1.0; EBU Tech 3306."""

import struct
from typing import NamedTuple

from tenuto.inspect.findings import FormatError, Report
from tenuto.inspect.source import Source
from tenuto.inspect.tensors import has_nan

_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_UNKNOWN_SIZE = 0xFFFFFFFF
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODINGS = {_PCM: "PCM", 2: "ADPCM", _FLOAT: "float", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x55: "MP3"}
MOST_CHANNELS, LARGEST_RATE_HZ = 256, 1_536_000
_SUBFORMAT_AT = 24


class Sound(NamedTuple):
    """The format chunk."""

    coding: int
    channels: int
    rate_hz: int
    bytes_per_second: int
    frame_bytes: int
    bits: int


def inspect(source: Source, report: Report) -> None:
    """Check the chunks against the file, the format against itself, and float samples for NaN."""
    form, riff_bytes = _CHUNK.unpack(source.read(0, _CHUNK.size))
    if form == b"RIFX":
        raise FormatError("NotAllChecked", "a WAV with the most significant byte first is not looked into")
    large = _large_sizes(source) if form != b"RIFF" else None
    if large:
        riff_bytes = large[0]
    if riff_bytes + 8 > source.size and riff_bytes != _UNKNOWN_SIZE:
        report.add("Truncated", f"{riff_bytes + 8:,} bytes are declared, {source.size:,} are there")
    elif riff_bytes + 8 + riff_bytes % 2 < source.size and riff_bytes:
        report.add("TrailingBytes", f"{source.size - riff_bytes - 8:,} bytes follow the end")
    sound, data = _chunks(source, large[1] if large else None, report)
    if sound is None:
        raise FormatError("BadHeader", "it has no format chunk")
    if data is None:
        raise FormatError("BadHeader", "it has no samples")
    _check_format(sound, report)
    frames = data.size // sound.frame_bytes if sound.frame_bytes else 0
    duration_s = frames / sound.rate_hz if sound.rate_hz and sound.coding in {_PCM, _FLOAT} else None
    report.fact(frames=frames, duration_s=duration_s and round(duration_s, 6))
    if sound.frame_bytes and data.size % sound.frame_bytes:
        report.add("SizeMismatch", f"the last frame has {data.size % sound.frame_bytes} of {sound.frame_bytes} bytes")
    if not data.size:
        report.add("BadValue", "it holds no samples")
    _check_samples(data, sound, report)


def _large_sizes(source: Source) -> tuple[int, int]:
    """The sizes of the file and of its data that RF64 keeps in 64 bits."""
    name, length = _CHUNK.unpack(source.read(12, _CHUNK.size))
    if name != b"ds64" or length < 24:
        raise FormatError("BadHeader", "the chunk with the large sizes is missing")
    riff, data = struct.unpack("<QQ", source.read(20, 16))
    return riff, data


def _chunks(source: Source, data_bytes: int | None, report: Report) -> tuple[Sound | None, Source | None]:
    sound = data = None
    position = 12
    names: list[str] = []
    while position + _CHUNK.size <= source.size and len(names) < report.limits.listed:
        name, length = _CHUNK.unpack(source.read(position, _CHUNK.size))
        position += _CHUNK.size
        names.append(name.decode("latin-1").strip())
        left = source.size - position
        if name == b"fmt " and sound is None:
            sound = _format(source.window(position, min(length, left)))
        elif name == b"data" and data is None:
            if length == _UNKNOWN_SIZE and data_bytes is not None:
                length = data_bytes
            length = _data_size(length, left, report)
            data = source.window(position, length)
        elif length > left:
            report.add("Truncated", f"the chunk {names[-1]} declares {length:,} bytes, {left:,} are left")
        position += length + length % 2
    report.fact(chunks=names)
    return sound, data


def _data_size(length: int, left: int, report: Report) -> int:
    """How many bytes of samples there are, whatever is declared."""
    if length == _UNKNOWN_SIZE or (length == 0 and left > _CHUNK.size):
        report.add("Streamed", f"the samples declare {length:,} bytes, {left:,} are there")
        return left
    if length > left:
        report.add("Truncated", f"the samples declare {length:,} bytes, {left:,} are there")
    return min(length, left)


def _format(chunk: Source) -> Sound:
    values = _FORMAT.unpack(chunk.read(0, _FORMAT.size))
    coding = values[0]
    if coding == _EXTENSIBLE and chunk.size >= _SUBFORMAT_AT + 2:
        coding = int.from_bytes(chunk.read(_SUBFORMAT_AT, 2), "little")
    return Sound(coding, *values[1:])


def _check_format(sound: Sound, report: Report) -> None:
    coding = _CODINGS.get(sound.coding, f"coding {sound.coding:#06x}")
    report.fact(coding=coding, channels=sound.channels, rate_hz=sound.rate_hz, bits=sound.bits)
    check_sound(sound.channels, sound.rate_hz, report)
    if sound.coding not in {_PCM, _FLOAT}:
        return
    frame_bytes = sound.channels * (-(-sound.bits // 8))
    if sound.frame_bytes != frame_bytes or not 0 < sound.bits <= 64:
        report.add(
            "BadValue",
            f"{sound.channels} channels of {sound.bits} bits make {frame_bytes} bytes, not {sound.frame_bytes}",
        )
    if sound.bytes_per_second != sound.rate_hz * sound.frame_bytes:
        report.add("Unusual", f"it declares {sound.bytes_per_second:,} bytes a second")


def check_sound(channels: int, rate_hz: int, report: Report) -> None:
    """Report a number of channels or a rate that no recording has."""
    if not 0 < channels <= MOST_CHANNELS:
        report.add("BadValue", f"it has {channels} channels")
    if not 0 < rate_hz <= LARGEST_RATE_HZ:
        report.add("BadValue", f"it has a rate of {rate_hz:,} Hz")


def _check_samples(data: Source, sound: Sound, report: Report) -> None:
    dtype = {32: "F32", 64: "F64"}.get(sound.bits)
    whole = data.size - data.size % 8
    if sound.coding != _FLOAT or dtype is None or not report.spend(whole):
        return
    if any(has_nan(piece, dtype) for piece in data.pieces(0, whole)):
        report.add("NotANumber", "samples are NaN")
