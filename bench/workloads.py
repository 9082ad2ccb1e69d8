"""Deterministic workloads: the same bytes on every machine, from fixed seeds, the raw PCG64 stream and exact arithmetic.

    python -m bench.workloads FOLDER [--only W1,W3] [--scale 1.0] [--verify]
    python -m bench.workloads FILE --insert

W1   w1/BEATs_iter3.pt, w1/BEATs_iter3_plus_AS2M.pt   2 files of 110,000,000 bytes
W2   w2/model.safetensors                             1 file of 4 GiB, with a valid header
W3   w3/<split>/<class>/<clip>.wav                    20,000 files of 20 to 60 kB in 150 folders
W4   w4/<genre>/<genre>.<nnnnn>.wav                   1,000 files of 1,323,044 bytes
W5a  w5a/model.safetensors                            W2, 1 % overwritten in the middle
W5b  w5b/model.safetensors                            W2, 1 MiB inserted in the middle
W5c  w5c/model.safetensors                            W2, 1 % overwritten in 64 scattered pieces

`--scale` shrinks the number of files (W3, W4) or their size (W1, W2, W5). `--verify` prints one sha256 a workload, of every path,
size and content in sorted order. `--insert` turns the file of W2 into that of W5b.
"""

import argparse
import json
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.edits import insert
from bench.fingerprint import fingerprint

MIB = 1 << 20
BLOCK_BYTES = 8 * MIB  # weights made at a time; every block has its own seed
HEADER_BYTES = 64 * 1024
W1_BYTES = 110_000_000
W2_BYTES = 4 << 30
W3_FILES, W3_RATE_HZ = 20_000, 16_000
W4_FILES, W4_RATE_HZ, W4_LENGTH_S = 1_000, 22_050, 30
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def raw(seed: int, count: int) -> np.ndarray:
    """`count` unsigned 64-bit numbers of the PCG64 stream, which numpy promises not to change."""
    return np.random.PCG64(seed).random_raw(count)


def weights(seed: int, size_bytes: int) -> bytes:
    """Nearly normal float32 with sigma 0.02, as in checkpoints: compressible by about 8 %."""
    quarters = raw(seed, -(-size_bytes // 4)).view(np.uint16).reshape(-1, 4)
    centred = quarters.sum(axis=1, dtype=np.int32) - np.int32(2 * 65535)
    return bytes((centred.astype(np.float32) * np.float32(0.02 / 37837.0)).tobytes()[:size_bytes])


def make_w1(folder: str, scale: float) -> None:
    """Two checkpoints of the size of BEATs."""
    for number, name in enumerate(("BEATs_iter3.pt", "BEATs_iter3_plus_AS2M.pt"), start=1):
        with open(os.path.join(folder, name), "wb") as file:
            file.writelines(
                weights(1_000_000 * number + position // BLOCK_BYTES, size)
                for position, size in blocks(int(W1_BYTES * scale))
            )


def blocks(size_bytes: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Position and size of each block of a file."""
    for position in range(start, size_bytes, BLOCK_BYTES):
        yield position, min(BLOCK_BYTES, size_bytes - position)


def safetensors_header(size_bytes: int) -> bytes:
    """The header of a file of that size with one float32 tensor a 64 MiB, padded to exactly 64 KiB."""
    data = (size_bytes - HEADER_BYTES) // 4 * 4
    tensors: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for number, start in enumerate(range(0, data, 64 * MIB)):
        end = min(start + 64 * MIB, data)
        tensors[f"layers.{number:03d}.weight"] = {
            "dtype": "F32",
            "shape": [(end - start) // 4],
            "data_offsets": [start, end],
        }
    text = json.dumps(tensors, separators=(",", ":")).encode()
    return struct.pack("<Q", HEADER_BYTES - 8) + text.ljust(HEADER_BYTES - 8, b" ")


def w2_size(scale: float) -> int:
    """The size of W2 in bytes, in whole pages."""
    return int(W2_BYTES * scale) // 4096 * 4096


def w2_blocks(scale: float) -> Iterator[tuple[int, bytes]]:
    """Position and bytes of each piece of W2."""
    size = w2_size(scale)
    yield 0, safetensors_header(size)
    for number, (position, count) in enumerate(blocks(size, HEADER_BYTES)):
        yield position, weights(50_000_000 + number, count)


def make_w2(folder: str, scale: float) -> None:
    """One large model."""
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.writelines(block for _, block in w2_blocks(scale))


def make_w5a(folder: str, scale: float) -> None:
    """W2 with one piece overwritten."""
    size = w2_size(scale)
    length = size // 100
    make_w2(folder, scale)
    overwrite(folder, [((size - length) // 2 // 4 * 4, length)])


def make_w5c(folder: str, scale: float) -> None:
    """W2 with 64 scattered pieces overwritten."""
    size = w2_size(scale)
    length, stride = size // 100 // 64, (size - HEADER_BYTES) // 64
    make_w2(folder, scale)
    overwrite(folder, [(HEADER_BYTES + stride * number + 12_345, length) for number in range(64)])


def overwrite(folder: str, pieces: list[tuple[int, int]]) -> None:
    """Replace pieces (position, length) of the model by other weights."""
    with open(os.path.join(folder, "model.safetensors"), "r+b") as file:
        for number, (start, length) in enumerate(pieces):
            file.seek(start)
            file.writelines(
                weights(70_000_000 + 1000 * number + position // BLOCK_BYTES, size) for position, size in blocks(length)
            )


def make_w5b(folder: str, scale: float) -> None:
    """W2 with 1 MiB inserted."""
    make_w2(folder, scale)
    make_insertion(Path(folder, "model.safetensors"))


def make_insertion(file: Path) -> None:
    """Turn the file of W2 into that of W5b."""
    insert(file, weights(77_000_000, MIB))


def wav_header(size_bytes: int, rate_hz: int) -> bytes:
    """The 44 bytes before `size_bytes` of mono 16-bit sound."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size_bytes, b"WAVE") + form + struct.pack("<4sI", b"data", size_bytes)


class Sound:
    """Cheap 16-bit sound, different in every clip: a slice of shared noise and a triangle tone, in whole numbers only."""

    def __init__(self, seed: int, longest: int) -> None:
        self._longest = longest
        self._noise = (raw(seed, longest + 1).view(np.int16)[: longest * 4] >> 5).astype(np.int16)
        self._time = np.arange(longest, dtype=np.int64)

    def clip(self, number: int, samples: int) -> bytes:
        """The clip of that number, `samples` long."""
        start = (number * 7919 + number // 13) % (self._longest * 3)
        period = 20 + (number * 31) % 397
        tone = np.abs((self._time[:samples] * 65536 // period) % 65536 - 32768) >> 3
        sound = self._noise[start : start + samples].astype(np.int64) + tone - 2048
        mark = struct.pack("<QQ", number, number * 2654435761 % (1 << 61))
        sound[:8] = np.frombuffer(mark, dtype=np.int16)
        return sound.astype(np.int16).tobytes()


def make_w3(folder: str, scale: float) -> None:
    """Many small clips in three splits of 50 classes."""
    sound = Sound(3, 30_000)
    count = max(1, int(W3_FILES * scale))
    lengths = raw(33, count) % np.uint64(20_001)
    for number in range(count):
        place = os.path.join(folder, ("train", "val", "test")[number % 3], f"class_{number // 3 % 50:02d}")
        os.makedirs(place, exist_ok=True)
        samples = int(lengths[number]) + 10_000 - 22
        write_clip(os.path.join(place, f"clip_{number:06d}.wav"), W3_RATE_HZ, sound.clip(number, samples))


def make_w4(folder: str, scale: float) -> None:
    """Half-minute clips of ten genres."""
    samples = W4_LENGTH_S * W4_RATE_HZ
    sound = Sound(4, samples)
    for number in range(max(10, int(W4_FILES * scale))):
        genre = GENRES[number % 10]
        os.makedirs(os.path.join(folder, genre), exist_ok=True)
        name = f"{genre}.{number // 10:05d}.wav"
        write_clip(os.path.join(folder, genre, name), W4_RATE_HZ, sound.clip(number, samples))


def write_clip(path: str, rate_hz: int, sound: bytes) -> None:
    """Write one WAV file."""
    with open(path, "wb") as file:
        file.write(wav_header(len(sound), rate_hz) + sound)


MAKERS: dict[str, Callable[[str, float], None]] = {
    "W1": make_w1,
    "W2": make_w2,
    "W3": make_w3,
    "W4": make_w4,
    "W5a": make_w5a,
    "W5b": make_w5b,
    "W5c": make_w5c,
}


def make(name: str, folder: str, scale: float) -> None:
    """Write the workload into `folder`, which is made."""
    os.makedirs(folder, exist_ok=True)
    MAKERS[name](folder, scale)


def main(arguments: list[str]) -> int:
    """Make the asked workloads below the given folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--only", default="W1,W2,W3,W4", help="comma list of W1 W2 W3 W4 W5a W5b W5c")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--insert", action="store_true")
    options = parser.parse_args(arguments)
    if options.insert:
        make_insertion(Path(options.folder))
        return 0
    for name in options.only.split(","):
        began_s = time.perf_counter()
        folder = os.path.join(options.folder, name.lower())
        make(name, folder, options.scale)
        line = f"{name}: made in {time.perf_counter() - began_s:.1f} s"
        if options.verify:
            found = fingerprint(folder)
            line += f", {found.files} files, {found.bytes} bytes, sha256 {found.sha256}"
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
