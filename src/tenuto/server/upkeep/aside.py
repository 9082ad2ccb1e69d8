"""`tenuto hub check --set-aside`: what lies damaged in the store goes to the trash, so that whoever has it is asked to send it again."""

import hashlib
import os
from collections.abc import Iterable

from sqlalchemy import select

from tenuto.core.errors import TenutoError
from tenuto.server.audit import Deed, command_line, record
from tenuto.server.holdings.chunks import next_generation
from tenuto.server.hub import Parts
from tenuto.server.schema import repo_xorbs, xorbs
from tenuto.server.upkeep.report import Finding
from tenuto.server.upkeep.trash import Shelf, Trash
from tenuto.store.disk import BLOCK_BYTES
from tenuto.store.local import LocalStore
from tenuto.store.xet.xorb import XorbReader

_SHELVES: dict[str, Shelf] = {"large object": "objects", "xorb": "xorbs"}


def set_aside(parts: Parts, data_dir: str, findings: Iterable[Finding]) -> int:
    """Move the files of damaged large objects and xorbs to the trash; how many. The rows stay: the next upload brings the bytes back.

    Xet clients remember for weeks what they sent: those of a repo that lost a xorb, or a slice, are led to a new address. Each file is read once
    more: one that was mended meanwhile stays. Raises StorageError.
    """
    store, count = LocalStore(data_dir), 0
    for finding in findings:
        if finding.fault == "damaged" and finding.kind in _SHELVES:
            is_xorb = finding.kind == "xorb"
            file = parts.xorbs.folder.file(finding.name) if is_xorb else store.file(finding.name)
            count += _move(parts, Trash(data_dir), _SHELVES[finding.kind], file, finding.name)
    return count


def _move(parts: Parts, trash: Trash, shelf: Shelf, file: str, name: str) -> bool:
    try:
        before = os.stat(file)
        if _is_whole(file, name, is_xorb=shelf == "xorbs"):
            return False
        with parts.database.write() as connection:  # nothing is put in its place meanwhile
            if not os.path.samestat(before, os.stat(file)):
                return False
            lost = xorbs.c.hash == name if shelf == "xorbs" else xorbs.c.source_sha256 == name
            users = select(repo_xorbs.c.repo_id).join(xorbs).where(lost).distinct()
            for repo in connection.execute(users).scalars().all():
                next_generation(parts.database, connection, repo)
            is_moved = trash.put(file, shelf, name, parts.now_ms()) > 0
            if is_moved:
                kind = {"kind": shelf}
                record(connection, command_line(), Deed.HUB_SET_ASIDE, parts.now_ms(), subject=name, facts=kind)
            return is_moved
    except FileNotFoundError:
        return False


def _is_whole(file: str, name: str, *, is_xorb: bool) -> bool:
    reader, hasher = XorbReader(), hashlib.sha256()
    try:
        with open(file, "rb", buffering=0) as stored:
            while block := stored.read(BLOCK_BYTES):
                if is_xorb:
                    reader.feed(block)
                else:
                    hasher.update(block)
        if is_xorb:
            reader.finish(name)
    except TenutoError:
        return False
    return is_xorb or hasher.hexdigest() == name
