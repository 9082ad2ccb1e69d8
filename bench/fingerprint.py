"""One hash of a whole folder, to see that two hold the same files."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """Number of files, bytes, and one sha256 of all paths, sizes and contents."""

    files: int
    bytes: int
    sha256: str


def fingerprint(folder: str | Path) -> Fingerprint:
    """The fingerprint of every file in a folder, in sorted order; names at the top that begin with a dot are left out."""
    hasher, total = hashlib.sha256(), 0
    paths = [
        os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names
    ]
    paths = sorted(path for path in paths if not path.startswith("."))
    for path in paths:
        file = os.path.join(folder, path)
        size = os.path.getsize(file)
        hasher.update(f"{path}\0{size}\0{hash_of(file)}\n".encode())
        total += size
    return Fingerprint(len(paths), total, hasher.hexdigest())


def hash_of(path: str | Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
