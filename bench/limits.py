"""What this machine can do with a folder at best: the limits that the tools are held against.

    python -m bench.limits FOLDER SCRATCH

Prints one JSON object of seconds, each the best of several runs: `walk` (every name, with its status), `sha256_one` (all files in one
stream), `sha256_two` (two threads), `copy` (inside the kernel, file by file), `copy_and_sha256` (a copy by one thread while another
hashes the source).
"""

import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable

BLOCK_BYTES = 1 << 20
RUNS = 3


def walk(folder: str) -> list[tuple[str, int]]:
    """Path and size of every file."""
    found, folders = [], [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    found.append((entry.path, entry.stat(follow_symlinks=False).st_size))
    return found


def hash_files(paths: Iterable[str]) -> None:
    """sha256 of every file in 1 MiB blocks."""
    buffer = bytearray(BLOCK_BYTES)
    view = memoryview(buffer)
    for path in paths:
        hasher = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(view[:count])
        hasher.digest()


def copy_files(files: Iterable[tuple[str, int]], folder: str, target: str) -> None:
    """Copy every file to the same place below `target`, which is new."""
    made: set[str] = set()
    for path, size in files:
        copy = target + path[len(folder) :]
        parent = os.path.dirname(copy)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        with open(path, "rb", buffering=0) as source, open(copy, "wb", buffering=0) as out:
            while size > 0:
                size -= os.copy_file_range(source.fileno(), out.fileno(), size)


def together(*tasks: Callable[[], None]) -> None:
    """Run tasks in a thread each, and wait for all."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def halves(files: list[tuple[str, int]]) -> tuple[list[str], list[str]]:
    """Two parts of about as many bytes, largest files first."""
    parts: tuple[list[str], list[str]] = ([], [])
    filled = [0, 0]
    for path, size in sorted(files, key=lambda item: -item[1]):
        smaller = filled.index(min(filled))
        parts[smaller].append(path)
        filled[smaller] += size
    return parts


def best_s(task: Callable[[], object], clean: Callable[[], None] | None = None) -> float:
    """The shortest of several runs, in seconds."""
    times_s = []
    for _ in range(RUNS):
        os.sync()
        began_s = time.perf_counter()
        task()
        times_s.append(time.perf_counter() - began_s)
        if clean:
            clean()
    return min(times_s)


def limits(folder: str, scratch: str) -> dict[str, float]:
    """Every limit in seconds. `scratch` is made and removed."""
    files = walk(folder)
    paths = [path for path, _ in files]
    first, second = halves(files)

    def clean() -> None:
        shutil.rmtree(scratch)

    def copy() -> None:
        copy_files(files, folder, scratch)

    hash_files(paths)
    return {
        "walk": best_s(lambda: walk(folder)),
        "sha256_one": best_s(lambda: hash_files(paths)),
        "sha256_two": best_s(lambda: together(lambda: hash_files(first), lambda: hash_files(second))),
        "copy": best_s(copy, clean),
        "copy_and_sha256": best_s(lambda: together(copy, lambda: hash_files(paths)), clean),
    }


if __name__ == "__main__":
    print(json.dumps(limits(sys.argv[1], sys.argv[2])))
