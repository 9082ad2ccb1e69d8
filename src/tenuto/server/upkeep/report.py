"""What a check of a hub finds, and where what is damaged is used."""

import zlib
from typing import Literal, NamedTuple

import msgspec

Fault = Literal["missing", "damaged", "wrong row", "dangling"]


class Place(msgspec.Struct, frozen=True):
    """Where something is used: at the head of a ref, or in a commit of the past, for which `ref` is empty."""

    repo: str
    ref: str
    commit: str
    path: str

    def __str__(self) -> str:
        where = f"{self.repo}@{self.ref.removeprefix('refs/heads/') or self.commit[:12]}"
        return f"{where}/{self.path}" if self.path else where


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    fault: Fault
    kind: str
    """ref, tag, commit, tree, blob, large object, chunked file, xorb, usage, audit log or database."""
    name: str
    detail: str
    repos: list[str] = []
    places: list[Place] = []


class Damage(NamedTuple):
    """A finding before anybody looked where it is used: by these objects (sha256), held by these repos."""

    fault: Fault
    kind: str
    name: str
    detail: str
    users: tuple[tuple[int, str], ...] = ()


class Depth(NamedTuple):
    """How much of the bytes is read: a share of 0.0 to 1.0, chosen by name and `seed`."""

    share: float
    seed: int = 0

    def takes(self, name: str) -> bool:
        """Whether the bytes of that name are read."""
        if self.share >= 1:
            return True
        return zlib.crc32(f"{self.seed}/{name}".encode()) < self.share * 2**32


class Counts(msgspec.Struct):
    """How much was looked at. Objects and xorbs lie in the store once, whoever holds them."""

    repos: int = 0
    refs: int = 0
    commits: int = 0
    trees: int = 0
    blobs: int = 0
    large_objects: int = 0
    chunked_files: int = 0
    xorbs: int = 0
    bytes_read: int = 0


class CheckReport(msgspec.Struct, frozen=True):
    """The outcome of a check."""

    clean: bool
    share: float
    counts: Counts
    findings: list[Finding]
