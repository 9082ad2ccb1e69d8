"""The listing of an artifact: its files as sorted lines `sha256  size  path`. The sha256 of that text is its digest.

Normative description: docs/formats/listing.md.
"""

import hashlib
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import itemgetter
from typing import NamedTuple, Self

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.core.ids import check_sha256
from tenuto.core.paths import check_path

MAX_SIZE_BYTES = (1 << 63) - 1


class Entry(NamedTuple):
    """One file of an artifact: POSIX path relative to the artifact, sha256 of its bytes, size in bytes."""

    path: str
    sha256: str
    size: int


class Listing(Mapping[str, Entry]):
    """The files of an artifact by path, in the order of their UTF-8 bytes. Immutable.

    Raises UsageError (BadPath) for a path that stands twice, or as a file and as a folder.
    """

    __slots__ = ("_digest", "_entries")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        # Strings compare by code points, which is the order of their UTF-8 bytes.
        ordered = sorted(entries, key=itemgetter(0))
        self._entries = {entry.path: entry for entry in ordered}
        self._digest: str | None = None
        if len(self._entries) != len(ordered):
            raise UsageError("a listing names one path twice", code="BadPath")
        if both := _folders(self._entries) & self._entries.keys():
            raise UsageError(f"a listing has {min(both)!r} as a file and as a folder", code="BadPath")

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    # What Mapping has of these three would look every path up again.

    def keys(self) -> KeysView[str]:
        """The paths, in order."""
        return self._entries.keys()

    def values(self) -> ValuesView[Entry]:
        """The files, in order."""
        return self._entries.values()

    def items(self) -> ItemsView[str, Entry]:
        """Each path with its file, in order."""
        return self._entries.items()

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together; content that appears twice counts twice."""
        return sum(entry.size for entry in self._entries.values())

    @property
    def text(self) -> bytes:
        """The canonical bytes: one line a file, sorted by path, each ended by a newline."""
        return "".join([f"{sha256}  {size}  {path}\n" for path, sha256, size in self._entries.values()]).encode()

    @property
    def digest(self) -> str:
        """sha256 of `text`, 64 hex digits: the version of the artifact."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.text).hexdigest()
        return self._digest

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read canonical bytes; every path is checked with `check_path`.

        Raises IntegrityError (CorruptObject) if the text is not canonical, UsageError (BadPath) for a path that may not be written.
        """
        listing = cls(_entries(text))
        if listing.text != text:
            raise IntegrityError("a listing is not in canonical form", code="CorruptObject")
        return listing


def _folders(paths: Iterable[str]) -> set[str]:
    """Every folder above any of the paths."""
    found = {""}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _entries(text: bytes) -> Iterator[Entry]:
    try:
        for line in text.decode().split("\n")[:-1]:
            digest, size, path = line.split("  ", 2)
            entry = Entry(check_path(path), check_sha256(digest), int(size))
            if not 0 <= entry.size <= MAX_SIZE_BYTES:
                raise ValueError("a size is out of range")
            yield entry
    except ValueError as error:
        if isinstance(error, UsageError) and error.code == "BadPath":
            raise
        raise IntegrityError("a listing cannot be read", code="CorruptObject") from error


class Change(NamedTuple):
    """How one path differs between two listings; `old` or `new` is None where the file is absent."""

    path: str
    old: Entry | None
    new: Entry | None

    @property
    def verb(self) -> str:
        """`added`, `removed` or `modified`."""
        return "added" if self.old is None else "removed" if self.new is None else "modified"


def differences(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> list[Change]:
    """Paths whose content differs between two listings, sorted by path."""
    changes = [Change(path, entry, new.get(path)) for path, entry in old.items() if new.get(path) != entry]
    changes += [Change(path, None, entry) for path, entry in new.items() if path not in old]
    return sorted(changes, key=itemgetter(0))
