"""WAV, FLAC, MP3 and Ogg: damage that the usual libraries pass over without a word."""

import struct
from pathlib import Path

import pytest

from tenuto.inspect.checksums import crc8, crc16, crc32_forward
from tenuto.inspect.look import inspect_file
from tenuto.testing.samples import write_wav
from tests.inspect.conftest import MADE_ELSEWHERE, Look, codes, made

FACTS = {
    "clip.flac": {"rate_hz": 16_000, "channels": 1, "samples": 12_000, "duration_s": 0.75},
    "clip.mp3": {"rate_hz": 16_000, "channels": 1},
    "clip.rf64.wav": {"rate_hz": 16_000, "channels": 1, "frames": 1_000, "coding": "PCM", "bits": 16},
    "float.wav": {"rate_hz": 16_000, "channels": 1, "frames": 1_000, "coding": "float", "bits": 32},
}
DAMAGEABLE = ["clip.flac", "clip.ogg", "clip.opus"]


@pytest.mark.parametrize("name", FACTS)
def test_what_sound_tells(name: str) -> None:
    facts = inspect_file(str(MADE_ELSEWHERE / name)).facts
    assert {key: facts[key] for key in FACTS[name]} == FACTS[name]


def test_what_ogg_tells() -> None:
    vorbis, opus = (inspect_file(str(MADE_ELSEWHERE / name)).facts["streams"] for name in ("clip.ogg", "clip.opus"))
    assert vorbis == [{"codec": "vorbis", "channels": 1, "rate_hz": 16_000, "duration_s": 0.75}]
    assert isinstance(opus, list)
    assert str(opus[0]).startswith("{'codec': 'opus', 'channels': 1, 'rate_hz': 16000")


def crc_by_bit(data: bytes, polynomial: int, bits: int) -> int:
    crc = 0
    for byte in data:
        crc ^= byte << bits - 8
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> bits - 1 else 0)
            crc &= (1 << bits) - 1
    return crc


@pytest.mark.parametrize("length", [0, 1, 2, 3, 255, 256])
def test_checksums_are_those_that_are_computed_bit_by_bit(length: int) -> None:
    data = bytes(number * 37 & 0xFF for number in range(length))
    assert crc8(data) == crc_by_bit(data, 0x07, 8)
    assert crc16(data) == crc_by_bit(data, 0x8005, 16)
    assert crc16(data[2:], crc16(data[:2])) == crc16(data)
    assert crc32_forward(data) == crc_by_bit(data, 0x04C11DB7, 32)


@pytest.mark.parametrize("name", DAMAGEABLE)
def test_every_flipped_bit_and_every_zeroed_page_in_the_sound_is_found(look: Look, name: str) -> None:
    content = made(name)
    for at in range(len(content) // 2, len(content), len(content) // 50):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        assert not look(name, bytes(flipped)).is_whole, at
        zeroed = content[:at] + bytes(len(content[at : at + 512])) + content[at + 512 :]
        assert not look(name, zeroed).is_whole, at


@pytest.mark.parametrize("name", [*DAMAGEABLE, "clip.mp3", "float.wav"])
def test_every_cut_is_found(look: Look, name: str) -> None:
    content = made(name)
    for end in range(1, len(content), len(content) // 40):
        assert not look(name, content[:end]).is_whole, end


def test_a_second_stream_behind_the_first(look: Look) -> None:
    found = look("chain.ogg", made("clip.ogg") + made("clip.opus"))
    assert found.findings == []
    assert [stream["codec"] for stream in found.facts["streams"]] == ["vorbis", "opus"]  # type: ignore[union-attr,index,call-overload]


def test_the_first_pages_alone(look: Look) -> None:
    found = look("long.ogg", made("clip.ogg") * 20, content_bytes=0)
    assert (codes(found), found.is_whole) == (["NotAllChecked"], True)


def test_a_page_that_is_gone(look: Look) -> None:
    content = made("clip.ogg")
    second = content.index(b"OggS", 1)
    third = content.index(b"OggS", second + 1)
    assert codes(look("clip.ogg", content[:second] + content[third:])) == ["MissingPart"]
    assert codes(look("clip.ogg", content[:second] + b"junk" + content[second:])) == ["BadStructure"]


def test_a_flac_with_a_tag_behind_it_and_one_with_two_tracks_of_samples(look: Look) -> None:
    content = made("clip.flac")
    assert codes(look("a.flac", content + b"TAG" + bytes(125))) == []
    info = bytearray(content)
    info[8 + 14 : 8 + 18] = struct.pack(">I", 24_000)
    assert "Truncated" in codes(look("a.flac", bytes(info)))


def test_an_mp3_between_tags(look: Look) -> None:
    tag = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)
    found = look("a.mp3", tag + made("clip.mp3") + b"TAG" + bytes(125))
    assert (found.findings, found.facts["id3_bytes"]) == ([], 267)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(64), "Truncated"),
        (b"ID3\x04\0\0\xff\xff\xff\xff" + bytes(64), "BadLength"),
        (b"ID3\x04\0\0\0\0\0\x01" + bytes(64), "BadStructure"),
        (b"Error 404, try again later", "NotThisFormat"),
    ],
)
def test_what_is_no_mp3(look: Look, content: bytes, code: str) -> None:
    assert code in codes(look("a.mp3", content))


def test_a_picture_of_200_megabytes_in_a_tag(tmp_path: Path) -> None:
    file = tmp_path / "large.mp3"
    with open(file, "wb") as opened:
        opened.write(b"ID3\x04\0\0\x64\0\0\0")
        opened.seek(10 + (0x64 << 21))
        opened.write(made("clip.mp3"))
    found = inspect_file(str(file))
    assert (codes(found), found.is_whole) == (["Unusual"], True)


def wav(channels: int = 1, rate_hz: int = 16_000, bits: int = 16, data: bytes = bytes(320), **told: int) -> bytes:
    frame = channels * bits // 8
    values = (told.get("coding", 1), channels, rate_hz, rate_hz * frame & 0xFFFFFFFF, told.get("frame", frame), bits)
    chunks = (
        b"fmt " + struct.pack("<IHHIIHH", 16, *values) + b"data" + struct.pack("<I", told.get("size", len(data))) + data
    )
    return b"RIFF" + struct.pack("<I", told.get("riff", 4 + len(chunks))) + b"WAVE" + chunks


def test_wav_made_here(tmp_path: Path, look: Look) -> None:
    write_wav(str(tmp_path / "made.wav"))
    found = inspect_file(str(tmp_path / "made.wav"))
    assert (found.findings, found.facts["duration_s"]) == ([], 1.0)
    assert codes(look("a.wav", wav())) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (wav(channels=0), "BadValue"),
        (wav(channels=65_535, frame=1), "BadValue"),
        (wav(rate_hz=1 << 31), "BadValue"),
        (wav(rate_hz=0), "BadValue"),
        (wav(bits=0), "BadValue"),
        (wav(frame=7), "BadValue"),
        (wav(data=b""), "BadValue"),
        (wav(data=bytes(321)), "SizeMismatch"),
        (wav(size=5_000), "Truncated"),
        (wav(riff=5_000), "Truncated"),
        (wav(size=0), "Streamed"),
        (wav(size=0xFFFFFFFF, riff=0xFFFFFFFF), "Streamed"),
        (wav() + b"tail", "TrailingBytes"),
        (wav()[:36], "BadHeader"),
        (wav()[:14], "BadHeader"),
        (b"RF64\xff\xff\xff\xffWAVE" + wav()[12:], "BadHeader"),
        (wav(bits=32, coding=3, data=struct.pack("<4f", 0, 1, float("nan"), 0)), "NotANumber"),
        (wav(bits=64, coding=3, data=struct.pack("<2d", 0, float("nan"))), "NotANumber"),
    ],
)
def test_a_wav_that_is_not_what_it_says(look: Look, content: bytes, code: str) -> None:
    assert code in codes(look("a.wav", content))


def test_a_wav_for_other_machines_is_not_called_damaged(look: Look) -> None:
    found = look("a.wav", b"RIFX" + wav()[4:])
    assert (codes(found), found.is_whole) == (["NotAllChecked"], True)


def test_a_day_of_silence_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "silence.wav"
    size = (
        24 * 3_600 * 16_000 * 2 // 100
    )  # a sparse file; a hundredth of a day is enough to see that nothing depends on its length
    with open(file, "wb") as opened:
        opened.write(wav(size=size, riff=size + 36, data=b""))
        opened.truncate(44 + size)
    found = inspect_file(str(file))
    assert (found.is_whole, found.facts["frames"]) == (True, size // 2)
    assert codes(found) == ["ZeroTail"]
