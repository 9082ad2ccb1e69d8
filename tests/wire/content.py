"""Files as people have them, and what is in a folder afterwards."""

import array
import random
from pathlib import Path

MIXED_BYTES = 12_000_000
NAMES = ("plain.txt", "a b/50% #1.bin", "é/日本語 & co.json", "deep/er/and+deeper/x=1.safetensors")
SMALL = {"empty.txt": b"", "ten.bin": b"0123456789", "config.json": b'{"a": 1}'}


def mixed(size_bytes: int, seed: int = 0) -> bytes:
    """A third of noise, a third of one block again and again, a third of floats that look like weights."""
    source = random.Random(seed)
    third = size_bytes // 3
    block = source.randbytes(100_003)
    repeated = (block * (third // len(block) + 1))[:third]
    some = array.array("f", (source.gauss(0, 0.02) for _ in range(50_000))).tobytes()
    weights = b"".join(_shaken(some, source) for _ in range(third // len(some) + 1))
    return (source.randbytes(third) + repeated + weights)[:size_bytes].ljust(size_bytes, b"\0")


def _shaken(floats: bytes, source: random.Random) -> bytes:
    """The same floats, beginning somewhere else: no two stretches have the same chunks, but all look alike."""
    at = 4 * source.randrange(len(floats) // 4)
    return floats[at:] + floats[:at]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    """All files of a folder, without what clients and hubs keep there for themselves."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".cache" not in path.parts and path.name != ".gitattributes"
    }
