"""Hashing many files at once: threads get batches, since a task for each file costs more than a small file takes to hash."""

import os
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tenuto.core.errors import StorageError
from tenuto.store.disk import disk_errors, hash_file
from tenuto.store.listener import Listener, Progress

BATCH_FILES = 256
BATCH_BYTES = 64 << 20
SMALL_BYTES = 256 << 10
THREADS_FOR_SMALL = 2


class ToHash(NamedTuple):
    """A file to hash: a name of the caller's choice, where it lies, and about how many bytes it has."""

    name: str
    file: str
    size: int


class Hashed(NamedTuple):
    """The outcome for one file: sha256 and size in bytes of what was read, or the fault that kept it from being read."""

    name: str
    sha256: str
    size: int
    fault: StorageError | None = None


def hash_files(files: Sequence[ToHash], progress: Progress = lambda _bytes: None) -> list[Hashed]:
    """Hash every file, in parallel; one outcome for each, in the order given. Never raises for a file that cannot be read.

    What `progress` raises is raised, and nothing more is read.
    """
    if not files:
        return []
    from concurrent.futures import ThreadPoolExecutor  # costs as much as a look at a thousand files

    stopped = threading.Event()

    def told(count: int) -> None:
        if stopped.is_set():
            raise _Stopped
        try:
            listener(count)
        except BaseException:
            stopped.set()
            raise

    with Listener(progress) as listener, ThreadPoolExecutor(_threads(files), "hash") as pool:
        tasks = [pool.submit(_hash_batch, batch, told) for batch in _batches(files)]
        try:
            return [outcome for task in tasks for outcome in task.result()]
        except BaseException:  # Ctrl-C above all: nobody waits for the rest of a large file
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Stopped(Exception):  # noqa: N818 - nobody sees it
    """The caller wants no more hashes."""


def _threads(files: Sequence[ToHash]) -> int:
    """Small files keep the interpreter busier than the hash: more than two threads then only wait for each other."""
    small = sum(file.size for file in files) < SMALL_BYTES * len(files)
    return max(1, min(len(files), os.cpu_count() or 1, THREADS_FOR_SMALL if small else 8))


def _batches(files: Sequence[ToHash]) -> Iterator[list[ToHash]]:
    batch: list[ToHash] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.size
        if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _hash_batch(batch: Sequence[ToHash], progress: Progress) -> list[Hashed]:
    outcomes = []
    for name, file, _ in batch:
        try:
            sha256, size = hash_file(file, progress)
            outcomes.append(Hashed(name, sha256, size))
        except OSError as error:
            outcomes.append(Hashed(name, "", 0, _fault(file, error)))
    return outcomes


def _fault(file: str, error: OSError) -> StorageError:
    try:
        with disk_errors(file):
            raise error
    except StorageError as fault:
        return fault
