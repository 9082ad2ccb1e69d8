"""What uses the space of a repo on our hub: what the hub tells, and the client reads. All sizes in bytes.

`held`: what is there because of it, each content once. `freed`: what would be gone from the disk of the hub if it alone were deleted, after
the wait that a collection keeps: nothing of what another file, version, ref or repo needs as well. `returned`: how much less would then
count against a quota; that another repo needs something does not matter here.
"""

import msgspec


class Totals(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a repo holds over all versions, as quotas count it. `counted`: all but history."""

    counted: int
    files: int
    """Small files."""
    objects: int
    """Large files that lie whole."""
    chunks: int
    """What is stored of the chunks of all other large files."""
    history: int
    """What git adds: commits, folders, tags, pointers. No quota counts it."""


class Quota(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A limit that the repo falls under: its own, or that of all repos of its account together."""

    name: str
    is_account: bool
    allowed: int
    used: int


class FileSpace(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A path, over all versions. `size`: at the head of `main`; None if it is not there any more."""

    path: str
    versions: int
    size: int | None
    held: int
    freed: int
    returned: int


class VersionSpace(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A commit. `added`: what no older one held."""

    commit: str
    title: str
    time: str
    added: int
    freed: int
    returned: int


class RefSpace(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A branch, a tag or a pull request, by its full name. `size`: of the files at its head."""

    ref: str
    commit: str
    size: int
    freed: int
    returned: int


class DaySpace(msgspec.Struct, frozen=True, rename="camel"):
    """What a repo held at the end of a day on which it changed; until the next such day it held the same."""

    day: str
    totals: Totals


class Overview(msgspec.Struct, frozen=True, rename="camel"):
    """All of that for one repo. The counts say how many there are; the lists hold the first of them, each in an order of its own.

    Files: those that hold the most. Versions: those that added, or free, the most. Refs: those that free the most, among equals the largest.
    """

    repo: str
    totals: Totals
    held: int
    """On the disk of the hub, all together."""
    freed: int
    """If the whole repo were deleted."""
    pending: int
    """What no ref needs: uploads that no commit names yet, and what the next collections remove."""
    quotas: list[Quota]
    file_count: int
    version_count: int
    ref_count: int
    files: list[FileSpace]
    versions: list[VersionSpace]
    refs: list[RefSpace]
    days: list[DaySpace]
