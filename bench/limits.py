"""What this machine can do with a folder at best: the limits that the tools are held against.

    python -m bench.limits FOLDER SCRATCH

Prints one JSON object of seconds, each the best of several runs: `python` (an interpreter that starts and ends), `walk` (every name, with
its status), `index` (a row for each file read from SQLite), `link` (a hard link for each file), `sha256_one` (all files in one
stream), `sha256_two` (two threads), `copy` (inside the kernel, file by file), `copy_and_sha256` (the better of two ways: one thread
copies while another hashes, or each of two threads copies and hashes half of the files).
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

BLOCK_BYTES = 1 << 20
RUNS = 3


Files = list[tuple[str, int]]
"""Path and size in bytes."""


def walk(folder: str) -> Files:
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


def hash_file(path: str, buffer: bytearray) -> str:
    """sha256 of a file, read in pieces of the buffer."""
    hasher, view = hashlib.sha256(), memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return hasher.hexdigest()


def copy_file(path: str, size: int, copy: str) -> None:
    """Copy a file inside the kernel; `copy` is new, and its folder is there."""
    with open(path, "rb", buffering=0) as source, open(copy, "wb", buffering=0) as out:
        while size > 0:
            size -= os.copy_file_range(source.fileno(), out.fileno(), size)


def hash_all(files: Files) -> None:
    """sha256 of every file."""
    buffer = bytearray(BLOCK_BYTES)
    for path, _ in files:
        hash_file(path, buffer)


def copy_all(files: Files, folder: str, target: str, *, hashed: bool = False) -> None:
    """Copy every file from `folder` to the same place below `target`; with `hashed` read it for its sha256 as well."""
    buffer = bytearray(BLOCK_BYTES)
    made: set[str] = set()
    for path, size in files:
        copy = target + path[len(folder) :]
        parent = os.path.dirname(copy)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        copy_file(path, size, copy)
        if hashed:
            hash_file(path, buffer)


def link_all(files: Files, folder: str, target: str) -> None:
    """Give every file a second name, at the same place below `target`."""
    made: set[str] = set()
    for path, _ in files:
        link = target + path[len(folder) :]
        parent = os.path.dirname(link)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        os.link(path, link)


def make_index(files: Files, place: str) -> None:
    """A database with a row for each file, as much as a tool must remember of it to know it again."""
    os.makedirs(place)
    with contextlib.closing(sqlite3.connect(os.path.join(place, "index.db"))) as database, database:
        database.execute(
            "CREATE TABLE files (path TEXT PRIMARY KEY, size INT, mtime_ns INT, sha256 TEXT) WITHOUT ROWID"
        )
        rows = ((path, size, 1_700_000_000_000_000_000, "0" * 64) for path, size in files)
        database.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", rows)


def read_index(place: str) -> None:
    """Every row of the database."""
    with contextlib.closing(sqlite3.connect(os.path.join(place, "index.db"))) as database:
        assert {row[0]: row for row in database.execute("SELECT * FROM files")}


def together(*tasks: Callable[[], None]) -> None:
    """Run tasks in a thread each, and wait for all."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def halves(files: Files) -> tuple[Files, Files]:
    """Two parts of about as many bytes, each in the order of the whole."""
    parts: tuple[Files, Files] = ([], [])
    filled = [0, 0]
    for file in files:
        smaller = filled.index(min(filled))
        parts[smaller].append(file)
        filled[smaller] += file[1]
    return parts


def best_s(task: Callable[[], object], clean: Callable[[], None] | None = None) -> float:
    """The shortest of several runs, in seconds."""
    times_s = []
    os.sync()
    for _ in range(RUNS):
        began_s = time.perf_counter()
        task()
        times_s.append(time.perf_counter() - began_s)
        if clean:
            clean()
    return min(times_s)


def limits(folder: str, scratch: str) -> dict[str, float]:
    """Every limit in seconds; only `python` where there are no files. `scratch` is made and removed."""
    files = walk(folder)
    found = {"python": best_s(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))}
    return found | of_files(files, folder, scratch) if files else found


def of_files(files: Files, folder: str, scratch: str) -> dict[str, float]:
    """The limits of work on these files."""
    parts = halves(files)

    def clean() -> None:
        shutil.rmtree(scratch)

    def copy() -> None:
        copy_all(files, folder, scratch)

    def copy_beside_hash() -> None:
        together(copy, partial(hash_all, files))

    def copy_in_halves() -> None:
        together(*(partial(copy_all, part, folder, scratch, hashed=True) for part in parts))

    hash_all(files)
    make_index(files, scratch)
    index_s = best_s(lambda: read_index(scratch))
    clean()
    return {
        "index": index_s,
        "link": best_s(lambda: link_all(files, folder, scratch), clean),
        "walk": best_s(lambda: walk(folder)),
        "sha256_one": best_s(lambda: hash_all(files)),
        "sha256_two": best_s(lambda: together(*(partial(hash_all, part) for part in parts))),
        "copy": best_s(copy, clean),
        "copy_and_sha256": min(best_s(copy_beside_hash, clean), best_s(copy_in_halves, clean)),
    }


if __name__ == "__main__":
    print(json.dumps(limits(sys.argv[1], sys.argv[2])))
