"""Edits of a working folder, the same ones on every machine. Files are replaced, never changed in place: they may be links into a store."""

import os
import shutil
from pathlib import Path

BLOCK_BYTES = 8 << 20


def files_of(folder: Path) -> list[Path]:
    """Every file, in sorted order."""
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def change_one(folder: Path) -> None:
    """Give one file of the folder another end."""
    change(files_of(folder)[0], b"edited\n")


def change_tenth(folder: Path) -> None:
    """Give every tenth file of the folder another end."""
    for file in files_of(folder)[::10]:
        change(file, b"edited once more\n")


def change(file: Path, end: bytes) -> None:
    """Give a file another end, of the same size."""
    new = file.with_name(f"{file.name}.new")
    shutil.copyfile(file, new)
    with open(new, "r+b") as out:
        out.seek(-len(end), os.SEEK_END)
        out.write(end)
    new.replace(file)


def insert(file: Path, piece: bytes) -> None:
    """Insert a piece in the middle of a file."""
    new = file.with_name(f"{file.name}.new")
    left = file.stat().st_size // 2 + 4321
    with open(file, "rb") as source, open(new, "wb") as out:
        while left > 0:
            left -= out.write(source.read(min(left, BLOCK_BYTES)))
        out.write(piece)
        shutil.copyfileobj(source, out, BLOCK_BYTES)
    new.replace(file)
