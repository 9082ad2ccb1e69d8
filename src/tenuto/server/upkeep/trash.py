"""The trash of a hub: files that no repo holds any more, each batch in a folder named by the moment it was thrown away.

<data>/trash/<milliseconds since 1970>/objects/ab/cdef…, and xorbs/ beside it: the places that the files had in the store.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tenuto.core.errors import LockedError
from tenuto.store.disk import disk_errors

Shelf = Literal["objects", "xorbs"]
_BATCH = re.compile(r"\d{1,15}")


class Batch(NamedTuple):
    """What was thrown away in one run: when, and how much."""

    name: str
    files: int
    bytes: int

    @property
    def thrown_ms(self) -> int:
        """When it was thrown away."""
        return int(self.name)


class Trash:
    """The trash below the data folder of a hub; made when something is thrown away."""

    def __init__(self, data_dir: str) -> None:
        self.root = os.path.join(data_dir, "trash")

    def put(self, file: str, shelf: Shelf, name: str, now_ms: int) -> int:
        """Move a file of the store here; its bytes, 0 if it is gone. Raises StorageError."""
        folder = f"{self.root}/{now_ms}/{shelf}/{name[:2]}"
        with disk_errors(file):
            os.makedirs(folder, exist_ok=True)
            try:
                size = os.stat(file).st_size
                os.rename(file, f"{folder}/{name[2:]}")
            except FileNotFoundError:
                return 0
            return size

    def find(self, shelf: Shelf, name: str) -> str | None:
        """Where a file that was thrown away lies."""
        for batch in self._names():
            file = f"{self.root}/{batch}/{shelf}/{name[:2]}/{name[2:]}"
            if os.path.exists(file):
                return file
        return None

    def batches(self) -> list[Batch]:
        """What is here, oldest first."""
        return [self._measure(name) for name in self._names()]

    def _names(self) -> list[str]:
        with disk_errors(self.root):
            names = os.listdir(self.root) if os.path.isdir(self.root) else []
        return sorted((name for name in names if _BATCH.fullmatch(name)), key=int)

    def _measure(self, name: str) -> Batch:
        files, total = 0, 0
        with disk_errors(self.root):
            for folder, _, names in os.walk(os.path.join(self.root, name)):
                for one in names:
                    with contextlib.suppress(FileNotFoundError):
                        total += os.stat(os.path.join(folder, one)).st_size
                        files += 1
        return Batch(name, files, total)

    def empty(self, batch: Batch) -> None:
        """Delete a batch for good. Raises StorageError."""
        with disk_errors(self.root):
            shutil.rmtree(os.path.join(self.root, batch.name))


@contextlib.contextmanager
def one_at_a_time(data_dir: str) -> Iterator[None]:
    """While inside, no other process collects or backs up this hub. Raises LockedError."""
    path = os.path.join(data_dir, "upkeep.lock")
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"another process collects or backs up {data_dir}", hint="wait until it has ended"
            ) from error
        yield
